"""Mistral: Llama with a sliding window in every layer; Mixtral: with experts.

Their GGUF files call themselves Llama's, have its order of rows, and no sliding window.
Sources: Jiang et al., arXiv 2310.06825 and 2401.04088.
"""

from photonjax.models.families.llama import halves
from photonjax.models.family import (
    GGUF,
    GGUF_KEYS,
    GGUF_NAMES,
    HF_KEYS,
    HF_NAMES,
    HF_REQUIRED,
    Family,
    HuggingFace,
)

_KEYS = {**HF_KEYS, "sliding_window": "sliding_window"}
_BLOCK = "blk.{}."
_EXPERTS = "model.layers.{}.block_sparse_moe."

FAMILIES = [
    Family(
        huggingface=HuggingFace(
            model_type="mistral", architecture="MistralForCausalLM", keys=_KEYS
        ),
    ),
    Family(
        huggingface=HuggingFace(
            model_type="mixtral",
            architecture="MixtralForCausalLM",
            keys={
                **_KEYS,
                "num_experts_per_tok": "experts_per_token",
                "num_local_experts": "num_experts",
            },
            required=(*HF_REQUIRED, "num_local_experts", "num_experts_per_tok"),
            names={
                **HF_NAMES,
                "layers/{}/mlp/router/kernel": _EXPERTS + "gate.weight",
                "layers/{}/mlp/gate_proj/kernel": _EXPERTS + "experts.{}.w1.weight",
                "layers/{}/mlp/up_proj/kernel": _EXPERTS + "experts.{}.w3.weight",
                "layers/{}/mlp/down_proj/kernel": _EXPERTS + "experts.{}.w2.weight",
            },
        ),
        gguf=GGUF(
            architecture="llama",
            experts=True,
            keys={
                **GGUF_KEYS,
                "expert_count": "num_experts",
                "expert_used_count": "experts_per_token",
            },
            names={
                **GGUF_NAMES,
                "layers/{}/mlp/router/kernel": _BLOCK + "ffn_gate_inp.weight",
                "layers/{}/mlp/gate_proj/kernel": _BLOCK + "ffn_gate_exps.weight",
                "layers/{}/mlp/up_proj/kernel": _BLOCK + "ffn_up_exps.weight",
                "layers/{}/mlp/down_proj/kernel": _BLOCK + "ffn_down_exps.weight",
            },
            restore=halves,
        ),
    ),
]
