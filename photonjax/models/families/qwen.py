"""Qwen2: Llama with biases on q, k and v. Qwen3: with norms of q and k instead, and with experts.

Sources: Qwen team, arXiv 2412.15115 and 2505.09388.
"""

from photonjax.models.family import (
    GGUF,
    GGUF_KEYS,
    GGUF_NAMES,
    HF_BIASES,
    HF_KEYS,
    HF_NAMES,
    HF_REQUIRED,
    Family,
    HuggingFace,
)

_LAYER, _BLOCK = "model.layers.{}.", "blk.{}."
_EXPERTS = ("gate", "up", "down")

FAMILIES = [
    Family(
        flags=dict(qkv_bias=True),
        huggingface=HuggingFace(
            model_type="qwen2",
            architecture="Qwen2ForCausalLM",
        ),
        gguf=GGUF(architecture="qwen2"),
    ),
    Family(
        flags=dict(qk_norm=True),
        huggingface=HuggingFace(
            model_type="qwen3",
            architecture="Qwen3ForCausalLM",
            keys={**HF_KEYS, **HF_BIASES},
            defaults=dict(head_dim=128),
        ),
        gguf=GGUF(architecture="qwen3"),
    ),
    Family(
        flags=dict(qk_norm=True),
        huggingface=HuggingFace(
            model_type="qwen3_moe",
            architecture="Qwen3MoeForCausalLM",
            keys={
                **{k: own for k, own in HF_KEYS.items() if k != "intermediate_size"},
                **HF_BIASES,
                "num_experts_per_tok": "experts_per_token",
                "num_experts": "num_experts",
                "num_local_experts": "num_experts",  # since transformers 5
                "moe_intermediate_size": "intermediate_size",
                "norm_topk_prob": "normalize_experts",
            },
            required=(*HF_REQUIRED, "moe_intermediate_size", "num_experts_per_tok"),
            defaults=dict(normalize_experts=False),
            only={"decoder_sparse_step": (1,), "mlp_only_layers": ([], None)},
            names={
                **HF_NAMES,
                "layers/{}/mlp/router/kernel": _LAYER + "mlp.gate.weight",
                **{
                    f"layers/{{}}/mlp/{p}_proj/kernel": f"{_LAYER}mlp.experts.{{}}.{p}_proj.weight"
                    for p in _EXPERTS
                },
            },
        ),
        gguf=GGUF(  # gates sum to one: the format has no key for another choice
            architecture="qwen3moe",
            experts=True,
            keys={
                **{k: own for k, own in GGUF_KEYS.items() if k != "feed_forward_length"},
                "expert_feed_forward_length": "intermediate_size",
                "expert_count": "num_experts",
                "expert_used_count": "experts_per_token",
            },
            names={
                **GGUF_NAMES,
                "layers/{}/mlp/router/kernel": _BLOCK + "ffn_gate_inp.weight",
                **{
                    f"layers/{{}}/mlp/{p}_proj/kernel": f"{_BLOCK}ffn_{p}_exps.weight"
                    for p in _EXPERTS
                },
            },
        ),
    ),
]
