"""Products on a mesh of explicit axes (``jax.sharding.AxisType.Explicit``).

There every intermediate's sharding is part of its type, and that of k-tiles of a sharded axis would be
ambiguous. Only the result's matters to the caller: it is that of ``lax.dot_general``, and within a product
the compiler chooses, as it does on a mesh of automatic axes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from photonjax.core.operands import DimensionNumbers, normalized
from photonjax.core.programming import ProgrammedWeight
from photonjax.core.quantize import QuantizedArray


def result_sharding(x: Any, w: Any, numbers: DimensionNumbers, out_sharding: Any) -> Any:
    """Of the product of x and w; None where no axis of the mesh is explicit, or none is in use.

    Raises:
      jax.errors.ShardingTypeError: as ``lax.dot_general`` does, where ``out_sharding`` must decide.
    """
    numbers = normalized(x, w, numbers)
    product = functools.partial(lax.dot_general, dimension_numbers=numbers)
    return sharding_of(product, x, w, out_sharding)


def sharding_of(product: Callable[..., Any], x: Any, w: Any, out_sharding: Any) -> Any:
    """As :func:`result_sharding`, of ``product(x, w, out_sharding=out_sharding)``."""
    used = [_sharding(x), _sharding(w), out_sharding]
    if all(_unused(sharding) for sharding in used):
        return None
    like = (
        jax.ShapeDtypeStruct(a.shape, jnp.float32, sharding=sharding)
        for a, sharding in zip((x, w), used, strict=False)
    )
    return jax.eval_shape(functools.partial(product, out_sharding=out_sharding), *like).sharding


def automatic(function: Callable[..., Any], sharding: Any, *args: Any) -> Any:
    """``function(*args)`` with results of this sharding (None: as they come), the rest left to the compiler.

    Arrays among the arguments' leaves enter by themselves; what is no array stays as it is.
    """
    if sharding is None:
        return function(*args)
    leaves, tree = jax.tree.flatten(args)
    arrays = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)}

    def run(arrays: dict[int, jax.Array]) -> Any:
        whole = [arrays.get(i, leaf) for i, leaf in enumerate(leaves)]
        return function(*jax.tree.unflatten(tree, whole))

    return jax.sharding.auto_axes(run, out_sharding=sharding)(arrays)


def transposed(sharding: Any, order: Sequence[int]) -> Any:
    """The sharding of y where ``jnp.transpose(y, order)`` is to have this one (or None)."""
    if sharding is None:
        return None
    named = isinstance(sharding, NamedSharding)
    spec = [*(sharding.spec if named else sharding)]
    spec += [None] * (len(order) - len(spec))
    back = PartitionSpec(*(spec[order.index(axis)] for axis in range(len(order))))
    return NamedSharding(sharding.mesh, back) if named else back


def _sharding(operand: Any) -> Any:
    """Of an operand's own axes; None where it is not known."""
    if isinstance(operand, ProgrammedWeight):
        if len(operand.shape) != 2 or operand.contracting != (0,):
            return None
        operand = operand.parts[0][0]
    if isinstance(operand, QuantizedArray):
        operand = operand.values
    return getattr(jax.typeof(operand), "sharding", None)


def _unused(sharding: Any) -> bool:
    if sharding is None:
        return True
    if isinstance(sharding, PartitionSpec):
        return False
    return not sharding.mesh.explicit_axes or all(axes is None for axes in sharding.spec)
