"""The product of one tile: exact in small integers, differentiable in floating point."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from photonjax.core.fixed_point import integer_dot, part_weights, split, whole


def exact_products(a_steps: int, b_steps: int, dtype, a, parts) -> tuple[Any, ...]:
    """Products of the integers that stand for both operands, each with its worth in levels."""
    return tuple(
        (a_weight * b_weight, integer_dot(a_part, b_part, dtype))
        for a_weight, a_part in zip(part_weights(a_steps), split(a, a_steps), strict=True)
        for b_weight, b_part in zip(part_weights(b_steps), parts, strict=True)
    )


def weighted(products: Any) -> jax.Array:
    """What :func:`exact_products` add up to, float32, in units of levels (a float32 sum is it already)."""
    if not isinstance(products, tuple):
        return products
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


@functools.cache
def multiply_then(
    read: Callable[..., jax.Array],
    a_steps: int,
    b_steps: int,
    dtype: jnp.dtype | None,
    precision: Any,
):
    """``run(a, b, parts, *rest)``: multiply one tile, and ``read(product, *rest)``.

    The forward program reads the integer sums as they are (:func:`weighted` makes floats of them); under
    differentiation :func:`differentiable_product` stands in, whose float32 result is the same and has a
    derivative. ``run.product`` is the latter.
    """
    product = differentiable_product(a_steps, b_steps, dtype, precision)

    def differentiable(a, b, parts, *rest):
        return read(product(a, b, parts), *rest)

    if dtype is None:
        differentiable.product = product  # type: ignore[attr-defined]
        return differentiable

    @jax.custom_jvp
    def run(a, b, parts, *rest):
        return read(exact_products(a_steps, b_steps, dtype, a, parts), *rest)

    def jvp(primals, tangents):
        leaves, tree = jax.tree.flatten(primals)
        is_zero = lambda t: type(t) is jax.custom_derivatives.SymbolicZero  # noqa: E731
        changes = jax.tree.leaves(tangents, is_leaf=is_zero)
        moving = [i for i, change in enumerate(changes) if not is_zero(change)]

        def of_moving(*values):
            every = list(leaves)
            for i, value in zip(moving, values, strict=True):
                every[i] = value
            return differentiable(*jax.tree.unflatten(tree, every))

        return jax.jvp(of_moving, [leaves[i] for i in moving], [changes[i] for i in moving])

    run.defjvp(jvp, symbolic_zeros=True)
    run.product = product  # type: ignore[attr-defined]
    return run
