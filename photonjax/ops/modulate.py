"""Inputs as the array meets them: scaled, quantized, cut into digits, and disturbed at every symbol.

With ``a`` the values meant, in full scales, one symbol after the other down the rows of ``[T, K]``:

* Memory: a modulator of bandwidth B follows its drive as ``da/dt = 2 pi B (drive - a)``. From the
  last symbol's value, its mean over a symbol tau is ``a_t + r (a_(t-1) - a_t)``,
  ``r = (1 - exp(-x)) / x``, ``x = 2 pi B tau``: what an integrating detector sees. The first symbol
  follows a = 0. ``x >> 1`` is assumed of the memory of memories.
* Noise: ``a + sqrt(s_in**2 + s_rel**2 v**2) eps`` with one draw per input and symbol: every column sees
  the same error. ``v`` is the light modulated: ``a``, and ``c + a`` for ``offset`` (c as in
  :mod:`photonjax.ops.noise`). ``s_rel**2`` is
  ``input_relative_noise**2`` plus, for lines of their own laser, ``RIN / (2 tau)``
  (:func:`photonjax.ops.noise.laser_sigma`; in ``homodyne`` both fields of a product come from the
  same line, so that their product goes with its intensity).
* Floor: a rail that is on passes at least ``e = 10**(-extinction_db / 10)``. ``floor``: magnitudes
  below become e. ``dither``: they become ``+-e``, the sign drawn at each symbol so that the mean is
  right, ``P(+) = (1 + a/e) / 2``, and the variance ``e**2 - a**2``.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.hardware.core import OpticalCore
from photonjax.ops import levels, noise
from photonjax.ops.quantize import rounded


@dataclasses.dataclass(frozen=True)
class Inputs:
    """``[T, K]`` inputs in units of a pass's levels (:func:`photonjax.ops.levels.unit_of`).

    ``slices``: what is modulated in each pass; ``meant``: what the digital side takes it for;
    ``scales``: full scale for each k-tile, ``[T, 1]`` or ``[1, 1]``.
    """

    slices: list[jax.Array]
    meant: list[jax.Array]
    scales: list[jax.Array]


def modulate(core: OpticalCore, x: jax.Array, input_range: Any = None) -> Inputs:
    """Scale, clip, quantize and cut inputs ``[T, K]``; no noise yet."""
    terms, rows, clip = x.shape[1], core.rows, False
    tiles = -(-terms // rows)
    if core.input_scale == "per_tile":
        scales = [
            levels.scale_of(core, x[:, t * rows : (t + 1) * rows], (1,)) for t in range(tiles)
        ]
        wide = [jnp.broadcast_to(s, (x.shape[0], rows)) for s in scales]
        full = jnp.concatenate(wide, axis=1)[:, :terms]
    elif core.input_scale == "static":
        known = core.input_range if input_range is None else input_range
        if known is None:
            raise ValueError(
                "input_scale = 'static' but no input range is known: set OpticalCore.input_range, "
                "pass input_range, or calibrate the model"
            )
        full, clip = jnp.reshape(jnp.asarray(known, jnp.float32), (1, 1)), True
        # Other scales carry NaN and infinity of the inputs to the result; integers would hide them.
        full = jnp.where(jnp.isfinite(x).all(axis=1, keepdims=True), full, jnp.nan)
        scales = [full] * tiles
    else:
        full = levels.scale_of(core, x, (1,) if core.input_scale == "per_token" else None)
        scales = [full] * tiles
    exact = levels.modulated(core, x, full, core.input_curve, core.levels_in, clip)
    meant = exact
    if core.input_curve != "linear" and not core.lookup:
        meant = levels.modulated(core, x, full, "linear", core.levels_in, clip)
    cut = (core.bits_in or 0, core.slices_in)
    return Inputs(levels.digits(exact, *cut), levels.digits(meant, *cut), scales)


def analog(core: OpticalCore) -> bool:
    """Whether modulated inputs lie off the grid of levels."""
    smooth = core.input_curve != "linear" or core.modulator_bandwidth_hz is not None
    return smooth or core.disturbs_inputs or core.extinction != "balanced"


def disturb(core: OpticalCore, a: jax.Array, key: jax.Array | None) -> jax.Array:
    """One pass of inputs, in levels, with the memory and the noise of their modulators."""
    unit = levels.unit_of(core.bits_in, core.slices_in)
    if core.extinction != "balanced":
        draw = None
        if core.extinction == "dither" and key is not None:
            draw = noise.uniforms(core, jax.random.fold_in(key, 1), *a.shape)
        a = at_floor(core, a, unit, draw)
    if core.modulator_bandwidth_hz is not None:
        x = 2 * jnp.pi * core.modulator_bandwidth_hz / core.symbol_rate_hz
        memory = -jnp.expm1(-x) / x
        before = jnp.concatenate([jnp.zeros_like(a[:1]), a[:-1]])
        a = a + rounded(memory * (before - a))
    sources = (core.input_noise, core.input_relative_noise, core.channel_rin_db_hz)
    if key is None or all(s is None for s in sources):
        return a
    rows, terms = a.shape
    draw = noise.deviates(noise.draws(core, key, rows, terms, 1)[0])
    fixed: Any = 0.0 if core.input_noise is None else core.input_noise
    if core.input_relative_noise is None and core.channel_rin_db_hz is None:
        return a + rounded(unit * fixed * draw)
    relative: Any = 0.0
    if core.input_relative_noise is not None:
        relative = relative + rounded(core.input_relative_noise**2)
    if core.channel_rin_db_hz is not None:
        relative = relative + noise.intensity_variance(core.channel_rin_db_hz, core.symbol_rate_hz)
    lit = rounded(unit * (1 + 2 * noise.leak(core))) + a if core.encoding == "offset" else a
    variance = rounded((unit * fixed) ** 2) + rounded(relative * rounded(lit * lit))
    return a + rounded(noise.safe_sqrt(variance) * draw)


def at_floor(core: OpticalCore, a: jax.Array, unit: int, draw: jax.Array | None) -> jax.Array:
    """Small magnitudes as rails of finite extinction make them; ``draw`` uniform in (0, 1) to dither.

    By ``a`` the derivative is that of the identity; a value on the floor moves with the floor, a
    dithered one does not: its mean stays.
    """
    least = unit * 10 ** (-core.extinction_db / 10)
    below = jnp.abs(a) < least
    positive = a >= 0 if draw is None else 2 * draw < 1 + a / least
    if core.extinction == "dither" and draw is None:
        return a  # its mean
    floored = jnp.where(below, jnp.where(positive, least, -least), a)
    through = a + jax.lax.stop_gradient(floored - a)
    if core.extinction == "dither":
        return through
    moved = least - jax.lax.stop_gradient(least)  # nought, but for its derivative
    return through + jnp.where(below, jnp.where(positive, moved, -moved), 0.0)
