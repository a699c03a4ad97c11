"""What a measurement says, against brute force."""

import jax
import numpy as np
import pytest

import photonjax as pj
from photonjax.core import measured_dot_general

pytestmark = pytest.mark.slow  # minutes together: on one Python

MATRIX = (((1,), (0,)), ((), ()))
CORE = pj.OpticalCore(rows=16, cols=16, photons=7.0, adc={"bits": None})
RNG = np.random.default_rng(0)
X, W = RNG.normal(size=(9, 40)).astype("f4"), RNG.normal(size=(40, 12)).astype("f4")


def on_grid():
    a = np.round(X / np.abs(X).max(1, keepdims=True) * 127) / 127
    b = np.round(W / np.abs(W).max(0, keepdims=True) * 127) / 127
    return a.astype(float), b.astype(float)


@pytest.mark.parametrize("key", [None, 3])
def test_snr(key):
    key = key if key is None else jax.random.key(key)
    y, m = measured_dot_general(X, W, MATRIX, core=CORE, key=key)
    np.testing.assert_array_equal(y, pj.optical_dot_general(X, W, MATRIX, core=CORE, key=key))
    exact = X.astype(float) @ W.astype(float)
    snr = 10 * np.log10((exact**2).sum() / ((np.asarray(y) - exact) ** 2).sum())
    assert float(m.snr_db) == pytest.approx(snr, abs=0.01)
    assert (m.outputs, m.multiplies) == (9 * 12, 9 * 12 * 40)


@pytest.mark.parametrize("encoding", ["differential", "offset", "homodyne"])
def test_photons_per_multiply(encoding):
    core = CORE.replace(encoding={"kind": encoding, "shot_estimate": "exact"})
    _, m = measured_dot_general(X, W, MATRIX, core=core)
    a, b = on_grid()
    light = {
        "differential": np.abs(a[:, :, None]) * np.abs(b),
        "offset": (1 + a[:, :, None]) / 2 * (1 + b) / 2,
        "homodyne": (a[:, :, None] ** 2 + b**2) / 2,
    }[encoding]
    assert light.shape == (9, 40, 12)
    assert float(m.photons_per_multiply) == pytest.approx(7.0 * light.mean(), rel=1e-5)
    _, dark = measured_dot_general(X, W, MATRIX, core=core.replace(photons=None))
    assert dark.photons_per_multiply == 0


def test_converter_statistics_and_pooling():
    core = CORE.replace(photons=None, adc={"bits": 6, "range": 0.2})
    a, b = on_grid()
    clipped, square, peak = 0, 0.0, 0.0
    for k in (slice(0, 16), slice(16, 32), slice(32, 40)):
        p = a[:, k] @ b[k]
        code = np.round(p / (0.2 * np.sqrt(a[:, k].shape[1]) / 32))
        clipped += ((code > 31) | (code < -32)).sum()
        square, peak = square + (p**2).sum(), max(peak, np.abs(p).max())
    _, m = measured_dot_general(X, W, MATRIX, core=core)
    assert (m.clipped, m.samples) == (clipped, 3 * 108) and 0.05 < m.clipped_fraction < 0.9
    assert float(m.raw_rms) == pytest.approx(np.sqrt(square / 324), rel=1e-5)
    assert float(m.raw_peak) == pytest.approx(peak, rel=1e-5)
    _, other = measured_dot_general(2 * X[:4], W, MATRIX, core=core)
    both = m.pool(other)
    assert both.samples == 324 + 144 and both.raw_peak == max(m.raw_peak, other.raw_peak)
    assert both.signal == m.signal + other.signal


def test_reference_of_a_held_weight():
    held = pj.program(W, CORE)
    y, m = measured_dot_general(X, held, MATRIX, core=CORE, reference=W)
    assert 30 < m.snr_db < 60 and y.shape == (9, 12)
