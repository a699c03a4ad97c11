"""How a machine errs: statistics of readings against what was expected, to put beside another machine's."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

CONFIDENCE = 1.96  # standard errors, 95 %
_GROUPS = 20  # of the jackknife


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number and its standard error; ``low`` and ``high`` are the ends of its 95 % interval.

    >>> print(Estimate(0.5, 0.01))
    0.5 (0.48 ... 0.52)
    """

    value: float
    error: float

    @property
    def low(self) -> float:
        return self.value - CONFIDENCE * self.error

    @property
    def high(self) -> float:
        return self.value + CONFIDENCE * self.error

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} ... {self.high:.3g})"


MEANINGS = {
    "gain": "mean over columns of the least-squares slope of readings against what was expected",
    "gain_spread": "its standard deviation over columns, relative",
    "offset_spread": "standard deviation of the columns' offsets",
    "residual": "root mean square of what a gain and an offset for each column leave",
    "residual_large_over_small": "the same where |expected| is in its upper eighth, over its lower eighth",
    "excess_kurtosis": "of the residuals of all columns together",
    "excess_kurtosis_own": "of residuals in units of their column's standard deviation",
    "column_correlation": "mean correlation of two columns' residuals",
    "common_fraction": "variance of a symbol's mean residual over a residual's (1 / columns if independent)",
    "residual_cycle": "residual, each place of the cycle with offsets of its own",
    "common_fraction_cycle": "common_fraction of those",
    "residual_fixed": "residual, a fixed linear map of the expected row taken out besides",
    "common_fraction_fixed": "common_fraction of those",
    "excess_kurtosis_fixed": "excess_kurtosis_own of those",
}
"""What each number of :func:`error_statistics` is; lengths are in the readings' unit."""


def error_statistics(
    expected: Any, observed: Any, *, cycle: int = 1, fixed_weight: bool = False
) -> dict[str, float]:
    """Gains, offsets, size, tails and correlation of readings' errors (:data:`MEANINGS`).

    Args:
      expected, observed: ``[T, N]`` symbols and columns, in one unit; NaN is left out.
      cycle: also with offsets of their own for each place in a cycle of this many symbols.
      fixed_weight: also without the part of the error that is a fixed linear map of the expected row
        (:mod:`photonjax.core.fit_likelihood`); degrees of freedom are accounted for.

    Example:
      >>> import numpy as np
      >>> rng = np.random.default_rng(0)
      >>> expected = rng.normal(size=(500, 8))
      >>> observed = 0.8 * expected + 0.1 * rng.normal(size=(500, 8))
      >>> found = error_statistics(expected, observed)
      >>> round(found["gain"], 1), round(found["residual"], 1)
      (0.8, 0.1)
    """
    e, y = np.asarray(expected, float), np.asarray(observed, float)
    there = np.isfinite(e) & np.isfinite(y)
    e, y = np.where(there, e, 0.0), np.where(there, y, 0.0)
    whole = np.zeros(len(e), int)
    gain, offset, rest = _lines(e, y, there, whole)
    found = {
        "gain": gain.mean(),
        "gain_spread": gain.std(ddof=1) / gain.mean(),
        "offset_spread": offset.std(ddof=1),
        "residual": _size(rest, there),
    }
    sizes = np.abs(e[there])
    low, high = np.quantile(sizes, (1 / 8, 7 / 8))
    parts = [there & (np.abs(e) >= high), there & (np.abs(e) <= low)]
    found["residual_large_over_small"] = _size(rest, parts[0]) / _size(rest, parts[1])
    found["excess_kurtosis"] = _kurtosis(rest[there])
    covariance = _covariance(rest, there)
    spread = np.sqrt(np.diag(covariance))
    found["excess_kurtosis_own"] = _kurtosis((rest / spread)[there])
    above = np.triu_indices(e.shape[1], 1)
    found["column_correlation"] = (covariance / np.outer(spread, spread))[above].mean()
    found["common_fraction"] = _common(covariance)
    places = np.arange(len(e)) % cycle
    if cycle > 1:
        _, _, rest = _lines(e, y, there, places)
        found["residual_cycle"] = _size(rest, there)
        found["common_fraction_cycle"] = _common(_covariance(rest, there))
    if fixed_weight:
        full = there.all(axis=1)
        known = np.concatenate([e, np.eye(cycle)[places]], axis=1)[full]
        rest = y[full] - known @ np.linalg.lstsq(known, y[full], rcond=None)[0]
        grown = np.sqrt(len(rest) / max(1, len(rest) - known.shape[1]))
        every = np.ones_like(rest, bool)
        found["residual_fixed"] = _size(rest, every) * grown
        found["common_fraction_fixed"] = _common(_covariance(rest, every))
        found["excess_kurtosis_fixed"] = _kurtosis((rest / rest.std(axis=0)).ravel())
    return {name: float(value) for name, value in found.items()}


def with_intervals(expected: Any, observed: Any, **options: Any) -> Mapping[str, Estimate]:
    """:func:`error_statistics` with standard errors: a jackknife that leaves out a twentieth of the symbols,
    in stretches, so that what neighbours share is not taken for independent.
    """
    expected, observed = np.asarray(expected, float), np.asarray(observed, float)
    value = error_statistics(expected, observed, **options)
    cycle = options.get("cycle", 1)
    edges = np.linspace(0, len(expected) // cycle, _GROUPS + 1).astype(int) * cycle
    left = []
    for first, last in itertools.pairwise(edges):
        kept = np.r_[0:first, last : len(expected)]
        left.append(error_statistics(expected[kept], observed[kept], **options))
    rows = np.array([[one[name] for name in value] for one in left])
    errors = np.sqrt((_GROUPS - 1) / _GROUPS * ((rows - rows.mean(axis=0)) ** 2).sum(axis=0))
    return {
        name: Estimate(value[name], float(error)) for name, error in zip(value, errors, strict=True)
    }


def _lines(
    e: np.ndarray, y: np.ndarray, there: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slopes ``[N]``, mean offsets ``[N]`` and residuals ``[T, N]`` of a line for each column."""
    groups = np.eye(places.max() + 1)[places]
    count = np.maximum(groups.T @ there, 1)
    means = [(groups.T @ (there * of)) / count for of in (e, y)]
    de, dy = (there * (of - groups @ mean) for of, mean in zip((e, y), means, strict=True))
    gain = (de * dy).sum(axis=0) / (de * de).sum(axis=0)
    return gain, (means[1] - gain * means[0]).mean(axis=0), dy - gain * de


def _size(rest: np.ndarray, there: np.ndarray) -> float:
    return float(np.sqrt((rest[there] ** 2).mean()))


def _kurtosis(values: np.ndarray) -> float:
    return float((values**4).mean() / (values**2).mean() ** 2 - 3)


def _covariance(rest: np.ndarray, there: np.ndarray) -> np.ndarray:
    together = there.astype(float)
    return (rest.T @ rest) / np.maximum(together.T @ together, 1)


def _common(covariance: np.ndarray) -> float:
    return float(covariance.mean() / np.diag(covariance).mean())
