"""Perplexity against light: the correction, in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from photonjax.evaluation.light_curve import LightCurve


def test_the_correction_removes_what_changes_sign():
    """Losses with a large random linear part in the noise: what is left is the quadratic part."""
    linear = np.random.default_rng(0).normal(size=(3, 2))
    for rounded in (False, True):
        known = {math.inf: np.full((1, 2), 30.0)}
        for light in (1e3, 1e8):
            sigma = light**-0.5
            known[light] = 30.0 + 10 * (linear * sigma + 40 * sigma**2)
        windows = np.zeros((2, 11), int)
        curve = LightCurve(None, windows, noise_seeds=3, corrected=not rounded, known=known)
        expected = 0.04 + (linear.mean() * 1e3**-0.5 if rounded else 0.0)
        assert curve.rise(1e3) == pytest.approx(expected, rel=1e-9)
        one = curve.rise(1e3, draws=[1], windows=[0])
        assert one == pytest.approx(0.04 + (linear[1, 0] * 1e3**-0.5 if rounded else 0.0))
    assert abs(linear.mean()) * 1e3**-0.5 > 1e-3  # there was something to remove


def test_dies_count_as_dies_and_each_against_itself_without_noise():
    """Two dies of other static losses, two draws each; the second needs twice the light of the first."""
    static = np.array([[30.0, 31.0], [45.0, 47.0]])
    known = {math.inf: static}
    for light in (250.0, 500.0, 1000.0, 2000.0):
        draws = [(1.0, 1.1), (2.0, 2.2)]
        known[light] = np.array(
            [s + 10 * n / light for s, d in zip(static, draws, strict=True) for n in d]
        )
    curve = LightCurve(
        [None, None], np.zeros((2, 11), int), noise_seeds=2, corrected=False, known=known
    )
    assert curve.rise(1000.0) == pytest.approx(1.575e-3)
    for light in (250.0, 500.0, 1000.0, 2000.0):
        curve.rise(light)
    target = 2e-3
    assert curve.crossing(target) == pytest.approx(1.575 / target)
    noise, text = curve.errors(target)
    assert noise == pytest.approx(math.log(2) / 2) and text == pytest.approx(0, abs=1e-9)
    low, high = curve.interval(target)
    assert low * high == pytest.approx(1) and math.log(high) == pytest.approx(
        12.7062 * math.log(2) / 2, rel=1e-4
    )  # Student's t of one degree of freedom
    one = {math.inf: static[:1, :1], 1000.0: known[1000.0][:1, :1]}
    alone = LightCurve(None, np.zeros((1, 11), int), corrected=False, known=one)
    alone.rise(1000.0)
    assert alone.interval(1e-3) == (None, None)  # one draw on one window says nothing of its spread
