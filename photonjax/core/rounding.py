"""Arithmetic whose last bit, or whose derivative, is chosen rather than left to the compiler."""

from __future__ import annotations

import jax
import jax.numpy as jnp


@jax.custom_jvp
def no_fma(x: jax.Array) -> jax.Array:
    """The float32 product ``x``, rounded before anything is added to it.

    Compilers contract ``a * b + c`` to one fused operation in some programs and not in others, which
    would leave the last bit to the mesh. A minimum with the largest float stands in between (a maximum
    with the lowest one would be seen through where ``x`` is a square).

    >>> no_fma(jnp.float32(2.0) * 3.0).item()
    6.0
    """
    return jnp.minimum(x, jnp.finfo(jnp.float32).max)


@no_fma.defjvp
def _no_fma_jvp(primals, tangents):
    return no_fma(primals[0]), tangents[0]


@jax.custom_jvp
def round_straight_through(x: jax.Array) -> jax.Array:
    """Round to the nearest integer (ties to even); the derivative is that of the identity.

    >>> jax.value_and_grad(round_straight_through)(2.4)
    (Array(2., dtype=float32, weak_type=True), Array(1., dtype=float32, weak_type=True))
    """
    return jnp.round(x)


@round_straight_through.defjvp
def _round_jvp(primals, tangents):
    return round_straight_through(primals[0]), tangents[0]


@jax.custom_jvp
def safe_sqrt(variance: jax.Array | float) -> jax.Array:
    """Square root whose derivative at zero is zero.

    >>> jax.grad(safe_sqrt)(0.0).item()
    0.0
    """
    return jnp.sqrt(jnp.asarray(variance, jnp.float32))


@safe_sqrt.defjvp
def _safe_sqrt_jvp(primals, tangents):
    root = safe_sqrt(primals[0])
    tangent = jnp.where(root > 0, tangents[0] / (2 * jnp.where(root > 0, root, 1.0)), 0.0)
    return root, tangent.astype(root.dtype)
