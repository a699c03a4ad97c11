"""Equations of a jaxpr that multiply, as products on an optical core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core.convolution import optical_conv

Dot = Callable[..., jax.Array]

PRODUCTS = ("dot_general", "conv_general_dilated")


def product_of(eqn: Any, x: Any, w: Any, swapped: bool, dot: Dot) -> jax.Array:
    """The equation's product, done by ``dot``, a drop-in for ``lax.dot_general``.

    ``x`` streams, ``w`` is held; ``swapped`` if ``w`` was the left operand (of a dot_general).
    """
    multiply = _dot if eqn.primitive.name == "dot_general" else _convolution
    return multiply(eqn.params, x, w, swapped, dot)


def _dot(p: Any, x: Any, w: Any, swapped: bool, dot: Dot) -> jax.Array:
    (lhs_k, rhs_k), (lhs_b, rhs_b) = p["dimension_numbers"]
    numbers = ((rhs_k, lhs_k), (rhs_b, lhs_b)) if swapped else ((lhs_k, rhs_k), (lhs_b, rhs_b))
    kind = p["preferred_element_type"]
    out_sharding = p.get("out_sharding")
    if not swapped:
        return dot(x, w, numbers, p["precision"], kind, out_sharding=out_sharding)
    y = dot(x, w, numbers, p["precision"], kind)
    batch = len(lhs_b)
    free = x.ndim - len(rhs_k) - batch  # of x, the right operand: first in y, last in the result
    order = [*range(batch), *range(batch + free, y.ndim), *range(batch, batch + free)]
    y = jnp.transpose(y, order)
    return y if out_sharding is None else jax.sharding.reshard(y, out_sharding)


def _convolution(p: Any, x: Any, w: Any, swapped: bool, dot: Dot) -> jax.Array:
    return optical_conv(
        x,
        w,
        p["window_strides"],
        p["padding"],
        p["lhs_dilation"],
        p["rhs_dilation"],
        p["dimension_numbers"],
        p["feature_group_count"],
        p["batch_group_count"],
        p["precision"],
        p["preferred_element_type"],
        dot_general=dot,
    )
