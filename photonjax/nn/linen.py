"""Flax Linen: the optical product for ``dot_general_cls``, and unmodified modules by interception."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen as nn

from photonjax.core.core import OpticalCore
from photonjax.core.dot import DimensionNumbers, optical_dot_general
from photonjax.nn.intercept import Interception, site_of
from photonjax.rules import ConversionReport, Rule, Site
from photonjax.workload import trace_workload

__all__ = ["Optical", "OpticalDot"]


class OpticalDot(nn.Module):
    """A drop-in for ``lax.dot_general`` in Linen layers; has no parameters.

    Noise is drawn from the rng stream ``noise``, for each layer its own; a call without that stream has
    none. Inside ``nn.scan`` and ``nn.vmap`` the stream must be passed on:
    ``split_rngs={"params": True, "noise": True}``. Static errors follow from ``core.chip_seed`` and
    the path of the layer.

    Attributes:
      core: the machine.
      adc_range: ADC full scale in units of the analog sum, if calibrated.
      input_range: full scale of the input, for ``input.scale="static"``.

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
            site=site_of(owner),
            adc_range=self.adc_range,
            input_range=self.input_range,
        )


class Optical(nn.Module):
    """An unmodified Linen module, with the products that rules name on optical cores.

    Calls of ``nn.Dense``, ``nn.DenseGeneral`` (so of the projections of attention), ``nn.Einsum``,
    ``nn.Embed.attend`` and of convolutions within the module are intercepted; the parameter tree is the
    module's own, so checkpoints load either way. Use it like the module: init, apply, jit, grad,
    ``nn.scan``, ``nn.remat``, ``nn.jit``. Rules match the paths of the layers, and of their ``kernel``
    or ``embedding``.

    Products that no such layer makes (attention's scores and values, a module's own ``jnp.dot``) stay
    digital and are in the report; :func:`photonjax.optical` of ``module.apply`` reaches those too.

    Noise comes from the rng stream ``noise`` (none without it). Inside ``nn.scan`` and ``nn.vmap`` the stream
    must be passed on: ``split_rngs={"params": True, "noise": True}``. Layers of one scan share the path,
    hence the static errors (not so with :func:`photonjax.optical`).

    Attributes:
      module: the module. rules: the first that takes a layer decides.

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
        with Interception(self.rules, self.has_rng("noise")).active():
            return self.module(*args, **kwargs)

    def report(self, variables: Any, *args: Any, **kwargs: Any) -> ConversionReport:
        """What becomes of every product of a call; nothing is computed.

        Raises:
          ValueError: for a rule that matches nothing or is never reached.
        """
        met = Interception(self.rules, False, pretend=True)

        def run(variables: Any, *args: Any) -> Any:
            with met.active():
                return self.module.apply(variables, *args, **kwargs)

        left = trace_workload(run, variables, *args)
        why = "no layer that can be intercepted; photonjax.optical reaches it"
        others = [
            Site(s.path, s.path, (s.K, s.N), s.count, "digital", why, dtype=s.dtype)
            if s.stationary
            else Site(s.path, None, None, s.count, "digital", f"{why} (dynamic)")
            for s in left.matmuls
        ]
        for text in left.unsupported:
            others.append(Site(text, None, None, 1, "digital", "cannot be entered"))
        # Lifted transformations trace a body more than once.
        sites = {site.path: site for site in met.sites}
        return ConversionReport((*sites.values(), *others))
