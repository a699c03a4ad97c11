"""Intervals against closed forms, and how often they hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from photonjax.evaluation import crossed_interval, mean_interval, ratio_percent


def test_two_values_by_hand():
    """Student's t for one degree of freedom is Cauchy: its 97.5 % quantile is tan(0.475 pi)."""
    value, low, high = mean_interval([1.0, 3.0])
    half = math.tan(0.475 * math.pi) * math.sqrt(2) / math.sqrt(2)
    assert (value, low, high) == pytest.approx((2.0, 2 - half, 2 + half))


def test_it_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = rng.normal(3.0, 2.0, (4000, 5))
    for confidence in (0.5, 0.9):
        held = [i.low <= 3.0 <= i.high for i in (mean_interval(d, confidence) for d in draws)]
        spread = math.sqrt(confidence * (1 - confidence) / len(draws))
        assert np.mean(held) == pytest.approx(confidence, abs=4 * spread)


def test_one_value_has_no_interval_and_infinity_none_either():
    assert mean_interval([2.0])[1:] == (None, None)
    assert mean_interval([1.0, math.inf])[1:] == (None, None)


def test_a_ratio_of_perplexities_is_the_exponential_of_a_mean():
    logs = [0.1, 0.3]
    value, low, high = ratio_percent(logs)
    plain = mean_interval(logs)
    for ours, log in zip((value, low, high), plain, strict=True):
        assert ours == pytest.approx(100 * (math.exp(log) - 1))
    assert ratio_percent([1e4, 1e4]).value == math.inf


def crossed(rng, windows, dies, draws, of_windows, of_dies, of_both, of_noise):
    """Values ``[windows, dies, draws]`` of mean zero, with these standard deviations of their parts."""
    return (
        of_windows * rng.normal(size=(windows, 1, 1))
        + of_dies * rng.normal(size=(1, dies, 1))
        + of_both * rng.normal(size=(windows, dies, 1))
        + of_noise * rng.normal(size=(windows, dies, draws))
    )


@pytest.mark.parametrize(
    ("shape", "spread", "windows_hold"),
    [
        ((6, 4, 1), (1.0, 0.0, 0.0, 1.0), 0.95),  # dies are all alike
        ((6, 3, 2), (1.0, 1.0, 0.3, 0.5), 0.81),
        ((6, 4, 2), (0.3, 1.0, 0.1, 0.3), 0.48),
        ((20, 5, 1), (0.05, 1.0, 0.1, 0.1), 0.06),  # they are all that differs
    ],
)
def test_it_covers_windows_dies_and_noise(shape, spread, windows_hold):
    """95 % of intervals hold the mean of all windows and dies; those of windows alone do not."""
    rng = np.random.default_rng(1)
    held = np.zeros(2)
    for _ in range(trials := 1500):
        values = crossed(rng, *shape, *spread)
        both, windows = crossed_interval(values), mean_interval(values.mean((1, 2)))
        assert both.value == pytest.approx(windows.value)
        held += [i.low <= 0 <= i.high for i in (both, windows)]
    assert 0.93 <= held[0] / trials <= 0.975
    assert held[1] / trials == pytest.approx(windows_hold, abs=0.04)


def test_two_dies_are_few():
    rng = np.random.default_rng(2)
    found = [crossed_interval(crossed(rng, 6, 2, 1, 0.3, 1.0, 0.1, 0.3)) for _ in range(1500)]
    assert 0.89 <= np.mean([i.low <= 0 <= i.high for i in found]) <= 0.97


def test_one_die_or_one_window_is_students_interval():
    values = np.arange(12.0).reshape(6, 1, 2) ** 2
    assert crossed_interval(values) == pytest.approx(mean_interval(values.mean((1, 2))))
    assert crossed_interval(values.reshape(1, 6, 2)) == pytest.approx(
        mean_interval(values.mean((1, 2)))
    )
    assert crossed_interval([[[1.0, 3.0]]]) == (2.0, None, None)
    assert crossed_interval(np.full((2, 2, 1), math.inf)) == (math.inf, None, None)
    with pytest.raises(ValueError, match=r"values: \(2,\) is not \[windows, dies, draws\]"):
        crossed_interval([1.0, 2.0])


def test_two_windows_on_two_dies_by_hand():
    """The windows' means are 3 and 5, the dies' 3.5 and 4.5, and no rest: mean squares 4, 1 and 0."""
    from scipy.stats import t

    value, low, high = crossed_interval([[[2.5], [3.5]], [[4.5], [5.5]]])
    half = t.ppf(0.975, (4 + 1) ** 2 / (4**2 + 1**2)) * math.sqrt((4 + 1) / 4)
    assert (value, low, high) == pytest.approx((4.0, 4 - half, 4 + half))


def test_changes_in_percent_over_dies():
    logs = np.array([[[0.1], [0.2]], [[0.3], [0.5]]])
    for ours, log in zip(ratio_percent(logs), crossed_interval(logs), strict=True):
        assert ours == pytest.approx(100 * math.expm1(log))


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, math.nan])
def test_confidence_is_a_fraction(confidence):
    with pytest.raises(ValueError, match="confidence = .* is not a number above 0 and below 1"):
        mean_interval([1.0, 2.0], confidence)
