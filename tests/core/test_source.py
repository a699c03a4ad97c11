"""The laser's fluctuation against its closed form."""

import jax
import numpy as np
import pytest
from closed_forms import (
    ANALOG,
    ENCODINGS,
    SAMPLES,
    assert_moments,
    leak_of,
    operands,
    outputs,
    product,
)
from scipy import integrate

import photonjax as pj

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


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


EMITTERS = ANALOG.replace(source={"threshold_fraction": 0.1})


def test_emitters_of_their_own_average_out():
    """Independent between inputs: RIN B sum a**2 b**2, where a common laser's is RIN B p**2, ten times as
    much for sums of one sign over 10 like inputs."""
    a, b = np.ones(10), np.ones((10, 2))
    core = EMITTERS.replace(source={"channel_rin_db_hz": -120.0})
    found = outputs(core, a, b)
    assert_moments(found, [10.0, 10.0], 1e-12 * 5e8 * 10 * np.ones((2, 2)))


def emitted(core, seeds, a, b):
    """``[dies, N]`` outputs of one token on many dies."""
    many = jax.jit(
        jax.vmap(lambda seed: product(core.replace(chip_seed=seed), a, b, None, samples=1)[0])
    )
    return np.asarray(many(np.arange(seeds, dtype=np.uint32)), np.float64)


@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_thresholds_of_a_die(encoding):
    """Against the closed form over dies: error**2 sum b b' of the inputs that are not zero; on one rail
    4 error**2 sum (1 + b)(1 + b'), and zero is lit as well."""
    error, dies = 0.01, 20_000
    core = EMITTERS.replace(encoding=encoding, source={"threshold_error": error})
    a, b = operands(6)
    a[1:] = [0.5, -0.8, 0.3, -0.2, 0.0]
    found = emitted(core, dies, a.astype("f4"), b.astype("f4"))
    lit = b[:5] if encoding == "differential" else 2 * (1 + b)
    expected = error**2 * lit.T @ lit
    difference = found - (a[:, None] * b).sum(0)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(
        difference.T @ difference / dies / scale, expected / scale, atol=5 * np.sqrt(2 / dies)
    )


@pytest.mark.parametrize("bits", [None, 8])
def test_light_below_its_threshold_is_cut_off(bits):
    """Input by input ``max(|a| - s, 0)``, s of the rail's own emitter; a dark rail stays dark, and all
    weights see the same."""
    core = EMITTERS.replace(rows=16, input={"bits": bits}, array={"bits": bits})
    core = core.replace(source={"threshold_error": 0.2})
    eye = np.eye(16, dtype="f4")
    run = jax.jit(lambda x, w: pj.optical_matmul(x, w, core=core))
    shift = np.stack([1 - np.diag(run(eye, eye)), 1 + np.diag(run(-eye, eye))])
    assert 0.1 < shift.std() < 0.3 and abs(np.corrcoef(*shift)[0, 1]) < 0.8
    rng = np.random.default_rng(1)
    x = np.round(rng.uniform(-0.5, 0.5, (20, 16)) * 127) / 127
    x[:, 0], x[:, 3] = 1, 0
    size = np.abs(x)
    expected = np.sign(x) * np.maximum(size - np.where(x < 0, shift[1], shift[0]), 0)
    assert (expected == 0).mean() > 0.15
    fine = 1e-6 if bits is None else 2 / (64 * 127)
    np.testing.assert_allclose(run(x.astype("f4"), eye), expected, atol=fine)
    other = np.eye(16)[::-1].astype("f4")  # another matrix, the same emitters
    np.testing.assert_allclose(run(x.astype("f4"), other), expected[:, ::-1], atol=fine)


def test_the_roll_off_of_an_emitter():
    """The mean over a symbol of the maximally flat resonance's answer, integrated from its equation."""
    x = np.random.default_rng(0).uniform(-1, 1, (6, 8))
    x[:, 0] = 1
    b = operands(8)[1]
    before = np.concatenate([np.zeros((1, 8)), x[:-1]])
    for bandwidth, rate in ((1e9, 1e9), (3e9, 1e9), (1e10, 5e9), (2e8, 1e9)):
        w = 2 * np.pi * bandwidth / rate

        def resonance(t, state, w=w):
            value, slope, _ = state
            return [slope, w**2 * (0 - value) - np.sqrt(2) * w * slope, value]

        memory = integrate.solve_ivp(resonance, (0, 1), [1.0, 0, 0], rtol=1e-9, atol=1e-9).y[2, -1]
        core = EMITTERS.replace(source={"bandwidth_hz": bandwidth}, symbol_rate_hz=rate)
        found = pj.optical_matmul(x.astype("f4"), b.astype("f4"), core=core)
        np.testing.assert_allclose(found, (x + memory * (before - x)) @ b, atol=3e-5)
    at_3_db = abs(w**2 / (w**2 - w**2 + 1j * np.sqrt(2) * w * w))  # its frequency is the bandwidth
    assert at_3_db == pytest.approx(np.sqrt(0.5))


def test_what_emitters_need():
    with pytest.raises(ValueError, match=r"source\.bandwidth_hz is set but source\.threshold_frac"):
        pj.OpticalCore(source={"bandwidth_hz": 1e9})
    with pytest.raises(
        ValueError, match=r"source\.threshold_fraction has no meaning with .*'homod"
    ):
        EMITTERS.replace(encoding="homodyne")
