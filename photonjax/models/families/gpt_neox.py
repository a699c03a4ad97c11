"""GPT-NeoX, and with it Pythia: LayerNorms, biases everywhere, attention and MLP side by side, a
quarter of each head turned.

q, k and v are one tensor: head by head in Hugging Face's files, one after the other in GGUF's.
Sources: Black et al., arXiv 2204.06745; Biderman et al., arXiv 2304.01373.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photonjax.models.family import (
    GGUF,
    GGUF_KEYS,
    HF_BIASES,
    HF_KEYS,
    Family,
    HuggingFace,
    names_with_biases,
)

_FLAGS = dict(layer_norm=True, gated_mlp=False, mlp_bias=True)
_PARTS = {
    "attn_norm": ("input_layernorm", "attn_norm"),
    "attn/q_proj": ("attention.query_key_value", "attn_qkv"),
    "attn/k_proj": ("attention.query_key_value", "attn_qkv"),
    "attn/v_proj": ("attention.query_key_value", "attn_qkv"),
    "attn/o_proj": ("attention.dense", "attn_output"),
    "mlp_norm": ("post_attention_layernorm", "ffn_norm"),
    "mlp/up_proj": ("mlp.dense_h_to_4h", "ffn_up"),
    "mlp/down_proj": ("mlp.dense_4h_to_h", "ffn_down"),
}


def _activation(raw: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"activation": "gelu" if raw.get("hidden_act") == "gelu" else "gelu_tanh"}


def _complete(fields: Mapping[str, Any], file: Any) -> dict[str, Any]:
    parallel = file.get("gptneox.use_parallel_residual", True)
    return dict(parallel=parallel, activation="gelu", qkv_bias=True, o_bias=True)


FAMILIES = [
    Family(
        flags=_FLAGS,
        huggingface=HuggingFace(
            model_type="gpt_neox",
            architecture="GPTNeoXForCausalLM",
            keys={
                **{
                    k: own
                    for k, own in HF_KEYS.items()
                    if k not in ("num_key_value_heads", "head_dim", "rms_norm_eps")
                },
                **HF_BIASES,
                "layer_norm_eps": "norm_eps",
                "rotary_emb_base": "rope_theta",
                "use_parallel_residual": "parallel",
            },
            required=(
                *tuple(HF_KEYS)[:5],
                "layer_norm_eps",
                "max_position_embeddings",
                "hidden_act",
            ),
            defaults=dict(qkv_bias=True, o_bias=True, parallel=True, rope_theta=1e4),
            rotary_fraction=("rotary_pct", 0.25),
            complete=_activation,
            names=names_with_biases(
                _PARTS,
                {
                    "embed/embedding": "gpt_neox.embed_in.weight",
                    "norm/scale": "gpt_neox.final_layer_norm.weight",
                    "norm/bias": "gpt_neox.final_layer_norm.bias",
                    "head/kernel": "embed_out.weight",
                },
                "gpt_neox.layers.{}.",
                0,
            ),
            by_head=True,
        ),
        gguf=GGUF(
            architecture="gptneox",
            keys={
                **{
                    k: own
                    for k, own in GGUF_KEYS.items()
                    if k not in ("attention.layer_norm_rms_epsilon", "attention.head_count_kv")
                },
                "attention.layer_norm_epsilon": "norm_eps",
                "rope.dimension_count": "rotary_dim",
            },
            defaults=dict(rope_theta=1e4),
            complete=_complete,
            names=names_with_biases(
                _PARTS,
                {
                    "embed/embedding": "token_embd.weight",
                    "norm/scale": "output_norm.weight",
                    "norm/bias": "output_norm.bias",
                    "head/kernel": "output.weight",
                },
                "blk.{}.",
                1,
            ),
        ),
    )
]
