"""Leaking rails and counted photons against closed forms, written out from the counts on each detector."""

import numpy as np
import pytest
from closed_forms import (
    ANALOG,
    ENCODINGS,
    SAMPLES,
    assert_moments,
    counts_of,
    estimate_of,
    leak_of,
    operands,
    outputs,
    shot,
)
from scipy import stats

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


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
