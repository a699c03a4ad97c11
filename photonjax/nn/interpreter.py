"""Running a jaxpr equation by equation, with chosen products on optical cores."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core as jex

from photonjax.hardware.core import OpticalCore
from photonjax.inventory.jaxprs import body_of, scan_parts, scope_of, weighs
from photonjax.inventory.origin import COMPUTED, CONSTANT, UNSUPPORTED, Origin, combine
from photonjax.nn.convert import Rule, Site
from photonjax.nn.products import convolution, product_of

_LAYER = 0x9E3779B9  # spreads the numbers of a scan's layers over 32 bits


@dataclasses.dataclass(frozen=True)
class Value:
    """A value, where it comes from, and, for a weight sliced by scans, which slice."""

    value: Any
    origin: Origin = COMPUTED
    layer: Any = None


@dataclasses.dataclass(frozen=True)
class Turn:
    """Where the interpreter is: the key of this turn of the loops, how often the turn is taken."""

    key: Any
    count: int = 1

    def within(self, index: Any, count: int = 1) -> Turn:
        key = None if self.key is None else jax.random.fold_in(self.key, index)
        return Turn(key, self.count * count)


class Interpreter:
    """Runs a jaxpr equation by equation, products through the cores that rules name."""

    def __init__(self, rules: Sequence[Rule]):
        self.rules = rules
        self.sites: list[Site] = []
        self.matched: set[int] = set()
        self.used: set[int] = set()
        self.unnamed = 0
        self.occurrences = 0
        self.constants: dict[int, Origin] = {}

    def enter(self, jaxpr: Any, ins: Sequence[Value], turn: Turn, scope: str) -> list[Value]:
        consts = getattr(jaxpr, "consts", ())
        jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
        env: dict[Any, Value] = {}
        env.update(zip(jaxpr.constvars, map(self.constant, consts), strict=True))
        env.update(zip(jaxpr.invars, ins, strict=True))

        def read(atom: Any) -> Value:
            return Value(atom.val, CONSTANT) if isinstance(atom, jex.Literal) else env[atom]

        for eqn in jaxpr.eqns:
            with eqn.ctx.manager:
                outs = self.equation(eqn, [read(v) for v in eqn.invars], turn, scope_of(scope, eqn))
            env.update(zip(eqn.outvars, outs, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def constant(self, value: Any) -> Value:
        """Closed-over matrices are parameters, named as in an inventory."""
        if jnp.ndim(value) < 2 or not weighs(value):
            return Value(value, CONSTANT)
        name = f"constant/{len(self.constants)}"
        origin = Origin(True, name, math.prod(jnp.shape(value)))
        return Value(value, self.constants.setdefault(id(value), origin))

    def equation(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        name = eqn.primitive.name
        if name in ("dot_general", "conv_general_dilated"):
            return [self.product(eqn, ins, turn, scope)]
        if name in UNSUPPORTED:
            self.note(eqn, f"{name} cannot be entered", turn, scope)
            return self.bind(eqn, ins)
        inner = body_of(eqn)
        if name in ("scan", "while", "cond", "shard_map", "checkpoint", "remat2"):
            return getattr(self, _CONTROL[name])(eqn, ins, turn, scope)
        if name in ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"):
            return self.custom(eqn, ins, turn, scope)
        if inner is not None and name != "custom_partitioning":
            return self.enter(inner, ins, turn, scope)
        if jex.jaxprs_in_params(eqn.params) and _multiplies(eqn.params):
            self.note(eqn, f"{name} cannot be entered", turn, scope)
        return self.bind(eqn, ins)

    def bind(self, eqn: Any, ins: list[Value]) -> list[Value]:
        """The equation as it was."""
        params = eqn.primitive.get_bind_params(eqn.params)
        outs = eqn.primitive.bind(*(v.value for v in ins), **params)
        outs = outs if eqn.primitive.multiple_results else [outs]
        origin = combine(v.origin for v in ins)
        layer = next((v.layer for v in ins if v.origin == origin and v.layer is not None), None)
        return [Value(out, origin, layer) for out in outs]

    def product(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> Value:
        lhs, rhs = ins
        swapped = lhs.origin.fixed and not rhs.origin.fixed  # einsum put the parameter on the left
        x, w = (rhs, lhs) if swapped else (lhs, rhs)
        path = w.origin.path or scope
        if not path:
            path = f"{eqn.primitive.name}:{self.unnamed}"
            self.unnamed += 1
        core, reason = self.decide(path, w.origin.fixed, eqn)
        status = "digital" if core is None else "optical"
        shape = tuple(jnp.shape(w.value)) if w.origin.fixed else None
        parameter = path if w.origin.fixed else None
        self.sites.append(Site(path, parameter, shape, turn.count, status, reason, core))  # type: ignore[arg-type]
        if core is None:
            return self.bind(eqn, ins)[0]
        number = zlib.crc32(path.encode())
        site = jnp.uint32(number)
        if w.layer is not None:
            site = site + jnp.uint32(_LAYER) * (w.layer + jnp.uint32(1))
        key = None
        if turn.key is not None:
            key = jax.random.fold_in(jax.random.fold_in(turn.key, number), self.occurrences)
        self.occurrences += 1
        multiply = convolution if eqn.primitive.name == "conv_general_dilated" else product_of
        out = multiply(eqn, x.value, w.value, swapped, dict(core=core, key=key, site=site))
        return Value(out.astype(eqn.outvars[0].aval.dtype), combine((x.origin, w.origin)))

    def decide(self, path: str, held: bool, eqn: Any) -> tuple[OpticalCore | None, str]:
        hits = [i for i, rule in enumerate(self.rules) if rule.matches(path)]
        self.matched.update(hits)
        if not all(jnp.issubdtype(v.aval.dtype, jnp.floating) for v in eqn.invars):
            return None, "not a product of real numbers"
        groups = ("feature_group_count", "batch_group_count")
        if any(eqn.params.get(name, 1) != 1 for name in groups):
            return None, "grouped convolution"
        if not hits:
            return None, "no rule matches" if held else "no rule matches (dynamic)"
        rule = self.rules[hits[0]]
        if rule.core is None:
            self.used.add(hits[0])
            return None, f"rule {rule.pattern!r} keeps it digital"
        if not held and not rule.dynamic:
            return None, f"dynamic product, and rule {rule.pattern!r} is for held weights"
        self.used.add(hits[0])
        return rule.core, f"rule {rule.pattern!r}" + (
            "" if held else ", dynamic: written anew at every call"
        )

    def note(self, eqn: Any, reason: str, turn: Turn, scope: str) -> None:
        where = "/".join(part for part in (scope, eqn.primitive.name) if part)
        self.sites.append(Site(where, None, None, turn.count, "digital", reason))

    def scan(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        p = eqn.params
        carried, ends = scan_parts(eqn)
        fixed, state, sliced = ins[: ends - carried], ins[ends - carried : ends], ins[ends:]
        length = p["length"]
        outs: list[Value] = []

        def body(carry: Any, step: Any) -> tuple[Any, Any]:
            index, xs = step
            rows = []
            for value, outer in zip(xs, sliced, strict=True):
                layer = None
                if outer.origin.fixed:
                    layer = index + (0 if outer.layer is None else outer.layer * jnp.uint32(length))
                rows.append(Value(value, outer.origin, layer))
            inner = [*fixed, *map(Value, carry), *rows]
            outs[:] = self.enter(p["jaxpr"], inner, turn.within(index, length), scope)
            values = [v.value for v in outs]
            return values[:carried], values[carried:]

        body = self.once(body)
        steps = (jnp.arange(length, dtype=jnp.uint32), [v.value for v in sliced])
        carry, ys = lax.scan(
            body, [v.value for v in state], steps, length, p["reverse"], p.get("unroll", 1)
        )
        return [*map(Value, carry), *map(Value, ys)]

    def once(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """JAX may trace a body more than once; its sites are listed, and counted, as of the first."""
        start: list[Any] = []

        def traced(*args: Any) -> Any:
            if not start:
                start.append((self.unnamed, self.occurrences))
                return body(*args)
            kept, (self.unnamed, self.occurrences) = list(self.sites), start[0]
            out = body(*args)
            self.sites = kept
            return out

        return traced

    def loop(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        p = eqn.params
        of_cond, of_body = p["cond_nconsts"], p["body_nconsts"]
        tests, fixed = ins[:of_cond], ins[of_cond : of_cond + of_body]
        state = [v.value for v in ins[of_cond + of_body :]]

        def go_on(carry: Any) -> Any:
            index, values = carry
            inner = [*tests, *map(Value, values)]
            return self.enter(p["cond_jaxpr"], inner, turn.within(2 * index), scope)[0].value

        def body(carry: Any) -> Any:
            index, values = carry
            inner = [*fixed, *map(Value, values)]
            outs = self.enter(p["body_jaxpr"], inner, turn.within(2 * index + 1), scope)
            return index + 1, [v.value for v in outs]

        start = (jnp.uint32(0), state)
        return [*map(Value, lax.while_loop(self.once(go_on), self.once(body), start)[1])]

    def branches(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        which, operands = ins[0], ins[1:]

        def run(branch: Any) -> Callable[..., Any]:
            def one(*values: Any) -> list[Any]:
                inner = [Value(v, o.origin, o.layer) for v, o in zip(values, operands, strict=True)]
                return [v.value for v in self.enter(branch, inner, turn, scope)]

            return self.once(one)

        choices = [run(branch) for branch in eqn.params["branches"]]
        return [*map(Value, lax.switch(which.value, choices, *(v.value for v in operands)))]

    def remat(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        def run(*values: Any) -> list[Any]:
            inner = [Value(v, o.origin, o.layer) for v, o in zip(values, ins, strict=True)]
            return [v.value for v in self.enter(eqn.params["jaxpr"], inner, turn, scope)]

        policy, prevent_cse = eqn.params["policy"], eqn.params["prevent_cse"]
        again = jax.checkpoint(self.once(run), policy=policy, prevent_cse=prevent_cse)
        return [*map(Value, again(*(v.value for v in ins)))]

    def shards(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        p = eqn.params
        manual = set(p["newly_manual_axes"])

        def run(*values: Any) -> tuple[Any, ...]:
            own = turn
            for axis in sorted(manual):
                own = own.within(lax.axis_index(axis))
            inner = [Value(v, o.origin, o.layer) for v, o in zip(values, ins, strict=True)]
            return tuple(v.value for v in self.enter(p["jaxpr"], inner, own, scope))

        spread = jax.shard_map(
            self.once(run), mesh=p["mesh"], in_specs=tuple(p["in_specs"]),
            out_specs=tuple(p["out_specs"]), axis_names=manual, check_vma=False,
        )  # fmt: skip
        return [*map(Value, spread(*(v.value for v in ins)))]

    def custom(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        inner = eqn.params.get("call_jaxpr") or eqn.params.get("fun_jaxpr")
        if inner is None or not _multiplies(inner):
            return self.bind(eqn, ins)
        digital = self.bind(eqn, ins)
        light = self.enter(inner, ins, turn, scope)
        return [
            Value(_with_rule_of(d.value, v.value), v.origin, v.layer)
            for d, v in zip(digital, light, strict=True)
        ]


_CONTROL = {
    "scan": "scan",
    "while": "loop",
    "cond": "branches",
    "shard_map": "shards",
    "checkpoint": "remat",
    "remat2": "remat",
}


@jax.custom_jvp
def _with_rule_of(digital: jax.Array, light: jax.Array) -> jax.Array:
    """The second value with the derivative of the first."""
    return light


@_with_rule_of.defjvp
def _with_rule_of_jvp(primals, tangents):
    return _with_rule_of(*primals), tangents[0]


def _multiplies(params: Any) -> bool:
    """Whether a jaxpr, or one among parameters, has a product in it."""
    inner = list(jex.jaxprs_in_params(params)) if isinstance(params, dict) else [params]
    for jaxpr in inner:
        for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
            if eqn.primitive.name in ("dot_general", "conv_general_dilated"):
                return True
            if _multiplies(eqn.params):
                return True
    return False
