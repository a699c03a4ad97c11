"""How signed numbers become light, and the photons that detectors count for them.

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
  variance is ``(1/2m) sum (a**2 + b**2)``. With m counted per field rather than in total, the prefactor
  reads 1/4m. With a fraction s of the light in the inputs' field the difference is
  ``2 m sqrt(s (1-s)) p`` and the sum ``L = m (s A + (1-s) B)``, ``A = sum a**2``, ``B = sum b**2``; hence
  ``(s A + (1-s) B) / (4 m s (1-s))``. At a given detected light L, which fixes m, that is
  ``(s A + (1-s) B)**2 / (4 L s (1-s))``. With ``u = s A``, ``v = (1-s) B`` it reads
  ``(A B / L) (u + v)**2 / (4 u v)``, least where both fields bring as much light, ``s = B / (A + B)``:
  ``A B / L``, the limit of Hamerly et al., PRX 9, 021032 (2019), ``|A|**2 |x|**2 / (N N' n_mac)``. There
  ``L = 2 m A B / (A + B)``, and the variance, ``(A + B) / 2m``, is that of the equal split at this m, from
  less light: the harmonic mean of A and B in place of the arithmetic.
* ``quadrature``. Fields ``sqrt(m) a_k b_kn`` add up to ``sqrt(m) p`` in one waveguide; m is here the
  photons that a single full-scale multiply brings to it. Against a local oscillator of O photons a
  balanced pair counts ``N+- = (sqrt(O) +- sqrt(m) p)**2 / 2``: difference ``2 sqrt(O m) p``, sum
  ``O + m p**2``, variance ``1 / (4 m) + p**2 / (4 O)``: the vacuum's quarter, whatever the operands, as
  long as the oscillator is the stronger. A receiver of variance V electrons**2 adds ``V / (4 O m)``, a
  fraction V/O of it: O is ten times V unless it is given, and counts as detected light of every sample.
  Only without either (no noise of the receiver, no ``oscillator``) it is taken as infinite and not counted.

Finite extinction ratio (``input.extinction="balanced"``): a modulator's transmission runs from ``e`` to
1, ``e = 10**(-extinction_db/10)``; in units of its swing ``1 - e`` every rail leaks ``h = e / (1 - e)``.

* ``differential``: rails ``max(+-a, 0) + h``. Their difference is ``a``: the mean cancels; their sum is
  ``|a| + 2h``, so ``S`` becomes ``sum (|a| + 2h)(|b| + 2h) = S + 2h (sum |a| + sum |b|) + 4 h**2 K``.
* ``offset``: ``a' + h = (c + a)/2`` with ``c = 1 + 2h``: ``4 N / m = c**2 K + c (sum a + sum b) + p``.
* ``homodyne``: a leak field of power ``h`` in quadrature adds light, not signal: ``a**2 + h``, ``b**2 + h``,
  which A and B stand for.
* ``quadrature``: a leak in the other quadrature is not seen, but by a phase (:mod:`photonjax.core.receiver`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.moments import Moments
from photonjax.core.pytree import Scalar, leaf, stage, static
from photonjax.core.rounding import no_fma

if TYPE_CHECKING:
    from photonjax.core.core import OpticalCore

Kind = Literal["differential", "offset", "homodyne", "quadrature"]
PhotonStatistics = Literal["gaussian", "poisson"]
ShotEstimate = Literal["rank_one", "exact"]
Split = Literal["equal", "best"]

OSCILLATOR_RATIO = 10.0
"""Electrons of the local oscillator over the receiver's variance, where none is given: noise of the
receiver is then a tenth of the vacuum's."""

# How many detectors an output has.
_DETECTORS = {"differential": 2, "offset": 1, "homodyne": 2, "quadrature": 2}


@stage
class Encoding:
    """How signed numbers become light.

    Attributes:
      kind: ``differential``: intensities, signs on dual rails, balanced detectors. ``offset``:
        ``(1 + a)/2`` and ``(1 + b)/2`` on one rail, offsets subtracted digitally. ``homodyne``:
        interference of two fields on a balanced pair. ``quadrature``: fields add up in one waveguide,
        whose amplitude is read against a strong local oscillator.
      photon_statistics: ``gaussian`` (the limit of many photons) or ``poisson`` (exact counts).
      shot_estimate: ``differential`` needs ``sum |a||b|``: ``exact`` pays a second product;
        ``rank_one`` uses ``sum |a| * mean |b|``, which is exact on average over inputs that are
        independent of the weights' magnitudes.
      split: of light between the two fields of ``homodyne``: ``equal`` at full scale, or the ``best`` one
        for every output, which is the limit for that much detected light: shot noise alone, since it is
        another one where the receiver has noise.
      input_fraction: the fraction of the light at full scale that is in the inputs' field of ``homodyne``,
        the same for all outputs; None: as ``split`` says.
      oscillator: of ``quadrature``, photo-electrons of the local oscillator in each sample, both
        detectors together; None: ten times the receiver's variance.

    >>> Encoding("homodyne").detectors
    2
    >>> import photonjax as pj
    >>> core = pj.OpticalCore(encoding="quadrature", photons=10.0, receiver={"noise_a_per_rthz": 1e-12})
    >>> f"{float(core.encoding.oscillator_electrons(core)):.3g}"
    '3.9e+05'
    """

    kind: Kind = static("differential")
    photon_statistics: PhotonStatistics = static("gaussian")
    shot_estimate: ShotEstimate = static("rank_one")
    split: Split = static("equal")
    input_fraction: Scalar = leaf(None, low=1e-3, high=0.999)
    oscillator: Scalar = leaf(None, above=0.0)

    def __post_init__(self) -> None:
        for name, kind in (("input_fraction", "homodyne"), ("oscillator", "quadrature")):
            if getattr(self, name) is not None and self.kind != kind:
                raise ValueError(
                    f"OpticalCore.encoding.{name} has no meaning with encoding.kind {self.kind!r}: it is "
                    f"of {kind!r}; leave it out"
                )
        if self.input_fraction is not None and self.split == "best":
            raise ValueError(
                "OpticalCore.encoding.input_fraction is set but encoding.split = 'best', which chooses one "
                "for every output; leave one of them out"
            )

    @property
    def gain(self) -> Any:
        """What a count of a signal's own light is worth in ``p * m``: of all kinds but ``quadrature``, and
        of ``homodyne`` with one split for all outputs."""
        if self.input_fraction is not None:
            return 0.5 / jnp.sqrt(self.input_fraction * (1 - self.input_fraction))
        return 4.0 if self.kind == "offset" else 1.0

    def worth(self, core: OpticalCore) -> Any:
        """What a count is worth in ``p``."""
        if self.kind == "quadrature":
            strength = self.oscillator_electrons(core)
            root = jnp.sqrt(core.photons * jnp.where(strength > 0, strength, 1.0))
            return jnp.where(strength > 0, 0.5 / root, 0.0)
        return self.gain / core.photons

    def oscillator_electrons(self, core: OpticalCore) -> Any:
        """Electrons of the local oscillator in each sample, both detectors; None where it is not counted."""
        if self.kind != "quadrature" or self.oscillator is not None:
            return self.oscillator
        if not core.receiver.has_own_noise:
            return None
        return OSCILLATOR_RATIO * core.receiver.electron_variance(core)

    @property
    def detectors(self) -> int:
        """How many detectors an output has."""
        return _DETECTORS[self.kind]

    @property
    def power(self) -> int:
        """Of a level in the moment that the encoding needs."""
        return 2 if self.kind == "homodyne" else 1

    def needs_moments(self, core: OpticalCore) -> bool:
        """Whether anything is worked out from the moments of both operands."""
        return self.kind == "offset" or (self.needs_light(core) and self.kind != "quadrature")

    def needs_light(self, core: OpticalCore) -> bool:
        """Whether anything depends on how much light reaches the detectors."""
        return core.photons is not None or core.receiver.imbalance is not None

    def needs_magnitudes(self, core: OpticalCore) -> bool:
        """Whether ``sum |a||b|`` is asked for exactly: a second product."""
        exact = self.shot_estimate == "exact" or self.photon_statistics == "poisson"
        # a limit is no estimate of noise
        exact = exact or core.receiver.saturation_electrons is not None
        return self.needs_light(core) and self.kind == "differential" and exact

    def leak(self, core: OpticalCore) -> jax.Array | float:
        """Light through a dark rail, in units of a modulator's swing (0 without ``extinction_db``)."""
        if core.input.extinction_db is None or core.input.extinction != "balanced":
            return 0.0
        least = 10 ** (-core.input.extinction_db / 10)
        return least / (1 - least)

    def bias(self, core: OpticalCore, row: Any, col: Any) -> jax.Array:
        """What ``offset`` detectors see on top of ``p``: ``c (sum a + sum b)``, less ``c**2 K``."""
        return no_fma((1 + 2 * self.leak(core)) * (row + col))

    def constant(self, core: OpticalCore, terms: int) -> jax.Array | float:
        """The constant part of the light of ``offset``: ``c**2 K``; 0 for other encodings."""
        if self.kind != "offset":
            return 0.0
        return no_fma((1 + 2 * self.leak(core)) ** 2 * terms)

    def seen(self, core: OpticalCore, p: jax.Array, moments: Moments) -> jax.Array:
        """The detectors' signal: ``p``, with the offsets of ``offset``."""
        return p + self.bias(core, moments.row, moments.col) if self.kind == "offset" else p

    def light(self, core: OpticalCore, p: jax.Array, moments: Moments) -> Any:
        """Mean detected electrons of each output sample, divided by ``core.photons``; None where nobody asks.

        ``p``: the noiseless sums ``[M, N]``. Without exact magnitudes ``differential`` takes
        ``sum |a| sum |b| / K``.
        """
        if not self.needs_light(core):
            return None
        row, col, terms = moments.row, moments.col, moments.terms
        h = self.leak(core)
        leaks = core.input.extinction_db is not None and core.input.extinction == "balanced"
        if self.kind == "quadrature":
            strength = self.oscillator_electrons(core)
            return p * p if strength is None else no_fma(p * p) + strength / core.photons
        assert row is not None and col is not None
        if self.kind == "differential":
            exact = moments.magnitudes
            light = row * (col * (1 / terms)) if exact is None else exact
            leaked = no_fma(2 * h * (row + col)) + no_fma(4 * h**2 * terms)
            return no_fma(light) + leaked if leaks else light
        if self.kind == "offset":
            seen = self.constant(core, terms) + self.bias(core, row, col) + p
            return jnp.maximum(seen, 0.0) / 4
        if self.split == "best":
            a, b = row + no_fma(h * terms), col + no_fma(h * terms)
            both = a + b
            return 2 * a * (b / jnp.where(both > 0, both, 1.0))
        if self.input_fraction is not None:
            fields = no_fma(self.input_fraction * row) + no_fma((1 - self.input_fraction) * col)
            return fields + no_fma(h * terms)
        return (row + col) / 2 + no_fma(h * terms)

    def shot_variance(self, core: OpticalCore, light: jax.Array, moments: Moments) -> jax.Array:
        """Shot-noise variance of ``p`` from :meth:`light`, >= 0."""
        if self.kind == "quadrature":
            vacuum = jnp.ones_like(light) / (4 * core.photons)
            strength = self.oscillator_electrons(core)
            if strength is None:
                return vacuum
            return jnp.where(
                strength > 0, light / (4 * jnp.where(strength > 0, strength, 1)), vacuum
            )
        if self.kind == "homodyne" and self.split == "best":
            equal = dataclasses.replace(self, split="equal")
            return equal.light(core, light, moments) / core.photons
        return self.gain**2 * light / core.photons

    def draw(
        self, core: OpticalCore, key: jax.Array, rows: int, cols: int, tiles: int
    ) -> list[jax.Array] | None:
        """A key for each k-tile, where photons are counted one by one and detectors never saturate."""
        if self.photon_statistics != "poisson" or core.receiver.saturation_electrons is not None:
            return None
        photons = random.stream(key, "photons")
        return [jax.random.fold_in(photons, t) for t in range(tiles)]

    def count(
        self,
        core: OpticalCore,
        key: jax.Array,
        light: jax.Array,
        p: jax.Array,
        seen: jax.Array,
        moments: Moments,
    ) -> jax.Array:
        """``seen`` with exact Poisson photon counts in place of its means.

        Gradients are those of the Gaussian of the same variance (the sample's deviation in standard
        units is held fixed), since counts have no pathwise derivative.

        Args:
          key: for this tile. light: exact (:meth:`light` with exact magnitudes). p: noiseless sums.
          moments: of the operands.
        """
        m, receiver = core.photons, core.receiver
        dark = jax.lax.stop_gradient(receiver.dark_electrons(core))
        total = no_fma(jax.lax.stop_gradient(m * light))
        if self.kind == "offset":
            deviation = 4 * count_fluctuation(key, total + dark) / m
        else:
            plus_key, minus_key = jax.random.split(key)
            difference = jax.lax.stop_gradient(m * p / self.gain)
            difference = jnp.clip(difference, -total, total)
            plus = count_fluctuation(plus_key, (total + difference) / 2 + dark)
            minus = count_fluctuation(minus_key, (total - difference) / 2 + dark)
            deviation = jax.lax.stop_gradient(self.gain) * (plus - minus) / m
        variance = self.shot_variance(core, light, moments) + receiver.dark_variance(core)
        sigma = jnp.sqrt(jnp.maximum(variance, jnp.finfo(jnp.float32).tiny))
        return seen + no_fma(sigma * jax.lax.stop_gradient(deviation / sigma))


def count_fluctuation(key: jax.Array, mean: jax.Array) -> jax.Array:
    """A Poisson count less its mean, float32.

    ``jax.random.poisson`` decides in float32: from a mean of 2**22 on its variance is wrong, at 2**31 it
    saturates. Beyond 2**14 the fluctuation of a count of that mean, skewed by 1/128, is scaled to the
    variance asked for.
    """
    countable = jnp.minimum(mean, 2.0**14)
    count = jax.random.poisson(key, countable).astype(jnp.float32)
    return no_fma((count - countable) * jnp.sqrt(mean / jnp.maximum(countable, 1e-30)))
