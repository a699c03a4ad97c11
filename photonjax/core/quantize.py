"""Scales, rounding and small-integer storage, with straight-through gradients."""

from __future__ import annotations

import dataclasses
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from photonjax.core.limits import allowed


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class QuantizedArray:
    """Integers and the scale that turns them back: ``array ~ values * scale``.

    Accepted wherever the product takes a weight. ``values`` is int8, ``scale`` float32 with size 1
    along the ``contracting`` axes, ``bits`` the resolution. Made by :func:`quantize`.
    """

    values: jax.Array
    scale: jax.Array
    bits: int = dataclasses.field(metadata={"static": True})
    contracting: tuple[int, ...] = dataclasses.field(metadata={"static": True})

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def ndim(self) -> int:
        return self.values.ndim

    @property
    def dtype(self) -> Any:
        """The dtype this array stands for (that of :meth:`dequantize`)."""
        return self.scale.dtype

    @property
    def levels(self) -> int:
        return levels(self.bits)

    def dequantize(self) -> jax.Array:
        """The float32 array that the integers stand for."""
        return self.values.astype(self.scale.dtype) * self.scale


def levels(bits: int) -> int:
    """Largest level of a symmetric signed converter: ``2**(bits - 1) - 1``."""
    return 2 ** (bits - 1) - 1


def full_scale(x: jax.Array, axis: tuple[int, ...] | None) -> jax.Array:
    """Largest magnitude along ``axis`` (kept with size 1), 1 where all is below 1e-30, as good as zero
    (the inverse of a smaller one overflows); carries no gradient.

    NaN and infinity in ``x`` survive into the scale, so that they reach the product's result.
    """
    largest = jnp.max(jnp.abs(jax.lax.stop_gradient(x)), axis=axis, keepdims=True, initial=0)
    return jnp.where(largest < 1e-30, jnp.ones_like(largest), largest)


def named_axes(what: str, contracting: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """One axis or several as non-negative numbers, in the order given.

    Raises:
      TypeError: something that is no integer. ValueError: an axis that is not there, or is named twice.
    """
    try:
        several = contracting if isinstance(contracting, (tuple, list)) else (contracting,)
        if any(isinstance(a, bool) for a in several):
            raise TypeError
        axes = [operator.index(a) for a in several]
    except TypeError:
        raise TypeError(
            f"{what}: contracting = {contracting!r} is neither an axis nor a tuple of them"
        ) from None
    ndim = len(shape)
    if any(not -ndim <= a < ndim for a in axes):
        raise ValueError(
            f"{what}: contracting = {contracting} does not exist in shape {tuple(shape)}"
        )
    axes = [a % ndim for a in axes]
    if len(set(axes)) != len(axes):
        raise ValueError(f"{what}: contracting = {contracting} names an axis twice")
    return tuple(axes)


def quantize(
    x: jax.Array, bits: int = 8, contracting: int | tuple[int, ...] | None = 0
) -> QuantizedArray:
    """Quantize to signed symmetric integers, with one scale for what a product sums over.

    Args:
      x: floating array.
      bits: 2 to 8.
      contracting: axes that the product to come sums over; they share a scale. For a kernel
        ``[K, N]``, ``contracting=0`` gives one scale per output column; ``None`` one for the whole
        tensor.

    Returns:
      :class:`QuantizedArray` of x's shape.

    Raises:
      TypeError: if x is not floating. ValueError: for bits outside 2 ... 8 or an axis out of range.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> q = pj.quantize(jnp.array([[1.0, -4.0], [0.5, 2.0]]), bits=8, contracting=0)
      >>> q.values.tolist()
      [[127, -127], [64, 64]]
    """
    kind = getattr(x, "dtype", type(x).__name__)
    if not hasattr(x, "dtype") or not jnp.issubdtype(kind, jnp.floating):
        raise TypeError(f"quantize: x is {kind}; convert it to an array of a floating dtype first")
    if isinstance(bits, bool) or not isinstance(bits, (int, np.integer)) or not 2 <= bits <= 8:
        raise ValueError(
            f"quantize: bits = {bits!r} is not {allowed('an integer', 2, 8)} (int8 storage)"
        )
    wanted = tuple(range(x.ndim)) if contracting is None else contracting
    axes = tuple(sorted(named_axes("quantize", wanted, x.shape)))
    x = x.astype(jnp.float32)
    full = full_scale(x, axes)
    values = jnp.round(x * (levels(bits) / full)).astype(jnp.int8)
    return QuantizedArray(values, full / levels(bits), int(bits), axes)
