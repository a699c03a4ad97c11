"""Control flow of a jaxpr, rebuilt around bodies that an interpreter runs.

Each function takes the interpreter, the equation, its operands and the place, and returns the
results' values. What is taken down at products (``walk.tape``; None: nothing) goes through with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

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
        (carry, walk.tape), (index, xs) = carry, step
        rows = [v.part(x, index, length, loop) for x, v in zip(xs, sliced, strict=True)]
        inner = [*fixed, *like(carry, origins, state), *rows]
        outs = walk.enter(p["jaxpr"], inner, turn.within(loop, index, length), scope)
        values = [v.value for v in outs]
        return (values[:carried], walk.tape), values[carried:]

    steps = (jnp.arange(length, dtype=jnp.uint32), [v.value for v in sliced])
    start = ([v.value for v in state], walk.tape)
    run = walk.once(body)
    (carry, walk.tape), ys = lax.scan(run, start, steps, length, p["reverse"], p.get("unroll", 1))
    return [*carry, *ys]


def while_loop(walk: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Any]:
    """The test draws at even turns, the body at odd ones.

    A test returns nothing but its answer. Where something is taken down, it is made ahead of its turn: before
    the loop, and at the end of each body.
    """
    p, loop = eqn.params, object()
    of_cond, of_body = p["cond_nconsts"], p["body_nconsts"]
    tests, fixed = ins[:of_cond], ins[of_cond : of_cond + of_body]
    state = ins[of_cond + of_body :]
    origins = walk.analysis.bodies(eqn, [v.origin for v in ins])[0].ins[of_cond:]

    def go_on(index: Any, values: Any) -> Any:
        inner = [*tests, *like(values, origins, state)]
        return walk.enter(p["cond_jaxpr"], inner, turn.within(loop, 2 * index), scope)[0].value

    def go(index: Any, values: Any) -> tuple[Any, list[Any]]:
        inner = [*fixed, *like(values, origins, state)]
        outs = walk.enter(p["body_jaxpr"], inner, turn.within(loop, 2 * index + 1), scope)
        return index + 1, [v.value for v in outs]

    go_on, go = walk.once(go_on), walk.once(go)
    first = (jnp.uint32(0), [v.value for v in state])
    if walk.tape is None:
        return lax.while_loop(lambda carry: go_on(*carry), lambda carry: go(*carry), first)[1]

    def body(carry: Any) -> Any:
        _, walk.tape, *where = carry
        where = go(*where)
        return go_on(*where), walk.tape, *where

    start = go_on(*first), walk.tape, *first
    _, walk.tape, _, values = lax.while_loop(lambda carry: carry[0], body, start)
    return values


def cond(walk: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Any]:
    """Every branch."""
    which, operands = ins[0], ins[1:]

    def run(branch: Any) -> Callable[..., Any]:
        return _taped(walk, lambda values: walk.enter(branch, again(values, operands), turn, scope))

    choices = [run(branch) for branch in eqn.params["branches"]]
    outs, walk.tape = lax.switch(which.value, choices, walk.tape, *(v.value for v in operands))
    return outs


def remat(walk: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Any]:
    """The same noise when it is run again: the keys are."""
    body, policy, prevent_cse = (eqn.params[name] for name in ("jaxpr", "policy", "prevent_cse"))
    run = _taped(walk, lambda values: walk.enter(body, again(values, ins), turn, scope))
    repeated = jax.checkpoint(run, policy=policy, prevent_cse=prevent_cse)
    outs, walk.tape = repeated(walk.tape, *(v.value for v in ins))
    return outs


def _taped(walk: Any, enter: Callable[..., list[Value]]) -> Callable[..., Any]:
    """A body as a function of the tape and its operands, that returns its results and the tape."""

    def run(tape: Any, *values: Any) -> tuple[list[Any], Any]:
        walk.tape = tape
        outs = enter(values)
        return [v.value for v in outs], walk.tape

    return walk.once(run)


def shard_map(walk: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Any]:
    """Shards draw noise of their own, those of a product that are copies of each other the same."""
    p = eqn.params
    manual = set(p["newly_manual_axes"])

    def run(tape: Any, *values: Any) -> tuple[Any, Any]:
        walk.tape, own = tape, turn
        if tape is not None and p["check_vma"]:
            walk.tape = lax.pcast(tape, tuple(manual), to="varying")
        for axis in sorted(manual):
            # Only with this check on does JAX know which values are copies.
            own = own.within(Axis(axis) if p["check_vma"] else object(), lax.axis_index(axis))
        outs = walk.enter(p["jaxpr"], again(values, ins), own, scope)
        tape = None if walk.tape is None else walk.gauge.over_devices(walk.tape, tuple(manual))
        return tuple(v.value for v in outs), tape

    spread = jax.shard_map(
        walk.once(run), mesh=p["mesh"], in_specs=(PartitionSpec(), *p["in_specs"]),
        out_specs=(tuple(p["out_specs"]), PartitionSpec()), axis_names=manual, check_vma=p["check_vma"],
    )  # fmt: skip
    before = walk.tape
    blank = None if before is None else jnp.zeros_like(before)
    outs, tape = spread(blank, *(v.value for v in ins))
    walk.tape = None if before is None else walk.gauge.pool(before, tape)
    return list(outs)


CONTROL: dict[str, Callable[..., list[Any]]] = {
    "scan": scan,
    "while": while_loop,
    "cond": cond,
    "checkpoint": remat,
    "remat2": remat,
    "shard_map": shard_map,
}
