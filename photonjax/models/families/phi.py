"""Phi-3: Llama whose q, k and v are one tensor, and gate and up another; Phi-4-mini turns a part of
each head.

Source: Abdin et al., arXiv 2404.14219.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photonjax.models.family import (
    GGUF,
    GGUF_KEYS,
    GGUF_NAMES,
    HF_KEYS,
    HF_NAMES,
    Family,
    HuggingFace,
)

_LAYER, _BLOCK = "model.layers.{}.", "blk.{}."


def _window(fields: Mapping[str, Any], file: Any) -> dict[str, Any]:
    return {"sliding_window": file.get("phi3.attention.sliding_window", 0) or None}


FAMILIES = [
    Family(
        huggingface=HuggingFace(
            model_type="phi3",
            architecture="Phi3ForCausalLM",
            keys={**HF_KEYS, "sliding_window": "sliding_window"},
            rotary_fraction=("partial_rotary_factor", 1.0),
            names={
                **HF_NAMES,
                **{
                    f"layers/{{}}/attn/{p}_proj/kernel": _LAYER + "self_attn.qkv_proj.weight"
                    for p in "qkv"
                },
                **{
                    f"layers/{{}}/mlp/{p}_proj/kernel": _LAYER + "mlp.gate_up_proj.weight"
                    for p in ("gate", "up")
                },
            },
        ),
        gguf=GGUF(
            architecture="phi3",
            keys={**GGUF_KEYS, "rope.dimension_count": "rotary_dim"},
            complete=_window,
            names={
                **GGUF_NAMES,
                **{f"layers/{{}}/attn/{p}_proj/kernel": _BLOCK + "attn_qkv.weight" for p in "qkv"},
                **{
                    f"layers/{{}}/mlp/{p}_proj/kernel": _BLOCK + "ffn_up.weight"
                    for p in ("gate", "up")
                },
            },
        ),
    )
]
