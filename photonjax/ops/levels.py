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

import jax
import jax.numpy as jnp

from photonjax.hardware.core import OpticalCore
from photonjax.ops.quantize import full_scale, round_straight_through, rounded

Array = jax.Array


def scale_of(core: OpticalCore, x: Array, axis: tuple[int, ...] | None) -> Array:
    """Full scale of ``x`` along ``axis`` (kept with size 1), as the core stores it; no gradient."""
    scale = full_scale(x, axis)
    if not core.scale_exponents:
        return scale
    mantissa, exponent = jnp.frexp(scale)  # scale = mantissa * 2**exponent, mantissa in [1/2, 1)
    power = jnp.ldexp(jnp.ones_like(scale), exponent - (mantissa == 0.5))
    return jnp.where(jnp.isfinite(scale), power, scale)


def modulated(
    core: OpticalCore, x: Array, scale: Array, curve: str, levels: int | None, clip: bool = False
) -> Array:
    """What modulators make of ``x``, in units of ``levels`` (of full scale, where there are none).

    The derivative passes through rounding and, with ``lookup``, is that of the identity.

    Args:
      x: values. scale: their full scale.
      curve: of the modulator. levels: the largest level of its converter, or None.
      clip: whether ``x`` may exceed its scale.
    """
    unit = levels or 1
    u = x * (unit / scale)
    u = jnp.clip(u, -unit, unit) if clip else u
    if curve == "linear":
        return rounded(u) if levels is None else round_straight_through(u)
    if core.lookup:
        u = rounded(u)
        value = jax.lax.stop_gradient(u) / unit
        if levels is not None:
            drive = jnp.round(_drive(core, value, curve) * unit) / unit
            value = _through(core, drive, curve)
        return u + jax.lax.stop_gradient(rounded(value * unit) - u)
    drive = u if levels is None else round_straight_through(u)
    return rounded(_through(core, drive / unit, curve) * unit)


def digits(values: Array, bits: int, slices: int) -> list[Array]:
    """Integers ``values`` of ``bits`` bits as digits, the least significant first.

    Balanced digits of base ``B = 2**ceil(bits / slices)``, from ``-B/2`` to ``B/2``:
    ``values = sum_i digits[i] * B**i``. The most significant one carries the derivative.
    """
    if slices == 1:
        return [values]
    base = digit_base(bits, slices)
    rest, found = jax.lax.stop_gradient(values), []
    for _ in range(slices - 1):
        higher = jnp.round(rest / base)
        found.append(rest - higher * base)
        rest = higher
    share = values * (1.0 / base ** (slices - 1))
    return [*found, rest + (share - jax.lax.stop_gradient(share))]


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
    return [base**i * unit / (2 ** (bits - 1) - 1) for i in range(slices)]


def _through(core: OpticalCore, drive: Array, curve: str) -> Array:
    """Signed value of a signed drive."""
    if core.encoding == "offset":
        return 2 * _transmission(core, (1 + drive) / 2, curve) - 1
    if curve == "sin2" and core.encoding in ("homodyne", "quadrature"):
        return jnp.sin(drive * (jnp.pi / 2))
    sign = jnp.where(drive < 0, -1.0, 1.0)  # not 0 at 0, where the curve has a slope
    light = _transmission(core, sign * drive, curve)
    if core.encoding in ("homodyne", "quadrature"):
        lit = light > 0
        light = jnp.where(lit, jnp.sqrt(jnp.where(lit, light, 1.0)), 0.0)
    return sign * light


def _drive(core: OpticalCore, value: Array, curve: str) -> Array:
    """Inverse of :func:`_through`."""
    if core.encoding == "offset":
        return 2 * _inverse(core, (1 + value) / 2, curve) - 1
    light = jnp.abs(value) ** (2 if core.encoding in ("homodyne", "quadrature") else 1)
    return jnp.sign(value) * _inverse(core, light, curve)


def _transmission(core: OpticalCore, drive: Array, curve: str) -> Array:
    if curve == "sin2":
        return jnp.sin(drive * (jnp.pi / 2)) ** 2
    dark = 1 / (1 + rounded(core.resonance_detuning**2))
    peak = 1 / (1 + rounded((core.resonance_detuning * (1 - drive)) ** 2))
    return (peak - dark) / (1 - dark)


def _inverse(core: OpticalCore, light: Array, curve: str) -> Array:
    light = jnp.clip(light, 0.0, 1.0)
    if curve == "sin2":
        return jnp.arcsin(jnp.sqrt(light)) * (2 / jnp.pi)
    dark = 1 / (1 + rounded(core.resonance_detuning**2))
    peak = rounded(light * (1 - dark)) + dark
    return 1 - jnp.sqrt(jnp.maximum(1 / peak - 1, 0.0)) / core.resonance_detuning
