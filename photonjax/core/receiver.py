"""Detectors and amplifiers.

In units of ``p**2`` and of ``m = core.photons``, as in :mod:`photonjax.core.encoding`:

* Thermal noise: white current noise ``i_n`` [A/sqrt(Hz), one-sided] integrated over a symbol ``tau``
  gives a charge of variance ``i_n**2 tau / 2``, so ``sigma_e = (i_n / e) sqrt(tau / 2)`` electrons per
  detector: ``2 (sigma_e/m)**2`` for balanced pairs, ``16 (sigma_e/m)**2`` for ``offset``.
* Dark current ``I_d``: ``n_d = I_d tau / e`` electrons per detector and symbol, a Poisson count whose mean
  is subtracted: variance ``2 n_d / m**2`` for balanced pairs, ``16 n_d / m**2`` for ``offset``.
* An error of each sample in proportion to it, ``p (1 + relative_noise eps)``, for what a machine's
  makers give as such (dispersion, phase noise of its interferometers).
* Heavy tails: of a fraction f of samples the amplifiers' error and the one in proportion are r times as
  large (interference, a comparator that hesitates): a mixture of two normal distributions, whose variances
  are divided by ``1 - f + f r**2`` so that the whole has the variance that the fields say. Its excess
  kurtosis is ``3 (1 - f + f r**4) / (1 - f + f r**2)**2 - 3``.
* An error that the columns of a symbol share: ``p + common_noise eps``, one eps for each symbol of an
  array, as measured machines have it (a supply or a reference that all amplifiers hang on).
* Saturation: a detector gives ``min(N, N_s)`` of N electrons, dark counts and fluctuations included: a
  hard limit, of each detector of a pair by itself. Noise of amplifier and converter comes after it.
* Imbalance of a detector pair: responsivities ``1 + e/2`` and ``1 - e/2``, ``e = imbalance u_n``, u a
  standard normal of each column of a die, make ``(1 +- e/2) m (S +- p) / 2`` of the mean counts ``N+-``.
  Their difference is ``p + e S/2``, their sum ``S + e p/2``; the two stand in for ``p`` and ``S`` in all
  that follows. ``S`` is the pair's light, ``sum |a||b|`` (``differential``) or ``sum (a**2 + b**2) / 2``
  (``homodyne``; where its light is split unequally, a count of S is worth more, one of p less), not the
  difference: at ``S = 10 p`` one per cent leaves 26 dB. The laser's fluctuation,
  ``(p + e S/2)(1 + delta)``, no longer vanishes where ``p`` does.
* Phase between signal and oscillator (``quadrature``), or between a product's two fields (``homodyne``):
  a pair reads ``Re((p + i q) exp(-i phi)) = p cos phi + q sin phi`` of a field ``p + i q``. Of a column
  ``phi = phase_error u_n + phase_noise eps``, u of a die, eps one for each symbol of an array: a laser of
  linewidth D, delayed on one way by t, has ``phase_noise**2 = 2 pi D t`` (Kikuchi, J. Lightwave Technol. 34,
  157 (2016)); drifts of two ways add to it. With s = phase_noise, f = phase_error u_n, and the moments of a
  normal angle, ``E exp(i phi) = exp(i f - s**2 / 2)``:

      mean      exp(-s**2 / 2) (p cos f + q sin f)
      variance  (p**2 + q**2) / 2 + exp(-2 s**2) ((p**2 - q**2) cos 2f + 2 p q sin 2f) / 2 - mean**2

  Without the other quadrature and with f = 0 that is ``p**2 (1 - exp(-s**2))**2 / 2``, about
  ``p**2 s**4 / 2``; q adds about ``q**2 s**2``, of first order in s. What fills it are leaks of finite
  extinction, a field ``sqrt(h)`` in quadrature at each modulator (:mod:`photonjax.core.encoding`):
  ``(a + i sqrt(h))(b + i sqrt(h))`` in one waveguide has ``q = sqrt(h) (sum a + sum b)``; interfering,
  ``(a + i sqrt(h))(b - i sqrt(h))`` has ``q = sqrt(h) (sum b - sum a)``. (The leaks' own product, ``h`` a
  term, is a constant, which calibration takes off.) Shot noise is that of all light, whatever the phase.
* Columns of a die: ``p (1 + gain_error g_n) + offset_error r o_n``, g and o standard normals, r the
  ADC's full scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.encoding import count_fluctuation
from photonjax.core.pytree import Scalar, leaf, present, stage
from photonjax.core.rounding import no_fma, safe_sqrt
from photonjax.core.source import over_columns

if TYPE_CHECKING:
    from photonjax.core.core import OpticalCore

ELEMENTARY_CHARGE_C = 1.602176634e-19  # exact, SI (2019)


@stage
class Receiver:
    """Detectors and amplifiers, one set for each output.

    Attributes:
      noise_a_per_rthz: input-referred current noise of each detector's amplifier
        [A/sqrt(Hz), one-sided]; needs ``photons``.
      dark_current_a: of each detector [A]; its mean is subtracted, its shot noise stays; needs
        ``photons``.
      saturation_electrons: what one detector can hold of a symbol [electrons]; needs ``photons``, and
        (``differential``) pays for the exact ``sum |a||b|``.
      relative_noise: standard deviation of a dynamic error of each output sample, in proportion to it.
      outlier_fraction: of samples with an error ``outlier_ratio`` times as large, of ``noise_a_per_rthz`` and
        ``relative_noise``; their variance stays. It is a threshold of draws: the derivative is 0.
      outlier_ratio: how many times as large.
      common_noise: standard deviation of a dynamic error that is added to all columns of a symbol alike
        [products of full scale].
      imbalance: standard deviation of the relative difference between the responsivities of a column's two
        detectors; for ``differential``, which estimates ``sum |a||b|`` as ``encoding.shot_estimate`` says
        (``exact``: a second product), and ``homodyne``. Offset and gain that it leaves of a site's mean
        light are calibrated away like the next two; what varies with the light is not.
      phase_error: standard deviation of a column's static phase between signal and oscillator
        (``quadrature``) or between the two fields of a product (``homodyne``) [rad].
      phase_noise: the same of each symbol, common to the columns of an array [rad].
      gain_error: standard deviation of the relative gain of a column's receiver.
      offset_error: standard deviation of its offset, in units of the ADC's full scale.

    >>> Receiver(gain_error=0.01).fabricate(jax.random.key(0), 5).shape
    (4, 1, 5)
    """

    noise_a_per_rthz: Scalar = leaf(None, drawn="output", low=0.0)
    dark_current_a: Scalar = leaf(None, low=0.0)
    saturation_electrons: Scalar = leaf(None, above=0.0)
    relative_noise: Scalar = leaf(None, drawn="output", low=0.0, high=0.5)
    outlier_fraction: Scalar = leaf(None, low=0.0, high=0.5)
    outlier_ratio: Scalar = leaf(None, low=1.0, high=1e3)
    common_noise: Scalar = leaf(None, drawn="symbol", low=0.0, high=1e3)
    imbalance: Scalar = leaf(None, drawn="die", low=0.0, high=0.5)
    phase_error: Scalar = leaf(None, drawn="die", low=0.0, high=3.2)
    phase_noise: Scalar = leaf(None, drawn="symbol", low=0.0, high=3.2)
    gain_error: Scalar = leaf(None, drawn="die", low=0.0, high=0.5)
    offset_error: Scalar = leaf(None, drawn="die", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        if (self.outlier_fraction is None) != (self.outlier_ratio is None):
            there, missing = "outlier_fraction", "outlier_ratio"
            if self.outlier_fraction is None:
                there, missing = missing, there
            raise ValueError(
                f"OpticalCore.receiver.{there} is set but receiver.{missing} is None: tails need both"
            )

    def fabricate(self, key: jax.Array, cols: int) -> jax.Array | None:
        """Standard normals of each column's gain, offset, imbalance and phase: ``[4, 1, cols]``."""
        if not present(self, "die"):
            return None
        drawn = random.mixed_normal(key, 5, cols)[0][:, None, :]
        return jnp.concatenate([drawn[:2], drawn[3:]])  # the third is the converters'

    def unbalance(
        self, core: OpticalCore, p: jax.Array, light: Any, die: Any
    ) -> tuple[jax.Array, jax.Array]:
        """Difference ``p`` and sum ``S`` of a pair's detectors, ``[M, N]``, as this die's give them."""
        half, gain = self.imbalance * die[2] / 2, core.encoding.gain
        return p + no_fma(half * light * gain), light + no_fma(half * (p / gain))

    @property
    def dephased(self) -> bool:
        """Whether signal and oscillator, or two fields, meet at a phase other than zero."""
        return self.phase_error is not None or self.phase_noise is not None

    def dephase(self, core: OpticalCore, p: jax.Array, other: Any, die: Any, drawn: Any) -> Any:
        """What pairs read of a field ``p``, and ``other`` in quadrature (None: nothing), both ``[M, N]``."""
        phase: Any = 0.0
        if self.phase_error is not None:
            phase = no_fma(self.phase_error * die[3])
        if self.phase_noise is not None and drawn is not None:
            shared = over_columns(core.cols, drawn["phase"], p.shape[1])
            phase = phase + no_fma(self.phase_noise * shared)
        read = no_fma(p * jnp.cos(phase))
        return read if other is None else read + no_fma(other * jnp.sin(phase))

    def draw(
        self, core: OpticalCore, key: jax.Array, rows: int, cols: int, tiles: int
    ) -> list[dict[str, Any]]:
        """What of each k-tile is random beside the noise that all stages share: where detectors
        saturate, a key for the photons that they count; of each symbol, what its columns share."""
        found: list[dict[str, Any]] = [{} for _ in range(tiles)]
        if self.saturation_electrons is not None:
            photons = random.stream(key, "photons")
            for t, one in enumerate(found):
                one["photons"] = jax.random.fold_in(photons, t)
        if self.outlier_fraction is not None:
            own = random.stream(key, "receiver.outliers")
            for t, one in enumerate(found):
                one["outliers"] = random.uniforms(
                    core.sampler, jax.random.fold_in(own, t), rows, cols
                )
        for name, place in (("common_noise", "common"), ("phase_noise", "phase")):
            if getattr(self, name) is not None:
                own = random.stream(key, f"receiver.{name}")
                words = random.draws(core.sampler, own, rows, -(-cols // core.cols), tiles)
                for one, word in zip(found, words, strict=True):
                    one[place] = random.deviates(word)
        return found

    @property
    def has_own_noise(self) -> bool:
        """Whether there is any without light: of amplifiers or of dark counts."""
        return self.noise_a_per_rthz is not None or self.dark_current_a is not None

    def electron_variance(self, core: OpticalCore) -> jax.Array | float:
        """Variance of an output's count without light [electrons**2]: amplifiers and dark counts."""
        return core.encoding.detectors * (self.thermal_electrons(core) + self.dark_electrons(core))

    def thermal_electrons(self, core: OpticalCore) -> jax.Array | float:
        """Variance of one amplifier's charge over a symbol [electrons**2] (0 if the core has none)."""
        if self.noise_a_per_rthz is None:
            return 0.0
        electrons = self.noise_a_per_rthz / ELEMENTARY_CHARGE_C
        return electrons**2 / (2 * core.symbol_rate_hz)

    def variance(self, core: OpticalCore) -> jax.Array | float:
        """Variance of ``p`` from the amplifiers' current noise (0 if the core has none)."""
        if self.noise_a_per_rthz is None or core.photons is None:
            return 0.0
        sigma_squared, worth = self.thermal_electrons(core), core.encoding.worth(core)
        return no_fma(core.encoding.detectors * worth**2 * sigma_squared)

    def dark_electrons(self, core: OpticalCore) -> jax.Array | float:
        """Mean dark count of one detector and symbol (0 if the core has none)."""
        if self.dark_current_a is None:
            return 0.0
        return self.dark_current_a / (ELEMENTARY_CHARGE_C * core.symbol_rate_hz)

    def dark_variance(self, core: OpticalCore) -> jax.Array | float:
        """Variance of ``p`` from the detectors' dark counts."""
        if self.dark_current_a is None or core.photons is None:
            return 0.0
        worth = core.encoding.worth(core)
        return no_fma(core.encoding.detectors * worth**2 * self.dark_electrons(core))

    def relative_variance(self, p: jax.Array) -> jax.Array | float:
        """Variance of the error in proportion to ``p``."""
        return 0.0 if self.relative_noise is None else no_fma((self.relative_noise * p) ** 2)

    def tails(self, drawn: Any) -> Any:
        """What multiplies the variance of each sample of :meth:`draw`, so that its mean is 1."""
        if self.outlier_fraction is None or drawn is None:
            return 1.0
        fraction = jax.lax.stop_gradient(self.outlier_fraction)
        larger = no_fma(self.outlier_ratio**2)
        mean = 1 - fraction + no_fma(fraction * larger)
        return jnp.where(drawn["outliers"] < fraction, larger, 1.0) / mean

    def saturate(
        self,
        core: OpticalCore,
        drawn: Any,
        light: jax.Array,
        p: jax.Array,
        seen: jax.Array,
        fluctuation: Any,
        terms: int,
    ) -> jax.Array:
        """What detectors that hold ``saturation_electrons`` each make of a symbol, in units of ``p``.

        Args:
          drawn: one tile's of :meth:`draw`; None: no noise.
          light, p: ``[M, N]`` mean detected light (in units of ``core.photons``) and sum.
          seen: ``p`` with the bias of ``offset``.
          fluctuation: of the laser, relative; None: none.
          terms: number of summed products.
        """
        m, dark, most = core.photons, self.dark_electrons(core), self.saturation_electrons
        gain: Any = 1 + (0.0 if fluctuation is None else fluctuation)

        def held(mean: jax.Array, draw: Any) -> jax.Array:
            mean = jnp.maximum(mean, 0.0) + dark
            if draw is None:
                return jnp.minimum(mean, most)
            if core.encoding.photon_statistics == "gaussian":
                return jnp.minimum(mean + no_fma(safe_sqrt(mean) * draw), most)
            fixed = jax.lax.stop_gradient(mean)
            sigma = jnp.sqrt(jnp.maximum(fixed, jnp.finfo(jnp.float32).tiny))
            standard = count_fluctuation(draw, fixed) / sigma
            return jnp.minimum(mean + no_fma(safe_sqrt(mean) * standard), most)

        first, second = (
            (None, None) if drawn is None else _of_detectors(core, drawn["photons"], p.shape)
        )
        if core.encoding.kind == "offset":
            fixed = core.encoding.constant(core, terms)
            return no_fma(4 * (held(m * gain * (seen + fixed) / 4, first) - dark) / m) - fixed
        worth = core.encoding.gain  # of a count, in p m: of homodyne, as its light is split
        plus, minus = (m * gain * (light + sign * (p / worth)) / 2 for sign in (1, -1))
        return worth * (held(plus, first) - held(minus, second)) / m

    def amplify(
        self, core: OpticalCore, raw: jax.Array, full: Any, die: Any, drawn: Any
    ) -> jax.Array:
        """What the columns' amplifiers hand to their converters.

        Args:
          raw: ``[M, N]``. full: the ADC's full scale. die: from :meth:`fabricate`. drawn: one tile's of
            :meth:`draw`, or None.
        """
        if self.common_noise is not None and drawn is not None:
            shared = over_columns(core.cols, drawn["common"], raw.shape[1])
            raw = raw + no_fma(self.common_noise * shared)
        if self.gain_error is not None:
            raw = raw + no_fma(raw * (self.gain_error * die[0]))
        if self.offset_error is not None:
            raw = raw + no_fma(self.offset_error * full * die[1])
        return raw


def _of_detectors(core: OpticalCore, key: jax.Array, shape: tuple[int, ...]) -> Any:
    """Fluctuations of each detector of a pair: deviates, or keys to count photons with."""
    keys = jax.random.split(key)
    if core.encoding.photon_statistics == "poisson":
        return keys[0], keys[1]
    rows, cols = shape
    words = (random.draws(core.sampler, k, rows, cols)[0] for k in keys)
    return tuple(random.deviates(w) for w in words)
