"""Detectors that can be full, against counts cut off one detector at a time."""

import numpy as np
import pytest
from closed_forms import (
    ANALOG,
    CHARGE_C,
    CLOSE,
    ENCODINGS,
    NUMBERS,
    SAMPLES,
    counts_of,
    estimate_of,
    leak_of,
    outputs,
)
from scipy import stats

import photonjax as pj

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


def assert_drawn_from(found, values, law, resolution):
    """Mean and variance within five standard errors of those of ``values`` of probabilities ``law``."""
    mean = (law * values).sum()
    variance, fourth = ((law * (values - mean) ** power).sum() for power in (2, 4))
    assert abs(found.mean() - mean) < 5 * np.sqrt(variance / found.size) + resolution
    error = 5 * np.sqrt((fourth - variance**2) / found.size)
    assert abs(found.var() - variance) <= error + resolution * np.sqrt(variance)


@pytest.mark.parametrize("extinction, dark", [(100.0, 0.0), (8.0, 0.0), (15.0, 60.0)])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_detector_holds_so_many_electrons(encoding, extinction, dark):
    """Without noise: each detector's mean count, dark ones too, cut off, decoded as if it were whole."""
    m, h = 50.0, leak_of(extinction)
    core = ANALOG.replace(encoding=encoding, photons=m, input={"extinction_db": extinction})
    core = core.replace(receiver={"dark_current_a": dark * CHARGE_C * 1e9})
    rng = np.random.default_rng(3)
    x, b = rng.uniform(-1, 1, (40, 12)), rng.uniform(-1, 1, (12, 5))
    x[:, 0], b[0] = 1, -1
    counts = np.stack([counts_of(encoding, a, b, m, h) for a in x], 1)  # [detectors, T, N]
    for share in (0.1, 0.4, 0.7, 0.95, 1.01):
        most = share * (counts.max() + dark)
        full = core.replace(receiver={"saturation_electrons": most})
        found = pj.optical_dot_general(x.astype("f4"), b.astype("f4"), NUMBERS, core=full, key=None)
        held = np.minimum(counts + dark, most) - dark
        expected = np.stack(
            [estimate_of(encoding, held[:, t], x[t], b, m, h) for t in range(len(x))]
        )
        np.testing.assert_allclose(found, expected, atol=2e-5)
        assert share < 1 or np.allclose(expected, x @ b)  # enough room: nothing happens


def test_what_a_detector_holds_does_not_hang_on_the_estimate_of_its_noise():
    """Magnitudes that go together: half the light is in one product, all of it on one detector."""
    a = np.append(1, np.full(15, 0.03))
    b, m = a[:, None], 50.0
    counts = counts_of("differential", a, b, m)
    most = 0.6 * counts.max()
    core = ANALOG.replace(photons=m, receiver={"saturation_electrons": most})
    for estimate in ("exact", "rank_one"):
        core = core.replace(encoding={"shot_estimate": estimate})
        x, w = a[None].astype("f4"), b.astype("f4")
        found = pj.optical_dot_general(x, w, NUMBERS, core=core, key=None)
        np.testing.assert_allclose(found, most / m, rtol=1e-5, err_msg=estimate)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_brighter_laser_fills_detectors(encoding):
    """Its fluctuation is common to both: every detector's light goes with it."""
    a, b, m, rin = np.array([1.0, 0.5]), np.array([[1.0], [-1.0]]), 1e8, -115.0
    mean = counts_of(encoding, a, b, m)[:, 0]
    core = ANALOG.replace(encoding=encoding, photons=m, source={"rin_db_hz": rin})
    sigma = np.sqrt(10 ** (rin / 10) * 5e8)
    delta = sigma * np.linspace(-8, 8, 8001)
    law = stats.norm(0, sigma).pdf(delta)
    law = law / law.sum()
    for seed, share in enumerate((0.4, 0.9, 1.05, 3.0)):
        most = share * mean.max()
        held = np.minimum(mean[:, None] * (1 + delta), most)
        y = outputs(core.replace(receiver={"saturation_electrons": most}), a, b, seed)
        assert_drawn_from(y, estimate_of(encoding, held, a, b, m), law, resolution=1e-5)


@pytest.mark.parametrize("statistics", ["gaussian", "poisson"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_full_detector_cannot_fluctuate(encoding, statistics):
    """Full-scale operands: all light on one detector. It holds ``min(N, N_s)`` of N electrons, N scattering
    about its mean; the other detector stays dark."""
    K, m = 6, 4.0
    core = ANALOG.replace(encoding=encoding, photons=m, receiver={"saturation_electrons": 1.0})
    core = core.replace(encoding={"photon_statistics": statistics})
    mean = K * m
    n = np.arange(0, 200)
    law = stats.poisson(mean).pmf(n)
    if statistics == "gaussian":
        n = mean + np.sqrt(mean) * np.linspace(-8, 8, 4001)
        law = stats.norm(mean, np.sqrt(mean)).pdf(n)
        law = law / law.sum()
    limits = (10.0, 20.0, 24.0, 30.0, 60.0)
    if statistics == "poisson":  # slow to draw: below, at and above the mean
        limits = limits[::2]
    for seed, most in enumerate(limits):
        held = np.minimum(n, most)
        full = core.replace(receiver={"saturation_electrons": most})
        y = outputs(full, np.ones(K), np.ones((K, 1)), seed)[:, 0]
        electrons = (y + 3 * K) * m / 4 if encoding == "offset" else y * m
        assert electrons.max() < most * (1 + 1e-5)
        assert_drawn_from(electrons, held, law, resolution=1e-4)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_converter_adds_its_noise_after_the_detector(encoding):
    """Detectors long full: what is left is the noise of a converter of fewer effective bits."""
    K, m = 6, 1e6
    core = ANALOG.replace(encoding=encoding, photons=m, receiver={"saturation_electrons": m})
    core = core.replace(adc={"bits": 12, "enob": 4.0, "range": 16.0})
    for seed, enob in enumerate((3.0, 4.0, 5.0, 6.0)):
        y = outputs(core.replace(adc={"enob": enob}), np.ones(K), np.ones((K, 1)), seed)
        full = 16.0 * np.sqrt(K)
        expected = (2 * full) ** 2 * 4.0**-enob / 12  # the quantizer's own 4**-12 included
        assert abs(y.var() / expected - 1) < CLOSE


@pytest.mark.parametrize("statistics", ["gaussian", "poisson"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_detector_is_cut_off_by_itself(encoding, statistics):
    """Light and dark counts on both detectors: moments of independent counts, each with its limit."""
    a, b = np.array([1.0, 0.8, -0.6, 0.3]), np.array([[1, -0.5], [0.2, 1], [0.7, -0.9], [-1, 0.4]])
    core = ANALOG.replace(encoding={"kind": encoding, "photon_statistics": statistics}, photons=1.0)
    core = core.replace(receiver={"dark_current_a": 0.0, "saturation_electrons": 1.0})
    points = [(20, 3, 1.0), (8, 0, 1.1), (100, 20, 0.98), (30, 5, 9)]
    if statistics == "poisson":  # slow to draw: with dark counts and without
        points = points[:2]
    for seed, (m, dark, share) in enumerate(points):
        counts = counts_of(encoding, a, b, m) + dark
        most = share * counts.max()
        fields = dict(photons=float(m), receiver={"saturation_electrons": float(most)})
        noisy = core.replace(**fields, **{"receiver.dark_current_a": dark * CHARGE_C * 1e9})
        mean, variance = [], []
        for average in counts.ravel():
            if statistics == "poisson":
                n = np.arange(stats.poisson(average).isf(1e-15) + 1)
                law = stats.poisson(average).pmf(n)
            else:
                n = average + np.sqrt(average) * np.linspace(-8, 8, 4001)
                law = stats.norm.pdf(np.linspace(-8, 8, 4001)) * 16 / 4000
            mean.append((law * np.minimum(n, most)).sum() - dark)
            variance.append((law * (np.minimum(n, most) - dark - mean[-1]) ** 2).sum())
        shape = (-1, 2)
        expected = estimate_of(encoding, np.reshape(mean, shape), a, b, m)
        assert share > 2 or (np.abs(expected - a @ b) > 0.01).any()  # the limit is felt
        gain = 4 if encoding == "offset" else 1
        spread = gain**2 * np.reshape(variance, shape).sum(0) / m**2
        y = outputs(noisy, a, b, seed)
        assert (np.abs(y.mean(0) - expected) < 5 * np.sqrt(spread / SAMPLES) + 1e-5).all()
        fourth = ((y - y.mean(0)) ** 4).mean(0)
        error = 5 * np.sqrt((fourth - spread**2) / SAMPLES)
        assert (np.abs(y.var(0) - spread) < error).all() and (error < 0.06 * spread).all()
