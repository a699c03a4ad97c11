"""Light that is split between fields, a local oscillator's, and the two estimates of `differential`'s.

Counts are drawn here, detector by detector, from the fields that meet there: Poisson, in NumPy. What the
core's formulas say of the same operands has to agree with them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import ANALOG, CHARGE_C, NUMBERS, operands

import photonjax as pj
from photonjax.core.product import traced_dot_general

SAMPLES = 20_000
CLOSE = 5 * np.sqrt(2 / SAMPLES)  # five standard errors of a variance: 5 %
M = 50.0
A, B = operands(48, N=2, size=0.3)  # fields of unlike power: a factor of 5


@jax.jit
def repeated(core, a, b):
    x = jnp.broadcast_to(a, (SAMPLES, a.size))
    y, trace = traced_dot_general(x, b, NUMBERS, core=core, key=jax.random.key(3))
    return y, core.photons * trace.light[0][0]


def outputs(core, a=A, b=B):
    """``[SAMPLES, N]`` outputs of one token, and the electrons of each."""
    return map(np.asarray, repeated(core, np.float32(a), np.float32(b)))


def counted(light_of_a, light_of_b, seed=0):
    """Photo-electrons of both detectors where fields of so many photons a multiply meet on a splitter."""
    rng = np.random.default_rng(seed)
    a, b = np.sqrt(light_of_a) * A[:, None], np.sqrt(light_of_b) * B
    return [rng.poisson(((a + s * b) ** 2 / 2).sum(0), (SAMPLES, B.shape[1])) for s in (1, -1)]


def fraction_of(split):
    """Of the light in the inputs' field: at the best split both fields bring as much."""
    if split != "best":
        return 0.5 if split == "equal" else split
    powers = (A**2).sum(), (B**2).sum(0)
    return powers[1] / (powers[0] + powers[1])


@pytest.mark.parametrize("split", ["equal", "best", 0.2])
def test_fields_of_unlike_power(split):
    setting = {"input_fraction": split} if isinstance(split, float) else {"split": split}
    core = ANALOG.replace(encoding={"kind": "homodyne", **setting}, photons=M)
    y, light = outputs(core)
    s = fraction_of(split)
    plus, minus = counted(s * M, (1 - s) * M)
    estimate = (plus - minus) / (2 * M * np.sqrt(s * (1 - s)))
    p = A @ B
    np.testing.assert_allclose(estimate.mean(0), p, atol=5 * estimate.std() / np.sqrt(SAMPLES))
    np.testing.assert_allclose(light, (plus + minus).mean(0), rtol=0.01)
    np.testing.assert_allclose(np.var(y, 0), estimate.var(0), rtol=np.sqrt(2) * CLOSE)
    # The limit, |A|^2 |B|^2 / L: met by the best split alone, and out of reach of the others.
    excess = np.var(y, 0) * light / ((A**2).sum() * (B**2).sum(0))
    powers = s * (A**2).sum(), (1 - s) * (B**2).sum(0)
    expected = (powers[0] + powers[1]) ** 2 / (4 * powers[0] * powers[1])
    np.testing.assert_allclose(excess, expected, rtol=CLOSE)
    assert (np.abs(expected - 1) < 1e-9).all() if split == "best" else (expected > 1.1).all()


def test_the_best_split_is_the_least_light_for_a_variance():
    """No fraction of a fine scan needs less light for the same variance."""
    power, other = 3.0, 11.0
    fractions = np.linspace(0.01, 0.99, 981)
    light = (fractions * power + (1 - fractions) * other) ** 2 / (4 * fractions * (1 - fractions))
    assert fractions[light.argmin()] == pytest.approx(other / (power + other), abs=1e-3)
    assert light.min() == pytest.approx(power * other, rel=1e-5)


@pytest.mark.parametrize("given", [None, 300.0])
def test_a_local_oscillator_is_counted_and_makes_the_noise(given):
    """Its electrons by the receiver's noise or as given; both counts and charges drawn by hand."""
    noise, m = 2e-13, 0.5
    core = ANALOG.replace(
        encoding={"kind": "quadrature", "oscillator": given},
        photons=m,
        receiver={"noise_a_per_rthz": noise},
    )
    y, light = outputs(core)
    charge = (
        core.encoding.detectors * (noise / CHARGE_C) ** 2 / 2 * 1e-9
    )  # electrons**2 of a sample
    strength = 10 * charge if given is None else given
    p, rng = A @ B, np.random.default_rng(0)
    fields = np.sqrt(strength) + np.sqrt(m) * p, np.sqrt(strength) - np.sqrt(m) * p
    plus, minus = (rng.poisson(f**2 / 2, (SAMPLES, 2)) for f in fields)
    read = plus - minus + rng.normal(size=(SAMPLES, 2)) * np.sqrt(charge)
    estimate = read / (2 * np.sqrt(strength * m))
    np.testing.assert_allclose(estimate.mean(0), p, atol=5 * estimate.std() / np.sqrt(SAMPLES))
    np.testing.assert_allclose(light, (plus + minus).mean(0), rtol=0.01)
    np.testing.assert_allclose(np.var(y, 0), estimate.var(0), rtol=np.sqrt(2) * CLOSE)
    closed = (1 + m * p**2 / strength + charge / strength) / (4 * m)
    np.testing.assert_allclose(np.var(y, 0), closed, rtol=CLOSE)


def test_rank_one_and_exact_differ_by_the_covariance_of_magnitudes():
    """``sum |a||b| = K (mean |a| mean |b| + cov)``: where large inputs meet small weights, as in models,
    rank one says more light than there is."""
    rng = np.random.default_rng(1)
    loud = np.arange(64) < 16
    a = rng.uniform(0.6, 1, 64) * np.where(loud, 1, 0.2) * rng.choice([-1, 1], 64)
    b = rng.uniform(0.6, 1, (64, 2)) * np.where(loud, 0.5, 1)[:, None]
    a[0], b[-1] = 1, -1
    sizes = np.abs(a)[:, None], np.abs(b)
    means = sizes[0].mean() * sizes[1].mean(0)
    covariance = (sizes[0] * sizes[1]).mean(0) - means
    found = {}
    for estimate in ("exact", "rank_one"):
        core = ANALOG.replace(encoding={"shot_estimate": estimate}, photons=M)
        y, light = outputs(core, a, b)
        found[estimate] = np.var(y, 0), light
    for exact, rank_one in zip(found["exact"], found["rank_one"], strict=True):
        np.testing.assert_allclose(exact / rank_one, 1 + covariance / means, rtol=2 * CLOSE)
    np.testing.assert_allclose(
        found["exact"][1] / found["rank_one"][1], 1 + covariance / means, rtol=1e-5
    )
    assert (covariance < -0.1 * means).all()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"kind": "differential", "oscillator": 3.0},
            "oscillator has no meaning with .* 'different",
        ),
        ({"kind": "quadrature", "input_fraction": 0.3}, "input_fraction has no meaning with"),
        ({"kind": "homodyne", "split": "best", "input_fraction": 0.3}, "leave one of them out"),
        (
            {"kind": "homodyne", "split": "best", "photon_statistics": "poisson"},
            "split = 'best' is the best for shot noise alone, not with encoding.photon_statistics",
        ),
    ],
)
def test_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        pj.OpticalCore(photons=1.0, encoding=fields)


def test_the_best_split_is_refused_beside_noise_of_the_receiver():
    core = pj.OpticalCore(photons=1.0, encoding={"kind": "homodyne", "split": "best"})
    with pytest.raises(ValueError, match=r"not with receiver\.noise_a_per_rthz; .*input_fraction"):
        core.replace(receiver={"noise_a_per_rthz": 1e-12})
