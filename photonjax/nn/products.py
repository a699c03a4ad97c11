"""Equations of a jaxpr that multiply, as products on an optical core."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from photonjax.ops.dot import optical_dot_general


def product_of(eqn: Any, x: Any, w: Any, swapped: bool, options: dict[str, Any]) -> jax.Array:
    """A ``dot_general``: ``x`` streams, ``w`` is held; ``swapped`` if ``w`` was the left operand."""
    p = eqn.params
    (lhs_k, rhs_k), (lhs_b, rhs_b) = p["dimension_numbers"]
    numbers = ((rhs_k, lhs_k), (rhs_b, lhs_b)) if swapped else ((lhs_k, rhs_k), (lhs_b, rhs_b))
    kind = p["preferred_element_type"]
    y = optical_dot_general(x, w, numbers, p["precision"], kind, p.get("out_sharding"), **options)
    if not swapped:
        return y
    batch = len(lhs_b)
    free = x.ndim - len(rhs_k) - batch  # of x, the right operand: first in y, last in the result
    order = [*range(batch), *range(batch + free, y.ndim), *range(batch, batch + free)]
    return jnp.transpose(y, order)


def convolution(eqn: Any, x: Any, w: Any, swapped: bool, options: dict[str, Any]) -> jax.Array:
    """Patches ``[..., C x window]`` times the kernel ``[C x window, O]``."""
    p = eqn.params
    x, w = (w, x) if swapped else (x, w)  # convolution is not symmetric: the kernel is on the right
    numbers = p["dimension_numbers"]
    kernel = jnp.transpose(w, numbers.rhs_spec)  # [O, C, *window]
    out, _, *window = kernel.shape
    patches = lax.conv_general_dilated_patches(
        x, window, p["window_strides"], p["padding"], p["lhs_dilation"], p["rhs_dilation"], numbers
    )
    feature = numbers.out_spec[1]
    contracted = (((feature,), (1,)), ((), ()))
    y = optical_dot_general(
        patches,
        kernel.reshape(out, -1),
        contracted,
        p["precision"],
        p["preferred_element_type"],
        **options,
    )
    return jnp.moveaxis(y, -1, feature)
