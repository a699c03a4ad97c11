"""Exact photon counting: the Poisson law itself, its Gaussian limit, and where the two part."""

import jax
import numpy as np
import pytest
from scipy import stats

import photonjax as pj

pytestmark = pytest.mark.slow  # minutes together: on one Python

NUMBERS = (((1,), (0,)), ((), ()))
SAMPLES = 40_000
CORE = pj.OpticalCore(
    rows=8,
    cols=8,
    input={"bits": None},
    array={"bits": None},
    adc={"bits": None},
    encoding={"shot_estimate": "exact"},
)


@jax.jit
def product(core, x, w, key):
    return pj.optical_dot_general(x, w, NUMBERS, core=core, key=key)


def outputs(a, b, seed=1, **fields):
    core = CORE.replace(**fields)
    x = np.repeat(np.asarray(a, np.float32)[None], SAMPLES, 0)
    w = np.asarray(b, np.float32)[:, None]
    return np.asarray(product(core, x, w, jax.random.key(seed)), np.float64)[:, 0]


@pytest.mark.parametrize("encoding", ["differential", "offset", "homodyne"])
def test_counts_follow_the_poisson_law(encoding):
    """Full-scale operands: all light on one detector, so the output is a count in known units."""
    m, K = 1.5, 3
    y = outputs(
        np.ones(K),
        np.ones(K),
        photons=m,
        encoding={"photon_statistics": "poisson", "kind": encoding},
    )
    counts = y * m if encoding != "offset" else (y + 3 * K) * m / 4  # p + K + sum a + sum b = 4N/m
    assert np.abs(counts - counts.round()).max() < 1e-3  # float32 of numbers below 30
    counts = counts.round().astype(int)
    top = 13  # expected number beyond: 5e-4 of the samples, 21 of them
    seen = np.bincount(np.minimum(counts, top), minlength=top + 1)
    law = stats.poisson(m * K)
    expected = SAMPLES * np.append(law.pmf(range(top)), law.sf(top - 1))
    assert stats.chisquare(seen, expected).pvalue > 1e-4


def test_difference_of_counts_follows_the_skellam_law():
    m = 2.0
    y = outputs([1, 1, -1], [1, 1, 1], photons=m, encoding={"photon_statistics": "poisson"})
    law = stats.skellam(2 * m, m)
    values = np.arange(-6, 13)
    seen = np.array([(np.round(y * m) == v).sum() for v in values])
    expected = SAMPLES * law.pmf(values)
    few = expected < 8
    seen, expected = np.append(seen[~few], SAMPLES - seen[~few].sum()), expected[~few]
    expected = np.append(expected, SAMPLES - expected.sum())
    assert stats.chisquare(seen, expected).pvalue > 1e-4


@pytest.mark.parametrize("encoding", ["differential", "offset", "homodyne"])
def test_many_photons_are_gaussian(encoding):
    a, b = [1, -0.5, 0.25, 0.8], [0.9, 1, -0.7, 0.3]
    exact = outputs(a, b, photons=1e6, encoding={"photon_statistics": "poisson", "kind": encoding})
    limit = outputs(a, b, photons=1e6, encoding=encoding)
    # Sample variances scatter by sqrt(2/40,000) = 0.7 % each, means by sigma/200.
    assert abs(exact.var() / limit.var() - 1) < 0.05
    assert abs(exact.mean() - limit.mean()) < 5 * np.sqrt(2) * limit.std() / np.sqrt(SAMPLES)
    assert stats.ks_2samp(exact, limit).pvalue > 1e-3


def test_few_photons_are_not():
    """Same mean and variance, but a Poisson count is skewed by 1/sqrt(N); a normal not at all."""
    for m in (0.5, 2.0, 8.0):
        exact = outputs([1, 1], [1, 1], photons=m, encoding={"photon_statistics": "poisson"})
        limit = outputs([1, 1], [1, 1], photons=m)
        assert abs(exact.var() / limit.var() - 1) < 0.05
        skew = stats.skew(exact)
        # The skewness of 40,000 normal draws scatters by sqrt(6/n) = 0.012, of Poisson ones by more.
        assert abs(skew * np.sqrt(2 * m) - 1) < 0.15
        assert abs(stats.skew(limit)) < 0.06
        assert (exact >= 0).all() and ((limit < 0).mean() > stats.norm.cdf(-np.sqrt(2 * m)) / 2)


@pytest.mark.parametrize("m", [1e5, 3e6, 1e9])
def test_large_counts(m):
    """Up to 8e9 electrons on one detector: more than an int32 counts, and far more than float32
    arithmetic can accept or reject one by one (jax.random.poisson is wrong from 2**22 on)."""
    y = outputs(np.ones(8), np.ones(8), photons=m, encoding={"photon_statistics": "poisson"})
    sigma = np.sqrt(8 / m)  # at least 9e-5, where float32 resolves 8 to 1e-6
    assert abs(y.mean() - 8) < 5 * sigma / np.sqrt(SAMPLES) + 1e-6
    assert abs(y.std() / sigma - 1) < 0.05 and abs(stats.skew(y)) < 0.06
