"""Running a jaxpr equation by equation, with chosen products on optical cores."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core as jex

from photonjax.core.core import OpticalCore
from photonjax.nn.control import CONTROL
from photonjax.nn.products import PRODUCTS, product_of
from photonjax.rules import Rule, Site, Status
from photonjax.workload.jaxprs import body_of, scope_of, weighs
from photonjax.workload.origin import CONSTANT, UNSUPPORTED, Origin, combine, kind_of
from photonjax.workload.values import Turn, Value, is_call, like, origins_after, part_of

_LAYER = 0x9E3779B9  # spreads the numbers of a stack's layers over 32 bits
_CUSTOM = ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
# What multiplies, or may, in a way that is not done here.
_CLOSED = UNSUPPORTED.union(("ragged_dot", "ragged_dot_general")).difference(PRODUCTS)


class Interpreter:
    """Runs a jaxpr equation by equation, products through the cores that rules name."""

    def __init__(self, rules: Sequence[Rule]):
        self.rules = rules
        self.sites: list[Site] = []
        self.matched: set[int] = set()
        self.used: set[int] = set()
        self.multiplied = 0
        self.unnamed = 0
        self.uses: dict[str, list[tuple[Any, int]]] = {}
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
        return Value(value, self.origin_of(value))

    def origin_of(self, value: Any) -> Origin:
        """Closed-over matrices are parameters, named as in a workload."""
        if jnp.ndim(value) < 2 or not weighs(value):
            return CONSTANT
        name = f"constant/{len(self.constants)}"
        origin = Origin(True, name, math.prod(jnp.shape(value)))
        return self.constants.setdefault(id(value), origin)

    def equation(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        name = eqn.primitive.name
        if name in PRODUCTS:
            return [self.product(eqn, ins, turn, scope)]
        if name in CONTROL:
            origins = origins_after(eqn, [v.origin for v in ins], self.origin_of)
            return like(CONTROL[name](self, eqn, ins, turn, scope), origins, ins)
        inner = body_of(eqn) if kind_of(name) == "other" and name not in _CLOSED else None
        if inner is not None and is_call(eqn, inner):
            call = self.custom if name in _CUSTOM else self.enter_call
            return call(inner, eqn, ins, turn, scope)
        self.note_closed(eqn, turn, scope)
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
        return like(outs, [combine(v.origin for v in ins)] * len(outs), ins)

    def enter_call(
        self, inner: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str
    ) -> list[Value]:
        return self.enter(inner, ins, turn, scope)

    def custom(self, inner: Any, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        """Values from light, derivatives from the function's own rule."""
        digital = self.bind(eqn, ins)
        if not any(name in PRODUCTS for name in _primitives(inner)):
            self.note_closed(eqn, turn, scope)
            return digital
        light = self.enter(inner, ins, turn, scope)
        values = [_with_rule_of(d.value, v.value) for d, v in zip(digital, light, strict=True)]
        return like(values, [v.origin for v in light], light)

    def product(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> Value:
        name = eqn.primitive.name
        x, w = ins
        # einsum may put the parameter on the left; of a convolution the kernel is on the right.
        swapped = name == "dot_general" and x.origin.fixed and not w.origin.fixed
        if swapped:
            x, w = w, x
        path = w.origin.path or scope or f"dot_general:{self.unnamed}"
        self.unnamed += not w.origin.path
        self.multiplied += 1
        if w.origin.fixed:
            known = Site(
                path,
                path,
                tuple(w.value.shape),
                turn.count,
                "digital",
                "",
                dtype=str(w.value.dtype),
            )
        else:
            known = Site(path, None, None, turn.count, "digital", "")
        core, reason = self.decide(known, eqn)
        status: Status = "digital" if core is None else "optical"
        self.sites.append(dataclasses.replace(known, status=status, reason=reason, core=core))
        if core is None:
            return self.bind(eqn, ins)[0]
        if not all(isinstance(size, int) for size in jnp.shape(w.value)):
            raise ValueError(
                f"{path}: what the array holds is {jnp.shape(w.value)}, a shape not known before the "
                "program runs; export it for concrete shapes, or keep this product digital by a rule"
            )
        site = jnp.uint32(zlib.crc32(path.encode()))
        if w.layer is not None:
            site = site + jnp.uint32(_LAYER) * (jnp.uint32(w.layer) + jnp.uint32(1))
        key = turn.key_at(site, self.number(path, w), x, w)
        try:
            out = product_of(eqn, x.value, w.value, swapped, dict(core=core, key=key, site=site))
        except (TypeError, ValueError) as error:
            if type(error) not in (TypeError, ValueError):  # JAX's own
                raise
            raise type(error)(f"{path}: {error}") from error
        return Value(out.astype(eqn.outvars[0].aval.dtype), combine((x.origin, w.origin)))

    def number(self, path: str, w: Value) -> int:
        """How often this weight (as far as can be told: this layer of it) was multiplied before."""
        layer = w.layer if isinstance(w.layer, int) else None
        known = layer is not None
        before = self.uses.setdefault(path, [])
        number = 1 + max((n for one, n in before if not known or one in (None, layer)), default=-1)
        before.append((layer, number))
        return number

    def decide(self, site: Site, eqn: Any) -> tuple[OpticalCore | None, str]:
        """The core that the first rule to take a site (by its path or its module's) gives it, and why."""
        if not all(jnp.issubdtype(v.aval.dtype, jnp.floating) for v in eqn.invars):
            return None, "not a product of real numbers"
        module = site.path.rpartition("/")[0]
        names = [site]
        if module and not site.dynamic:
            names.append(dataclasses.replace(site, path=module))
        hits = [i for i, rule in enumerate(self.rules) if any(map(rule.takes, names))]
        self.matched.update(hits)
        if not hits:
            return None, "no rule matches (dynamic)" if site.dynamic else "no rule matches"
        rule = self.rules[hits[0]]
        if rule.core is None:
            self.used.add(hits[0])
            return None, f"{rule} keeps it digital"
        if site.dynamic and not rule.dynamic:
            return None, f"dynamic product, and {rule} is for held weights"
        self.used.add(hits[0])
        dynamic = ", dynamic: written anew at every call" if site.dynamic else ""
        return rule.core, f"{rule}{dynamic}"

    def note_closed(self, eqn: Any, turn: Turn, scope: str) -> None:
        """List what may multiply and is left as it is."""
        name = eqn.primitive.name
        inside = sorted({n for n in _primitives(eqn.params) if n in PRODUCTS or n in _CLOSED})
        if name not in _CLOSED and not inside:
            return
        where = "/".join(part for part in (scope, name) if part)
        reason = f"{name} cannot be entered" + (f" (it has {', '.join(inside)})" if inside else "")
        self.sites.append(Site(where, None, None, turn.count, "digital", reason))

    def once(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """JAX may trace a body more than once; its sites are listed, and counted, as of the first."""
        start: list[Any] = []

        def counters() -> Any:
            return self.unnamed, {path: list(uses) for path, uses in self.uses.items()}

        def traced(*args: Any) -> Any:
            if not start:
                start.append(counters())
                return body(*args)
            kept, before = (list(self.sites), self.multiplied), counters()
            self.unnamed, self.uses = start[0]
            start[0] = counters()
            out = body(*args)
            (self.sites, self.multiplied), (self.unnamed, self.uses) = kept, before
            return out

        return traced


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
