"""The product of one tile: exact in small integers, differentiable in floating point."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from photonjax.core import integers
from photonjax.core.weights import part_weights, split, whole


def exact_products(a_steps: int, b_steps: int, dtype, a, parts) -> tuple[Any, ...]:
    """Products of the integers that stand for both operands, each with its worth in levels."""
    return tuple(
        (a_weight * b_weight, integers.integer_dot(a_part, b_part, dtype))
        for a_weight, a_part in zip(part_weights(a_steps), split(a, a_steps), strict=True)
        for b_weight, b_part in zip(part_weights(b_steps), parts, strict=True)
    )


def weighted(products: tuple[Any, ...]) -> jax.Array:
    """What :func:`exact_products` add up to, float32, in units of levels."""
    total: Any = 0.0
    for worth, product in products:
        total = total + product.astype(jnp.float32) * worth
    return total


@functools.cache
def differentiable_product(a_steps: int, b_steps: int, dtype: jnp.dtype | None, precision: Any):
    """The differentiable product of one tile, in units of levels.

    ``product(a, b, parts)``: a ``[M, K]`` and b ``[K, N]`` are float32 levels; parts are the integers
    that stand for b. The forward product is exact in small integers where both operands have them;
    the derivative is that of ``a @ b`` in floating point.
    """

    def multiply(a, b):
        return lax.dot(a, b, precision=precision, preferred_element_type=jnp.float32)

    @jax.custom_jvp
    def product(a, b, parts):
        if dtype is None:
            return multiply(a, whole(parts, b_steps))
        return weighted(exact_products(a_steps, b_steps, dtype, a, parts))

    def jvp(primals, tangents):
        (a, b, parts), (da, db, _) = primals, tangents
        zero = jax.custom_derivatives.SymbolicZero
        out = product(a, b, parts)
        tangent = jnp.zeros_like(out)
        if type(da) is not zero:
            tangent = tangent + multiply(da, b)
        if type(db) is not zero:
            tangent = tangent + multiply(a, db)
        return out, tangent

    product.defjvp(jvp, symbolic_zeros=True)
    return product
