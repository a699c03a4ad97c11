"""A convolution with zeros between its inputs, as convolutions without them.

Tap j of output position o meets place ``o stride + j spread - padding`` of the input, where every
``dilation``-th place holds a number and the others a zero. Which taps meet numbers repeats with o: with
``period = dilation / gcd(dilation, stride)``, the positions ``phase, phase + period, ...`` have the same
taps, every ``dilation / gcd(dilation, spread)``-th of them, and make a convolution of their own whose
strides and spread are divided by those divisors. So a transposed convolution of window k and stride s is
``s**d`` small convolutions of ``(k / s)**d`` taps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Phase", "interleaved", "phases"]


class Phase(NamedTuple):
    """One phase along one axis.

    Attributes:
      positions: of the output. taps: of the window. base: the input that the first tap meets at the
        first position (below zero: padding). stride, spread: of the inputs, between positions and taps.
    """

    positions: range
    taps: range
    base: int
    stride: int
    spread: int

    def padding(self, size: int) -> tuple[int, int]:
        """Before and after ``size`` inputs; below zero: inputs that are left out."""
        last = self.base + (len(self.positions) - 1) * self.stride
        return -self.base, last + (len(self.taps) - 1) * self.spread - (size - 1)


def phases(
    positions: int, taps: int, stride: int, padding: int, dilation: int, spread: int
) -> list[Phase]:
    """The phases of an axis of ``positions`` outputs and ``taps`` taps, those without a tap too.

    >>> for phase in phases(16, 3, stride=1, padding=1, dilation=2, spread=1):
    ...   print(phase.positions, list(phase.taps), phase.base)
    range(0, 16, 2) [1] 0
    range(1, 16, 2) [0, 2] 0
    """
    period = dilation // math.gcd(dilation, stride)
    step = dilation // math.gcd(dilation, spread)
    found = []
    for phase in range(min(period, positions)):
        place = phase * stride - padding
        first = next(
            (j for j in range(min(step, taps)) if (place + j * spread) % dilation == 0), taps
        )
        found.append(
            Phase(
                range(phase, positions, period),
                range(first, taps, step),
                (place + first * spread) // dilation,
                period * stride // dilation,
                step * spread // dilation,
            )
        )
    return found


def interleaved(
    along: Sequence[Sequence[Phase]], blank: jax.Array, made: Sequence[Any]
) -> jax.Array:
    """Results ``[batch, positions, ...]`` of all phases (None: zeros) in place of ``blank``'s zeros,
    ``[batch, *space, features]``."""
    batch, *space, features = blank.shape
    most = [len(axis[0].positions) for axis in along]
    whole = []
    for phase, y in zip(itertools.product(*along), made, strict=True):
        size = [len(p.positions) for p in phase]
        y = jnp.zeros((batch, *size, features), blank.dtype) if y is None else y
        more = [(0, m - n) for m, n in zip(most, size, strict=True)]
        whole.append(jnp.pad(y.reshape(batch, *size, features), ((0, 0), *more, (0, 0))))
    d = len(along)
    y = jnp.stack(whole).reshape(*map(len, along), batch, *most, features)
    order = [d, *(axis for i in range(d) for axis in (d + 1 + i, i)), 2 * d + 1]
    wide = [m * len(axis) for m, axis in zip(most, along, strict=True)]
    y = jnp.transpose(y, order).reshape(batch, *wide, features)
    return y[(slice(None), *map(slice, space))]
