"""Exponents, local exponents and crossovers of quantities that depend on a size.

An exponent is a slope in log-log. Where a quantity is a sum of powers no single exponent is right: the
local ones, between neighbours, show how it bends. The quantities come from traced programs
(:func:`sweep`), never from formulas.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from experiments.photons import fan_in
from experiments.scaling.rows import (
    COMPONENT,
    Machines,
    Row,
    matrix_program,
    model_program,
    sweep,
    switched,
)

__all__ = [
    "COMPONENT",
    "Crossing",
    "Machines",
    "Row",
    "component_columns",
    "crossings",
    "exponents",
    "fit_exponent",
    "local_exponents",
    "matrix_program",
    "model_program",
    "overtakings",
    "solve_crossing",
    "sweep",
    "switched",
]


def fit_exponent(x: Iterable[float], y: Iterable[float]) -> fan_in.Slope:
    """Least-squares exponent of ``y ~ x**slope``, its standard error (None below three points), points.

    Raises:
      ValueError: fewer than two different x, or something that has no logarithm.

    Example:
      >>> fit_exponent([1, 2, 4], [3.0, 12.0, 48.0])
      Slope(value=2.0, error=0.0, points=3)
    """
    xs, ys = _points(x, y)
    slope = fan_in.fit_slope(xs, ys)
    return slope if slope.error is None else slope._replace(error=round(slope.error, 12))


def local_exponents(x: Iterable[float], y: Iterable[float]) -> list[float]:
    """The exponent between each two neighbours, in order of x.

    >>> [round(e, 3) for e in local_exponents([1, 10, 100], [2.0, 11.0, 101.0])]
    [0.74, 0.963]
    """
    xs, ys = _points(x, y)
    points = sorted(zip(xs, ys, strict=True))
    return [
        round(math.log(y1 / y0) / math.log(x1 / x0), 12)
        for (x0, y0), (x1, y1) in itertools.pairwise(points)
    ]


def exponents(rows: Sequence[Row], columns: Iterable[str], x: str = "value") -> list[Row]:
    """One row for each column that is above zero everywhere: the fit, and the local exponents at both ends.

    >>> rows = [{"value": n, "a": float(n * n), "b": 0.0} for n in (1, 2, 4)]
    >>> exponents(rows, ["a", "b"])[0]["exponent"], len(exponents(rows, ["a", "b"]))
    (2.0, 1)
    """
    found = []
    for name in columns:
        values = [row[name] for row in rows]
        if not all(v is not None and 0 < v < math.inf for v in values):
            continue
        sizes = [row[x] for row in rows]
        slope, local = fit_exponent(sizes, values), local_exponents(sizes, values)
        ends = {"first": local[0], "last": local[-1]}
        fit = {"exponent": slope.value, "error": slope.error, "points": slope.points}
        over = {"over": rows[0]["over"]} if "over" in rows[0] else {}
        found.append({**over, "quantity": name, **fit, **ends})
    return found


def _points(x: Iterable[float], y: Iterable[float]) -> tuple[list[float], list[float]]:
    xs, ys = [float(v) for v in x], [float(v) for v in y]
    if len(xs) != len(ys) or len(set(xs)) != len(xs) or len(xs) < 2:
        raise ValueError(
            f"exponent: needs two different x or more, each with a y; x = {xs}, y = {ys}"
        )
    for value in (*xs, *ys):
        if not 0 < value < math.inf:
            raise ValueError(f"exponent: {value} has no finite logarithm")
    return xs, ys


# Crossovers --------------------------------------------------------------------------------------


class Crossing(NamedTuple):
    """``over`` overtakes ``under`` at ``at``."""

    at: float
    over: str
    under: str


def crossings(rows: Sequence[Row], a: str, b: str, x: str = "value") -> list[Crossing]:
    """Where one column overtakes another, interpolated in log-log between neighbouring rows.

    >>> rows = [{"value": n, "a": float(n * n), "b": 8.0 * n} for n in (1, 4, 16)]
    >>> [(round(c.at, 6), c.over) for c in crossings(rows, "a", "b")]
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
            share = before[1] / (before[1] - ratio)
            at = before[0] * (place / before[0]) ** share if equal is None else equal
            found.append(Crossing(at, a, b) if ratio > 0 else Crossing(at, b, a))
        before, equal = (place, ratio), None
    return found


def overtakings(rows: Sequence[Row], share: float = 0.02, x: str = "value") -> list[Crossing]:
    """Crossings among components of the light's bill, where both are at least ``share`` of it."""
    names = component_columns(rows)
    found = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            for c in crossings(rows, a, b, x):
                near = min(rows, key=lambda row: abs(math.log(row[x] / c.at)))
                if min(near[a], near[b]) >= share * near["light_j"]:
                    found.append(Crossing(c.at, *(n.removeprefix(COMPONENT) for n in c[1:])))
    return sorted(found)


def component_columns(rows: Sequence[Row]) -> list[str]:
    """Columns of the light's components that are above zero somewhere, largest share first."""
    names = [k for k in rows[0] if k.startswith(COMPONENT)]
    most = {k: max(row[k] / row["light_j"] for row in rows if row["light_j"]) for k in names}
    return sorted((k for k in names if most[k] > 0), key=lambda k: -most[k])


def solve_crossing(
    f: Callable[[int], float], low: int, high: int, tolerance: float = 1e-3
) -> float | None:
    """The size at which a rising ratio f passes one, to a relative tolerance.

    f is interpolated as a power law between the ends of a bracket, and traced where that passes one, until
    the place does not move any more.

    Returns:
      None: it does not cross between ``low`` and ``high``.

    >>> solve_crossing(lambda n: n / 1000, 1, 10**6)
    1000.0
    """
    known = {low: f(low), high: f(high)}
    if not 0 < known[low] < 1 <= known[high]:
        return None
    place = 0.0
    while True:
        before, after = math.log(known[low]), math.log(known[high])
        last, place = place, low * (high / low) ** (before / (before - after))
        middle = round(place)
        if abs(place - last) <= tolerance * place or middle in known:
            return round(place, 6)
        known[middle] = f(middle)
        low, high = (low, middle) if known[middle] >= 1 else (middle, high)
