"""Where the light of a cell lands: point-spread functions; crosstalk and misalignment are small ones.

Taps ``t_ij`` are the fractions of a cell's light that land i cells further along the inputs and j along the
outputs: cell (k, n) gets ``sum_ij t_ij b_(k-i, n-j)``, within its own array; beyond its edges light is lost,
and none comes from there. Taps are fractions of whatever adds up: of intensities, rail by rail, or of fields.
Spreads follow one another in any order: away from the edges convolutions commute.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from photonjax.core.rounding import no_fma

Taps = Any
"""``[2R+1, 2C+1]``, an array or nested sequences; a plain 0 costs nothing."""


def gaussian_spot(rows: float, cols: float, reach: int = 2) -> np.ndarray:
    """Taps of a spot of Gaussian intensity on square pixels that fill their pitch.

    A pixel i pitches away gets ``(erf((i + 1/2) / (s sqrt 2)) - erf((i - 1/2) / (s sqrt 2))) / 2`` of the
    light along each axis: the spot's integral over it.

    Args:
      rows, cols: standard deviation along the inputs and the outputs [pitches]; an ideal lens of numerical
        aperture A makes about ``0.21 wavelength / A`` (Zhang et al., Appl. Opt. 46, 1819 (2007)).
      reach: pixels on each side; what lands beyond is lost.

    Returns:
      ``[2 reach + 1, 2 reach + 1]``, for ``array.point_spread``.

    Raises:
      ValueError: a width that is negative or not finite, or a reach that is no integer of 0 ... 16.

    >>> [round(float(tap), 3) for tap in gaussian_spot(0.3, 0.0, reach=1)[:, 1]]
    [0.048, 0.904, 0.048]
    """
    for name, width in (("rows", rows), ("cols", cols)):
        if not 0 <= width < math.inf:
            raise ValueError(f"gaussian_spot: {name} = {width} is not a number of 0 or more")
    if not isinstance(reach, int) or not 0 <= reach <= 16:
        raise ValueError(f"gaussian_spot: reach = {reach} is not an integer of 0 ... 16")

    def integral(end: float, width: float) -> float:
        return math.copysign(1, end) if width == 0 else math.erf(end / (width * math.sqrt(2)))

    def along(width: float) -> list[float]:
        ends = [integral(i - 0.5, width) for i in range(-reach, reach + 2)]
        return [(after - before) / 2 for before, after in itertools.pairwise(ends)]

    return np.outer(along(rows), along(cols)).astype(np.float32)


def neighbours(fraction: Any, axis: int) -> Taps:
    """The taps of a fraction of the light that lands in each nearest neighbour along an axis."""
    line = [fraction, 1 - 2 * fraction, fraction]
    return [line] if axis else [[tap] for tap in line]


def shifted(fraction: Any, axis: int) -> Taps:
    """The taps of optics that are a fraction of a cell off: each cell gets some of the next one's light."""
    line = [fraction, 1 - fraction, 0]
    return [line] if axis else [[tap] for tap in line]


def change(light: jax.Array, taps: Taps, rows: int, cols: int) -> jax.Array:
    """What taps change about light ``[K, N]`` in arrays of ``rows`` x ``cols`` cells."""
    down, across = len(taps) // 2, len(taps[0]) // 2
    total: Any = 0.0
    for i in range(-down, down + 1):
        line = None
        for j in range(-across, across + 1):
            tap = taps[i + down][j + across]
            if isinstance(tap, int) and tap == 0:
                continue
            line = moved(light, i, rows, 0) if line is None else line
            own = tap - 1 if i == j == 0 else tap
            total = total + no_fma(own * moved(line, j, cols, 1))
    return total


def moved(light: jax.Array, by: int, size: int, axis: int) -> jax.Array:
    """Light ``by`` cells further along an axis, within arrays of ``size`` cells; zero where none came."""
    if by == 0:
        return light
    index = jnp.arange(light.shape[axis])
    within = (index % size - by >= 0) & (index % size - by < size) & (index - by < len(index))
    there = within[:, None] if axis == 0 else within[None, :]
    return jnp.where(there, jnp.roll(light, by, axis), 0.0)


def mix(
    light: jax.Array,
    dark: Any,
    both: Any,
    taps: Taps,
    rows: int,
    cols: int,
    *,
    interleaved: bool,
) -> tuple[jax.Array, Any]:
    """Light ``[K, N]``, and that of both rails together, as they land.

    Args:
      light: on one rail, less ``dark`` of each cell, or the difference of two.
      both: their sum; None: there is one rail, or nobody asks.
      interleaved: the rails lie b+, b-, b+, b- along the outputs, in arrays of twice the columns; without,
        each is by itself, and the difference mixes as a rail does.
    """
    if both is None or not interleaved or len(taps[0]) == 1:
        landed = light + change(light + dark, taps, rows, cols)
        return landed, None if both is None else both + change(both, taps, rows, cols)
    terms, outputs = light.shape
    rails = jnp.stack([(both + light) / 2, (both - light) / 2], axis=2).reshape(terms, -1)
    moved_light = change(rails, taps, rows, 2 * cols).reshape(terms, outputs, 2)
    return (
        light + (moved_light[..., 0] - moved_light[..., 1]),
        both + (moved_light[..., 0] + moved_light[..., 1]),
    )


def check_taps(name: str, value: Any) -> Any:
    """A matrix of taps as an array, or what JAX holds as it is.

    Raises:
      TypeError, ValueError: naming the field, its value and what is allowed.
    """
    wanted = (
        "a matrix of taps: odd numbers of rows and columns, up to 33, of fractions of the light that add up "
        "to at most 1"
    )
    shape: Sequence[int] | None = getattr(value, "shape", None)
    if isinstance(value, (list, tuple, np.ndarray)):
        try:
            value = np.asarray(value)
        except ValueError:
            value = np.asarray([])
        shape = value.shape
        if value.dtype.kind not in "fiu":
            shape = None
    text = " ".join(repr(value).split())
    short = text if len(text) <= 60 else f"{text[:57]}..."
    if shape is None or not jnp.issubdtype(value.dtype, np.number):
        raise TypeError(f"{name} = {short} is not {wanted}, or None")
    if len(shape) < 2 or any(n % 2 == 0 or n > 33 for n in shape[-2:]):
        raise ValueError(f"{name} of shape {tuple(shape)} is not {wanted}, or None")
    if isinstance(value, np.ndarray):
        value = value.astype(np.float32)
        sums = value.sum((-2, -1))
        if not (np.isfinite(value).all() and (value >= 0).all() and (sums <= 1 + 1e-6).all()):
            raise ValueError(f"{name} = {short} is not {wanted}, or None")
    return value
