"""What is taken down at every optical product of a run: a measurement, or the ranges that it asks for.

A gauge makes the product and puts what it saw into a vector; vectors of further calls are pooled.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from photonjax.core.adc import ADC
from photonjax.core.core import OpticalCore
from photonjax.core.measure import Measurement, measured_dot_general
from photonjax.core.operands import DimensionNumbers
from photonjax.core.product import traced_dot_general

Seen = tuple[jax.Array, jax.Array]
"""A product, and what a gauge saw of it."""


@dataclasses.dataclass(frozen=True)
class Meter:
    """Measures each product against floating point (:class:`~photonjax.core.Measurement`)."""

    width = len(Measurement._fields)

    def fit_for(self, cores: Iterable[OpticalCore]) -> Meter:
        """The same for all cores."""
        return self

    def product(self, x: jax.Array, w: Any, numbers: DimensionNumbers, **options: Any) -> Seen:
        """``reference`` among the options: the weight in floating point."""
        y, measured = measured_dot_general(x, w, numbers, **options)
        return y, jnp.stack(measured)

    def pool(self, one: jax.Array, other: jax.Array) -> jax.Array:
        """Both together; what was seen is along the last axis."""
        return _joined(_parts(one).pool(_parts(other)))

    def over_devices(self, seen: jax.Array, axes: tuple[str, ...]) -> jax.Array:
        """All devices together, under shard_map."""
        sums, peaks = _parts(lax.psum(seen, axes)), _parts(lax.pmax(seen, axes))
        peak = {"raw_peak": peaks.raw_peak, "input_peak": peaks.input_peak}
        return _joined(sums._replace(**peak))


def _parts(seen: jax.Array) -> Measurement:
    return Measurement(*jnp.moveaxis(seen, -1, 0))


def _joined(measured: Measurement) -> jax.Array:
    return jnp.stack(measured, axis=-1)


@dataclasses.dataclass(frozen=True)
class RangeFinder:
    """Finds the level of the sums that a converter meets, and that of the inputs, without noise.

    Attributes:
      quantile: of n magnitudes in ascending order, the level is number ``ceil(quantile (n - 1))``,
        counted from zero: 1 is the largest. Further calls: the larger level.
      passes: how many a product takes at most; what is seen is the level of each, and of the inputs.
    """

    quantile: float = 1.0
    passes: int = 1

    @property
    def width(self) -> int:
        return self.passes + 1

    def fit_for(self, cores: Iterable[OpticalCore]) -> RangeFinder:
        """With room for all passes of each core."""
        return dataclasses.replace(self, passes=max((c.passes for c in cores), default=1))

    def product(self, x: jax.Array, w: Any, numbers: DimensionNumbers, **options: Any) -> Seen:
        """As the core would make it without converters, drawn noise or fixed input ranges."""
        options = options | {"core": (core := _open(options["core"]))}
        weight = options.pop("reference", w)
        for given in ("key", "adc_range", "input_range"):
            options.pop(given, None)
        y, trace = traced_dot_general(x, w, numbers, **options)
        # What a die adds to a weight of zeros is no signal to set a range by.
        multiplied = jnp.any(x != 0) & jnp.any(weight != 0)
        passes, tiles = core.passes, len(trace.raw) // (core.passes * core.averages)
        of_passes = [
            [raw for i, raw in enumerate(trace.raw) if i // max(tiles, 1) % passes == p]
            for p in range(passes)
        ]
        levels = jnp.stack([self._level(raw) for raw in of_passes])
        levels = jnp.where(multiplied, levels, 0.0)
        # Integers on their way hide what is not finite.
        finite = jnp.isfinite(x).all() & jnp.isfinite(weight).all()
        levels = jnp.pad(jnp.where(finite, levels, jnp.nan), (0, max(self.passes - passes, 0)))
        return y, jnp.append(levels, self._level([x]))

    def pool(self, one: jax.Array, other: jax.Array) -> jax.Array:
        """Both together."""
        return jnp.maximum(one, other)

    def over_devices(self, seen: jax.Array, axes: tuple[str, ...]) -> jax.Array:
        """All devices together, under shard_map."""
        return lax.pmax(seen, axes)

    def _level(self, values: list[jax.Array]) -> jax.Array:
        sizes = [jnp.abs(v).astype(jnp.float32).ravel() for v in values if v.size]
        if not sizes:
            return jnp.zeros((), jnp.float32)
        if self.quantile == 1:
            return jnp.stack([jnp.max(v) for v in sizes]).max()
        together = jnp.concatenate(sizes)
        place = math.ceil(self.quantile * (together.size - 1))
        return jnp.where(jnp.isfinite(together).all(), jnp.sort(together)[place], jnp.nan)


Gauge = Meter | RangeFinder


def _open(core: OpticalCore) -> OpticalCore:
    """The core without what ranges limit."""
    loose = {"scale": "per_tensor"} if core.input.scale == "static" else {}
    return dataclasses.replace(core.replace(input=loose), adc=ADC(bits=None))  # type: ignore[call-arg]  # all have defaults
