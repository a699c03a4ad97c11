"""What of a k-tile's operands decides its light: sums over levels, exact where levels are integers."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from photonjax.core.fixed_point import exact_sum


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Moments:
    """What of a k-tile's operands decides its light; None where the encoding has no use for a part.

    Attributes:
      row: ``[M, 1]`` of the inputs as modulated: ``sum |a|`` (differential), ``sum a`` (offset),
        ``sum a**2`` (homodyne). col: ``[1, N]`` the same of the weights.
      known: ``[M, 1]`` of the inputs meant, which is all that the digital side knows of them.
      magnitudes: ``[M, N]`` the exact ``sum |a||b|``.
      terms: how many products are summed.
      other: ``[M, N]`` the field in the other quadrature, where anything reads it.
    """

    row: jax.Array | None
    col: jax.Array | None
    known: jax.Array | None
    magnitudes: jax.Array | None
    terms: int = dataclasses.field(metadata={"static": True})
    other: jax.Array | None = None


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def moment(kind: str, steps: int, axis: int, values: jax.Array) -> jax.Array:
    """What an encoding's shot noise needs of one operand: a sum over ``axis`` of levels, kept as size 1.

    ``sum |v|`` (differential), ``sum v`` (offset) or ``sum v**2`` (homodyne). Levels carried as
    integers are summed exactly: then the order, hence the mesh, makes no difference.
    """
    values = jnp.abs(values) if kind == "differential" else values
    return exact_sum(values, steps, axis, squares=kind == "homodyne")


@moment.defjvp
def _moment_jvp(kind, steps, axis, primals, tangents):
    (values,), (change,) = primals, tangents
    slope = {"differential": jnp.sign, "offset": jnp.ones_like, "homodyne": lambda v: 2 * v}
    tangent = jnp.sum(slope[kind](values) * change, axis=axis, keepdims=True)
    return moment(kind, steps, axis, values), tangent
