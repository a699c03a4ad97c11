"""SmolLM3: Llama in which every fourth layer turns nothing. SmolLM 1 and 2 are Llamas.

Its GGUF files have Llama's order of rows, and no key for the fourth.
Source: Bakouch et al., "SmolLM3: smol, multilingual, long-context reasoner", Hugging Face 2025; Yang
et al., arXiv 2501.18795 (layers without positions).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photonjax.models.families.llama import halves
from photonjax.models.family import (
    GGUF,
    HF_BIASES,
    HF_KEYS,
    Family,
    HuggingFace,
    global_every,
)

_EVERY = 4


def _positions(raw: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """From a list with 1 for layers that turn, 0 for others; else from the interval."""
    turned = raw.get("no_rope_layers")
    if turned is None:
        return {"no_rope_every": raw.get("no_rope_layer_interval", _EVERY)}
    if not isinstance(turned, list) or len(turned) != fields["num_layers"]:
        raise ValueError(f"no_rope_layers={turned!r:.200}: must list num_hidden_layers numbers")
    return {"no_rope_every": global_every([bool(layer) for layer in turned])}


FAMILIES = [
    Family(
        huggingface=HuggingFace(
            model_type="smollm3",
            architecture="SmolLM3ForCausalLM",
            keys={**HF_KEYS, **HF_BIASES, "mlp_bias": "mlp_bias"},
            defaults=dict(tie_embeddings=True),
            complete=_positions,
        ),
        gguf=GGUF(
            architecture="smollm3",
            complete=lambda fields, file: {"no_rope_every": _EVERY},
            restore=halves,
        ),
    )
]
