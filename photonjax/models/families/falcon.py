"""Falcon: LayerNorms, a plain MLP beside attention, one key-value head (7B) or a few (40B, 11B).

q, k and v are one tensor, key-value head by key-value head. Models with alibi are refused.
Source: Almazrouei et al., arXiv 2311.16867.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photonjax.models.family import Family, HuggingFace

_LAYER = "transformer.h.{}."
_PARTS = {
    "attn_norm": "input_layernorm",
    "attn/q_proj": "self_attention.query_key_value",
    "attn/k_proj": "self_attention.query_key_value",
    "attn/v_proj": "self_attention.query_key_value",
    "attn/o_proj": "self_attention.dense",
    "mlp_norm": "post_attention_layernorm",
    "mlp/up_proj": "mlp.dense_h_to_4h",
    "mlp/down_proj": "mlp.dense_4h_to_h",
}


def _names(parts: Mapping[str, str]) -> dict[str, str]:
    return {
        f"layers/{{}}/{path}/{own}": f"{_LAYER}{theirs}.{kind}"
        for path, theirs in parts.items()
        for own, kind in (("scale" if "norm" in path else "kernel", "weight"), ("bias", "bias"))
    }


def _complete(raw: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Which of the two generations it is; the second has as many norms as it says."""
    heads, second = raw["num_attention_heads"], bool(raw.get("new_decoder_architecture"))
    kv_heads = heads
    if second:
        kv_heads = raw.get("num_kv_heads") or heads
    elif raw.get("multi_query", True):
        kv_heads = 1
    parallel = second or raw.get("parallel_attn", True)
    norms = raw.get("num_ln_in_parallel_attn") or 2 if second else 1
    found = dict(num_kv_heads=kv_heads, parallel=parallel, shared_norm=parallel and norms == 1)
    if raw.get("ffn_hidden_size") is None:
        found["intermediate_size"] = 4 * raw["hidden_size"]
    return found


FAMILIES = [
    Family(
        flags=dict(layer_norm=True, gated_mlp=False, activation="gelu"),
        huggingface=HuggingFace(
            model_type="falcon",
            architecture="FalconForCausalLM",
            keys={
                "vocab_size": "vocab_size",
                "hidden_size": "hidden_size",
                "ffn_hidden_size": "intermediate_size",
                "num_hidden_layers": "num_layers",
                "num_attention_heads": "num_heads",
                "layer_norm_epsilon": "norm_eps",
                "tie_word_embeddings": "tie_embeddings",
                "max_position_embeddings": "max_length",
                "bias": ("qkv_bias", "o_bias", "mlp_bias"),
            },
            required=(
                "vocab_size",
                "hidden_size",
                "num_hidden_layers",
                "num_attention_heads",
                "layer_norm_epsilon",
            ),
            # what the files of the first models leave out
            defaults=dict(max_length=2048, rope_theta=1e4, tie_embeddings=True),
            only={
                "activation": ("gelu",),
                "alibi": (False, None),
                "apply_residual_connection_post_layernorm": (False, None),
                "multi_query": (True, False, None),
                "new_decoder_architecture": (True, False, None),
                "parallel_attn": (True, False, None),
                "num_ln_in_parallel_attn": (1, 2, None),
            },
            complete=_complete,
            names={
                "embed/embedding": "transformer.word_embeddings.weight",
                "norm/scale": "transformer.ln_f.weight",
                "norm/bias": "transformer.ln_f.bias",
                "head/kernel": "lm_head.weight",
                **_names(_PARTS),
            },
            other_names=_names({"attn_norm": "ln_attn", "mlp_norm": "ln_mlp"}),
            by_head=True,
        ),
    )
]
