"""The two products of ``nnx.MultiHeadAttention`` that have no weight: scores and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype as flax_promote
from jax import lax

from photonjax.nn.optical_dot import OpticalDot


class OpticalAttention(nnx.Module):
    """A drop-in for ``nnx.dot_product_attention``, its products on optical cores.

    Scores stream queries past keys, values stream attention weights past values: what is held in the
    array must be written again for every call, batch element and (key) head. Masks, biases, softmax
    and dropout are digital, and as in Flax; softmax in float32.

    Attributes:
      scores, values: the products; ``None``: digital.
    """

    def __init__(self, scores: OpticalDot | None = None, values: OpticalDot | None = None):
        self.scores: nnx.Data[OpticalDot | None] = nnx.data(scores)
        self.values: nnx.Data[OpticalDot | None] = nnx.data(values)

    def __call__(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        bias: jax.Array | None = None,
        mask: jax.Array | None = None,
        broadcast_dropout: bool = True,
        dropout_rng: jax.Array | None = None,
        dropout_rate: float = 0.0,
        deterministic: bool = False,
        dtype: Any = None,
        precision: Any = None,
        module: nnx.Module | None = None,
        promote_dtype: Callable[..., Any] = flax_promote,
        is_causal: bool = False,
    ) -> jax.Array:
        """As ``nnx.dot_product_attention``: ``[..., Q, H, D]``, ``[..., K, G, D]`` twice; G divides H."""
        query, key, value = promote_dtype((query, key, value), dtype=dtype)
        dtype = query.dtype
        query = query / jnp.sqrt(query.shape[-1]).astype(dtype)
        s = _scores(_or_digital(self.scores), query, key, precision)  # [..., H, Q, K]
        if bias is not None:
            s = s + bias
        if is_causal:
            past = jnp.tri(s.shape[-2], s.shape[-1], dtype=bool)
            s = jnp.where(past, s, jnp.finfo(s.dtype).min)
        if mask is not None:
            s = jnp.where(mask, s, jnp.finfo(s.dtype).min)
        weights = jax.nn.softmax(s).astype(dtype)
        if module is not None:
            module.sow(nnx.Intermediate, "attention_weights", weights)
        if not deterministic and dropout_rate > 0:
            if dropout_rng is None:
                raise ValueError("dropout_rng = None: attention dropout needs a key")
            shape = weights.shape
            if broadcast_dropout:
                shape = (1,) * (len(shape) - 2) + shape[-2:]
            keep = jax.random.bernoulli(dropout_rng, 1 - dropout_rate, shape)
            weights = weights * (keep.astype(dtype) / jnp.asarray(1 - dropout_rate, dtype))
        return _values(_or_digital(self.values), weights, value, precision)


def _or_digital(dot: OpticalDot | None) -> Callable[..., jax.Array]:
    return lax.dot_general if dot is None else dot


def _scores(dot: Any, query: jax.Array, key: jax.Array, precision: Any) -> jax.Array:
    """``[..., Q, H, D]`` and ``[..., K, G, D]`` to ``[..., H, Q, K]``, float32."""
    *batch, length, heads, size = query.shape
    groups = key.shape[-2]
    b = len(batch)
    query = query.reshape(*batch, length, groups, heads // groups, size)
    axes = (*range(b), b + 1)
    numbers = (((b + 3,), (b + 2,)), (axes, axes))
    s = dot(query, key, numbers, precision=precision, preferred_element_type=jnp.float32)
    s = jnp.swapaxes(s, b + 1, b + 2)  # of [..., G, Q, H / G, K]
    return s.reshape(*batch, heads, length, key.shape[-3])


def _values(dot: Any, weights: jax.Array, value: jax.Array, precision: Any) -> jax.Array:
    """``[..., H, Q, K]`` and ``[..., K, G, D]`` to ``[..., Q, H, D]``, in the dtype of values."""
    *batch, heads, length, keys = weights.shape
    groups, size = value.shape[-2:]
    b = len(batch)
    weights = weights.reshape(*batch, groups, heads // groups, length, keys)
    before = tuple(range(b))
    numbers = (((b + 3,), (b,)), ((*before, b), (*before, b + 1)))
    y = dot(weights, value, numbers, precision=precision, preferred_element_type=value.dtype)
    return jnp.moveaxis(y, b + 2, b).reshape(*batch, length, heads, size)  # [..., G, H/G, Q, D]
