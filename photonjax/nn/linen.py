"""Flax Linen: the optical product for ``dot_general_cls``, and unmodified modules by interception."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from photonjax.hardware.core import OpticalCore
from photonjax.nn.convert import ConversionReport, Rule, Site, check_rules
from photonjax.ops.dot import DimensionNumbers, optical_dot_general

_WITH_HOOK = (nn.Dense, nn.DenseGeneral)
# Modules that multiply without a hook: reported, left digital.
_CLOSED = (nn.Einsum, nn.Conv, nn.ConvLocal, nn.ConvTranspose)


class OpticalDot(nn.Module):
    """A drop-in for ``lax.dot_general`` in Linen layers; has no parameters.

    Noise is drawn from the rng stream ``noise``; a call without that stream has none. Static errors
    follow from ``core.chip_seed`` and the path of the layer.

    Attributes:
      core: the machine.
      adc_range: ADC full scale in units of the analog sum, if calibrated.
      input_range: full scale of the input, for ``input_scale="static"``.

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
    adc_range: float | None = None
    input_range: float | None = None

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        w: jax.Array,
        dimension_numbers: DimensionNumbers,
        precision: Any = None,
        preferred_element_type: Any = None,
    ) -> jax.Array:
        """``lax.dot_general(x, w, dimension_numbers, ...)`` on the core."""
        owner = "/".join(self.path[:-1])
        key = self.make_rng("noise") if self.has_rng("noise") else None
        return optical_dot_general(
            x,
            w,
            dimension_numbers,
            precision,
            preferred_element_type,
            core=self.core,
            key=key,
            site=_site(owner),
            adc_range=self.adc_range,
            input_range=self.input_range,
        )


class Optical(nn.Module):
    """An unmodified Linen module, with the products that rules name on optical cores.

    Calls of ``nn.Dense``, ``nn.DenseGeneral`` (so of the projections of attention) and
    ``nn.Embed.attend`` within the module are intercepted; the parameter tree is the module's own, so
    checkpoints load either way. Use it like the module: init, apply, jit, grad, ``nn.scan``, ``nn.remat``.
    Rules match the paths of the layers, and of their ``kernel`` or ``embedding``.

    Noise comes from the rng stream ``noise`` (none without it). Inside ``nn.scan`` and ``nn.vmap`` the stream
    must be passed on: ``split_rngs={"params": True, "noise": True}``. Layers of one scan share the path,
    hence the static errors.

    Attributes:
      module: the module. rules: the first that matches a product decides.

    Raises:
      ValueError: (when called) a rule that matches nothing or is never reached; noise that does not
        reach a layer.

    Example:
      >>> import jax, jax.numpy as jnp, photonjax as pj
      >>> from flax import linen as nn
      >>> mlp = nn.Sequential([nn.Dense(16), nn.gelu, nn.Dense(4)])
      >>> optical = pj.linen.Optical(mlp, (pj.Rule("layers_0", pj.OpticalCore()),))
      >>> variables = mlp.init(jax.random.key(0), jnp.ones((2, 8)))
      >>> optical.apply(variables, jnp.ones((2, 8)), rngs={"noise": jax.random.key(1)}).shape
      (2, 4)
      >>> print(optical.report(variables, jnp.ones((2, 8))))
      site      weight  layers  runs     why
      layers_0  8 x 16  1       optical  rule 'layers_0'
      layers_2  16 x 4  1       digital  no rule matches
    """

    module: nn.Module
    rules: tuple[Rule, ...]

    def setup(self) -> None:
        nn.share_scope(self, self.module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module, its products intercepted."""
        sites: list[Site] = []
        with intercepted(self.rules, self.has_rng("noise"), sites) as (matched, used):
            out = self.module(*args, **kwargs)
        check_rules(self.rules, matched, used, [s.path for s in sites])
        return out

    def report(self, variables: Any, *args: Any, **kwargs: Any) -> ConversionReport:
        """What the rules do to the products of a call; nothing is computed.

        Raises:
          ValueError: for a rule that matches nothing or is never reached.
        """
        sites: list[Site] = []

        def run(variables: Any, *args: Any) -> Any:
            with intercepted(self.rules, False, sites) as (matched, used):
                out = self.module.apply(variables, *args, **kwargs)
            check_rules(self.rules, matched, used, [s.path for s in sites])
            return out

        jax.eval_shape(run, variables, *args)
        # Lifted transformations trace a body more than once.
        return ConversionReport(tuple({site.path: site for site in sites}.values()))


@contextlib.contextmanager
def intercepted(
    rules: tuple[Rule, ...], noisy: bool, sites: list[Site]
) -> Iterator[tuple[set[int], set[int]]]:
    """Within, calls of layers that ``rules`` name multiply on light; ``sites`` collects them."""
    matched: set[int] = set()
    used: set[int] = set()

    def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        layer, method = context.module, context.method_name
        attends = isinstance(layer, nn.Embed) and method == "attend"
        if not attends and (method != "__call__" or not isinstance(layer, (*_WITH_HOOK, *_CLOSED))):
            return call(*args, **kwargs)
        path, parameter = _path(layer), "embedding" if attends else "kernel"
        hits = [i for i, rule in enumerate(rules) if rule.matches(path, f"{path}/{parameter}")]
        matched.update(hits)
        core = rules[hits[0]].core if hits else None
        reason = f"rule {rules[hits[0]].pattern!r}" if hits else "no rule matches"
        if hits and isinstance(layer, _CLOSED):
            core, reason = None, f"{type(layer).__name__}'s own product has nothing to replace"
        elif hits:
            used.add(hits[0])
            reason += "" if core is not None else " keeps it digital"
        out, shape = _on(core, call, args, kwargs, layer, attends, noisy)
        status = "digital" if core is None else "optical"
        sites.append(Site(path, f"{path}/{parameter}", shape, 1, status, reason, core))  # type: ignore[arg-type]
        return out

    with nn.intercept_methods(intercept):
        yield matched, used


def _on(
    core: OpticalCore | None,
    call: Any,
    args: Any,
    kwargs: Any,
    layer: Any,
    attends: bool,
    noisy: bool,
) -> tuple[Any, tuple[int, ...] | None]:
    """A layer's result, on a core or as it was, and the shape of its weight."""
    shapes: list[tuple[int, ...]] = []
    dot = jax.lax.dot_general if core is None else _product(core, layer, noisy)

    def multiply(x: jax.Array, w: jax.Array, *rest: Any, **options: Any) -> jax.Array:
        shapes.append(tuple(w.shape))
        return dot(x, w, *rest, **options)

    if attends:
        query, table = layer.promote_dtype(args[0], layer.embedding, dtype=layer.dtype)
        numbers = (((query.ndim - 1,), (1,)), ((), ()))
        return multiply(query, table, numbers), shapes[0]
    if isinstance(layer, _CLOSED) or (core is None and layer.dot_general_cls is not None):
        return call(*args, **kwargs), None
    # Linen modules are frozen once they are set up; the hook is put back below.
    kept = layer.dot_general, layer.dot_general_cls
    object.__setattr__(
        layer, "dot_general", multiply if core is not None or kept[0] is None else kept[0]
    )
    object.__setattr__(layer, "dot_general_cls", None)
    try:
        out = call(*args, **kwargs)
    finally:
        object.__setattr__(layer, "dot_general", kept[0])
        object.__setattr__(layer, "dot_general_cls", kept[1])
    return out, shapes[0] if shapes else None


def _product(core: OpticalCore, layer: nn.Module, noisy: bool) -> Callable[..., jax.Array]:
    path = _path(layer)
    if noisy and not layer.has_rng("noise"):
        raise ValueError(
            f"{path}: the rng stream 'noise' does not reach this layer; pass it through the nn.scan or "
            "nn.vmap around it with split_rngs={'noise': True}"
        )

    def multiply(x, w, numbers, precision=None, preferred_element_type=None):
        key = layer.make_rng("noise") if noisy else None
        return optical_dot_general(
            x, w, numbers, precision, preferred_element_type, core=core, key=key, site=_site(path)
        )

    return multiply


def _path(layer: nn.Module) -> str:
    """Where its parameters are: the module that an :class:`Optical` wraps shares its scope, but its
    attributes' paths begin with ``module``."""
    return "/".join(layer.path).removeprefix("module/")


def _site(path: str) -> jax.Array:
    return jnp.uint32(zlib.crc32(path.encode()))
