"""Inputs as the array meets them: scaled, quantized, cut into digits, and disturbed at every symbol.

With ``a`` the values meant, in full scales, one symbol after the other down the rows of ``[T, K]``:

* Memory: a modulator of bandwidth B follows its drive as ``da/dt = 2 pi B (drive - a)``. From the
  last symbol's value, its mean over a symbol tau is ``a_t + r (a_(t-1) - a_t)``,
  ``r = (1 - exp(-x)) / x``, ``x = 2 pi B tau``: what an integrating detector sees. The first symbol
  follows a = 0. ``x >> 1`` is assumed of the memory of memories.
* Noise: ``a + sqrt(s_in**2 + s_rel**2 v**2) eps`` with one draw per input and symbol: every column sees
  the same error. ``v`` is the light modulated: ``a``, and ``c + a`` for ``offset`` (c as in
  :mod:`photonjax.core.encoding`). ``s_rel**2`` is ``relative_noise**2`` plus, for lines of their own
  laser, ``RIN / (2 tau)`` (:mod:`photonjax.core.source`).
* Converter: effective bits e below the b of a digit add, as of an ADC (:mod:`photonjax.core.adc`), noise of
  variance ``2**2 (4**-e - 4**-b) / 12`` in full scales; integral nonlinearity bends level c of ``-q ... q``
  to ``c +- inl_lsb sin(pi c / q)``, the sign fixed for each input of a die, the same for all weights.
* Floor: a rail that is on passes at least ``e = 10**(-extinction_db / 10)``. ``floor``: magnitudes
  below become e. ``dither``: they become ``+-e``, the sign drawn at each symbol so that the mean is
  right, ``P(+) = (1 + a/e) / 2``, and the variance ``e**2 - a**2``.
"""

from __future__ import annotations

import dataclasses
import zlib
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp

from photonjax.core import levels, random
from photonjax.core.pytree import Scalar, leaf, present, stage, static
from photonjax.core.rounding import no_fma, safe_sqrt
from photonjax.core.source import remembered

if TYPE_CHECKING:
    from photonjax.core.core import OpticalCore

InputScale = Literal["per_token", "per_tensor", "per_tile", "static"]
Extinction = Literal["balanced", "floor", "dither"]


@dataclasses.dataclass(frozen=True)
class Inputs:
    """``[T, K]`` inputs in units of a pass's levels (:func:`photonjax.core.levels.unit_of`).

    ``slices``: what is modulated in each pass; ``meant``: what the digital side takes it for;
    ``scales``: full scale for each k-tile, ``[T, 1]`` or ``[1, 1]``.
    """

    slices: list[jax.Array]
    meant: list[jax.Array]
    scales: list[jax.Array]


@stage
class Input:
    """The modulators that inputs pass.

    Attributes:
      bits: converter resolution; ``None`` leaves inputs continuous (float32).
      slices: bit slicing: inputs of ``bits`` are sent as this many digits of ``ceil(bits / slices)``
        bits, each in passes of its own with noise, ADC and calibrated range of their own, and put together
        digitally. Digits of b bits have ``2**b`` levels (:func:`photonjax.core.levels.largest`).
      scale: what full scale means: the largest magnitude of each token, of the tensor, of each token
        within a k-tile (block floating point), or a fixed ``range``.
      range: full scale of ``x`` for ``scale="static"``; a site may have its own.
      power_of_two_scale: round scales found in the operand up to powers of two (shared exponents, no
        multiplier); a given range stays as it is.
      curve: transmission against drive: ``linear``, ``sin2`` (Mach-Zehnder), ``lorentzian`` (ring
        resonance, see ``resonance_detuning``).
      lookup: whether drives are looked up from the inverse curve: then levels are spaced evenly in
        drive, not in value. Without, values are distorted by the curve.
      resonance_detuning: of ``lorentzian`` modulators at zero drive, in half linewidths.
      extinction: what finite ``extinction_db`` does to small values. ``balanced``: every rail leaks,
        the leaks cancel between rails, their shot noise stays. ``floor``: a rail that is on cannot go
        below the floor, the other is shut elsewhere: small magnitudes become the floor. ``dither``:
        those take the floor with a random sign, so that they are right on average.
        The last two for ``differential`` only.
      extinction_db: ratio of a modulator's largest to its smallest transmission [dB], inputs and
        weights alike.
      noise: standard deviation of the dynamic error of each input symbol, in full scales.
      relative_noise: the same in proportion to the modulated value.
      enob: effective number of bits of the converters that drive the modulators, in each pass.
      inl_lsb: their largest integral nonlinearity [levels of a pass].
      bandwidth_hz: modulators follow their drive with this 3 dB bandwidth, so that a symbol
        remembers the one before [Hz].
    """

    bits: int | None = static(8, low=2, high=16)
    slices: int = static(1, low=1, high=8)
    scale: InputScale = static("per_token")
    range: Scalar = leaf(None, above=0.0)
    power_of_two_scale: bool = static(False)
    curve: levels.Curve = static("linear")
    lookup: bool = static(True)
    resonance_detuning: Scalar = leaf(None, low=0.1, high=1e3)
    extinction: Extinction = static("balanced")
    extinction_db: Scalar = leaf(None, low=1.0, high=100.0)
    noise: Scalar = leaf(None, drawn="input", low=0.0, high=0.5)
    relative_noise: Scalar = leaf(None, drawn="input", low=0.0, high=0.5)
    enob: Scalar = leaf(None, drawn="input", above=0.0, high=24.0)
    inl_lsb: Scalar = leaf(None, low=0.0, high=64.0)
    bandwidth_hz: Scalar = leaf(None, above=0.0)

    def __post_init__(self) -> None:
        levels.check_converter(self)
        for name in ("enob", "inl_lsb"):
            if getattr(self, name) is not None and self.bits is None:
                raise ValueError(
                    f"OpticalCore.input.{name} is set but input.bits is None: there is no converter; set "
                    "input.bits too"
                )

    @property
    def levels(self) -> int | None:
        """Largest level: integers of ``-levels ... levels``."""
        return None if self.bits is None else levels.largest(self.bits, self.slices)

    def off_grid(self, core: OpticalCore) -> bool:
        """Whether modulated inputs lie between the levels of their converter."""
        smooth = self.curve != "linear" or self.bandwidth_hz is not None
        smooth = smooth or self.inl_lsb is not None or core.source.off_grid
        drawn = present(self, "input") or present(core.source, "input")
        own = core.custom.modulated is not None
        return smooth or drawn or own or self.extinction != "balanced"

    def modulate(self, core: OpticalCore, x: jax.Array, input_range: Any = None) -> Inputs:
        """Scale, clip, quantize and cut inputs ``[T, K]``; no noise yet."""
        terms, rows, clip = x.shape[1], core.rows, False
        tiles = -(-terms // rows)
        if self.scale == "per_tile":
            scales = [
                levels.scale_of(self, x[:, t * rows : (t + 1) * rows], (1,)) for t in range(tiles)
            ]
            wide = [jnp.broadcast_to(s, (x.shape[0], rows)) for s in scales]
            full = jnp.concatenate(wide, axis=1)[:, :terms]
        elif self.scale == "static":
            known = self.range if input_range is None else input_range
            if known is None:
                raise ValueError(
                    "input.scale = 'static' but no input range is known: set OpticalCore.input.range, "
                    "pass input_range, or calibrate the model"
                )
            full, clip = jnp.reshape(jnp.asarray(known, jnp.float32), (1, 1)), True
            # Other scales carry NaN and infinity of the inputs to the result; integers would hide them.
            full = jnp.where(jnp.isfinite(x).all(axis=1, keepdims=True), full, jnp.nan)
            scales = [full] * tiles
        else:
            full = levels.scale_of(self, x, (1,) if self.scale == "per_token" else None)
            scales = [full] * tiles
        kind = core.encoding.kind
        exact = levels.modulated(self, kind, x, full, clip=clip)
        meant = exact
        if self.curve != "linear" and not self.lookup:
            meant = levels.modulated(self, kind, x, full, straight=True, clip=clip)
        cut = (self.bits or 0, self.slices)
        return Inputs(levels.digits(exact, *cut), levels.digits(meant, *cut), scales)

    def disturb(self, core: OpticalCore, a: jax.Array, key: jax.Array | None) -> jax.Array:
        """One pass of inputs, in levels, with the memory and the noise of their modulators."""
        unit, own = levels.unit_of(self.bits, self.slices), None
        if key is not None:
            own = random.stream(key, "input")
        if self.inl_lsb is not None:
            a = self._bent(core, a, unit)
        if self.extinction != "balanced":
            draw = None
            if self.extinction == "dither" and own is not None:
                draw = random.uniforms(core.sampler, jax.random.fold_in(own, 1), *a.shape)
            a = self.at_floor(a, unit, draw)
        a = core.source.emit(core, a, unit)
        if self.bandwidth_hz is not None:
            x = 2 * jnp.pi * self.bandwidth_hz / core.symbol_rate_hz
            a = remembered(a, -jnp.expm1(-x) / x)
        lines = core.source.channel_rin_db_hz
        if own is None or not (present(self, "input") or lines is not None):
            return a
        draw = random.deviates(random.draws(core.sampler, own, *a.shape)[0])
        fixed: Any = 0.0 if self.noise is None else self.noise
        if self.enob is not None:
            fixed = safe_sqrt(no_fma(fixed**2) + self._missing_bits())
        if self.relative_noise is None and lines is None:
            return a + no_fma(unit * fixed * draw)
        relative: Any = 0.0
        if self.relative_noise is not None:
            relative = relative + no_fma(self.relative_noise**2)
        if lines is not None:
            relative = relative + core.source.variance(lines, core.symbol_rate_hz)
        offset = core.encoding.kind == "offset"
        lit = no_fma(unit * (1 + 2 * core.encoding.leak(core))) + a if offset else a
        variance = no_fma((unit * fixed) ** 2) + no_fma(relative * no_fma(lit * lit))
        return a + no_fma(safe_sqrt(variance) * draw)

    def _missing_bits(self) -> jax.Array:
        """Variance, in full scales, of the noise that a converter of ``enob`` adds to its own steps."""
        assert self.bits is not None
        digit = -(-self.bits // self.slices)
        return no_fma(jnp.maximum(4.0**-self.enob - 4.0**-digit, 0.0) * (4 / 12))

    def _bent(self, core: OpticalCore, a: jax.Array, unit: int) -> jax.Array:
        """Levels ``[T, K]`` as the converters of this die's inputs space them."""
        key = jax.random.fold_in(random.new_key(core.chip_seed), zlib.crc32(b"input.inl_lsb"))
        terms = a.shape[1]
        signs = jnp.where(random.mixed_normal(key, 1, min(core.rows, terms))[0] < 0, -1.0, 1.0)
        signs = jnp.tile(signs, (1, -(-terms // core.rows)))[:, :terms]
        bend = jnp.sin(jnp.clip(a, -unit, unit) * (jnp.pi / unit))
        return a + no_fma(self.inl_lsb * signs * bend)

    def at_floor(self, a: jax.Array, unit: int, draw: jax.Array | None) -> jax.Array:
        """Small magnitudes as rails of finite extinction make them; ``draw`` uniform in (0, 1) to dither.

        By ``a`` the derivative is that of the identity; a value on the floor moves with the floor, a
        dithered one does not: its mean stays.
        """
        least = unit * 10 ** (-self.extinction_db / 10)
        below = jnp.abs(a) < least
        positive = a >= 0 if draw is None else 2 * draw < 1 + a / least
        if self.extinction == "dither" and draw is None:
            return a  # its mean
        floored = jnp.where(below, jnp.where(positive, least, -least), a)
        through = a + jax.lax.stop_gradient(floored - a)
        if self.extinction == "dither":
            return through
        moved = least - jax.lax.stop_gradient(least)  # zero, but for its derivative
        return through + jnp.where(below, jnp.where(positive, moved, -moved), 0.0)
