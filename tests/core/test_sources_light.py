"""Light and detectors against closed forms: leak, dark current, laser, receiver, counts.

The closed forms are written out here anew, from the counts on each detector.
"""

import numpy as np
import pytest
from closed_forms import (
    ANALOG,
    CHARGE_C,
    CLOSE,
    ENCODINGS,
    SAMPLES,
    counts_of,
    estimate_of,
    leak_of,
    outputs,
)
from scipy import stats

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


@pytest.mark.parametrize("K", [6, 48])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_leaking_rails_shift_nothing_and_add_shot_noise(encoding, K):
    core = ANALOG.replace(encoding=encoding, photons=1.0, input={"extinction_db": 10.0})
    a, b = operands(K, size=0.3)
    for seed, (m, extinction) in enumerate([(20.0, 3.0), (500.0, 6.0), (2.0, 10.0), (1e4, 20.0)]):
        h = leak_of(extinction)
        counts = counts_of(encoding, a, b, m, h)
        p = (a[:, None] * b).sum(0)
        np.testing.assert_allclose(estimate_of(encoding, counts, a, b, m, h), p, atol=1e-9)
        found = outputs(core.replace(photons=m, input={"extinction_db": extinction}), a, b, seed)
        assert_moments(found, p, np.diag(shot(encoding, a, b, m, h)))


def test_the_rank_one_estimate_leaks_alike():
    """Weights of one magnitude: the estimate is exact."""
    a, b = operands(48)
    b = np.sign(b)
    core = ANALOG.replace(photons=30.0, encoding={"shot_estimate": "rank_one"})
    for seed, extinction in enumerate((3.0, 6.0, 10.0, 20.0)):
        variance = shot("differential", a, b, 30.0, leak_of(extinction))
        found = outputs(core.replace(input={"extinction_db": extinction}), a, b, seed)
        assert_moments(found, (a[:, None] * b).sum(0), np.diag(variance))


@pytest.mark.parametrize("encoding", [*ENCODINGS, "quadrature"])
def test_laser_noise_goes_with_all_light_of_a_symbol(encoding):
    """Common to the columns of a tile; independent between column tiles, k-tiles and tokens. On one rail
    the biases and the leak are light too; balanced detectors see the fluctuation of the difference."""
    K, rows, cols = 13, 8, 3
    core = ANALOG.replace(encoding=encoding, rows=rows, cols=cols, input={"extinction_db": 10.0})
    a, b = operands(K, N=7)
    columns = np.arange(7) // cols
    for seed, (rin, rate, extinction) in enumerate(
        [(-120.0, 1e9, 100.0), (-130.0, 1e10, 10.0), (-110.0, 1e8, 6.0), (-140.0, 5e9, 20.0)]
    ):
        c = 1 + 2 * leak_of(extinction) if encoding == "offset" else 0.0
        light = (a[:, None] + c) * (b + c)
        tiles = [light[k : k + rows].sum(0) for k in range(0, K, rows)]
        expected = 10 ** (rin / 10) * rate / 2 * sum(np.outer(t, t) for t in tiles)
        expected = expected * (columns[:, None] == columns)
        fields = dict(
            source={"rin_db_hz": rin}, symbol_rate_hz=rate, input={"extinction_db": extinction}
        )
        found = outputs(core.replace(**fields), a, b, seed)
        p = (a[:, None] * b).sum(0)
        assert_moments(found, p, expected)
        error = (found - p) / np.sqrt(np.diag(expected))
        following = error[1:].T @ error[:-1] / len(error)
        assert np.abs(following).max() < 5 / np.sqrt(SAMPLES)


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


@pytest.mark.parametrize("mean", [1.0, 4.0, 16.0, 100.0, 1e4])
def test_counts_and_their_gaussian_limit_part_by_the_distance_of_their_laws(mean):
    """Kolmogorov-Smirnov distance of samples against that of Poisson and normal laws: 0.26 at a mean of 1
    (mostly the step at 1), 0.004 at 1e4. A sample's own distance is below 1.95/sqrt(n) with probability
    0.999."""
    core = ANALOG.replace(photons=mean / 2)
    exact, limit = (
        outputs(core.replace(encoding={"photon_statistics": s}), np.ones(2), np.ones((2, 1)))[:, 0]
        for s in ("poisson", "gaussian")
    )
    counts = np.arange(stats.poisson(mean).isf(1e-12))
    law, bell = stats.poisson(mean), stats.norm(mean, np.sqrt(mean))
    apart = max(
        np.abs(law.cdf(counts) - bell.cdf(counts)).max(),
        np.abs(law.cdf(counts - 1) - bell.cdf(counts)).max(),
    )
    found = stats.ks_2samp(np.round(exact * mean / 2), limit * mean / 2).statistic
    print(f"mean count {mean:g}: distance {found:.4f}, of the laws {apart:.4f}")
    assert abs(found - apart) < 2 * 1.95 / np.sqrt(SAMPLES)
    assert stats.kstest(limit * mean / 2, bell.cdf).pvalue > 1e-3
    assert (apart > 0.01) == (mean < 1e3)
