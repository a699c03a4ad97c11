"""Equations of a jaxpr that multiply, as products on an optical core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core.convolution import optical_conv
from photonjax.core.meshes import transposed
from photonjax.core.ragged import optical_ragged_dot

Dot = Callable[..., jax.Array]

PRODUCTS = ("dot_general", "conv_general_dilated", "ragged_dot_general")


def is_product(eqn: Any) -> bool:
    """Whether an equation multiplies in a way that a core can."""
    name, p = eqn.primitive.name, eqn.params
    if name != "ragged_dot_general":
        return name in PRODUCTS
    numbers = p["ragged_dot_dimension_numbers"]
    plain = (((1,), (1,)), ((), ()))
    axes = tuple(tuple(map(tuple, pair)) for pair in numbers.dot_dimension_numbers)
    first = tuple(numbers.lhs_ragged_dimensions) == tuple(numbers.rhs_group_dimensions) == (0,)
    return first and axes == plain and p.get("group_offset") is None


def product_of(
    eqn: Any, x: Any, w: Any, swapped: bool, dot: Dot, more: Sequence[Any] = ()
) -> jax.Array:
    """The equation's product, done by ``dot``, a drop-in for ``lax.dot_general``.

    ``x`` streams, ``w`` is held; ``swapped`` if ``w`` was the left operand (of a dot_general); ``more``
    are its further operands.
    """
    if eqn.primitive.name == "ragged_dot_general":
        p = eqn.params
        kind = p["preferred_element_type"]
        return optical_ragged_dot(x, w, more[0], p["precision"], kind, dot_general=dot)
    multiply = _dot if eqn.primitive.name == "dot_general" else _convolution
    return multiply(eqn.params, x, w, swapped, dot)


def _dot(p: Any, x: Any, w: Any, swapped: bool, dot: Dot) -> jax.Array:
    (lhs_k, rhs_k), (lhs_b, rhs_b) = p["dimension_numbers"]
    numbers = ((rhs_k, lhs_k), (rhs_b, lhs_b)) if swapped else ((lhs_k, rhs_k), (lhs_b, rhs_b))
    kind = p["preferred_element_type"]
    out_sharding = p.get("out_sharding")
    if not swapped:
        return dot(x, w, numbers, p["precision"], kind, out_sharding=out_sharding)
    batch = len(lhs_b)
    free = x.ndim - len(rhs_k) - batch  # of x, the right operand: first in y, last in the result
    ndim = batch + free + w.ndim - len(lhs_k) - batch
    order = [*range(batch), *range(batch + free, ndim), *range(batch, batch + free)]
    own = transposed(out_sharding, order)
    return jnp.transpose(dot(x, w, numbers, p["precision"], kind, out_sharding=own), order)


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
        p.get("out_sharding"),
        dot_general=dot,
    )
