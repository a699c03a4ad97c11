"""Calls of unmodified Flax Linen layers, met on their way and sent through optical cores."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import itertools
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from photonjax.core.core import OpticalCore
from photonjax.core.dot import optical_dot_general
from photonjax.nn.transform import optical
from photonjax.rules import Rule, Site, check_rules

_WITH_HOOK = (nn.Dense, nn.DenseGeneral)
# Layers without a hook for their product: their own call is taken apart by ``optical``.
_CLOSED = (nn.Einsum, nn.Conv, nn.ConvLocal, nn.ConvTranspose)

_numbers = itertools.count()


class Interception:
    """Within :meth:`active`, layers that rules name multiply on light.

    Args:
      rules: the first that takes a layer decides.
      noisy: whether to draw noise, from each layer's rng stream ``noise``.
      pretend: put something of the right shape in place of every product met, so that what is left in
        the program's jaxpr is what was not met.
    """

    def __init__(self, rules: Sequence[Rule], noisy: bool, pretend: bool = False):
        self.rules = tuple(rules)
        self.noisy = noisy
        self.pretend = pretend
        self.sites: list[Site] = []
        self.matched: set[int] = set()
        self.used: set[int] = set()
        self.number = next(_numbers)
        self.inside = False

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """At the end, a rule without effect is an error."""
        with nn.intercept_methods(self.meet):
            yield
        check_rules(self.rules, self.matched, self.used, [s.path for s in self.sites])

    def meet(self, call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        """What Flax runs in place of a module's method."""
        layer, method = context.module, context.method_name
        if self.inside or layer.scope is None:
            return call(*args, **kwargs)
        with _marked(layer.scope, self.number):
            if isinstance(layer, nn.Embed) and method == "attend":
                return self.attend(layer, call, *args, **kwargs)
            if method == "__call__" and isinstance(layer, _WITH_HOOK):
                return self.hooked(layer, call, args, kwargs)
            if method == "__call__" and isinstance(layer, _CLOSED):
                return self.closed(layer, call, args, kwargs)
            return call(*args, **kwargs)

    def hooked(self, layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        """A layer that multiplies by its ``dot_general``: another one stands there during the call."""
        own, own_cls = layer.dot_general, layer.dot_general_cls

        def multiply(x: jax.Array, w: jax.Array, *rest: Any, **options: Any) -> jax.Array:
            core = self.decide(path_of(layer), "kernel", w)
            if core is not None:
                return self.product(layer, core)(x, w, *rest, **options)
            if self.pretend:
                return _stand_in(lambda x, w: lax.dot_general(x, w, *rest, **options), x, w)
            return (own_cls() if own_cls is not None else own or lax.dot_general)(
                x, w, *rest, **options
            )

        # Linen modules are frozen once they are set up; the hooks are put back below.
        object.__setattr__(layer, "dot_general", multiply)
        object.__setattr__(layer, "dot_general_cls", None)
        try:
            return call(*args, **kwargs)
        finally:
            object.__setattr__(layer, "dot_general", own)
            object.__setattr__(layer, "dot_general_cls", own_cls)

    def attend(self, layer: Any, call: Any, query: jax.Array) -> Any:
        """The transposed embedding, as an output head."""
        core = self.decide(path_of(layer), "embedding", layer.embedding)
        if core is None and not self.pretend:
            return call(query)
        query, table = layer.promote_dtype(query, layer.embedding, dtype=layer.dtype)
        numbers = (((query.ndim - 1,), (1,)), ((), ()))
        if core is None:
            return _stand_in(lambda x, w: lax.dot_general(x, w, numbers), query, table)
        return self.product(layer, core)(query, table, numbers)

    def closed(self, layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        """A layer whose product has no hook: its call, on its parameters, goes through ``optical``."""
        path = path_of(layer)
        if layer.is_initializing():
            out = call(*args, **kwargs)
            self.decide(path, "kernel", layer.variables["params"]["kernel"])
            return out
        held = {path: layer.variables["params"]}
        core = self.decide(path, "kernel", held[path]["kernel"])
        alone = layer.clone(parent=None)

        def run(held: Any, *args: Any) -> Any:
            return alone.apply({"params": held[path]}, *args, **kwargs)

        self.inside = True  # the layer's call within run is not met again
        try:
            if self.pretend:
                return _stand_in(lambda x, w: run(w, x, *args[1:]), args[0], held)
            if core is None:
                return call(*args, **kwargs)
            rule = Rule(glob.escape(f"{path}/kernel"), core)
            return optical(run, [rule])(self.key(layer), held, *args)
        finally:
            self.inside = False

    def decide(self, path: str, parameter: str, weight: Any) -> OpticalCore | None:
        """The core of the first rule to take a layer; takes it down."""
        site = Site(
            path, f"{path}/{parameter}", tuple(weight.shape), 1, "digital", "no rule matches",
            dtype=str(weight.dtype),
        )  # fmt: skip
        hits = [i for i, rule in enumerate(self.rules) if rule.takes(site)]
        self.matched.update(hits)
        if hits:
            rule = self.rules[hits[0]]
            self.used.add(hits[0])
            reason = str(rule) if rule.core is not None else f"{rule} keeps it digital"
            status = "digital" if rule.core is None else "optical"
            site = dataclasses.replace(site, status=status, reason=reason, core=rule.core)  # type: ignore[arg-type]
        self.sites.append(site)
        return site.core

    def product(self, layer: Any, core: OpticalCore) -> Callable[..., jax.Array]:
        """``lax.dot_general`` at this layer."""
        path = path_of(layer)
        key = self.key(layer)

        def multiply(x, w, numbers, precision=None, preferred_element_type=None):
            run = lambda x, w: optical_dot_general(  # noqa: E731
                x, w, numbers, precision, preferred_element_type,
                core=core, key=key, site=site_of(path),
            )  # fmt: skip
            if self.pretend:
                return _stand_in(run, x, w)
            try:
                return run(x, w)
            except (TypeError, ValueError) as error:
                if type(error) not in (TypeError, ValueError):  # JAX's own
                    raise
                raise type(error)(f"{path}: {error}") from error

        return multiply

    def key(self, layer: Any) -> jax.Array | None:
        """A fresh key from the layer's stream ``noise``."""
        if not self.noisy:
            return None
        if not layer.has_rng("noise"):
            raise ValueError(
                f"{path_of(layer)}: the rng stream 'noise' does not reach this layer; pass it through "
                "the nn.scan or nn.vmap around it with split_rngs={'noise': True}"
            )
        return layer.make_rng("noise")


def path_of(layer: Any) -> str:
    """Where its parameters are: the module that an ``Optical`` wraps shares its scope, but its
    attributes' paths begin with ``module``."""
    return "/".join(layer.path).removeprefix("module/")


def site_of(path: str) -> jax.Array:
    """A layer's number on the chip."""
    return jnp.uint32(zlib.crc32(path.encode()))


@contextlib.contextmanager
def _marked(scope: Any, number: int) -> Iterator[None]:
    """``nn.jit`` keeps what it traced, by the flags of the scope among others: with a number among
    them it neither takes an uninterrupted trace for ours, nor ours for an uninterrupted one."""
    flags = scope.flags
    scope.flags = {**flags, "interception": number}
    try:
        yield
    finally:
        scope.flags = flags


def _stand_in(run: Callable[[Any, Any], Any], x: Any, w: Any) -> Any:
    """Something of the shape of ``run(x, w)``, made of x and w without multiplying."""
    total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves((x, w)))
    return jax.tree.map(
        lambda out: jnp.broadcast_to(total, out.shape).astype(out.dtype), jax.eval_shape(run, x, w)
    )
