"""The optical product as an NNX module that owns its noise stream and its hardware."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import PartitionSpec

from photonjax.core import ProgrammedWeight, optical_dot_general, program, site_number
from photonjax.core.core import OpticalCore, check_core
from photonjax.core.fields import leaf_names
from photonjax.core.meshes import automatic, result_sharding
from photonjax.core.operands import DimensionNumbers, result_dtype
from photonjax.nn.gauges import Gauge, RangeFinder, Seen
from photonjax.nn.ranges import Once
from photonjax.workload.jaxprs import on_light
from photonjax.workload.parameters import fill


class HardwareParam(nnx.Variable):
    """A continuous property of the hardware at one site; differentiable, not a model parameter."""


class SiteIndex(nnx.Variable):
    """The number that a site's static errors are drawn from (uint32)."""


class SiteMeasurement(nnx.Variable):
    """What a gauge saw of a site, pooled over calls (float32 vector)."""


class ProgrammedParam(nnx.Variable):
    """One array of a :class:`~photonjax.core.ProgrammedWeight`."""


OF_HARDWARE = (HardwareParam, SiteIndex, SiteMeasurement, ProgrammedParam)
"""Variables that belong to the machine, not to the model."""


class OpticalDot(nnx.Module):
    """A drop-in for ``lax.dot_general`` in NNX layers: the second operand is the weight.

    Args:
      core: the machine. Its continuous fields become :class:`HardwareParam` variables, so they can
        be changed without recompiling and differentiated with ``nnx.grad``.
      rngs: supplies the noise (stream ``noise``, else the default one); a fresh key is drawn at every
        call, as in ``nnx.Dropout``. ``None``: no random noise.
      site: path of the weight in the model's parameters (``"layers/0/mlp/up_proj/kernel"``), or its
        number (:func:`photonjax.core.site_number`): static errors follow from it and ``core.chip_seed``.
      stack: leading sizes of the layer stack that the module is part of (``nnx.vmap``-ed blocks run
        by ``nnx.scan``): its variables carry them too, and ``site`` has one entry per layer.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> from flax import nnx
      >>> rngs = nnx.Rngs(0)
      >>> core = pj.OpticalCore(rows=64, cols=64, photons=1e3)
      >>> dot = pj.nnx.OpticalDot(core, rngs=rngs)
      >>> layer = nnx.Linear(16, 4, dot_general=nnx.data(dot), rngs=rngs)
      >>> layer(jnp.ones((2, 16))).shape
      (2, 4)
    """

    def __init__(
        self,
        core: OpticalCore,
        *,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        site: str | int | jax.Array | np.ndarray = 0,
        stack: tuple[int, ...] = (),
    ):
        check_core("OpticalDot", core)
        seed = core.chip_seed  # an array cannot be part of a module's static structure
        bare = core.replace(costs=None, chip_seed=seed if isinstance(seed, int) else 0)
        self.structure = jax.tree.map(lambda _: ..., bare)
        leaves = zip(leaf_names(bare), jax.tree.leaves(bare), strict=True)
        self.hardware = nnx.Dict({n: HardwareParam(_of_layers(n, v, stack)) for n, v in leaves})
        number = site_number(site) if isinstance(site, str) else site
        self.site = SiteIndex(jnp.broadcast_to(jnp.asarray(number, jnp.uint32), stack))
        self.adc_range: nnx.Data[HardwareParam | None] = nnx.data(None)
        self.input_range: nnx.Data[HardwareParam | None] = nnx.data(None)
        own = None if isinstance(seed, int) else SiteIndex(jnp.broadcast_to(seed, stack))
        self.die: nnx.Data[SiteIndex | None] = nnx.data(own)
        self.programmed: nnx.Data[nnx.Dict | None] = nnx.data(None)
        self.programmed_structure: Any = None
        self.once = Once()
        self.gauge: Gauge | None = None
        self.measurement: nnx.Data[SiteMeasurement | None] = nnx.data(None)
        if isinstance(rngs, nnx.Rngs):
            stream = rngs["noise"].fork() if not stack else rngs["noise"].split(stack)
        else:
            stream = rngs
        self.stream: nnx.Data[nnx.RngStream | None] = nnx.data(stream)
        self.unrolled: str | None = None
        """Of stacked layers: the path of this product that layer ``{}`` would have by itself."""
        self.named: str | None = site if isinstance(site, str) else None
        """The path that static errors follow from, ``{}`` for the layer; None: the product's own."""
        self.label: str | None = None
        """The path of this product, where a trace of the model is to show it."""
        self.replaced: Any = None
        """The hook that this product took the place of, to be put back."""

    def layer_paths(self, path: str) -> list[str]:
        """``path`` of this product; of a stack, the paths that its layers would have by themselves."""
        stack = self.site[...].shape
        template = self.unrolled or "/".join([path, *["{}"] * len(stack)]).lstrip("/")
        return [fill(template, layer) for layer in np.ndindex(*stack)]

    def range_paths(self, path: str) -> list[str]:
        """As :meth:`layer_paths`, the names by which ranges know them (:mod:`photonjax.nn.ranges`)."""
        if self.named is None:
            return self.layer_paths(path)
        return [fill(self.named, layer) for layer in np.ndindex(*self.site[...].shape)]

    def start(self, gauge: Gauge | None) -> None:
        """Let a gauge take down every product from now on; None: no more."""
        blank = jnp.zeros((*self.site[...].shape, 0 if gauge is None else gauge.width), jnp.float32)
        self.gauge = gauge
        self.measurement = nnx.data(None if gauge is None else SiteMeasurement(blank))

    @property
    def core(self) -> OpticalCore:
        """The core as it is at this site now (without costs)."""
        values = [self.hardware[name][...] for name in leaf_names(self.structure)]
        core = jax.tree.unflatten(jax.tree.structure(self.structure), values)
        return core if self.die is None else core.replace(chip_seed=self.die[...])

    def program(self, weight: jax.Array, contracting: tuple[int, ...]) -> None:
        """Write a weight into the array, so that calls need not quantize it again."""
        written = _write(weight, self.site[...], self.core, contracting)
        leaves, structure = jax.tree.flatten(written)
        parts = {f"part{i}": ProgrammedParam(leaf) for i, leaf in enumerate(leaves)}
        self.programmed = nnx.data(nnx.Dict(parts))
        self.programmed_structure = structure

    def unprogram(self) -> None:
        """Forget a programmed weight: calls quantize the parameter again."""
        self.programmed, self.programmed_structure = nnx.data(None), None

    def __call__(
        self,
        x: jax.Array,
        w: Any,
        dimension_numbers: DimensionNumbers,
        precision: Any = None,
        preferred_element_type: Any = None,
        out_sharding: Any = None,
        batch_start: int = 0,
    ) -> jax.Array:
        """``lax.dot_general(x, w, dimension_numbers, ...)`` on the core; see ``optical_dot_general``.

        Raises:
          ValueError: the variables still carry the axis of a layer stack.
        """
        site = self.site[...]
        if site.ndim:
            raise ValueError(
                f"an optical product of {site.size} stacked layers"
                + (f" ({self.unrolled.replace('{}', '*')})" if self.unrolled else "")
                + " was called as one layer: map all of its variables along axis 0, as in nnx.scan(..., "
                "in_axes=(0, nnx.Carry)), not nnx.Param alone: nnx.StateAxes({nnx.Param: 0, ...: 0})"
            )
        ranged = self.adc_range is not None or self.structure.adc.bits is None
        if not ranged and not isinstance(self.gauge, RangeFinder):
            self.once.warn([self.named or "an OpticalDot"])
        options = dict(
            precision=precision,
            preferred_element_type=result_dtype(x, w, preferred_element_type),
            core=self.core,
            key=None if self.stream is None else self.stream(),
            site=site,
            batch_start=batch_start,
            adc_range=_known(self.adc_range),
            input_range=_known(self.input_range),
        )
        loaded = (
            w if self.programmed is None else _assemble(self.programmed, self.programmed_structure)
        )
        sharding = result_sharding(x, w, dimension_numbers, out_sharding)
        gauge = self.gauge
        if gauge is None or self.measurement is None:
            with scope_of(self):
                return optical_dot_general(
                    x, loaded, dimension_numbers, out_sharding=sharding, **options
                )

        def product(x: jax.Array, loaded: Any, w: Any, options: dict[str, Any]) -> Seen:
            return gauge.product(x, loaded, dimension_numbers, reference=w, **options)

        both = None if sharding is None else (sharding, PartitionSpec())
        y, seen = automatic(product, both, x, loaded, w, options)
        self.measurement[...] = gauge.pool(self.measurement[...], seen)
        return y


@functools.partial(jax.jit, static_argnames="contracting")
def _write(
    weight: jax.Array, site: jax.Array, core: OpticalCore, contracting: tuple[int, ...]
) -> ProgrammedWeight:
    """The weight of a site, or of each of stacked ones; compiled once for all of the same shapes."""

    def one(w: jax.Array, site: jax.Array, core: OpticalCore) -> ProgrammedWeight:
        return program(w, core, contracting=contracting, site=site)

    for _ in site.shape:
        one = jax.vmap(one)
    return one(weight, site, core)


def scope_of(dot: OpticalDot) -> Any:
    """The named scope of all that computes a product. (No method: ``nnx.tabulate`` compiles those.)"""
    return jax.named_scope(on_light(dot.label or ""))


def _known(range_: HardwareParam | None) -> jax.Array | None:
    """Of a site; NaN stands for a layer that has none, and is left to the traced program there."""
    value = None if range_ is None else range_[...]
    if value is None or isinstance(value, jax.core.Tracer):
        return value
    return None if jnp.isnan(value).all() else value


def _assemble(parts: nnx.Dict, structure: Any) -> ProgrammedWeight:
    leaves = [parts[f"part{i}"][...] for i in range(len(parts))]
    return jax.tree.unflatten(structure, leaves)


def _of_layers(name: str, value: Any, stack: tuple[int, ...]) -> jax.Array:
    """A field of a core for every layer of a stack: a number, or (taps) a matrix."""
    value = jnp.asarray(value, jnp.float32)
    own = value.shape[-2:] if name == "array.point_spread" else ()
    return jnp.broadcast_to(value, (*stack, *own))
