"""Variances of the physical noise sources of one analog sum, and how they are drawn.

All variances are in units of ``p**2``, where ``p = sum_k a_k b_kn`` is a tile's sum of normalised
products. ``m`` (``core.photons``) is the mean number of detected photo-electrons that one multiply
contributes at full scale, summed over its detectors.

Shot noise, derived from independent Poisson counts on each detector:

* ``differential``. Positive products reach one detector, negative ones the other, with mean counts
  ``N+- = m (S +- p) / 2``, ``S = sum |a||b|``. The estimate ``(N+ - N-)/m`` has variance ``S / m``.
* ``offset``. With ``a' = (1 + a)/2`` and ``b' = (1 + b)/2``, one detector counts ``N = m sum a'b'``
  and ``4 N / m = K + sum a + sum b + p``. Variance ``(16/m**2) N = (4/m)(K + sum a + sum b + p)``.
* ``homodyne``. Two fields of ``m/2`` photons each at full scale meet on a 50/50 splitter:
  ``N+- = (m/4) (a +- b)**2`` summed over k, difference ``m p``, sum ``(m/2) sum (a**2 + b**2)``, so the
  variance is ``(1/2m) sum (a**2 + b**2)``. Choosing the split of light between the fields that
  minimises it gives Hamerly et al., PRX 9, 021032 (2019): ``|A|**2 |x|**2 / (N N' n_mac)``. With m
  counted per field rather than in total, the prefactor reads 1/4m.

Receiver (thermal) noise: white current noise ``i_n`` [A/sqrt(Hz), one-sided] integrated over a symbol
``tau`` gives a charge of variance ``i_n**2 tau / 2``, so ``sigma_e = (i_n / e) sqrt(tau / 2)`` electrons
per detector: ``2 (sigma_e/m)**2`` for balanced pairs, ``16 (sigma_e/m)**2`` for ``offset``.

Laser intensity noise: over the detection bandwidth ``B = 1/(2 tau)`` of an integrate-and-dump receiver,
``delta ~ N(0, RIN B)`` multiplies all the light of a symbol, the offsets of ``offset`` included.

ADC: an ideal b-bit quantizer over ``[-r, r]`` has noise ``(2r)**2 4**-b / 12``; an ENOB below b adds
``(2r)**2 (4**-ENOB - 4**-b) / 12``.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from photonjax.hardware.core import OpticalCore
from photonjax.ops import random

ELEMENTARY_CHARGE_C = 1.602176634e-19  # exact, SI (2019)

# What a count is worth in p * m, and how many detectors carry receiver noise.
_GAIN = {"differential": 1.0, "offset": 4.0, "homodyne": 1.0}
_DETECTORS = {"differential": 2, "offset": 1, "homodyne": 2}


def shot_variance(core: OpticalCore, light: jax.Array) -> jax.Array:
    """Shot-noise variance of ``p``, given the detected light in units of full-scale multiplies.

    Args:
      core: supplies encoding and photons.
      light: mean detected electrons divided by ``core.photons`` (:func:`detected_light`), >= 0.
    """
    return _GAIN[core.encoding] ** 2 * light / core.photons


def detected_light(
    core: OpticalCore, row: jax.Array, col: jax.Array, p: jax.Array, terms: int
) -> jax.Array:
    """Mean detected electrons of each output sample, divided by ``core.photons``: ``[M, N]``.

    Args:
      row: ``[M, 1]`` input moment: ``sum |a|`` (differential), ``sum a`` (offset), ``sum a**2`` (homodyne).
      col: ``[1, N]`` weight moment: ``mean |b|`` (differential, rank-one estimate), ``sum b``, ``sum b**2``.
      p: ``[M, N]`` noiseless sums; only ``offset`` looks at them.
      terms: number of summed products ``K``.
    """
    if core.encoding == "differential":
        return row * col
    if core.encoding == "offset":
        return jnp.maximum(terms + row + col + p, 0.0) / 4
    return (row + col) / 2


def receiver_variance(core: OpticalCore) -> jax.Array | float:
    """Variance of ``p`` from the receivers' current noise (0 if the core has none)."""
    if core.receiver_noise_a_per_rthz is None or core.photons is None:
        return 0.0
    electrons = core.receiver_noise_a_per_rthz / ELEMENTARY_CHARGE_C
    sigma_squared = electrons**2 / (2 * core.symbol_rate_hz)
    gain = _GAIN[core.encoding] / core.photons
    return _DETECTORS[core.encoding] * gain**2 * sigma_squared


def laser_sigma(core: OpticalCore) -> jax.Array:
    """Standard deviation of a symbol's relative intensity: ``sqrt(RIN * symbol_rate / 2)``."""
    return jnp.sqrt(10 ** (core.laser_rin_db_hz / 10) * core.symbol_rate_hz / 2)


def converter_variance(core: OpticalCore, adc_range: jax.Array) -> jax.Array | float:
    """Noise an ADC of ``core.enob`` adds beyond its own quantization (0 if none is missing)."""
    if core.enob is None or core.bits_out is None:
        return 0.0
    missing = jnp.maximum(4.0**-core.enob - 4.0**-core.bits_out, 0.0)
    return (2 * adc_range) ** 2 * missing / 12


def photon_counts(
    core: OpticalCore, key: jax.Array, light: jax.Array, p: jax.Array, raw: jax.Array
) -> jax.Array:
    """``raw`` with exact Poisson photon counts in place of its means.

    Gradients are those of the Gaussian of the same variance (the sample's deviation in standard
    units is held fixed), since counts have no pathwise derivative.

    Args:
      key: for this tile.
      light: ``[M, N]`` exact detected light (:func:`detected_light` with exact ``sum |a||b|``).
      p: ``[M, N]`` noiseless sums.
      raw: ``[M, N]`` what the receiver puts out without noise: ``p``, with its offsets if any.
    """
    m = core.photons
    if core.encoding == "offset":
        deviation = 4 * _count_fluctuation(key, jax.lax.stop_gradient(m * light)) / m
    else:
        plus_key, minus_key = jax.random.split(key)
        total = jax.lax.stop_gradient(m * light)
        difference = jnp.clip(jax.lax.stop_gradient(m * p), -total, total)
        plus = _count_fluctuation(plus_key, (total + difference) / 2)
        minus = _count_fluctuation(minus_key, (total - difference) / 2)
        deviation = (plus - minus) / m
    sigma = jnp.sqrt(jnp.maximum(shot_variance(core, light), jnp.finfo(jnp.float32).tiny))
    return raw + sigma * jax.lax.stop_gradient(deviation / sigma)


def _count_fluctuation(key: jax.Array, mean: jax.Array) -> jax.Array:
    """A Poisson count less its mean, float32.

    ``jax.random.poisson`` decides in float32: from a mean of 2**22 on its variance is wrong, at 2**31 it
    saturates. Beyond 2**14 the fluctuation of a count of that mean, skewed by 1/128, is scaled to the
    variance asked for.
    """
    countable = jnp.minimum(mean, 2.0**14)
    count = jax.random.poisson(key, countable).astype(jnp.float32)
    return (count - countable) * jnp.sqrt(mean / jnp.maximum(countable, 1e-30))


def laser_fluctuation(
    core: OpticalCore, key: jax.Array, rows: int, cols: int, tiles: int
) -> list[jax.Array]:
    """Relative intensity error of each k-tile: ``[rows, column tiles]``."""
    col_tiles = -(-cols // core.cols)
    sigma = laser_sigma(core)
    return [
        sigma * deviates(draw, fused=False) for draw in draws(core, key, rows, col_tiles, tiles)
    ]


def over_columns(core: OpticalCore, of_tiles: jax.Array, cols: int) -> jax.Array:
    """Spread ``[rows, column tiles]`` over the columns of each tile: something that broadcasts to
    ``[rows, cols]``."""
    rows, tiles = of_tiles.shape
    if tiles == 1:
        return of_tiles
    wide = jnp.broadcast_to(of_tiles[:, :, None], (rows, tiles, core.cols))
    return wide.reshape(rows, -1)[:, :cols]


# Row and column words (the mixed sampler), or the deviates themselves.
Draw = tuple[jax.Array, jax.Array] | jax.Array


def draws(core: OpticalCore, key: jax.Array, rows: int, cols: int, tiles: int) -> list[Draw]:
    """For each k-tile, what :func:`deviates` makes ``[rows, cols]`` standard normals of."""
    if core.sampler == "mixed":
        return list(random.mixed_words(key, rows, cols, tiles))
    keys = [jax.random.fold_in(key, t) for t in range(tiles)]
    return [random.normal(k, (rows, cols)) for k in keys]


def deviates(draw: Draw, *, fused: bool = True) -> jax.Array:
    """Standard normals from one of :func:`draws`."""
    return random.deviate(draw, fused=fused) if isinstance(draw, tuple) else draw
