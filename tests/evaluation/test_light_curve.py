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
        curve = LightCurve(None, windows, noise_seeds=3, rounded=rounded, known=known)
        expected = 0.04 + (linear.mean() * 1e3**-0.5 if rounded else 0.0)
        assert curve.rise(1e3) == pytest.approx(expected, rel=1e-9)
        one = curve.rise(1e3, seeds=[1], windows=[0])
        assert one == pytest.approx(0.04 + (linear[1, 0] * 1e3**-0.5 if rounded else 0.0))
    assert abs(linear.mean()) * 1e3**-0.5 > 1e-3  # there was something to remove
