"""What the interpreter of a jaxpr knows beside numbers: where a value comes from, and where it is itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from photonjax.workload.origin import COMPUTED, Origin
from photonjax.workload.parameters import Parameters, fill


@dataclasses.dataclass(frozen=True)
class Level:
    """One axis of a stack of weights, as far as a value was taken out of it.

    Attributes:
      index: which entry (an integer, or traced). first: what to add to it.
      size: entries that there are, from ``first`` on. left: of those, how many the value still holds.
    """

    index: Any
    first: int
    size: int
    left: int

    def part(self, index: Any, count: int) -> Level:
        """Entry ``index`` of the ``count`` that the entries left are grouped into."""
        left = self.left // count if self.left % count == 0 else 1
        return dataclasses.replace(self, index=index + self.index * count, left=left)


@dataclasses.dataclass(frozen=True)
class Value:
    """A value of the program.

    Attributes:
      value: the array. origin: which parameter it was made from.
      levels: for a part of a stack of weights, its place in the stack.
      first, rows: for some layers of a stack, ``stack[first : first + rows]`` (rows ``None``: all).
      loops: the scans whose turns count the layers.
    """

    value: Any
    origin: Origin = COMPUTED
    levels: tuple[Level, ...] = ()
    first: int = 0
    rows: int | None = None
    loops: frozenset[Any] = frozenset()

    def part(self, value: Any, index: Any, count: int, *loops: Any) -> Value:
        """Entry ``index`` of the ``count`` along the leading axis."""
        if not self.origin.path:
            return Value(value, self.origin)
        levels = self.levels
        if levels and levels[-1].left > 1:
            levels = (*levels[:-1], levels[-1].part(index, count))
        else:
            rows = count if levels else self.rows or max(count, self.origin.shape[0])
            levels = (*levels, Level(0, self.first, rows, rows).part(index, count))
        return Value(value, self.origin, levels, loops=self.loops.union(loops))

    def look_up(
        self, path: str, parameters: Parameters, of: Callable[[str], Any], dtype: Any = np.uint32
    ) -> Any:
        """``of`` the weight's path, or of the path that this layer of it would have by itself.

        Where the layer is only known as the program runs: an entry of a table, of ``dtype``.
        """
        if not self.levels:
            return of(path)
        template = parameters.template(path, self.origin.shape[0], len(self.levels))
        if all(isinstance(level.index, int) for level in self.levels):
            return of(fill(template, [v.first + v.index for v in self.levels]))
        sizes = [level.size for level in self.levels]
        layers = (
            [v.first + i for v, i in zip(self.levels, n, strict=True)] for n in np.ndindex(*sizes)
        )
        table = np.array([of(fill(template, layer)) for layer in layers], dtype)
        where = tuple(jnp.asarray(level.index, jnp.uint32) for level in self.levels)
        return jnp.asarray(table.reshape((*sizes, *table.shape[1:])))[where]


@dataclasses.dataclass(frozen=True)
class Axis:
    """A mesh axis that a shard_map runs over: a loop of which every device takes one turn."""

    name: str


@dataclasses.dataclass(frozen=True)
class Turn:
    """The key of the call, and the turns of the loops around: (loop, index) from the outside in."""

    key: Any
    count: int = 1
    loops: tuple[tuple[Any, Any], ...] = ()

    def within(self, loop: Any, index: Any, count: int = 1) -> Turn:
        """One turn of a loop that takes ``count``."""
        return Turn(self.key, self.count * count, (*self.loops, (loop, index)))

    def key_at(self, site: Any, number: int, x: Value, w: Value) -> Any:
        """The noise key of a product.

        Loops that count the layers of w are in the site already; over an axis along which neither
        operand varies, all devices compute the same.
        """
        if self.key is None:
            return None
        key = self.key
        varying = {Axis(name) for v in (x, w) for name in jax.typeof(v.value).mat.varying}
        for loop, index in self.loops:
            same = isinstance(loop, Axis) and loop not in varying
            key = key if same or loop in w.loops else jax.random.fold_in(key, index)
        return jax.random.fold_in(jax.random.fold_in(key, site), number)


def like(values: Sequence[Any], origins: Sequence[Origin], ins: Sequence[Value]) -> list[Value]:
    """Results with their origins; one with the origin of an operand is the same part of the stack."""
    found = []
    for value, origin in zip(values, origins, strict=True):
        same = (v for v in ins if v.origin == origin and (v.levels or v.rows is not None))
        peer = next(same, Value(None))
        found.append(dataclasses.replace(peer, value=value, origin=origin))
    return found


def again(values: Sequence[Any], outer: Sequence[Value]) -> list[Value]:
    """Values as an inner program sees them."""
    return [dataclasses.replace(o, value=v) for v, o in zip(values, outer, strict=True)]


def part_of(eqn: Any, ins: Sequence[Value], out: Any) -> Value | None:
    """What an equation takes out of a stack of weights, ``w[3]``, ``w[i]`` or ``w[2:]``; None if it
    does not."""
    name, shape = eqn.primitive.name, jnp.shape(ins[0].value) if ins else ()
    if name not in ("slice", "dynamic_slice") or len(shape) < 2 or not ins[0].origin.path:
        return None
    rows = jnp.shape(out)[0]
    if not all(v.origin.fixed for v in ins) or shape[0] == 1 or rows == shape[0]:
        return None
    start: Any = eqn.params["start_indices"][0] if name == "slice" else ins[1].value
    if rows == 1:
        index = start if isinstance(start, int) else jnp.uint32(start)
        return ins[0].part(out, index, shape[0])
    stack = ins[0]
    if name == "slice" and not stack.levels and not eqn.params["strides"]:
        return dataclasses.replace(stack, value=out, first=stack.first + start, rows=rows)
    return None
