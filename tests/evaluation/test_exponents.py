"""Exponents against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from photonjax.evaluation.exponents import (
    Exponent,
    exponent_table,
    fit_exponent,
    local_exponents,
    mean_exponent,
)


def test_a_power_law_is_found_exactly():
    x = [1, 3, 10, 50]
    assert fit_exponent(x, [7 * v**1.7 for v in x]) == (1.7, 0.0, 4)
    assert fit_exponent(x, [5.0] * 4) == (0.0, 0.0, 4)
    assert local_exponents(x, [7 * v**1.7 for v in x]) == [1.7] * 3


def test_the_standard_error_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e3, 12)
    y = x**1.5 * np.exp(0.1 * rng.normal(size=12))
    design = np.stack([np.log(x), np.ones(12)], 1)
    fit, rest, *_ = np.linalg.lstsq(design, np.log(y))
    error = math.sqrt(rest[0] / 10 * np.linalg.inv(design.T @ design)[0, 0])
    slope = fit_exponent(x, y)
    assert slope.value == pytest.approx(fit[0], rel=1e-9)
    assert slope.error == pytest.approx(error, rel=1e-9)


def test_a_sum_of_powers_bends():
    x = [2.0**i for i in range(21)]
    local = local_exponents(x, [v + v**2 / 1e3 for v in x])
    assert local == sorted(local)
    assert local[0] == pytest.approx(1, abs=0.01)
    assert local[-1] == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(
    ("x", "y"), [([1], [1]), ([1, 1], [1, 2]), ([1, 2], [0, 1]), ([1, 2], [1, math.nan])]
)
def test_what_has_no_exponent_is_refused(x, y):
    with pytest.raises(ValueError, match="exponent: "):
        fit_exponent(x, y)


def test_columns_that_are_zero_somewhere_have_no_exponent():
    rows = [{"value": n, "a": n**2, "b": n - 1} for n in (1, 2, 4)]
    assert [r["quantity"] for r in exponent_table(rows, ["a", "b"])] == ["a"]


def test_two_points_have_an_exponent_without_an_error():
    assert fit_exponent([1, 10], [2.0, 0.2]) == (-1.0, None, 2)


def test_an_x_may_come_twice_in_a_fit_but_has_no_local_exponent():
    assert fit_exponent([1, 1, 2, 2], [1.0, 1.0, 8.0, 8.0]).value == 3.0
    with pytest.raises(ValueError, match="exponent: the same x twice"):
        local_exponents([1, 1, 2], [1.0, 1.0, 8.0])


def test_the_error_of_a_mean_is_that_of_its_spread():
    fits = [Exponent(v, None, 2) for v in (0.5, 0.7, 0.9)]
    assert mean_exponent(fits) == pytest.approx((0.7, 0.2 / math.sqrt(3), 3))
    assert mean_exponent(fits[:1]).error is None
