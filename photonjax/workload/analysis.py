"""Following operands through a program: what each value of a jaxpr was made from.

The one analysis behind :func:`photonjax.trace_workload`, which counts, and :func:`photonjax.optical`,
which runs: they name products alike because both ask here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend import core as jex

from photonjax.workload.jaxprs import body_of, scan_parts, weighs
from photonjax.workload.kinds import UNSUPPORTED, kind_of
from photonjax.workload.origin import CONSTANT, Origin, combine

__all__ = ["Analysis", "Body"]


@dataclasses.dataclass(frozen=True)
class Body:
    """A program inside an equation: its jaxpr, the origins of its inputs, how often one execution of
    the equation runs it."""

    jaxpr: Any
    ins: tuple[Origin, ...]
    turns: int = 1


class Analysis:
    """Origins of the values of one program."""

    def __init__(self) -> None:
        self.unnamed = 0
        self._constants: dict[int, Origin] = {}
        self._known: dict[tuple[int, tuple[Origin, ...]], list[Origin]] = {}

    def constant(self, value: Any) -> Origin:
        """Closed-over matrices of floating-point or one-byte numbers are parameters, ``constant/0`` ..."""
        if jnp.ndim(value) < 2 or not weighs(value):
            return CONSTANT
        origin = Origin(True, f"constant/{len(self._constants)}", jnp.shape(value))
        return self._constants.setdefault(id(value), origin)

    def name(self, weight: Origin, scope: str) -> str:
        """Of a product: the parameter's path, else the named scope, else ``dot_general:<number>``."""
        if weight.path:
            return weight.path
        self.unnamed += 1
        return scope or f"dot_general:{self.unnamed - 1}"

    def equations(
        self, jaxpr: Any, ins: Sequence[Origin], env: dict[Any, Origin] | None = None
    ) -> Iterator[tuple[Any, list[Origin]]]:
        """The equations of a jaxpr (open or closed) in order, with the origins of their operands."""
        env = {} if env is None else env
        consts = getattr(jaxpr, "consts", ())
        jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
        env.update(zip(jaxpr.constvars, map(self.constant, consts), strict=True))
        env.update(zip(jaxpr.invars, ins, strict=True))
        for eqn in jaxpr.eqns:
            operands = [CONSTANT if isinstance(v, jex.Literal) else env[v] for v in eqn.invars]
            yield eqn, operands
            env.update(zip(eqn.outvars, self.after(eqn, operands), strict=True))

    def results(self, jaxpr: Any, ins: Sequence[Origin]) -> list[Origin]:
        """Origins of a jaxpr's results."""
        env: dict[Any, Origin] = {}
        for _ in self.equations(jaxpr, ins, env):
            pass
        outs = getattr(jaxpr, "jaxpr", jaxpr).outvars
        return [CONSTANT if isinstance(v, jex.Literal) else env[v] for v in outs]

    def after(self, eqn: Any, ins: Sequence[Origin]) -> list[Origin]:
        """Origins of an equation's results."""
        key = (id(eqn), tuple(ins))
        if key not in self._known:
            self._known[key] = self._after(eqn, list(ins))
        return self._known[key]

    def _after(self, eqn: Any, ins: list[Origin]) -> list[Origin]:
        bodies, name = self.bodies(eqn, ins), eqn.primitive.name
        if not bodies:
            return [combine(ins)] * len(eqn.outvars)
        if name == "while":
            return list(bodies[1].ins[eqn.params["body_nconsts"] :])
        outs = [self.results(body.jaxpr, body.ins) for body in bodies]
        if name == "cond":
            return [combine(origins) for origins in zip(*outs, strict=True)]
        if name == "scan":
            carried, ends = scan_parts(eqn)
            return [*bodies[0].ins[ends - carried : ends], *outs[0][carried:]]
        return outs[0]

    def bodies(self, eqn: Any, ins: Sequence[Origin]) -> list[Body]:
        """The programs that an equation runs: of ``cond`` any one, of all others each."""
        name, p = eqn.primitive.name, eqn.params
        if name in UNSUPPORTED:
            return []
        if name == "scan":
            carried, ends = scan_parts(eqn)
            first = ends - carried
            state = self._settled(p["jaxpr"], ins[:first], ins[first:ends], ins[ends:])
            return [Body(p["jaxpr"], (*ins[:first], *state, *ins[ends:]), p["length"])]
        if name == "while":
            tests, ends = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
            state = self._settled(p["body_jaxpr"], ins[tests:ends], ins[ends:], [])
            return [
                Body(p["cond_jaxpr"], (*ins[:tests], *state)),
                Body(p["body_jaxpr"], (*ins[tests:ends], *state)),
            ]
        if name == "cond":
            return [Body(branch, tuple(ins[1:])) for branch in p["branches"]]
        inner = body_of(eqn) if kind_of(name) == "other" else None
        if inner is None:
            return []
        return [Body(inner, tuple(ins), p["mesh"].size if name == "shard_map" else 1)]

    def _settled(
        self,
        body: Any,
        fixed: Sequence[Origin],
        state: Sequence[Origin],
        sliced: Sequence[Origin],
    ) -> list[Origin]:
        """Origins that a loop's carry keeps from turn to turn: a weight carried round stays one."""
        state = list(state)
        while any(origin.fixed for origin in state):
            outs = self.results(body, [*fixed, *state, *sliced])
            after = [combine(pair) for pair in zip(state, outs, strict=False)]
            if after == state:
                break
            state = after
        return state
