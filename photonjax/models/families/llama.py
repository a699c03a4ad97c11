"""Llama. In GGUF files Mistral calls itself so too.

A GGUF file keeps the rows of Q and K in the order of llama.cpp's rotary layout, which turns
neighbours (2i, 2i+1); `Decoder` turns (i, i + D/2), so the rows are put back. Llama 3's scaled
wavelengths are a tensor of divisors there, from which the scaling is found again.
Sources: Touvron et al., arXiv 2302.13971; Llama team, arXiv 2407.21783.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from photonjax.models.config import RopeScaling
from photonjax.models.family import GGUF, HF_BIASES, HF_KEYS, Family, HuggingFace
from photonjax.models.rotary import rotary_frequencies
from photonjax.models.weights import CheckpointError

_DIVISORS = "rope_freqs.weight"


def halves(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    """Rows of Q or K [heads·D, hidden], and their biases [heads·D], from pairs side by side to halves."""
    if re.search(r"attn_[qk]\.(weight|bias)$", name) is None:
        return weight
    pairs = weight.reshape(-1, config.head_dim // 2, 2, *weight.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def biases(fields: Mapping[str, Any], file: Any) -> dict[str, bool]:
    """Which projections have biases: only the tensors of a GGUF file say so."""
    places = {"qkv_bias": "attn_q", "o_bias": "attn_output", "mlp_bias": "ffn_down"}
    return {field: f"blk.0.{name}.bias" in file.shapes for field, name in places.items()}


def _complete(fields: Mapping[str, Any], file: Any) -> dict[str, Any]:
    return {**biases(fields, file), **_scaling(fields, file)}


def _scaling(fields: Mapping[str, Any], file: Any) -> dict[str, Any]:
    """Llama 3.1's rope scaling, whose divisors reach from 1 to its factor."""
    if _DIVISORS not in file.shapes:
        return {}
    found = file.dequantized(_DIVISORS).ravel()
    head_dim, theta = fields["head_dim"], fields["rope_theta"]
    factor = float(found.max()) if found.size else 0.0
    if np.array_equal(found, np.ones_like(found)):
        return {}
    if np.isfinite(factor) and factor > 1:
        scaling = RopeScaling(factor=factor, low=1.0, high=4.0, original_length=8192)
        plain, scaled = (rotary_frequencies(head_dim, theta, s) for s in (None, scaling))
        if found.shape == plain.shape and np.allclose(plain / scaled, found, rtol=1e-3):
            return {"rope_scaling": scaling}
    raise CheckpointError(
        f"{file.path}: tensor {_DIVISORS!r} is not Llama 3.1's rope scaling: "
        "load the model's Hugging Face directory"
    )


FAMILIES = [
    Family(
        huggingface=HuggingFace(
            model_type="llama",
            architecture="LlamaForCausalLM",
            keys={**HF_KEYS, **HF_BIASES, "mlp_bias": "mlp_bias"},
            defaults=dict(rope_theta=1e4),  # files of Llama 1 and 2 leave it out
            only={"sliding_window": (None,)},
        ),
        gguf=GGUF(
            architecture="llama",
            defaults=dict(rope_theta=1e4),  # files of Llama 1 and 2 leave it out
            complete=_complete,
            consumed=(_DIVISORS,),
            restore=halves,
        ),
    )
]
