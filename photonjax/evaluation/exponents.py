"""Exponents: how a quantity grows with a size.

An exponent is a slope in log-log. Where a quantity is a sum of powers no single one is right: the local
exponents, between neighbours, show how it bends. The quantities are meant to come from traced programs
(:mod:`photonjax.evaluation.sweeps`) or from measurements, never from formulas.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Exponent",
    "exponent_table",
    "fit_exponent",
    "local_exponents",
    "mean_exponent",
]


class Exponent(NamedTuple):
    """An exponent with its standard error (None: too few points), and how many points it rests on."""

    value: float
    error: float | None
    points: int


def fit_exponent(x: Iterable[float], y: Iterable[float]) -> Exponent:
    """Least-squares exponent of ``y ~ x**exponent``, and its standard error (None below three points).

    Raises:
      ValueError: fewer than two different x, or something that has no logarithm.

    Example:
      >>> fit_exponent([1, 2, 4], [3.0, 12.0, 48.0])
      Exponent(value=2.0, error=0.0, points=3)
    """
    xs, ys = _points(x, y)
    logs = np.log(xs), np.log(ys)
    if len(xs) < 3:
        return Exponent(_rounded(np.polyfit(*logs, 1)[0]), None, len(xs))
    # Not scipy.stats.linregress: it has the error from 1 - r**2, which is not a number for a constant.
    (slope, _), covariance = np.polyfit(*logs, 1, cov=True)
    return Exponent(_rounded(slope), _rounded(np.sqrt(covariance[0, 0])), len(xs))


def mean_exponent(exponents: Iterable[Exponent]) -> Exponent:
    """The mean of independent fits; its standard error comes from their spread.

    >>> mean_exponent([Exponent(0.9, None, 2), Exponent(1.1, None, 2)])
    Exponent(value=1.0, error=0.1, points=2)
    """
    values = np.asarray([e.value for e in exponents])
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else None
    return Exponent(float(values.mean()), error, values.size)


def local_exponents(x: Iterable[float], y: Iterable[float]) -> list[float]:
    """The exponent between each two neighbours, in order of x.

    Raises:
      ValueError: fewer than two x, the same x twice, or something that has no logarithm.

    >>> [round(e, 3) for e in local_exponents([1, 10, 100], [2.0, 11.0, 101.0])]
    [0.74, 0.963]
    """
    points = sorted(zip(*_points(x, y), strict=True))
    if any(x0 == x1 for (x0, _), (x1, _) in itertools.pairwise(points)):
        raise ValueError(
            f"exponent: the same x twice has none between them; x = {[p[0] for p in points]}"
        )
    return [
        round(math.log(y1 / y0) / math.log(x1 / x0), 12)
        for (x0, y0), (x1, y1) in itertools.pairwise(points)
    ]


def exponent_table(
    rows: Sequence[Mapping[str, Any]], columns: Iterable[str], x: str = "value"
) -> list[dict[str, Any]]:
    """One row for each column that is above zero everywhere: the fit, and the local exponents at both ends.

    Args:
      rows: one for each size.
      columns: names of the quantities.
      x: name of the size.

    >>> rows = [{"n": n, "a": float(n * n), "b": 0.0} for n in (1, 2, 4)]
    >>> table = exponent_table(rows, ["a", "b"], x="n")
    >>> table[0]["quantity"], table[0]["exponent"], len(table)
    ('a', 2.0, 1)
    """
    found = []
    for name in columns:
        values = [row[name] for row in rows]
        if not all(v is not None and 0 < v < math.inf for v in values):
            continue
        sizes = [row[x] for row in rows]
        fit, local = fit_exponent(sizes, values), local_exponents(sizes, values)
        found.append(
            {
                "quantity": name,
                "exponent": fit.value,
                "error": fit.error,
                "points": fit.points,
                "first": local[0],
                "last": local[-1],
            }
        )
    return found


def _rounded(value: Any) -> float:
    """To where float64 ends, so that what is exactly a power shows as one; without a negative zero."""
    return round(float(value), 12) + 0.0


def _points(x: Iterable[float], y: Iterable[float]) -> tuple[list[float], list[float]]:
    xs, ys = [float(v) for v in x], [float(v) for v in y]
    if len(xs) != len(ys) or len(set(xs)) < 2:
        raise ValueError(
            f"exponent: needs two different x or more, each with a y; x = {xs}, y = {ys}"
        )
    for value in (*xs, *ys):
        if not 0 < value < math.inf:
            raise ValueError(f"exponent: {value} has no finite logarithm")
    return xs, ys
