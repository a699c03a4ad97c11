"""What a bank of ring resonators does to its neighbours' wavelengths.

An add-drop ring drops ``1 / (1 + d**2)`` of the light d half linewidths from its resonance. Rings
spaced s linewidths apart stand 2s half linewidths from their neighbours' light: one on resonance
drops the fraction ``1 / (1 + 4 s**2)`` of it (``ring_crosstalk``). As ``crosstalk_rows`` this is
taken in proportion to the neighbour's weight, at first neighbours. Left out: a ring's tail depends
on its tuning (by about d/s of itself, d its detuning), the tails of further rings (together 0.64 of
the first neighbours'), light that loops between rings through the bus (A. Tait et al., IEEE JSTQE
22, 5900214 (2016)), and heat that reaches other rings.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ring_crosstalk"]


def ring_crosstalk(spacing_linewidths: Any) -> Any:
    """Fraction of a neighbour's light that a ring on resonance drops: ``1 / (1 + 4 s**2)``.

    Args:
      spacing_linewidths: s, spacing of channels over a ring's full width at half maximum.

    >>> round(ring_crosstalk(3.41), 3)
    0.021
    """
    return 1 / (1 + 4 * spacing_linewidths**2)
