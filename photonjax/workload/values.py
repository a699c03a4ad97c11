"""What the interpreter of a jaxpr knows beside numbers: where a value comes from, and where it is itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core as jex

from photonjax.workload.jaxprs import body_of, scan_parts
from photonjax.workload.origin import COMPUTED, CONSTANT, Origin, combine, join, kind_of


@dataclasses.dataclass(frozen=True)
class Value:
    """A value of the program.

    Attributes:
      value: the array. origin: which parameter it was made from.
      layer: for a part of a stack of weights, its number in the stack (an integer, or traced).
      loops: the scans whose turn that number counts.
    """

    value: Any
    origin: Origin = COMPUTED
    layer: Any = None
    loops: frozenset[Any] = frozenset()

    def part(self, value: Any, index: Any, count: int, *loops: Any) -> Value:
        """Entry ``index`` of the ``count`` that the leading axis stacks."""
        if not self.origin.fixed:
            return Value(value)
        layer = index if self.layer is None else index + self.layer * count
        return Value(value, self.origin, layer, self.loops.union(loops))


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
    """Results with their origins; one with the origin of an operand is the same layer of the stack."""
    found = []
    for value, origin in zip(values, origins, strict=True):
        same = (v for v in ins if v.origin == origin and v.layer is not None)
        peer = next(same, Value(None))
        found.append(Value(value, origin, peer.layer, peer.loops))
    return found


def again(values: Sequence[Any], outer: Sequence[Value]) -> list[Value]:
    """Values as an inner program sees them."""
    return [dataclasses.replace(o, value=v) for v, o in zip(values, outer, strict=True)]


def is_call(eqn: Any, inner: Any) -> bool:
    """Whether an equation runs ``inner`` on its operands, as they are, and returns its results."""
    inner = getattr(inner, "jaxpr", inner)
    pairs = [
        *zip(eqn.invars, inner.invars, strict=False),
        *zip(eqn.outvars, inner.outvars, strict=False),
    ]
    counts = len(inner.invars) == len(eqn.invars) and len(inner.outvars) == len(eqn.outvars)
    return counts and all(
        getattr(a.aval, "shape", None) == getattr(b.aval, "shape", None) for a, b in pairs
    )


Constants = Callable[[Any], Origin]


def origins_after(eqn: Any, ins: Sequence[Origin], constant: Constants) -> list[Origin]:
    """Origins of an equation's results; nothing is run."""
    name, p, ins = eqn.primitive.name, eqn.params, list(ins)
    if name == "scan":
        carried, ends = scan_parts(eqn)
        fixed, state, sliced = ins[: ends - carried], ins[ends - carried : ends], ins[ends:]
        state = settled(p["jaxpr"], fixed, state, sliced, constant)
        return [*state, *_results(p["jaxpr"], [*fixed, *state, *sliced], constant)[carried:]]
    if name == "while":
        first, last = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
        return settled(p["body_jaxpr"], ins[first:last], ins[last:], [], constant)
    if name == "cond":
        branches = (_results(branch, ins[1:], constant) for branch in p["branches"])
        return [combine(origins) for origins in zip(*branches, strict=True)]
    inner = body_of(eqn) if kind_of(name) == "other" else None
    if inner is not None:
        return _results(inner, ins, constant)
    return [combine(ins)] * len(eqn.outvars)


def settled(
    body: Any,
    fixed: Sequence[Origin],
    state: Sequence[Origin],
    sliced: Sequence[Origin],
    constant: Constants,
) -> list[Origin]:
    """Origins that a loop's carry keeps from turn to turn: a weight carried round stays one."""
    state = list(state)
    while any(origin.fixed for origin in state):
        outs = _results(body, [*fixed, *state, *sliced], constant)
        after = [join(a, b) for a, b in zip(state, outs, strict=False)]
        if after == state:
            break
        state = after
    return state


def _results(jaxpr: Any, ins: Sequence[Origin], constant: Constants) -> list[Origin]:
    consts = getattr(jaxpr, "consts", ())
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    env = dict(zip(jaxpr.constvars, map(constant, consts), strict=True))
    env.update(zip(jaxpr.invars, ins, strict=True))

    def read(atom: Any) -> Origin:
        return CONSTANT if isinstance(atom, jex.Literal) else env[atom]

    for eqn in jaxpr.eqns:
        outs = origins_after(eqn, [read(v) for v in eqn.invars], constant)
        env.update(zip(eqn.outvars, outs, strict=True))
    return [read(v) for v in jaxpr.outvars]


def part_of(eqn: Any, ins: Sequence[Value], out: Any) -> Value | None:
    """A weight that an equation takes out of a stack, ``w[3]`` or ``w[i]``; None if it does not."""
    name, shape = eqn.primitive.name, jnp.shape(ins[0].value) if ins else ()
    if name not in ("slice", "dynamic_slice") or len(shape) < 2 or not ins[0].origin.path:
        return None
    if not all(v.origin.fixed for v in ins) or shape[0] == 1 or jnp.shape(out)[0] != 1:
        return None
    index: Any = eqn.params["start_indices"][0] if name == "slice" else ins[1].value
    return ins[0].part(out, index if isinstance(index, int) else jnp.uint32(index), shape[0])
