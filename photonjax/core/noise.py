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
* ``quadrature``. Fields ``sqrt(m) a_k b_kn`` add up to ``sqrt(m) p`` in one waveguide; m is here the
  photons that a single full-scale multiply brings to it. Against a strong local oscillator of L photons a
  balanced pair counts a difference of ``2 sqrt(L m) p`` with variance L: ``1 / (4 m)``, whatever the
  operands, the vacuum's quarter. (The oscillator's light is not counted as detected, the signal's,
  ``m p**2``, is.)

Finite extinction ratio (``extinction="balanced"``): a modulator's transmission runs from ``e`` to 1,
``e = 10**(-extinction_db/10)``; in units of its swing ``1 - e`` every rail leaks ``h = e / (1 - e)``.

* ``differential``: rails ``max(+-a, 0) + h``. Their difference is ``a``: the mean cancels; their sum is
  ``|a| + 2h``, so ``S`` becomes ``sum (|a| + 2h)(|b| + 2h) = S + 2h (sum |a| + sum |b|) + 4 h**2 K``.
* ``offset``: ``a' + h = (c + a)/2`` with ``c = 1 + 2h``: ``4 N / m = c**2 K + c (sum a + sum b) + p``.
* ``homodyne``: a leak field of power ``h`` in quadrature adds light, not signal: ``a**2 + h``, ``b**2 + h``.
* ``quadrature``: a leak in the other quadrature is not seen.

Receiver (thermal) noise: white current noise ``i_n`` [A/sqrt(Hz), one-sided] integrated over a symbol
``tau`` gives a charge of variance ``i_n**2 tau / 2``, so ``sigma_e = (i_n / e) sqrt(tau / 2)`` electrons
per detector: ``2 (sigma_e/m)**2`` for balanced pairs, ``16 (sigma_e/m)**2`` for ``offset``.

Dark current ``I_d``: ``n_d = I_d tau / e`` electrons per detector and symbol, a Poisson count whose mean is
subtracted: variance ``2 n_d / m**2`` for balanced pairs, ``16 n_d / m**2`` for ``offset``.

Laser intensity noise: over the detection bandwidth ``B = 1/(2 tau)`` of an integrate-and-dump receiver,
``delta ~ N(0, RIN B)`` multiplies all the light of a symbol, the offsets of ``offset`` included. (What the
fluctuation adds to shot noise is of second order and left out.)

Output: an error of each sample in proportion to it, ``p (1 + relative_noise eps)``, for what a
machine's makers give as such (dispersion, phase noise of its interferometers).

Saturation: a detector gives ``min(N, N_s)`` of N electrons, dark counts and fluctuations included: a
hard limit, of each detector of a pair by itself. Noise of receiver and converter comes after it.

Columns: ``p (1 + gain_error g_n) + offset_error r o_n``, g and o standard normals of the die, r the ADC's
full scale.

ADC: an ideal b-bit quantizer over ``[-r, r]`` has noise ``(2r)**2 4**-b / 12``; an ENOB below b adds
``(2r)**2 (4**-ENOB - 4**-b) / 12``. Its integral nonlinearity bends code c of ``-2**(b-1) ... 2**(b-1)`` to
``c +- inl_lsb sin(pi c / 2**(b-1))``, the sign fixed for each column of a die: nought at both ends
and in the middle, ``inl_lsb`` at its worst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.quantize import rounded

if TYPE_CHECKING:
    from photonjax.core.core import OpticalCore

ELEMENTARY_CHARGE_C = 1.602176634e-19  # exact, SI (2019)

# What a count is worth in p * m, and how many detectors carry receiver noise.
_GAIN = {"differential": 1.0, "offset": 4.0, "homodyne": 1.0, "quadrature": 0.0}
_DETECTORS = {"differential": 2, "offset": 1, "homodyne": 2, "quadrature": 2}


def shot_variance(core: OpticalCore, light: jax.Array) -> jax.Array:
    """Shot-noise variance of ``p``, given the detected light in units of full-scale multiplies.

    Args:
      core: supplies encoding and photons.
      light: mean detected electrons divided by ``core.photons`` (:func:`detected_light`), >= 0.
    """
    if core.encoding.kind == "quadrature":
        return jnp.ones_like(light) / (4 * core.photons)
    return _GAIN[core.encoding.kind] ** 2 * light / core.photons


def leak(core: OpticalCore) -> jax.Array | float:
    """Light through a dark rail, in units of a modulator's swing (0 without ``extinction_db``)."""
    if core.input.extinction_db is None or core.input.extinction != "balanced":
        return 0.0
    least = 10 ** (-core.input.extinction_db / 10)
    return least / (1 - least)


def bias(core: OpticalCore, row: jax.Array, col: jax.Array) -> jax.Array:
    """What ``offset`` detectors see on top of ``p``: ``c (sum a + sum b)``, less ``c**2 K``."""
    return rounded((1 + 2 * leak(core)) * (row + col))


def constant(core: OpticalCore, terms: int) -> jax.Array | float:
    """The constant part of the light of ``offset``: ``c**2 K``; 0 for other encodings."""
    return rounded((1 + 2 * leak(core)) ** 2 * terms) if core.encoding.kind == "offset" else 0.0


def detected_light(
    core: OpticalCore, row: jax.Array, col: jax.Array, p: jax.Array, terms: int
) -> jax.Array:
    """Mean detected electrons of each output sample, divided by ``core.photons``: ``[M, N]``.

    Args:
      row: ``[M, 1]`` input moment: ``sum |a|`` (differential), ``sum a`` (offset), ``sum a**2`` (homodyne).
      col: ``[1, N]`` weight moment: ``sum |b|``, ``sum b``, ``sum b**2``.
      p: ``[M, N]``: the noiseless sums (``offset``, ``quadrature``), or the exact ``sum |a||b|``
        (``differential``; None for the rank-one estimate ``sum |a| sum |b| / K``).
      terms: number of summed products ``K``.
    """
    h = leak(core)
    leaks = core.input.extinction_db is not None and core.input.extinction == "balanced"
    if core.encoding.kind == "differential":
        light = row * (col * (1 / terms)) if p is None else p
        leaked = rounded(2 * h * (row + col)) + rounded(4 * h**2 * terms)
        return rounded(light) + leaked if leaks else light
    if core.encoding.kind == "offset":
        return jnp.maximum(constant(core, terms) + bias(core, row, col) + p, 0.0) / 4
    if core.encoding.kind == "quadrature":
        return p * p
    return (row + col) / 2 + rounded(h * terms)


def receiver_variance(core: OpticalCore) -> jax.Array | float:
    """Variance of ``p`` from the receivers' current noise (0 if the core has none)."""
    if core.receiver.noise_a_per_rthz is None or core.photons is None:
        return 0.0
    electrons = core.receiver.noise_a_per_rthz / ELEMENTARY_CHARGE_C
    sigma_squared = electrons**2 / (2 * core.symbol_rate_hz)
    gain = _GAIN[core.encoding.kind] / core.photons
    return rounded(_DETECTORS[core.encoding.kind] * gain**2 * sigma_squared)


def dark_electrons(core: OpticalCore) -> jax.Array | float:
    """Mean dark count of one detector and symbol (0 if the core has none)."""
    if core.receiver.dark_current_a is None:
        return 0.0
    return core.receiver.dark_current_a / (ELEMENTARY_CHARGE_C * core.symbol_rate_hz)


def dark_variance(core: OpticalCore) -> jax.Array | float:
    """Variance of ``p`` from the detectors' dark counts."""
    if core.receiver.dark_current_a is None or core.photons is None:
        return 0.0
    gain = _GAIN[core.encoding.kind] / core.photons
    return rounded(_DETECTORS[core.encoding.kind] * gain**2 * dark_electrons(core))


def intensity_variance(rin_db_hz: Any, symbol_rate_hz: Any) -> jax.Array:
    """Relative variance of a symbol's intensity: ``RIN * symbol_rate / 2``."""
    return 10 ** (rin_db_hz / 10) * symbol_rate_hz / 2


def saturating_counts(
    core: OpticalCore,
    light: jax.Array,
    p: jax.Array,
    raw: jax.Array,
    gain: Any,
    draws: Any,
    terms: int,
) -> jax.Array:
    """What detectors that hold ``saturation_electrons`` each make of a symbol, in units of ``p``.

    Args:
      light, p: ``[M, N]`` mean detected light (in units of ``core.photons``) and sum.
      raw: ``p`` with the bias of ``offset``.
      gain: ``1 +`` laser fluctuation.
      draws: normal deviates (or a key, to count photons) for each detector; None: no noise.
      terms: number of summed products.
    """
    m, dark, most = core.photons, dark_electrons(core), core.receiver.saturation_electrons

    def held(mean: jax.Array, draw: Any) -> jax.Array:
        mean = jnp.maximum(mean, 0.0) + dark
        if draw is None:
            return jnp.minimum(mean, most)
        if core.encoding.photon_statistics == "gaussian":
            return jnp.minimum(mean + rounded(safe_sqrt(mean) * draw), most)
        fixed = jax.lax.stop_gradient(mean)
        sigma = jnp.sqrt(jnp.maximum(fixed, jnp.finfo(jnp.float32).tiny))
        standard = _count_fluctuation(draw, fixed) / sigma
        return jnp.minimum(mean + rounded(safe_sqrt(mean) * standard), most)

    first, second = (None, None) if draws is None else draws
    if core.encoding.kind == "offset":
        fixed = constant(core, terms)
        return rounded(4 * (held(m * gain * (raw + fixed) / 4, first) - dark) / m) - fixed
    plus, minus = (m * gain * (light + sign * p) / 2 for sign in (1, -1))
    return (held(plus, first) - held(minus, second)) / m


def laser_sigma(core: OpticalCore) -> jax.Array:
    """Standard deviation of a symbol's relative intensity: ``sqrt(RIN * symbol_rate / 2)``."""
    return jnp.sqrt(intensity_variance(core.source.rin_db_hz, core.symbol_rate_hz))


def converter_variance(core: OpticalCore, adc_range: jax.Array) -> jax.Array | float:
    """Noise an ADC of ``core.adc.enob`` adds beyond its own quantization (0 if none is missing)."""
    if core.adc.enob is None or core.adc.bits is None:
        return 0.0
    missing = jnp.maximum(4.0**-core.adc.enob - 4.0**-core.adc.bits, 0.0)
    return rounded((2 * adc_range) ** 2 * missing / 12)


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
    m, dark = core.photons, jax.lax.stop_gradient(dark_electrons(core))
    if core.encoding.kind == "offset":
        mean = rounded(jax.lax.stop_gradient(m * light)) + dark
        deviation = 4 * _count_fluctuation(key, mean) / m
    else:
        plus_key, minus_key = jax.random.split(key)
        total = rounded(jax.lax.stop_gradient(m * light))
        difference = jnp.clip(jax.lax.stop_gradient(m * p), -total, total)
        plus = _count_fluctuation(plus_key, (total + difference) / 2 + dark)
        minus = _count_fluctuation(minus_key, (total - difference) / 2 + dark)
        deviation = (plus - minus) / m
    variance = shot_variance(core, light) + dark_variance(core)
    sigma = jnp.sqrt(jnp.maximum(variance, jnp.finfo(jnp.float32).tiny))
    return raw + rounded(sigma * jax.lax.stop_gradient(deviation / sigma))


def _count_fluctuation(key: jax.Array, mean: jax.Array) -> jax.Array:
    """A Poisson count less its mean, float32.

    ``jax.random.poisson`` decides in float32: from a mean of 2**22 on its variance is wrong, at 2**31 it
    saturates. Beyond 2**14 the fluctuation of a count of that mean, skewed by 1/128, is scaled to the
    variance asked for.
    """
    countable = jnp.minimum(mean, 2.0**14)
    count = jax.random.poisson(key, countable).astype(jnp.float32)
    return rounded((count - countable) * jnp.sqrt(mean / jnp.maximum(countable, 1e-30)))


def laser_fluctuation(
    core: OpticalCore, key: jax.Array, rows: int, cols: int, tiles: int
) -> list[jax.Array]:
    """Relative intensity error of each k-tile: ``[rows, column tiles]``."""
    col_tiles = -(-cols // core.cols)
    sigma = laser_sigma(core)
    return [rounded(sigma * deviates(draw)) for draw in draws(core, key, rows, col_tiles, tiles)]


def over_columns(core: OpticalCore, of_tiles: jax.Array, cols: int) -> jax.Array:
    """Spread ``[rows, column tiles]`` over the columns of each tile: something that broadcasts to
    ``[rows, cols]``."""
    rows, tiles = of_tiles.shape
    if tiles == 1:
        return of_tiles
    wide = jnp.broadcast_to(of_tiles[:, :, None], (rows, tiles, core.cols))
    return wide.reshape(rows, -1)[:, :cols]


@jax.custom_jvp
def safe_sqrt(variance: jax.Array | float) -> jax.Array:
    """Square root whose derivative at zero is zero."""
    return jnp.sqrt(jnp.asarray(variance, jnp.float32))


@safe_sqrt.defjvp
def _safe_sqrt_jvp(primals, tangents):
    root = safe_sqrt(primals[0])
    tangent = jnp.where(root > 0, tangents[0] / (2 * jnp.where(root > 0, root, 1.0)), 0.0)
    return root, tangent.astype(root.dtype)


# Row and column words (the mixed sampler), or the deviates themselves.
Draw = tuple[jax.Array, jax.Array] | jax.Array


def draws(core: OpticalCore, key: jax.Array, rows: int, cols: int, tiles: int) -> list[Draw]:
    """For each k-tile, what :func:`deviates` makes ``[rows, cols]`` standard normals of."""
    if core.sampler == "mixed":
        return list(random.mixed_words(key, rows, cols, tiles))
    keys = [jax.random.fold_in(key, t) for t in range(tiles)]
    return [random.normal(k, (rows, cols)) for k in keys]


def deviates(draw: Draw) -> jax.Array:
    """Standard normals from one of :func:`draws`."""
    return random.deviate(draw) if isinstance(draw, tuple) else draw


def uniforms(core: OpticalCore, key: jax.Array, rows: int, cols: int) -> jax.Array:
    """Uniform deviates in [0, 1) ``[rows, cols]`` from the core's sampler."""
    if core.sampler == "mixed":
        return random.uniform(random.mixed_words(key, rows, cols)[0])
    return jax.random.uniform(key, (rows, cols))
