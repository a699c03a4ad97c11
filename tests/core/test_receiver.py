"""Detectors and amplifiers against closed forms: dark current, thermal noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import (
    ANALOG,
    CHARGE_C,
    ENCODINGS,
    assert_moments,
    operands,
    outputs,
    shot,
)

import photonjax as pj

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


@pytest.mark.parametrize("statistics", ["gaussian", "poisson"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_dark_current(encoding, statistics):
    """I tau / e electrons a detector, counted and subtracted; here most of the variance."""
    core = ANALOG.replace(encoding=encoding, photons=1.0, receiver={"dark_current_a": 0.0})
    core = core.replace(encoding={"photon_statistics": statistics})
    a, b = operands(6, size=0.05)
    points = [(0.5, 2e-8, 1e9), (3.0, 8e-9, 1e8), (40.0, 2e-6, 2e9), (1e3, 3e-4, 1e10)]
    if statistics == "poisson":  # slow to draw: the ends
        points = points[::3]
    for seed, (m, dark, rate) in enumerate(points):
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


@pytest.mark.parametrize("sampler", ["mixed", "threefry"])
@pytest.mark.parametrize("encoding", [*ENCODINGS, "quadrature"])
def test_an_error_common_to_a_symbols_columns(encoding, sampler):
    """``p + c``: the same for the columns of a symbol; other symbols (tokens, k-tiles, column tiles) have
    errors of their own. Six columns are two column tiles of three, 16 inputs two k-tiles of 8."""
    sigma, tokens = 0.3, 20_000
    core = ANALOG.replace(
        rows=8, cols=3, encoding=encoding, sampler=sampler, receiver={"common_noise": sigma}
    )
    x, w = jnp.ones((tokens, 16)), jnp.ones((16, 6))
    numbers, key = (((1,), (0,)), ((), ())), jax.random.key(1)
    of = jax.jit(lambda s: pj.optical_dot_general(
        x, w, numbers, core=core.replace(receiver={"common_noise": s}), key=key))  # fmt: skip
    c = np.asarray(of(sigma), np.float64) - 16
    for tile in (c[:, :3], c[:, 3:]):
        np.testing.assert_allclose(tile, tile[:, :1] * np.ones(3), atol=1e-5)
    first, second = c[:, 0], c[:, 3]
    # Two k-tiles: variance 2 sigma**2; a sample variance scatters by sqrt(2/n), correlations by sqrt(1/n).
    for one in (first, second):
        assert abs(one.mean()) < 5 * sigma * np.sqrt(2 / tokens)
        assert abs(one.var() / (2 * sigma**2) - 1) < 5 * np.sqrt(2 / tokens)
        assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 5 / np.sqrt(tokens)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(tokens)
    # Reparameterised: the slope by sigma is the error in units of sigma.
    _, slope = jax.jvp(of, (sigma,), (1.0,))
    np.testing.assert_allclose(slope, c / sigma, atol=1e-3)
    single = of(sigma)[:5]
    few = pj.optical_dot_general(x[:5], w, numbers, core=core, key=key)  # whatever else there is
    np.testing.assert_allclose(few, single, atol=1e-5)
    quiet = pj.optical_dot_general(x[:5], w, numbers, core=core)
    np.testing.assert_allclose(quiet, 16.0, atol=1e-4)


@pytest.mark.parametrize("sampler", ["mixed", "threefry"])
def test_heavy_tails_keep_the_variance(sampler):
    """A mixture of two normal distributions: variance as without, kurtosis of the closed form, independent
    outputs; other noise is not touched."""
    core = ANALOG.replace(
        sampler=sampler,
        receiver={"relative_noise": 0.1, "outlier_fraction": 0.1, "outlier_ratio": 2.0},
    )
    a, b = operands(6)
    p = (a[:, None] * b).sum(0)
    for seed, (fraction, ratio) in enumerate([(0.1, 3.0), (0.01, 5.0), (0.0, 7.0), (0.3, 1.0)]):
        tails = {"outlier_fraction": fraction, "outlier_ratio": ratio}
        found = outputs(core.replace(receiver=tails), a, b, seed)
        mean = 1 - fraction + fraction * ratio**2
        fourth = 3 * (1 - fraction + fraction * ratio**4) / mean**2
        normal = (found - p) / (0.1 * np.abs(p))
        samples = normal.size
        assert abs((normal**2).mean() - 1) < 5 * np.sqrt((fourth - 1) / samples)
        eighth = 105 * (1 - fraction + fraction * ratio**8) / mean**4
        assert abs((normal**4).mean() - fourth) < 5 * np.sqrt((eighth - fourth**2) / samples)
        assert np.abs(np.corrcoef(normal.T) - np.eye(3)).max() < 5 * np.sqrt(1 / len(found))
        sizes = np.corrcoef((normal**2).T) - np.eye(3)  # outliers are no column's neighbour's
        assert np.abs(sizes).max() < 0.03
    with pytest.raises(ValueError, match=r"receiver\.outlier_ratio is None: tails need both"):
        pj.OpticalCore(receiver={"outlier_fraction": 0.1})
