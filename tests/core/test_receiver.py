"""Detectors and amplifiers against closed forms: dark current, thermal noise."""

import numpy as np
import pytest
from closed_forms import (
    ANALOG,
    CHARGE_C,
    CLOSE,
    ENCODINGS,
    counts_of,
    outputs,
)

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


def operands(K, N=3, size=1.0, seed=0):
    """A token and a matrix of full scale 1, all but one element of each column within ``size``."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-size, size, K), rng.uniform(-1, 1, (K, N))
    a[0], b[0] = 1, (-1) ** np.arange(N)
    return a, b


def assert_moments(found, mean, covariance):
    """Sample means and normalised covariances within five standard errors."""
    sigma = np.sqrt(np.diag(covariance))
    assert (np.abs(found.mean(0) - mean) < 5 * sigma / np.sqrt(len(found)) + 1e-5).all()
    scale = np.outer(sigma, sigma)
    np.testing.assert_allclose(np.cov(found.T) / scale, covariance / scale, atol=CLOSE)


def shot(encoding, a, b, m, h=0.0):
    gain = 4 if encoding == "offset" else 1
    return gain**2 * counts_of(encoding, a, b, m, h).sum(0) / m**2


@pytest.mark.parametrize("statistics", ["gaussian", "poisson"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_dark_current(encoding, statistics):
    """I tau / e electrons a detector, counted and subtracted; here most of the variance."""
    core = ANALOG.replace(encoding=encoding, photons=1.0, receiver={"dark_current_a": 0.0})
    core = core.replace(encoding={"photon_statistics": statistics})
    a, b = operands(6, size=0.05)
    for seed, (m, dark, rate) in enumerate(
        [(0.5, 2e-8, 1e9), (3.0, 8e-9, 1e8), (40.0, 2e-6, 2e9), (1e3, 3e-4, 1e10)]
    ):
        fields = dict(photons=m, receiver={"dark_current_a": dark}, symbol_rate_hz=rate)
        electrons = dark / rate / CHARGE_C
        detectors, gain = {"offset": (1, 4)}.get(encoding, (2, 1))
        of_dark = detectors * gain**2 * electrons / m**2
        variance = shot(encoding, a, b, m) + of_dark
        assert (of_dark > 0.6 * variance).all()  # a wrong dark variance is seen
        found = outputs(core.replace(**fields), a, b, seed)
        assert_moments(found, (a[:, None] * b).sum(0), np.diag(variance))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_receiver_noise(encoding):
    """Charge of variance i_n**2 tau / 2 on every detector, outputs independent."""
    core = ANALOG.replace(encoding=encoding, photons=1.0)
    a, b = operands(6)
    for seed, (current, m, rate) in enumerate(
        [(5e-12, 100.0, 1e9), (1e-12, 20.0, 1e8), (2e-11, 1e3, 1e10), (1e-11, 3.0, 3e9)]
    ):
        fields = dict(receiver={"noise_a_per_rthz": current}, photons=m, symbol_rate_hz=rate)
        electrons_squared = (current / CHARGE_C) ** 2 / rate / 2
        detectors, gain = {"offset": (1, 4)}.get(encoding, (2, 1))
        variance = detectors * gain**2 * electrons_squared / m**2 + shot(encoding, a, b, m)
        found = outputs(core.replace(**fields), a, b, seed)
        assert_moments(found, (a[:, None] * b).sum(0), np.diag(variance))
