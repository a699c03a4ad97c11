"""The sizes and constants that make a decoder."""

from __future__ import annotations

import dataclasses
import math

__all__ = ["DecoderConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes and constants of a decoder.

    Args:
      vocab_size: V, rows of the embedding table.
      hidden_size: width of the residual stream.
      intermediate_size: width of the SwiGLU hidden layer.
      num_layers: number of blocks.
      num_heads: query heads.
      num_kv_heads: key-value heads; divides `num_heads`. None: as many as `num_heads`.
      head_dim: size of one head, even. None: hidden_size / num_heads.
      rope_theta: base of the rotary wavelengths.
      norm_eps: added to the mean square in RMSNorm.
      tie_embeddings: the head is the embedding table.
      max_length: longest sequence the model was made for (tokens); longer ones are refused.

    Raises:
      ValueError: naming the field, its value and what is allowed.

    >>> DecoderConfig(
    ...     vocab_size=64, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=4
    ... ).head_dim
    8
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int = None  # type: ignore[assignment]
    head_dim: int = None  # type: ignore[assignment]
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    tie_embeddings: bool = False
    max_length: int = 131_072

    def __post_init__(self) -> None:
        def refuse(field: str, remedy: str) -> None:
            raise ValueError(f"DecoderConfig.{field}={getattr(self, field)!r}: {remedy}")

        sizes = "vocab_size hidden_size intermediate_size num_layers num_heads max_length"
        if self.num_kv_heads is None:
            object.__setattr__(self, "num_kv_heads", self.num_heads)
        for field in (*sizes.split(), "num_kv_heads"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                refuse(field, "must be an integer of at least 1")
        if self.num_heads % self.num_kv_heads:
            refuse("num_kv_heads", f"must divide num_heads={self.num_heads}")
        if self.head_dim is None:
            if self.hidden_size % self.num_heads:
                refuse("num_heads", f"must divide hidden_size={self.hidden_size}, or give head_dim")
            object.__setattr__(self, "head_dim", self.hidden_size // self.num_heads)
        head_dim = self.head_dim
        if (
            isinstance(head_dim, bool)
            or not isinstance(head_dim, int)
            or head_dim < 2
            or head_dim % 2
        ):
            refuse(
                "head_dim", "must be an even integer of at least 2 (rotary positions turn pairs)"
            )
        for field in ("rope_theta", "norm_eps"):
            value = getattr(self, field)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value <= 0:
                refuse(field, "must be a finite number above 0")
        if not isinstance(self.tie_embeddings, bool):
            refuse("tie_embeddings", "must be True or False")
