"""Operands, cores and comparisons for analog toolkits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import photonjax as pj

NUMBERS = (((1,), (0,)), ((), ()))
T, K, N = 64, 96, 40
STEPS = 254  # of 8 bits: -127 ... 127
RANGE = 3.0  # static full scale of the inputs
ADC = 128 / 127
PLAIN = pj.OpticalCore(rows=K, cols=N, input={"bits": 8}, array={"bits": None}, adc={"bits": None})
STATIC = dict(input={"scale": "static", "range": RANGE})


def core(**changes):
    return PLAIN.replace(**changes)


def levels(rng, shape, axis, largest=127, spread=45.0, beyond=False):
    """Numbers in units of steps, none near the edge between two, where float32 rounding decides.

    Along ``axis`` the largest magnitude is ``largest`` exactly, unless some lie ``beyond`` it.
    """
    whole = np.round(rng.normal(size=shape) * spread * largest / 127)
    if not beyond:
        whole = np.clip(whole, 1 - largest, largest - 1)
    values = whole + rng.uniform(-0.45, 0.45, shape)
    if not beyond:
        first = (slice(None), 0) if axis == 1 else 0
        values[first] = largest
    return values


def operands(seed=0, *, static=False, weight_bits=None):
    """x ``[T, K]`` and w ``[K, N]``, columns of unequal size."""
    rng = np.random.default_rng(seed)
    x = levels(rng, (T, K), 1, beyond=static) * RANGE / 127
    if not static:
        x = x * rng.uniform(0.3, 3, (T, 1))
    largest = 127 if weight_bits is None else 2 ** (weight_bits - 1) - 1
    w = levels(rng, (K, N), 0, largest) / largest * rng.uniform(0.2, 2, (1, N))
    return x.astype(np.float32), w.astype(np.float32)


def product(core, x, w, key=None, **options):
    return np.asarray(pj.optical_dot_general(x, w, NUMBERS, core=core, key=key, **options))


def assert_same(ours, theirs):
    scale = np.abs(theirs).max()
    assert np.isfinite(scale) and scale > 0
    np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5, rtol=0)


def assert_same_codes(ours, theirs, step, analog):
    """The same ADC codes, but where the analog value lies on the edge between two (to 1e-3 of a step)."""
    ours, theirs, analog = (np.asarray(v, np.float64) / step for v in (ours, theirs, analog))
    edge = np.abs(np.abs(analog - np.floor(analog)) - 0.5) < 1e-3
    assert edge.mean() < 0.02
    np.testing.assert_allclose(ours[~edge], theirs[~edge], atol=2e-3, rtol=0)
    assert np.abs(ours - theirs).max() < 1.01


def assert_same_noise(ours, theirs, sigma, rare=1e-4):
    """Both normal with standard deviation ``sigma``, and one distribution."""
    for found in (ours, theirs):
        # five standard errors of a sample standard deviation, of the mean
        assert abs(found.std() / sigma - 1) < 5 / np.sqrt(2 * found.size)
        assert abs(found.mean()) < 5 * sigma / np.sqrt(found.size)
        assert stats.kstest(found.ravel() / sigma, "norm").pvalue > rare
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > rare


def run(layer, x):
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return layer(torch.tensor(x)).numpy()
