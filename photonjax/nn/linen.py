"""Flax Linen: the optical product for ``dot_general_cls``, and unmodified modules on light."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn

from photonjax.core.core import OpticalCore
from photonjax.core.operands import DimensionNumbers
from photonjax.core.product import optical_dot_general
from photonjax.core.pytree import brief
from photonjax.nn.ranges import KINDS, Once, Ranges, as_given, check_ranges
from photonjax.nn.transform import OpticalFunction, optical, workload_of_call
from photonjax.rules import ConversionReport, Rule, as_rules
from photonjax.workload.jaxprs import on_light
from photonjax.workload.sites import Workload

__all__ = ["Optical", "OpticalDot"]

Method = str | Callable[..., Any] | None
"""Of a module: its name, a function that is given the module first, or ``None``: the call."""


class OpticalDot(nn.Module):
    """A drop-in for ``lax.dot_general`` in Linen layers; has no parameters.

    Noise is drawn from the rng stream ``noise``, for each layer its own; a call without that stream has
    none. Inside ``nn.scan`` and ``nn.vmap`` the stream must be passed on:
    ``split_rngs={"params": True, "noise": True}``. Static errors follow from ``core.chip_seed`` and
    the path of the layer's ``kernel``; layers of one ``nn.scan`` share it, and so the errors (in
    :class:`Optical` each has its own).

    Attributes:
      core: the machine.
      ranges: calibrated ones, of all layers that share this hook: :func:`photonjax.calibrate` finds them
        for the same module in :class:`Optical`.

    Example:
      >>> import functools, jax, jax.numpy as jnp, photonjax as pj
      >>> from flax import linen as nn
      >>> core = pj.OpticalCore(rows=64, cols=64, photons=1e3)
      >>> layer = nn.Dense(4, dot_general_cls=functools.partial(pj.linen.OpticalDot, core=core))
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 16)))
      >>> layer.apply(variables, jnp.ones((2, 16)), rngs={"noise": jax.random.key(1)}).shape
      (2, 4)
    """

    core: OpticalCore
    ranges: Ranges | None = None

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        w: jax.Array,
        dimension_numbers: DimensionNumbers,
        precision: Any = None,
        preferred_element_type: Any = None,
        out_sharding: Any = None,
    ) -> jax.Array:
        """``lax.dot_general(x, w, dimension_numbers, ...)`` on the core."""
        key = self.make_rng("noise") if self.has_rng("noise") else None
        site = "/".join([*self.path[:-1], "kernel"])
        check_ranges(self.ranges or {})
        found = (self.ranges or {}).get(site, {})
        if self.core.adc.bits is not None and "adc" not in found:
            Once().warn([site])
        with jax.named_scope(on_light(site)):
            return optical_dot_general(
                x,
                w,
                dimension_numbers,
                precision,
                preferred_element_type,
                out_sharding,
                core=self.core,
                key=key,
                site=site,
                **{
                    f"{kind}_range": as_given(kind, found.get(kind), self.core.passes)
                    for kind in KINDS
                },
            )


class Optical(nn.Module):
    """An unmodified Linen module, with the products that rules name on optical cores.

    A call of the module goes through :func:`photonjax.optical`: products are found wherever they are
    (layers, attention, ``jnp.dot``, within ``nn.scan``, ``nn.remat``, ``nn.jit``) and named after
    their parameters. The parameter tree is the module's own, so checkpoints load either way. Use it
    like the module: init, apply, jit, grad.

    Noise comes from the rng stream ``noise`` (none without it); no lifted transformation needs to
    split it.

    Attributes:
      module: the module. rules: the first that takes a product decides.
      ranges: calibrated ones, see :meth:`with_ranges`.

    Raises:
      ValueError: (when called) a rule that matches nothing or is never reached.

    Example:
      >>> import jax, jax.numpy as jnp, photonjax as pj
      >>> from flax import linen as nn
      >>> mlp = nn.Sequential([nn.Dense(16), nn.gelu, nn.Dense(4)])
      >>> optical = pj.linen.Optical(mlp, (pj.Rule("layers_0", pj.OpticalCore()),))
      >>> variables = mlp.init(jax.random.key(0), jnp.ones((2, 8)))
      >>> optical.apply(variables, jnp.ones((2, 8)), rngs={"noise": jax.random.key(1)}).shape
      (2, 4)
      >>> print(optical.report(variables, jnp.ones((2, 8))))
      site             weight  layers  runs     why
      layers_0/kernel  8 x 16  1       optical  rule 'layers_0'
      layers_2/kernel  16 x 4  1       digital  no rule matches
    """

    module: nn.Module
    rules: tuple[Rule, ...]
    ranges: Ranges | None = None

    def setup(self) -> None:
        if not isinstance(self.module, nn.Module):
            raise TypeError(
                f"linen.Optical: {brief(self.module)} is not a Linen module; pj.convert takes NNX modules, "
                "pj.optical any function"
            )
        as_rules(self.rules)
        nn.share_scope(self, self.module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module, its products on light."""
        return self.call(None, *args, **kwargs)

    def apply(self, variables: Any, *args: Any, method: Method = None, **kwargs: Any) -> Any:
        """As ``flax.linen.Module.apply``; ``method`` is one of the module's, by name or as a function."""
        if method is None:
            return super().apply(variables, *args, **kwargs)
        return super().apply(variables, method, *args, method="call", **kwargs)

    def init(self, rngs: Any, *args: Any, method: Method = None, **kwargs: Any) -> Any:
        """As ``flax.linen.Module.init``; ``method`` as in :meth:`apply`."""
        if method is None:
            return super().init(rngs, *args, **kwargs)
        return super().init(rngs, method, *args, method="call", **kwargs)

    def call(self, method: Method, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the module (``None``: the module), its products on light."""
        if self.is_initializing():
            if callable(method):
                return method(self.module, *args, **kwargs)
            return (getattr(self.module, method) if method else self.module)(*args, **kwargs)
        key = self.make_rng("noise") if self.has_rng("noise") else None
        scope: Any = self.scope
        rngs = {name: rng for name, rng in scope.rngs.items() if name != "noise"}
        path = scope.path
        run = self._run(scope.mutable, path, method)
        variables = _under(path, self.module.variables)
        g = optical(run, self.rules, ranges=self.ranges)
        out, changed = g(key, variables, rngs, args, kwargs)
        for collection, tree in changed.items():
            for name, value in tree.items():
                self.put_variable(collection, name, value)
        return out

    def report(
        self, variables: Any, *args: Any, method: Method = None, **kwargs: Any
    ) -> ConversionReport:
        """What becomes of every product of a call; nothing is computed.

        Raises:
          ValueError: for a rule that matches nothing or is never reached.
        """
        run = self._run(False, (), method)
        report = optical(run, self.rules).report(variables, {}, args, kwargs)
        return dataclasses.replace(report, trace=_trace)

    def with_ranges(self, ranges: Ranges) -> Optical:
        """The same with calibrated ranges: those of :func:`photonjax.calibrate`, or read from a file."""
        check_ranges(ranges)
        return self.clone(ranges=dict(ranges))

    def as_function(self) -> OpticalFunction:
        """``g(key, variables, *args, **kwargs)``, which applies the module; kwargs are those of ``apply``.

        What :func:`photonjax.calibrate` calibrates, and ``as_function().measured`` measures.
        """
        apply = self.module.clone(parent=None).apply
        return optical(apply, self.rules, ranges=self.ranges)

    def _run(self, mutable: Any, path: tuple[str, ...], method: Method) -> Callable[..., Any]:
        """The module's call as a function of its variables, as they stand in the whole tree."""
        module = self.module.clone(parent=None)

        def run(variables: Any, rngs: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
            own = {name: _at(path, tree) for name, tree in variables.items()}
            out = module.apply(own, *args, rngs=rngs, mutable=mutable, method=method, **kwargs)
            return (out, {}) if mutable is False else out

        return run


def _trace(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Workload:
    """The workload of ``module.apply(*args, **kwargs)``."""
    return workload_of_call(module.apply, type(module).__name__, (args, kwargs), (0,))


def _under(path: tuple[str, ...], variables: Any) -> Any:
    """Variables of a module at their place in the tree of the module around it."""
    for name in reversed(path):
        variables = {collection: {name: tree} for collection, tree in variables.items()}
    return dict(variables)


def _at(path: tuple[str, ...], tree: Any) -> Any:
    for name in path:
        tree = tree[name]
    return tree
