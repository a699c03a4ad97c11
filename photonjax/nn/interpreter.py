"""Running a jaxpr equation by equation, with chosen products on optical cores."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jex
from jax.sharding import PartitionSpec

from photonjax.core import OpticalCore, site_number
from photonjax.core.meshes import automatic, result_sharding
from photonjax.core.product import optical_dot_general
from photonjax.nn.control import CONTROL
from photonjax.nn.gauges import Gauge
from photonjax.nn.products import PRODUCTS, is_product, product_of
from photonjax.nn.ranges import KINDS, Ranges, as_given
from photonjax.nn.values import Turn, Value, like, part_of
from photonjax.rules import Engine, Rule, Site
from photonjax.workload.analysis import Analysis
from photonjax.workload.jaxprs import body_of, digital, on_light, scope_of
from photonjax.workload.kinds import UNSUPPORTED, kind_of
from photonjax.workload.origin import CONSTANT
from photonjax.workload.parameters import Parameters
from photonjax.workload.products import weight_operand

_CUSTOM = ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")


class Interpreter:
    """Runs a jaxpr equation by equation, products through the cores that rules name.

    Attributes:
      ranges: calibrated ones. cores: of every product on light, by the path that its ranges have.
      gauge: takes down every product on light. tape: what it saw, a row for each of the cores; None:
        nothing yet, as long as nobody knows how many there are.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        parameters: Parameters,
        ranges: Ranges | None = None,
        gauge: Gauge | None = None,
        tape: jax.Array | None = None,
    ):
        self.engine = Engine(rules)
        self.ranges: Ranges = ranges or {}
        self.gauge, self.tape = gauge, tape
        self.cores: dict[str, OpticalCore] = {}
        self.analysis = Analysis()
        self.parameters = parameters
        self.multiplied = 0
        self.uses: dict[str, list[tuple[Any, int]]] = {}
        self.order: dict[str, int] = {}

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
        return Value(value, self.analysis.constant(value))

    def equation(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        name = eqn.primitive.name
        if is_product(eqn):
            return [self.product(eqn, ins, turn, scope)]
        if name in CONTROL:
            return self.results(eqn, ins, CONTROL[name](self, eqn, ins, turn, scope))
        inner = body_of(eqn) if kind_of(name) == "other" and name not in UNSUPPORTED else None
        if inner is not None and is_call(eqn, inner):
            call = self.custom if name in _CUSTOM else self.enter_call
            return call(inner, eqn, ins, turn, scope)
        self.note_closed(eqn, turn, scope, ins)
        return self.bind(eqn, ins)

    def bind(self, eqn: Any, ins: list[Value]) -> list[Value]:
        """The equation as it was."""
        params = eqn.primitive.get_bind_params(eqn.params)
        outs = eqn.primitive.bind(*(v.value for v in ins), **params)
        if not eqn.primitive.multiple_results:
            part = part_of(eqn, ins, outs)
            if part is not None:
                return [part]
            outs = [outs]
        return self.results(eqn, ins, outs)

    def results(self, eqn: Any, ins: list[Value], outs: Sequence[Any]) -> list[Value]:
        """An equation's results with what is known about them."""
        return like(outs, self.analysis.after(eqn, [v.origin for v in ins]), ins)

    def enter_call(
        self, inner: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str
    ) -> list[Value]:
        return self.enter(inner, ins, turn, scope)

    def custom(self, inner: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        """Values from light, derivatives from the function's own rule."""
        plain = self.bind(eqn, ins)
        if not any(name in PRODUCTS for name in _primitives(inner)):
            self.note_closed(eqn, turn, scope, ins)
            return plain
        light = self.enter(inner, ins, turn, scope)
        values = [_with_rule_of(d.value, v.value) for d, v in zip(plain, light, strict=True)]
        return like(values, [v.origin for v in light], light)

    def product(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> Value:
        side = weight_operand(eqn, [v.origin for v in ins])
        x, w = ins[1 - side], ins[side]
        path = self.analysis.name(w.origin, scope)
        self.multiplied += 1
        order = self.order.get(path, 0)
        self.order[path] = order + 1
        known = Site(path, stationary=w.origin.fixed, layers=turn.count, scope=scope, number=order)
        if w.origin.fixed:
            known = dataclasses.replace(
                known,
                parameter=w.origin.path or None,
                shape=tuple(w.value.shape),
                dtype=str(w.value.dtype),
            )
        core = self.engine.decide(known, {path: w.value.dtype, "its input": x.value.dtype}).core
        if core is None:
            with jax.named_scope(digital(known.label)):
                return self.bind(eqn, ins)[0]
        if not all(isinstance(size, int) for size in jnp.shape(w.value)):
            raise ValueError(
                f"{path}: what the array holds is {jnp.shape(w.value)}, a shape not known before the "
                "program runs; export it for concrete shapes, or keep this product digital by a rule"
            )
        site = w.look_up(path, self.parameters, site_number)
        key = turn.key_at(site, self.number(path, w), x, w)
        try:
            options = dict(
                core=core, key=key, site=jnp.uint32(site), **self.ranges_of(path, w, core.passes)
            )
            dot = functools.partial(self.dot_of(path, w, core), **options)
            with jax.named_scope(on_light(known.label)):
                more = [v.value for v in ins[2:]]
                out = product_of(eqn, x.value, w.value, side == 0, dot, more)
        except (TypeError, ValueError) as error:
            if type(error) not in (TypeError, ValueError):  # JAX's own
                raise
            raise type(error)(f"{path}: {error}") from error
        return self.results(eqn, ins, [out.astype(eqn.outvars[0].aval.dtype)])[0]

    def ranges_of(self, path: str, w: Value, passes: int) -> dict[str, Any]:
        """The calibrated ranges of a product; NaN for a layer of a stack that has none."""
        found = {}
        for kind in KINDS:
            known: list[bool] = []

            def of(path: str, kind: str = kind, known: list[bool] = known) -> Any:
                known.append(kind in self.ranges.get(path, ()))
                return as_given(kind, self.ranges[path][kind] if known[-1] else math.nan, passes)

            value = w.look_up(path, self.parameters, of, np.float32)
            found[f"{kind}_range"] = value if any(known) else None
        return found

    def dot_of(self, path: str, w: Value, core: OpticalCore) -> Callable[..., jax.Array]:
        """What does a product: ``optical_dot_general``, with a note of it where there is a gauge."""

        def row_of(path: str) -> int:
            self.cores[path] = core
            return list(self.cores).index(path)

        row = w.look_up(path, self.parameters, row_of)
        if self.gauge is None:
            return optical_dot_general
        return functools.partial(self.taken_down, self.gauge, row)

    def taken_down(
        self, gauge: Gauge, row: Any, x: Any, w: Any, numbers: Any, precision: Any = None,
        preferred_element_type: Any = None, out_sharding: Any = None, **options: Any,
    ) -> jax.Array:  # fmt: skip
        """``optical_dot_general``, and a note of it in a row of the tape."""
        options |= dict(precision=precision, preferred_element_type=preferred_element_type)

        def product(x: jax.Array, w: jax.Array, options: dict[str, Any]) -> Any:
            return gauge.product(x, w, numbers, reference=w, **options)

        sharding = result_sharding(x, w, numbers, out_sharding)
        both = None if sharding is None else (sharding, PartitionSpec())
        y, seen = automatic(product, both, x, w, options)
        if self.tape is not None:
            self.tape = self.tape.at[row].set(gauge.pool(self.tape[row], seen))
        return y

    def number(self, path: str, w: Value) -> int:
        """How often this weight (as far as can be told: this layer of it) was multiplied before."""
        layer = tuple(level.index for level in w.levels)
        known = layer and all(isinstance(index, int) for index in layer)
        before = self.uses.setdefault(path, [])
        number = 1 + max((n for one, n in before if not known or one in (None, layer)), default=-1)
        before.append((layer if known else None, number))
        return number

    def note_closed(self, eqn: Any, turn: Turn, scope: str, ins: list[Value]) -> None:
        """List what may multiply and is left as it is; a product after its parameter, if it has one."""
        name = eqn.primitive.name
        inside = sorted({n for n in _primitives(eqn.params) if n in PRODUCTS or n in UNSUPPORTED})
        if name not in UNSUPPORTED and not inside:
            return
        where = "/".join(part for part in (scope, name) if part)
        reason = f"{name} cannot be entered" + (f" (it has {', '.join(inside)})" if inside else "")
        weights = [v for v in ins if v.origin.fixed and v.origin.path and name in PRODUCTS]
        found = Site(where, stationary=False, layers=turn.count, reason=reason)
        if weights:
            w = max(weights, key=lambda v: v.origin.size)
            path, shape = w.origin.path, tuple(jnp.shape(w.value))
            found = dataclasses.replace(
                found,
                path=path,
                parameter=path,
                shape=shape,
                stationary=True,
                dtype=str(w.value.dtype),
            )
        self.engine.sites.append(found)

    def once(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """JAX may trace a body more than once; its sites are listed, and counted, as of the first."""
        start: list[Any] = []
        engine, analysis = self.engine, self.analysis

        def counters() -> Any:
            uses = {path: list(uses) for path, uses in self.uses.items()}
            return analysis.unnamed, uses, dict(self.order)

        def traced(*args: Any) -> Any:
            if not start:
                start.append(counters())
                return body(*args)
            kept, before = (list(engine.sites), self.multiplied), counters()
            analysis.unnamed, self.uses, self.order = start[0]
            start[0] = counters()
            out = body(*args)
            (engine.sites, self.multiplied), (analysis.unnamed, self.uses, self.order) = (
                kept,
                before,
            )
            return out

        return traced


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


@jax.custom_jvp
def _with_rule_of(digital: jax.Array, light: jax.Array) -> jax.Array:
    """The second value with the derivative of the first."""
    return light


@_with_rule_of.defjvp
def _with_rule_of_jvp(primals, tangents):
    return _with_rule_of(*primals), tangents[0]


def _primitives(params: Any) -> Iterator[str]:
    """Names of all primitives in a jaxpr, or in those among an equation's parameters."""
    inner = jex.jaxprs_in_params(params) if isinstance(params, dict) else [params]
    for jaxpr in inner:
        for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
            yield eqn.primitive.name
            yield from _primitives(eqn.params)
