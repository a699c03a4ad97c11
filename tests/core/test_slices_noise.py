"""What noise makes of bit slices and of repeated symbols: each pass has its own."""

import jax
import numpy as np
import pytest
from bit_slices import DIGITAL, operands, product, slices_of
from closed_forms import CLOSE, ENCODINGS
from closed_forms import product as repeated

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


def outputs(core, a, b, seed=0):
    y = repeated(core, np.asarray(a, "f4"), np.asarray(b, "f4"), jax.random.key(seed))
    return np.asarray(y, np.float64)


def assert_moments(found, mean, covariance):
    sigma = np.sqrt(np.diag(covariance))
    assert (np.abs(found.mean(0) - mean) < 5 * sigma / np.sqrt(len(found)) + 2e-5).all()
    scale = np.outer(sigma, sigma)
    np.testing.assert_allclose(np.cov(found.T) / scale, covariance / scale, atol=CLOSE)


# Each side alone, and both once with each encoding.
PASSES = [(8, 3, 1, "differential"), (6, 1, 2, "homodyne")]
PASSES += [(8, 2, 2, "differential"), (4, 2, 3, "offset"), (8, 2, 2, "homodyne")]


@pytest.mark.parametrize("bits, slices_in, slices_weight, encoding", PASSES)
def test_every_pass_has_noise_of_its_own(bits, slices_in, slices_weight, encoding):
    """Variances of the passes' digits add up, each times the square of what the pass is worth: of shot
    noise, of the receiver, of inputs and of the laser, each the largest once."""
    K = 24
    core = DIGITAL.replace(encoding=encoding, input={"bits": bits}, array={"bits": bits})
    core = core.replace(input={"slices": slices_in}, array={"slices": slices_weight})
    a, b = operands(K, 3, bits, slices=(slices_in, slices_weight))
    passes = [
        (v * w, a_digit[:, None], b_digit)
        for a_digit, v in zip(*slices_of(a, bits, slices_in), strict=True)
        for b_digit, w in zip(*slices_of(b, bits, slices_weight), strict=True)
    ]

    def total(of_pass):
        return sum(worth**2 * of_pass(u, v) for worth, u, v in passes)

    def shot(u, v):
        light = {
            "differential": np.abs(u) * np.abs(v),
            "offset": 4 * (1 + u) * (1 + v),
            "homodyne": (u**2 + v**2) / 2,
        }[encoding]
        return np.diag(light.sum(0))

    lit = 1 if encoding == "offset" else 0
    detectors = 16 if encoding == "offset" else 2
    for seed, (m, current, sigma, rin) in enumerate(
        [
            (5.0, 0.0, 0.0, -250.0),
            (1e3, 2e-11, 0.0, -250.0),
            (1e6, 0.0, 0.03, -250.0),
            (1e6, 0.0, 0.0, -115.0),
        ]
    ):
        fields = dict(
            photons=m,
            receiver={"noise_a_per_rthz": current},
            input={"noise": sigma},
            source={"rin_db_hz": rin},
        )
        charge = (current / 1.602176634e-19) ** 2 / 2e9
        intensity = 10 ** (rin / 10) * 5e8
        expected = total(lambda u, v, m=m: shot(u, v) / m)
        expected = expected + total(lambda u, v, c=charge, m=m: detectors * c / m**2 * np.eye(3))
        expected = expected + sigma**2 * total(lambda u, v: (lit + v).T @ (lit + v))
        expected = expected + intensity * total(
            lambda u, v: np.outer(*[((lit + u) * (lit + v)).sum(0)] * 2)
        )
        found = outputs(core.replace(**fields), a, b, seed)
        assert_moments(found, (a[:, None] * b).sum(0), expected)


@pytest.mark.parametrize("bits, slices", [(8, 2), (8, 3), (6, 2), (4, 2)])
def test_the_cells_of_every_slice_have_errors_of_their_own(bits, slices):
    sigma, K, N = 0.01, 32, 2000
    core = DIGITAL.replace(input={"bits": bits}, array={"bits": bits, "noise": sigma}, cols=N)
    b = operands(K, N, bits, slices=(1, slices))[1]
    read = np.eye(K, dtype="f4")
    for slices_in in (1, 2) if (bits, slices) == (8, 2) else (1,):
        sliced = core.replace(input={"slices": slices_in}, array={"slices": slices})
        error = np.asarray(product(sliced, read, b.astype("f4"))) - b
        expected = sigma**2 * sum(w**2 for w in slices_of(b, bits, slices)[1])
        assert abs(error.var() / expected - 1) < 5 * np.sqrt(2 / error.size)
        assert abs(error.mean()) < 5 * np.sqrt(expected / error.size)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_repeated_symbols_average_dynamic_noise(encoding):
    """Variance over n, of all dynamic sources together, of columns and between them."""
    core = DIGITAL.replace(encoding=encoding)
    a, b = operands(16, 3, 8)
    lit = 1 if encoding == "offset" else 0
    gain, detectors = (16, 1) if encoding == "offset" else (1, 2)
    light = {
        "differential": np.abs(a)[:, None] * np.abs(b),
        "offset": 4 * (1 + a)[:, None] * (1 + b),
        "homodyne": ((a**2)[:, None] + b**2) / 2,
    }[encoding].sum(0)
    seen = ((lit + a)[:, None] * (lit + b)).sum(0)
    for seed, (n, m, current, rin, sigma) in enumerate(
        [
            (2, 20.0, 1e-13, -120.0, 0.02),
            (4, 2.0, 0.0, -150.0, 0.0),
            (4, 1e3, 5e-12, -110.0, 0.001),
            (4, 1e6, 0.0, -150.0, 0.05),
        ]
    ):
        fields = dict(
            photons=m,
            receiver={"noise_a_per_rthz": current},
            source={"rin_db_hz": rin},
            input={"noise": sigma},
        )
        charge = (current / 1.602176634e-19) ** 2 / 2e9
        alone = np.diag(light / m + detectors * gain * charge / m**2)
        alone = alone + 10 ** (rin / 10) * 5e8 * np.outer(seen, seen)
        alone = alone + sigma**2 * (lit + b).T @ (lit + b)
        found = outputs(core.replace(averages=n, **fields), a, b, seed)
        assert_moments(found, (a[:, None] * b).sum(0), alone / n)


def test_repeated_symbols_do_not_average_a_die():
    fields = dict(
        array={"noise": 0.05},
        receiver={"gain_error": 0.05, "offset_error": 0.02},
        adc={"inl_lsb": 1.0, "bits": 8},
    )
    core = DIGITAL.replace(**fields)
    a, b = operands(16, 40, 8)
    x, w = a[None].astype("f4"), b.astype("f4")
    once = product(core, x, w)
    for n in (2, 3):
        np.testing.assert_allclose(product(core.replace(averages=n), x, w), once, atol=1e-5)
    assert np.abs(np.asarray(once) - a @ b).max() > 0.1
