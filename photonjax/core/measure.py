"""What a product on the core did to its numbers: SNR, photons, clipping."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from photonjax.core.core import OpticalCore
from photonjax.core.operands import DimensionNumbers
from photonjax.core.passes import ProductTrace
from photonjax.core.product import Weight, traced_dot_general


class Measurement(NamedTuple):
    """Sums over the outputs of one or more products; :meth:`pool` adds two.

    Attributes:
      signal: sum of squares of the floating-point product.
      error: sum of squares of (optical - floating-point).
      outputs: how many outputs were summed.
      electrons: detected photo-electrons, all outputs and tiles (0 without ``core.photons``).
      multiplies: multiplies done (outputs x K).
      clipped: ADC samples beyond the last codes at either end. samples: all ADC samples.
      raw_square: sum of squares of the ADC's inputs, in units of ``p``.
      raw_peak: largest magnitude of them (pooled by maximum).
      input_peak: largest magnitude of the inputs (pooled by maximum).
    """

    signal: jax.Array
    error: jax.Array
    outputs: jax.Array
    electrons: jax.Array
    multiplies: jax.Array
    clipped: jax.Array
    samples: jax.Array
    raw_square: jax.Array
    raw_peak: jax.Array
    input_peak: jax.Array

    def pool(self, other: Measurement) -> Measurement:
        """Both measurements together."""
        sums = [a + b for a, b in zip(self, other, strict=True)]
        return Measurement(*sums)._replace(
            raw_peak=jnp.maximum(self.raw_peak, other.raw_peak),
            input_peak=jnp.maximum(self.input_peak, other.input_peak),
        )

    @property
    def snr_db(self) -> jax.Array:
        """Output signal-to-noise ratio: ``10 log10(signal / error)``; infinite without error."""
        return 10 * jnp.log10(self.signal / self.error)

    @property
    def photons_per_multiply(self) -> jax.Array:
        """Mean detected photo-electrons per multiply actually used."""
        return self.electrons / self.multiplies

    @property
    def clipped_fraction(self) -> jax.Array:
        """Fraction of ADC samples that saturated."""
        return self.clipped / self.samples

    @property
    def raw_rms(self) -> jax.Array:
        """Root mean square of the ADC's input, in units of ``p``."""
        return jnp.sqrt(self.raw_square / self.samples)


def measured_dot_general(
    x: jax.Array, w: Weight, dimension_numbers: DimensionNumbers, **options: Any
) -> tuple[jax.Array, Measurement]:
    """:func:`~photonjax.optical_dot_general` and a :class:`Measurement` against floating point.

    Costs a second, floating-point product and a pass over the ADC's inputs. For a programmed or
    quantized weight, pass the floating-point one as ``reference``.

    Args:
      x, w, dimension_numbers, options: as for ``optical_dot_general``.

    Returns:
      the product, and its measurement (float32 scalars).
    """
    reference = options.pop("reference", w)
    y, trace = traced_dot_general(x, w, dimension_numbers, **options)
    ideal = lax.dot_general(
        x.astype(jnp.float32),
        reference.astype(jnp.float32),
        dimension_numbers,
        precision=lax.Precision.HIGHEST,
    )
    terms = math.prod(x.shape[a] for a in dimension_numbers[0][0])
    peak = jnp.max(jnp.abs(x), initial=0.0).astype(jnp.float32)
    return y, _measure(options["core"], y.astype(jnp.float32), ideal, trace, terms, peak)


def _measure(
    core: OpticalCore,
    y: jax.Array,
    ideal: jax.Array,
    trace: ProductTrace,
    terms: int,
    input_peak: jax.Array,
) -> Measurement:
    raw = jnp.stack(jnp.broadcast_arrays(*trace.raw)) if trace.raw else jnp.zeros(0)
    half = 1.0 if core.adc.bits is None else 2 ** (core.adc.bits - 1)
    clipped = jnp.zeros(())
    if core.adc.bits is not None:
        for values, full in zip(trace.raw, trace.adc_range, strict=True):
            code = jnp.round(values * (half / full))
            clipped = clipped + jnp.sum((code > half - 1) | (code < -half))
    electrons = jnp.zeros(())
    if trace.light is not None:
        electrons = core.photons * sum(jnp.sum(light) for light in trace.light)
    return Measurement(
        signal=jnp.sum(jnp.square(ideal)),
        error=jnp.sum(jnp.square(y - ideal)),
        outputs=jnp.float32(y.size),
        electrons=jnp.float32(electrons),
        multiplies=jnp.float32(float(y.size) * terms),
        clipped=jnp.float32(clipped),
        samples=jnp.float32(raw.size),
        raw_square=jnp.sum(jnp.square(raw)),
        raw_peak=jnp.max(jnp.abs(raw), initial=0.0),
        input_peak=input_peak,
    )
