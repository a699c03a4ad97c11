"""Gemma 1 to 3 (text): gelu, scaled embeddings, norms that multiply with 1 + scale; since 2, norms
after attention and MLP, local layers, and caps (2) or norms of q and k (3).

A GGUF file keeps 1 + scale. It leaves out the period of the global layers, the base of the wavelengths
in local ones, and what scores are multiplied with: all constants of the architecture, except that the
27B models divide by sqrt(hidden / heads) where the others divide by sqrt(head size).
Sources: Gemma team, arXiv 2403.08295, 2408.00118 and 2503.19786; each model's config.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from photonjax.models.family import (
    GGUF,
    GGUF_KEYS,
    GGUF_NAMES,
    HF_BIASES,
    HF_KEYS,
    HF_NAMES,
    Family,
    HuggingFace,
)

_FLAGS = dict(activation="gelu_tanh", embedding_scale=True, norm_offset=True)
_DEFAULTS = dict(head_dim=256, tie_embeddings=True)
_LAYER, _BLOCK = "model.layers.{}.", "blk.{}."
_LAYERS_OF_27B = (46, 62)  # Gemma 2, Gemma 3

_POST_NORMS = {
    "layers/{}/attn_post_norm/scale": _LAYER + "post_attention_layernorm.weight",
    "layers/{}/mlp_norm/scale": _LAYER + "pre_feedforward_layernorm.weight",
    "layers/{}/mlp_post_norm/scale": _LAYER + "post_feedforward_layernorm.weight",
}
_GGUF_POST_NORMS = {
    "layers/{}/attn_post_norm/scale": _BLOCK + "post_attention_norm.weight",
    "layers/{}/mlp_post_norm/scale": _BLOCK + "post_ffw_norm.weight",
}
_HF_KEYS: Mapping[str, str | tuple[str, ...]] = {
    **HF_KEYS,
    **HF_BIASES,
    "sliding_window": "sliding_window",
    "attn_logit_softcapping": "scores_cap",
    "final_logit_softcapping": "logits_cap",
}
_WINDOW_KEYS = {
    **GGUF_KEYS,
    "attention.sliding_window": "sliding_window",
    "attention.sliding_window_pattern": "global_every",
}


def _without_offset(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    return weight - 1 if name.endswith("norm.weight") else weight


def _query_scale(fields: Mapping[str, Any], file: Any) -> dict[str, Any]:
    large = fields["num_layers"] in _LAYERS_OF_27B
    size = fields["hidden_size"] / fields["num_heads"] if large else fields["head_dim"]
    return {"query_scale": size**-0.5}


FAMILIES = [
    Family(
        flags=_FLAGS,
        huggingface=HuggingFace(
            model_type="gemma",
            architecture="GemmaForCausalLM",
            keys={**HF_KEYS, **HF_BIASES},
            defaults=_DEFAULTS,
        ),
        gguf=GGUF(architecture="gemma", defaults=dict(rope_theta=1e4), restore=_without_offset),
    ),
    Family(
        flags=dict(**_FLAGS, post_norms=True, global_every=2),
        huggingface=HuggingFace(
            model_type="gemma2",
            architecture="Gemma2ForCausalLM",
            keys=_HF_KEYS,
            defaults=_DEFAULTS,
            names={**HF_NAMES, **_POST_NORMS},
        ),
        gguf=GGUF(
            architecture="gemma2",
            keys={
                **_WINDOW_KEYS,
                "attn_logit_softcapping": "scores_cap",
                "final_logit_softcapping": "logits_cap",
            },
            defaults=dict(rope_theta=1e4, global_every=2),
            names={**GGUF_NAMES, **_GGUF_POST_NORMS},
            complete=_query_scale,
            restore=_without_offset,
        ),
    ),
    Family(
        flags=dict(**_FLAGS, post_norms=True, qk_norm=True, global_every=6),
        huggingface=HuggingFace(
            model_type="gemma3_text",
            architecture="Gemma3ForCausalLM",
            keys=_HF_KEYS,
            defaults=dict(**_DEFAULTS, rope_theta=1e6, local_rope_theta=1e4),
            names={**HF_NAMES, **_POST_NORMS},
        ),
        gguf=GGUF(
            architecture="gemma3",
            keys={**_WINDOW_KEYS, "rope.freq_base_swa": "local_rope_theta"},
            defaults=dict(local_rope_theta=1e4, global_every=6),
            names={**GGUF_NAMES, **_GGUF_POST_NORMS},
            complete=_query_scale,
            restore=_without_offset,
        ),
    ),
]
