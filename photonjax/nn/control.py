"""Control flow of a jaxpr, rebuilt around bodies that an interpreter runs.

Each function takes the interpreter, the equation, its operands and the place, and returns the
results' values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from photonjax.nn.values import Axis, Turn, Value, again, like
from photonjax.workload.jaxprs import scan_parts


def scan(walk: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Any]:
    """Layer by layer, or step by step; what is sliced keeps count of the layer."""
    p, loop = eqn.params, object()
    carried, ends = scan_parts(eqn)
    fixed, state, sliced = ins[: ends - carried], ins[ends - carried : ends], ins[ends:]
    (program,) = walk.analysis.bodies(eqn, [v.origin for v in ins])
    origins = program.ins[ends - carried : ends]
    length = p["length"]

    def body(carry: Any, step: Any) -> tuple[Any, Any]:
        index, xs = step
        rows = [v.part(x, index, length, loop) for x, v in zip(xs, sliced, strict=True)]
        inner = [*fixed, *like(carry, origins, state), *rows]
        outs = walk.enter(p["jaxpr"], inner, turn.within(loop, index, length), scope)
        values = [v.value for v in outs]
        return values[:carried], values[carried:]

    steps = (jnp.arange(length, dtype=jnp.uint32), [v.value for v in sliced])
    carry, ys = lax.scan(
        walk.once(body), [v.value for v in state], steps, length, p["reverse"], p.get("unroll", 1)
    )
    return [*carry, *ys]


def while_loop(walk: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Any]:
    """The test draws at even turns, the body at odd ones."""
    p, loop = eqn.params, object()
    of_cond, of_body = p["cond_nconsts"], p["body_nconsts"]
    tests, fixed = ins[:of_cond], ins[of_cond : of_cond + of_body]
    state = ins[of_cond + of_body :]
    origins = walk.analysis.bodies(eqn, [v.origin for v in ins])[0].ins[of_cond:]

    def go_on(carry: Any) -> Any:
        index, values = carry
        inner = [*tests, *like(values, origins, state)]
        return walk.enter(p["cond_jaxpr"], inner, turn.within(loop, 2 * index), scope)[0].value

    def body(carry: Any) -> Any:
        index, values = carry
        inner = [*fixed, *like(values, origins, state)]
        outs = walk.enter(p["body_jaxpr"], inner, turn.within(loop, 2 * index + 1), scope)
        return index + 1, [v.value for v in outs]

    start = (jnp.uint32(0), [v.value for v in state])
    return lax.while_loop(walk.once(go_on), walk.once(body), start)[1]


def cond(walk: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Any]:
    """Every branch."""
    which, operands = ins[0], ins[1:]

    def run(branch: Any) -> Callable[..., Any]:
        def one(*values: Any) -> list[Any]:
            outs = walk.enter(branch, again(values, operands), turn, scope)
            return [v.value for v in outs]

        return walk.once(one)

    choices = [run(branch) for branch in eqn.params["branches"]]
    return lax.switch(which.value, choices, *(v.value for v in operands))


def remat(walk: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Any]:
    """The same noise when it is run again: the keys are."""

    def run(*values: Any) -> list[Any]:
        outs = walk.enter(eqn.params["jaxpr"], again(values, ins), turn, scope)
        return [v.value for v in outs]

    policy, prevent_cse = eqn.params["policy"], eqn.params["prevent_cse"]
    repeated = jax.checkpoint(walk.once(run), policy=policy, prevent_cse=prevent_cse)
    return repeated(*(v.value for v in ins))


def shard_map(walk: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Any]:
    """Shards draw noise of their own, those of a product that are copies of each other the same."""
    p = eqn.params
    manual = set(p["newly_manual_axes"])

    def run(*values: Any) -> tuple[Any, ...]:
        own = turn
        for axis in sorted(manual):
            # Only with this check on does JAX know which values are copies.
            own = own.within(Axis(axis) if p["check_vma"] else object(), lax.axis_index(axis))
        outs = walk.enter(p["jaxpr"], again(values, ins), own, scope)
        return tuple(v.value for v in outs)

    spread = jax.shard_map(
        walk.once(run), mesh=p["mesh"], in_specs=tuple(p["in_specs"]),
        out_specs=tuple(p["out_specs"]), axis_names=manual, check_vma=p["check_vma"],
    )  # fmt: skip
    return list(spread(*(v.value for v in ins)))


CONTROL: dict[str, Callable[..., list[Any]]] = {
    "scan": scan,
    "while": while_loop,
    "cond": cond,
    "checkpoint": remat,
    "remat2": remat,
    "shard_map": shard_map,
}
