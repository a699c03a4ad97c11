"""From light to numbers: one k-tile's detectors, its noise and its converter."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core import noise
from photonjax.core.core import OpticalCore
from photonjax.core.exact import weighted
from photonjax.core.levels import unit_of
from photonjax.core.quantize import round_straight_through, rounded
from photonjax.core.staging import apart


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Tile:
    """One k-tile on its way to the converter; None where the core has no use for a part.

    ``product`` ``[M, N]`` in units of levels, or exact integers and what they are worth; ``row``
    ``[M, 1]`` and ``col`` ``[1, N]`` the moments of what was modulated, in full scales, ``known`` that of
    the inputs meant; ``magnitudes`` ``[M, N]`` the exact ``sum |a||b|``; ``full`` the converter's range;
    ``laser`` ``[M, column tiles]``; ``output`` the draws of the noise at the detector; ``counts`` a key
    for photon counting; ``columns`` ``[3, 1, N]`` draws of the die's receivers.
    """

    product: Any
    row: Any
    col: Any
    known: Any
    magnitudes: Any
    full: Any
    laser: Any
    output: Any
    counts: Any
    columns: Any
    terms: int = dataclasses.field(metadata={"static": True})

    def sum(self, core: OpticalCore) -> jax.Array:
        """The analog sum ``p``."""
        units = unit_of(core.input.bits, core.input.slices) * unit_of(
            core.array.bits, core.array.slices
        )
        product = self.product
        if isinstance(product, tuple):
            product = weighted(product)
        return rounded(product * (1 / units))


def light_of(core: OpticalCore, tile: Tile) -> Any:
    """Detected light of each output sample, in units of ``core.photons``; None without."""
    if core.photons is None:
        return None
    p = tile.magnitudes if core.encoding.kind == "differential" else tile.sum(core)
    return noise.detected_light(core, tile.row, tile.col, p, tile.terms)


def detect(core: OpticalCore, tile: Tile) -> jax.Array:
    """What one k-tile's receivers hand to their converter: ``[M, N]``, in units of ``p``."""
    p = tile.sum(core)
    offset = core.encoding.kind == "offset"
    raw = p + noise.bias(core, tile.row, tile.col) if offset else p
    light = light_of(core, tile)
    fluctuation: Any = 0.0
    if tile.laser is not None:
        fluctuation = noise.over_columns(core, tile.laser, p.shape[1])
    variance = noise.converter_variance(core, tile.full) + noise.receiver_variance(core)
    if core.receiver.saturation_electrons is not None:
        raw = noise.saturating_counts(
            core, light, p, raw, 1 + fluctuation, detector_draws(core, tile), tile.terms
        )
    else:
        if tile.laser is not None:
            raw = raw + rounded((raw + noise.constant(core, tile.terms)) * fluctuation)
        if tile.counts is not None:
            raw = noise.photon_counts(core, tile.counts, light, p, raw)
        elif core.photons is not None:
            variance = variance + noise.dark_variance(core)
            variance = variance + rounded(noise.shot_variance(core, light))
    if core.receiver.relative_noise is not None:
        variance = variance + rounded((core.receiver.relative_noise * p) ** 2)
    if tile.output is not None:
        raw = raw + rounded(noise.safe_sqrt(variance) * noise.deviates(tile.output))
    if core.receiver.gain_error is not None:
        raw = raw + rounded(raw * (core.receiver.gain_error * tile.columns[0]))
    if core.receiver.offset_error is not None:
        raw = raw + rounded(core.receiver.offset_error * tile.full * tile.columns[1])
    return raw


def detector_draws(core: OpticalCore, tile: Tile) -> Any:
    """Fluctuations of each detector of a pair, where they must be known one by one: deviates, or keys."""
    if tile.counts is None:
        return None
    keys = jax.random.split(tile.counts)
    if core.encoding.photon_statistics == "poisson":
        return keys[0], keys[1]
    shape = tile.sum(core).shape
    rows, cols = shape
    words = (noise.draws(core, k, rows, cols, 1)[0] for k in keys)
    return tuple(noise.deviates(w) for w in words)


def digitise(
    core: OpticalCore, raw: jax.Array, full: jax.Array | float, bend: Any
) -> tuple[jax.Array, jax.Array | float]:
    """Mid-tread quantizer of ``adc.bits`` over ``[-r, r)``; saturates; straight-through inside.

    Args:
      raw: ``[M, N]``. full: the range r. bend: sign of each column's integral nonlinearity.

    Returns:
      codes, and the size of a step (``raw`` and 1 without a converter).
    """
    if core.adc.bits is None:
        return raw, 1.0
    half = 2 ** (core.adc.bits - 1)
    code = raw * (half / full)
    if core.adc.inl_lsb is not None:
        code = rounded(code)
        inside = jnp.clip(code, -half, half)
        code = code + rounded(core.adc.inl_lsb * bend * jnp.sin(inside * (jnp.pi / half)))
    return round_straight_through(jnp.clip(code, -half, half - 1)), full / half


@apart
def read(core: OpticalCore, tile: Tile, total: Any, scales: Any) -> jax.Array:
    """Detect and digitise one k-tile, scale it, and add it to what came before."""
    bend = None if core.adc.inl_lsb is None else tile.columns[2]
    out, step = digitise(core, detect(core, tile), tile.full, bend)
    if core.encoding.kind == "offset":
        out, step = rounded(out * step) - noise.bias(core, tile.known, tile.col), 1.0
    return total + rounded(out * (scales[0] * step * scales[1]))
