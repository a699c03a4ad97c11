"""Confidence intervals of means over windows of text.

Windows are a sample of the text, and every window has noise of its own. So an interval over them covers
which windows were taken and how their noise fell, not what all of them share: the die, its calibration,
and the corpus. Differences are taken window by window, the optical model against the digital one on the
same tokens: what makes a window easy or hard to predict drops out, and with it most of the spread.

With n values of mean m and standard deviation s, the interval is m ± t s / √n, where t is Student's t for
n - 1 degrees of freedom. It is exact for normal values; window means of hundreds of tokens come close.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """An estimate and the ends of its confidence interval; these are None from a single window."""

    value: float
    low: float | None
    high: float | None


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of independent values, with Student's interval.

    >>> mean_interval([1.0, 2.0, 3.0])
    Interval(value=2.0, low=-0.484..., high=4.484...)
    >>> mean_interval([1.0])
    Interval(value=1.0, low=None, high=None)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: {confidence!r} is not between 0 and 1")
    mean, n = float(np.mean(values)), len(values)
    if n < 2 or not math.isfinite(mean):
        return Interval(mean, None, None)
    from scipy.stats import t

    half = t.ppf(0.5 + confidence / 2, n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, float(mean - half), float(mean + half))


def ratio_percent(log_ratios: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Change of perplexity in percent, from each window's difference of mean log-likelihood.

    Perplexity is the exponential of a mean, so the interval is taken of the logarithm and is not
    symmetric.

    >>> [round(x, 2) for x in ratio_percent([0.01, 0.02, 0.03])]
    [2.02, -0.48, 4.59]
    """
    return Interval(
        *(None if x is None else 100 * _expm1(x) for x in mean_interval(log_ratios, confidence))  # type: ignore[arg-type]
    )


def _expm1(x: float) -> float:
    return math.expm1(x) if x < 700 else math.inf
