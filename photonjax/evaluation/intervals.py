"""Confidence intervals of means over windows of text, dies and draws of noise.

Windows are a sample of the text, and every window has noise of its own. Differences are taken window by
window, the optical model against the digital one on the same tokens: what makes a window easy or hard to
predict drops out, and with it most of the spread.

**One die.** With n values of mean m and standard deviation s, the interval is m ± t s / √n, where t is
Student's t for n - 1 degrees of freedom. It is exact for normal values; window means of hundreds of tokens
come close. It covers which windows were taken and how their noise fell, not what all of them share: the
die, its calibration, and the corpus.

**Several dies.** All W windows go through all D dies, with S draws of noise each, averaged into one value
y_wd = μ + a_w + b_d + e_wd: a window's part, a die's part, and the rest, which is how this window fares on
this die and the noise, σ_e² / S of it. The mean of all has the variance σ_a²/W + σ_b²/D + σ²/(WD), of
which an unbiased estimate is

    V = (M_w + M_d - M_e) / (W D),

with the mean squares of windows M_w = D Var(mean over dies), of dies M_d = W Var(mean over windows) and of
the rest M_e (Searle, Casella, McCulloch, Variance Components, 1992, chapter 4: E M_w = D σ_a² + σ²,
E M_d = W σ_b² + σ², E M_e = σ²). V is not normal's square: its degrees of freedom are Satterthwaite's
(Biometrics Bulletin 2, 110, 1946), V² / Σ (M_i / WD)² / f_i with f = W - 1, D - 1, (W - 1)(D - 1). Where
chance takes V below the variance that windows alone or dies alone account for, the larger of these stands
in. Of simulated 95 % intervals, 94 to 97 % hold the mean with three dies or more, and 91 to 97 % with two
(tests/evaluation/test_intervals.py); the windows' interval, which takes one die for all, holds as few as 10 %
where dies differ more than windows do. From one window, the interval is over its dies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from photonjax.core.limits import allowed

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """An estimate and the ends of its confidence interval; these are None from a single window."""

    value: float
    low: float | None
    high: float | None

    def within(self, least: float, most: float) -> Interval:
        """The interval's part between values that its quantity cannot leave: it holds the true one as often.

        >>> Interval(0.97, 0.56, 1.38).within(0.0, 1.0)
        Interval(value=0.97, low=0.56, high=1.0)
        """
        ends = (x if x is None else min(max(x, least), most) for x in (self.low, self.high))
        return Interval(self.value, *ends)  # type: ignore[arg-type]


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of independent values, with Student's interval.

    >>> mean_interval([1.0, 2.0, 3.0])
    Interval(value=2.0, low=-0.484..., high=4.484...)
    >>> mean_interval([1.0])
    Interval(value=1.0, low=None, high=None)
    """
    _check(confidence)
    mean, n = float(np.mean(values)), len(values)
    if n < 2 or not math.isfinite(mean):
        return Interval(mean, None, None)
    return _student(mean, float(np.std(values, ddof=1)) / math.sqrt(n), n - 1, confidence)


def crossed_interval(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The mean of values ``[windows, dies, draws]``, with an interval over windows, dies and their noise.

    From one die this is :func:`mean_interval` of the windows' means; from one window, of the dies'.

    >>> crossed_interval([[[1.0], [1.2]], [[2.0], [2.2]], [[3.0], [3.2]]])
    Interval(value=2.1, low=-0.291..., high=4.491...)
    """
    _check(confidence)
    array = np.asarray(values, float)
    if array.ndim != 3 or not array.size:
        raise ValueError(f"values: {array.shape} is not [windows, dies, draws]")
    y = array.mean(2)
    windows, dies = y.shape
    if windows == 1 or dies == 1 or not np.isfinite(y).all():
        return mean_interval(y.ravel().tolist(), confidence)
    mean, of_windows, of_dies = y.mean(), y.mean(1), y.mean(0)
    rest = y - of_windows[:, None] - of_dies + mean
    # Parts of the mean's variance, and their degrees of freedom.
    free = np.array([windows - 1, dies - 1, (windows - 1) * (dies - 1)])
    parts = np.array(
        [
            of_windows.var(ddof=1) / windows,
            of_dies.var(ddof=1) / dies,
            -np.sum(rest**2) / free[2] / y.size,
        ]
    )
    variance, freedom = float(parts.sum()), 1.0
    if variance > 0:
        freedom = max(1.0, variance**2 / float(np.sum(parts**2 / free)))
    for part, degrees in zip(parts[:2], free[:2], strict=True):
        if part > variance:
            variance, freedom = float(part), float(degrees)
    return _student(float(mean), math.sqrt(variance), freedom, confidence)


def ratio_percent(log_ratios: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Change of perplexity in percent, from each window's difference of mean log-likelihood, or from
    those of all windows, dies and draws ``[windows, dies, draws]``.

    Perplexity is the exponential of a mean, so the interval is taken of the logarithm and is not
    symmetric.

    >>> [round(x, 2) for x in ratio_percent([0.01, 0.02, 0.03])]
    [2.02, -0.48, 4.59]
    """
    ratios = np.asarray(log_ratios, float)
    found = crossed_interval(ratios.reshape(len(ratios), *(ratios.shape[1:] or (1, 1))), confidence)
    return Interval(*(None if x is None else 100 * _expm1(x) for x in found))  # type: ignore[arg-type]


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(
            f"confidence = {confidence!r} is not {allowed('a number', above=0, below=1)}"
        )


def _student(mean: float, error: float, freedom: float, confidence: float) -> Interval:
    from scipy.stats import t

    half = float(t.ppf(0.5 + confidence / 2, freedom)) * error
    return Interval(mean, mean - half, mean + half)


def _expm1(x: float) -> float:
    return math.expm1(x) if x < 700 else math.inf
