"""Converters: nonlinearity, ranges, noise, against closed forms."""

import jax
import numpy as np
import pytest
from columns import ANALOG, CLOSE, COLUMNS, product
from scipy import stats

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


def converted(p, full, bits, bend=0.0):
    """A mid-tread converter, and where rounding is too close to call in float32."""
    half = 2 ** (bits - 1)
    code = p / full * half
    code = code + bend * np.sin(np.pi * np.clip(code, -half, half) / half)
    doubtful = np.abs(code - np.floor(code) - 0.5) < 1e-3
    return np.clip(np.round(code), -half, half - 1) * full / half, doubtful


@pytest.mark.parametrize("bits", [3, 6, 8])
def test_integral_nonlinearity(bits):
    """A sweep through every code: each column bends up or down as a whole, by chance."""
    core = ANALOG.replace(rows=1, adc={"bits": bits, "inl_lsb": 0.5}, input={"scale": "static"})
    core = core.replace(input={"range": 1.0}, adc={"range": 0.8})
    p = np.linspace(-1, 1, 1201)
    x, w = p[:, None].astype("f4"), np.ones((1, 400), "f4")
    half = 2 ** (bits - 1)
    for inl in (0.0, 0.4, 1.0, min(half / 4, 5.0)):
        found = np.asarray(product(core.replace(adc={"inl_lsb": inl}), x, w), np.float64)
        signs = []
        for sign in (1, -1):
            expected, doubtful = converted(p, 0.8, bits, sign * inl)
            signs.append((np.abs(found - expected[:, None])[~doubtful] < 1e-6).all(0))
        assert (signs[0] | signs[1]).all()
        if inl == 0:
            assert (signs[0] & signs[1]).all()
        elif np.abs(expected - converted(p, 0.8, bits)[0]).max() > 0:
            law = stats.binom(400, 0.5)
            assert min(law.cdf(signs[0].sum()), law.sf(signs[0].sum() - 1)) > 1e-6
            assert not (signs[0] & signs[1]).any()
    centre, low, high = (found[np.abs(p - v).argmin()] for v in (0.0, -0.8, 0.8))
    np.testing.assert_allclose(
        [centre[0], low[0], high[0]], [0, -0.8, 0.8 * (half - 1) / half], atol=1e-6
    )
    assert all((row == row[0]).all() for row in (centre, low, high))


def test_the_worst_of_the_nonlinearity_is_what_it_is_called():
    core = ANALOG.replace(rows=1, adc={"bits": 14}, input={"scale": "static", "range": 1.0})
    p = np.linspace(-1, 1, 2001)
    x, w = p[:, None].astype("f4"), np.ones((1, 5), "f4")
    for inl in (2.0, 10.0, 30.0, 64.0):
        found = np.asarray(product(core.replace(adc={"inl_lsb": inl}), x, w), np.float64)
        error = (found - p[:, None])[
            :-1
        ] * 2**13  # in steps; the last code is one short of full scale
        np.testing.assert_allclose(np.abs(error).max(0), inl, atol=0.51)
        worst = p[np.abs(error).argmax(0)]
        np.testing.assert_allclose(np.abs(worst), 0.5, atol=0.4 / np.sqrt(inl))


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_a_range_for_each_column(encoding, bits):
    """Exact against a converter written out here; ``offset`` converts what the detector sees."""
    core = ANALOG.replace(encoding=encoding, rows=8, adc={"bits": bits})
    rng = np.random.default_rng(3)
    x, b = rng.uniform(-1, 1, (200, 12)), rng.uniform(-1, 1, (12, 4))
    x[:, 0], b[0] = 1, 1
    full = np.array([0.5, 2.0, 5.0, 30.0])
    expected, sure = 0.0, True
    for tile in (slice(0, 8), slice(8, 12)):
        p = x[:, tile] @ b[tile]
        bias = x[:, tile].sum(1)[:, None] + b[tile].sum(0) if encoding == "offset" else 0.0
        out, doubtful = converted(p + bias, full, bits)
        expected, sure = expected + out - bias, sure & ~doubtful
    found = product(core, x.astype("f4"), b.astype("f4"), None, full.astype("f4"))
    assert sure.mean() > 0.9
    np.testing.assert_allclose(np.asarray(found)[sure], expected[sure], atol=2e-5)


def test_converter_noise_and_offsets_go_with_each_columns_range():
    core = ANALOG.replace(adc={"bits": 10, "enob": 4.0})
    x, w = np.zeros((COLUMNS, 2), "f4"), np.ones((2, 4), "f4")
    full = np.array([0.5, 1.0, 4.0, 20.0])
    for seed, enob in enumerate((2.0, 4.0, 6.0, 7.5)):
        noisy = core.replace(adc={"enob": enob})
        y = np.asarray(product(noisy, x, w, jax.random.key(seed), full.astype("f4")), np.float64)
        if enob > 3:  # below, the noise reaches the ends of the range
            expected = (2 * full) ** 2 * 4.0**-enob / 12  # the quantizer's own part included
            np.testing.assert_allclose(y.var(0), expected, rtol=CLOSE)
        correlation = np.corrcoef(y.T) - np.eye(4)
        assert np.abs(correlation).max() < 5 / np.sqrt(COLUMNS)
    shifted = ANALOG.replace(receiver={"offset_error": 0.1})
    one = np.asarray(product(shifted, x[:1], w, None, np.ones(4, "f4")), np.float64)
    each = np.asarray(product(shifted, x[:1], w, None, full.astype("f4")), np.float64)
    np.testing.assert_allclose(each, one * full, rtol=1e-5)


@pytest.mark.parametrize("bits", [6, 8])
def test_a_gain_before_the_converter_resolves_small_sums(bits):
    """``ADC(G p) / G`` code by code; the error is ``(step / G)**2 / 12``, 6.02 dB less for each doubling,
    until sums clip at full scale over G."""
    core = ANALOG.replace(rows=4, adc={"bits": bits, "gain": 1.0}, input={"scale": "static"})
    core = core.replace(
        input={"range": 1.0}, adc={"range": 2.0}
    )  # the largest sum of four rows is 4
    rng = np.random.default_rng(0)
    x, w = rng.uniform(-0.03, 0.03, (5000, 4)), np.ones((4, 3))
    p, full, errors = x.sum(1), 4.0, []
    for gain in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0):
        found = np.asarray(
            product(core.replace(adc={"gain": gain}), x.astype("f4"), w.astype("f4")), np.float64
        )
        expected, doubtful = converted(gain * p, full, bits)
        np.testing.assert_allclose(
            found[~doubtful],
            np.broadcast_to(expected[:, None] / gain, found.shape)[~doubtful],
            atol=1e-6,
        )
        assert doubtful.mean() < 0.02
        errors.append(np.mean((found[:, 0] - p) ** 2))
    step = 2 * full / 2**bits / 32
    assert abs(errors[-1] / (step**2 / 12) - 1) < 5 / np.sqrt(5000)
    assert abs(10 * np.log10(errors[-2] / errors[-1]) - 6.02) < 0.6
    clipped = product(core.replace(adc={"gain": 64.0}), x.astype("f4"), w.astype("f4"))
    assert (np.abs(p) > full / 64).any() and np.abs(clipped).max() <= full / 64


def test_what_comes_before_the_gain_is_amplified():
    """Of offsets nothing is divided out; of the converter's own noise 1/G is left."""
    x, w = np.zeros((COLUMNS, 2), "f4"), np.ones((2, 4), "f4")
    core = ANALOG.replace(adc={"bits": 14, "enob": 5.0, "gain": 1.0})
    for gain in (1.0, 4.0, 20.0):
        noisy = core.replace(adc={"gain": gain})
        y = np.asarray(product(noisy, x, w, jax.random.key(1)), np.float64)
        np.testing.assert_allclose(y.var(0), 4 * 2 * 4.0**-5 / 12 / gain**2, rtol=CLOSE)
    shifted = core.replace(receiver={"offset_error": 0.02}, adc={"enob": None})
    one, four = (product(shifted.replace(adc={"gain": g}), x[:1], w) for g in (1.0, 4.0))
    np.testing.assert_allclose(one, four, atol=2 * 2**0.5 / 2**14)
    assert np.abs(one).max() > 0.01
