"""Intervals against closed forms, and how often they hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from photonjax.evaluation import mean_interval, ratio_percent


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


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, math.nan])
def test_confidence_is_a_fraction(confidence):
    with pytest.raises(ValueError, match="confidence: .* is not between 0 and 1"):
        mean_interval([1.0, 2.0], confidence)
