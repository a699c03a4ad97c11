"""The numbers that modulators can take: scales, transfer curves, digits.

With ``u`` in [-1, 1] the value wanted, and ``f`` the modulator's transmission against its drive, both
in [0, 1] (``f(0) = 0``, ``f(1) = 1``):

* ``linear``: ``f(v) = v``.
* ``sin2``: ``f(v) = sin(pi v / 2)**2``, a Mach-Zehnder modulator driven over half its period.
* ``lorentzian``: a resonance of transmission ``1 / (1 + d**2)`` at a detuning of d half linewidths,
  tuned from ``d = resonance_detuning`` at ``v = 0`` onto resonance at ``v = 1``, less what it lets
  through at ``v = 0`` (finite extinction is a field of its own).

Signs ride on rails (``differential``: ``sign(u) f(|u|)``), on a bias (``offset``: ``2 f((1 + u)/2) - 1``)
or on the phase of the field, whose amplitude is the square root (``homodyne``, ``quadrature``:
``sign(u) sqrt f``).
With ``lookup`` the drive is ``f``'s inverse of the value wanted, rounded to a level; without, the value
wanted, rounded, is taken as the drive.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp

from photonjax.core.pytree import title_of
from photonjax.core.quantize import full_scale
from photonjax.core.rounding import no_fma, round_straight_through

Array = jax.Array
Curve = Literal["linear", "sin2", "lorentzian"]


def check_converter(side: Any) -> None:
    """Raise where bits, slices and curve of a stage (inputs or weights) do not fit together.

    Digits are digital: they need levels, and levels that are evenly spaced.
    """
    where = title_of(side)
    if side.curve == "lorentzian" and side.resonance_detuning is None:
        raise ValueError(
            f"{where}.curve = 'lorentzian' needs {where.partition('.')[2]}.resonance_detuning; it is None"
        )
    if side.slices == 1:
        return
    if side.bits is None or side.slices > side.bits - 1:
        raise ValueError(
            f"{where}.slices = {side.slices} of bits = {side.bits!r}: each slice needs a bit at least "
            "besides the sign"
        )
    if side.curve != "linear":
        raise ValueError(
            f"{where}.slices = {side.slices} with a {side.curve!r} modulator: slices need evenly "
            "spaced levels (curve 'linear')"
        )


def scale_of(side: Any, x: Array, axis: tuple[int, ...] | None) -> Array:
    """Full scale of ``x`` along ``axis`` (kept with size 1), as the core stores it; no gradient."""
    scale = full_scale(x, axis)
    if not side.power_of_two_scale:
        return scale
    mantissa, exponent = jnp.frexp(scale)  # scale = mantissa * 2**exponent, mantissa in [1/2, 1)
    power = jnp.ldexp(jnp.ones_like(scale), exponent - (mantissa == 0.5))
    return jnp.where(jnp.isfinite(scale), power, scale)


def modulated(
    side: Any, kind: str, x: Array, scale: Array, *, straight: bool = False, clip: bool = False
) -> Array:
    """What modulators make of ``x``, in units of ``levels`` (of full scale, where there are none).

    The derivative passes through rounding and, with ``lookup``, is that of the identity.

    Args:
      side: the stage. kind: of the encoding.
      x: values. scale: their full scale.
      straight: whether to take the curve for linear.
      clip: whether ``x`` may exceed its scale.
    """
    levels, curve = side.levels, "linear" if straight else side.curve
    unit = levels or 1
    u = x * (unit / scale)
    u = jnp.clip(u, -unit, unit) if clip else u
    if curve == "linear":
        return no_fma(u) if levels is None else round_straight_through(u)
    if side.lookup:
        u = no_fma(u)
        value = jax.lax.stop_gradient(u) / unit
        if levels is not None:
            drive = jnp.round(_drive(side, kind, value) * unit) / unit
            value = _through(side, kind, drive)
        return u + jax.lax.stop_gradient(no_fma(value * unit) - u)
    drive = u if levels is None else round_straight_through(u)
    return no_fma(_through(side, kind, drive / unit) * unit)


def digits(values: Array, bits: int, slices: int) -> list[Array]:
    """Integers ``values`` of :func:`largest` magnitude as digits, the least significant first.

    Digits of base ``B = 2**ceil(bits / slices)``, from ``-B/2`` to ``B/2 - 1``, the B levels of a converter
    of that many bits, zero among them: ``values = sum_i digits[i] * B**i``. The most significant one
    carries the derivative.
    """
    if slices == 1:
        return [values]
    base = digit_base(bits, slices)
    rest, found = jax.lax.stop_gradient(values), []
    for _ in range(slices - 1):
        higher = jnp.floor(rest / base + 0.5)  # a digit of B/2 is -B/2 and one carried
        found.append(rest - higher * base)
        rest = higher
    share = values * (1.0 / base ** (slices - 1))
    return [*found, rest + (share - jax.lax.stop_gradient(share))]


def largest(bits: int, slices: int) -> int:
    """Largest level of an operand: integers of ``-largest ... largest``.

    ``2**(bits - 1) - 1``, or what digits hold of either sign: ``(B/2 - 1) (1 + B + B**2 + ...)``, 119 for 8
    bits in two digits, which is 0.6 dB less resolution.

    >>> largest(8, 1), largest(8, 2), largest(8, 3)
    (127, 119, 127)
    """
    whole = 2 ** (bits - 1) - 1
    if slices == 1:
        return whole
    base = digit_base(bits, slices)
    return min(whole, (base // 2 - 1) * (base**slices - 1) // (base - 1))


def digit_base(bits: int, slices: int) -> int:
    """Base of :func:`digits`."""
    return int(2 ** -(-bits // slices))


def unit_of(bits: int | None, slices: int) -> int:
    """Full scale of one pass in units of its levels: 1 where there are none."""
    if bits is None:
        return 1
    return int(2 ** (bits - 1) - 1 if slices == 1 else digit_base(bits, slices) // 2)


def worths_of(bits: int | None, slices: int) -> list[float]:
    """What full scale of each pass is worth in full scales of the operand."""
    if bits is None or slices == 1:
        return [1.0]
    base, unit = digit_base(bits, slices), unit_of(bits, slices)
    return [base**i * unit / largest(bits, slices) for i in range(slices)]


def _through(side: Any, kind: str, drive: Array) -> Array:
    """Signed value of a signed drive."""
    if kind == "offset":
        return 2 * _transmission(side, (1 + drive) / 2) - 1
    if side.curve == "sin2" and kind in ("homodyne", "quadrature"):
        return jnp.sin(drive * (jnp.pi / 2))
    sign = jnp.where(drive < 0, -1.0, 1.0)  # not 0 at 0, where the curve has a slope
    light = _transmission(side, sign * drive)
    if kind in ("homodyne", "quadrature"):
        lit = light > 0
        light = jnp.where(lit, jnp.sqrt(jnp.where(lit, light, 1.0)), 0.0)
    return sign * light


def _drive(side: Any, kind: str, value: Array) -> Array:
    """Inverse of :func:`_through`."""
    if kind == "offset":
        return 2 * _inverse(side, (1 + value) / 2) - 1
    light = jnp.abs(value) ** (2 if kind in ("homodyne", "quadrature") else 1)
    return jnp.sign(value) * _inverse(side, light)


def _transmission(side: Any, drive: Array) -> Array:
    if side.curve == "sin2":
        return jnp.sin(drive * (jnp.pi / 2)) ** 2
    dark = 1 / (1 + no_fma(side.resonance_detuning**2))
    peak = 1 / (1 + no_fma((side.resonance_detuning * (1 - drive)) ** 2))
    return (peak - dark) / (1 - dark)


def _inverse(side: Any, light: Array) -> Array:
    light = jnp.clip(light, 0.0, 1.0)
    if side.curve == "sin2":
        return jnp.arcsin(jnp.sqrt(light)) * (2 / jnp.pi)
    dark = 1 / (1 + no_fma(side.resonance_detuning**2))
    peak = no_fma(light * (1 - dark)) + dark
    return 1 - jnp.sqrt(jnp.maximum(1 / peak - 1, 0.0)) / side.resonance_detuning
