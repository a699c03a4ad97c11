"""A decoder small enough to run in milliseconds."""

from typing import Any

from photonjax.models import DecoderConfig

WIDTHS: dict[str, Any] = dict(vocab_size=64, hidden_size=16, intermediate_size=32, max_length=32)
COUNTS: dict[str, Any] = dict(num_layers=2, num_heads=2, num_kv_heads=2, tie_embeddings=True)


def tiny_decoder(**changes: Any) -> DecoderConfig:
    """Two layers of width 16 and tied embeddings, but for the ``changes``."""
    return DecoderConfig(**{**WIDTHS, **COUNTS, **changes})
