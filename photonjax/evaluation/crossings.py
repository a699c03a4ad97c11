"""Where one quantity overtakes another as a size grows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Crossing", "crossings", "solve_crossing"]


class Crossing(NamedTuple):
    """``over`` overtakes ``under`` at ``at``."""

    at: float
    over: str
    under: str


def crossings(
    rows: Sequence[Mapping[str, Any]], a: str, b: str, x: str = "value"
) -> list[Crossing]:
    """Where one column overtakes another, interpolated in log-log between neighbouring rows.

    Args:
      rows: one for each size, in any order. Those where a or b is not above zero are left out.
      a, b: the columns.
      x: name of the size.

    >>> rows = [{"n": n, "a": float(n * n), "b": 8.0 * n} for n in (1, 4, 16)]
    >>> [(round(c.at, 6), c.over) for c in crossings(rows, "a", "b", x="n")]
    [(8.0, 'a')]
    """
    points = sorted(
        (row[x], math.log(row[a] / row[b])) for row in rows if row[a] > 0 and row[b] > 0
    )
    found: list[Crossing] = []
    before: tuple[float, float] | None = None
    equal: float | None = None
    for place, ratio in points:
        if ratio == 0.0:
            equal = place if equal is None else equal
            continue
        if before is not None and before[1] * ratio < 0:
            fraction = before[1] / (before[1] - ratio)
            at = before[0] * (place / before[0]) ** fraction if equal is None else equal
            found.append(Crossing(at, a, b) if ratio > 0 else Crossing(at, b, a))
        before, equal = (place, ratio), None
    return found


def solve_crossing(
    ratio: Callable[[int], float], low: int, high: int, tolerance: float = 1e-5
) -> float | None:
    """The size at which a rising ratio passes one, to a relative tolerance (Brent's method, in log-log).

    Args:
      ratio: of a whole size; above zero.
      low, high: where to look.

    Returns:
      None: it does not cross between ``low`` and ``high``.

    >>> round(solve_crossing(lambda n: n / 1000, 1, 10**6))
    1000
    """
    from scipy.optimize import brentq

    known: dict[int, float] = {}

    def log_ratio(log_size: float) -> float:
        size = round(math.exp(log_size))
        if size not in known:
            known[size] = math.log(ratio(size))
        return known[size]

    ends = math.log(low), math.log(high)
    if log_ratio(ends[0]) >= 0 or log_ratio(ends[1]) < 0:
        return None
    return math.exp(brentq(log_ratio, *ends, xtol=tolerance))
