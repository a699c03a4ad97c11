"""Falcon: LayerNorms, a plain MLP beside attention, one key-value head (7B) or a few (40B, 11B).

q, k and v are one tensor: key-value head by key-value head in Hugging Face's files, one after the
other in GGUF's. There a second norm is attention's, and the first is then the MLP's. Models with
alibi are refused.
Sources: Almazrouei et al., arXiv 2311.16867; llama.cpp, conversion/falcon.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photonjax.models.family import GGUF, GGUF_KEYS, Family, HuggingFace

_LAYER, _BLOCK = "transformer.h.{}.", "blk.{}."
_PARTS = {  # path: Hugging Face's name, GGUF's name
    "attn_norm": ("input_layernorm", "attn_norm"),
    "attn/q_proj": ("self_attention.query_key_value", "attn_qkv"),
    "attn/k_proj": ("self_attention.query_key_value", "attn_qkv"),
    "attn/v_proj": ("self_attention.query_key_value", "attn_qkv"),
    "attn/o_proj": ("self_attention.dense", "attn_output"),
    "mlp_norm": ("post_attention_layernorm", "attn_norm"),
    "mlp/up_proj": ("mlp.dense_h_to_4h", "ffn_up"),
    "mlp/down_proj": ("mlp.dense_4h_to_h", "ffn_down"),
}


def _names(layer: str, parts: Mapping[str, str]) -> dict[str, str]:
    return {
        f"layers/{{}}/{path}/{own}": f"{layer}{theirs}.{kind}"
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


def _two_norms(fields: Mapping[str, Any], file: Any) -> dict[str, Any]:
    """All that GGUF holds are parallel; only the tensors say whether there is a second norm."""
    second = f"{_BLOCK}attn_norm_2.weight".format(0) in file.shapes
    return dict(parallel=True, shared_norm=not second)


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
                **_names(_LAYER, {path: names[0] for path, names in _PARTS.items()}),
            },
            other_names=_names(_LAYER, {"attn_norm": "ln_attn", "mlp_norm": "ln_mlp"}),
            by_head=True,
        ),
        gguf=GGUF(
            architecture="falcon",
            keys={
                **{
                    k: own
                    for k, own in GGUF_KEYS.items()
                    if k != "attention.layer_norm_rms_epsilon"
                },
                "attention.layer_norm_epsilon": "norm_eps",
            },
            defaults=dict(rope_theta=1e4),
            complete=_two_norms,
            names={
                "embed/embedding": "token_embd.weight",
                "norm/scale": "output_norm.weight",
                "norm/bias": "output_norm.bias",
                "head/kernel": "output.weight",
                **_names(_BLOCK, {path: names[1] for path, names in _PARTS.items()}),
            },
            other_names=_names(_BLOCK, {"attn_norm": "attn_norm_2"}),
        ),
    )
]
