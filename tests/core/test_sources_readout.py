"""Crosstalk between cells, and what receivers and converters do to a column, against closed forms."""

import jax
import numpy as np
import pytest
from scipy import stats

import photonjax as pj

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

NUMBERS = (((1,), (0,)), ((), ()))
ENCODINGS = ["differential", "offset", "homodyne", "quadrature"]
COLUMNS = 100_000
# A variance estimated from n normal draws scatters by sqrt(2/n): five of these, 2.2 %.
CLOSE = 5 * np.sqrt(2 / COLUMNS)
ANALOG = pj.OpticalCore(
    rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)


@jax.jit
def product(core, x, w, key=None, adc_range=None):
    return pj.optical_dot_general(x, w, NUMBERS, core=core, key=key, adc_range=adc_range)


def cells(core, b):
    """What the die holds of ``b``, read one input at a time; full scale is 1."""
    assert np.abs(b).max() == 1
    core = core.replace(array={"scale": "per_tensor"})
    return np.asarray(product(core, np.eye(len(b), dtype="f4"), np.asarray(b, np.float32)))


def test_crosstalk_by_hand():
    """Arrays of three inputs: the fourth and fifth are a smaller array, the light of ends is lost."""
    core = ANALOG.replace(rows=3, cols=3, array={"crosstalk_rows": 0.1})
    b = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, -1]])
    by_hand = [
        [0.8, 0.1, 0, 0],
        [0.1, 0.8, 0.1, 0],
        [0, 0.1, 0.8, 0],
        [0, 0, 0.8, -0.1],
        [0, 0, 0.1, -0.8],
    ]
    np.testing.assert_allclose(cells(core, b), by_hand, atol=1e-6)
    np.testing.assert_allclose(cells(core, b[:4]), np.array(by_hand)[:4] * [1, 1, 1, 0], atol=1e-6)
    core = ANALOG.replace(rows=3, cols=3, array={"crosstalk_cols": 0.2})
    by_hand = [
        [0.6, 0.2, 0, 0],
        [0.2, 0.6, 0.2, 0],
        [0, 0.2, 0.6, 0],
        [0, 0.2, 0.6, 0],
        [0, 0, 0, -0.6],
    ]
    np.testing.assert_allclose(cells(core, b), by_hand, atol=1e-6)
    core = ANALOG.replace(rows=3, cols=3, array={"crosstalk_rows": 0.1, "crosstalk_cols": 0.2})
    middle = np.zeros((3, 3))
    middle[1, 1] = 1
    by_hand = [[0.02, 0.06, 0.02], [0.16, 0.48, 0.16], [0.02, 0.06, 0.02]]
    np.testing.assert_allclose(cells(core, middle), by_hand, atol=1e-6)


def shed(light, share, size):
    """Every cell along axis 0 gives a share to each neighbour in its array of ``size`` cells."""
    out = np.zeros_like(light)
    for k in range(len(light)):
        out[k] += (1 - 2 * share) * light[k]
        for neighbour in (k - 1, k + 1):
            if 0 <= neighbour < len(light) and neighbour // size == k // size:
                out[neighbour] += share * light[k]
    return out


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize(
    "shape, rows, cols", [((7, 5), 3, 2), ((12, 9), 4, 9), ((5, 4), 1, 1), ((6, 8), 9, 9)]
)
def test_crosstalk_between_neighbours_of_an_array(shape, rows, cols, bits):
    core = ANALOG.replace(rows=rows, cols=cols, array={"bits": bits})
    core = core.replace(array={"crosstalk_rows": 0.1, "crosstalk_cols": 0.1})
    b = np.random.default_rng(1).integers(-127, 128, shape) / 127
    b[0, 0] = 1
    for along, across in ((0.0, 0.0), (0.01, 0.0), (0.0, 0.03), (0.02, 0.1), (0.5, 0.25)):
        expected = shed(shed(b, along, rows).T, across, cols).T
        found = cells(core.replace(array={"crosstalk_rows": along, "crosstalk_cols": across}), b)
        # of 8 bits, cells are carried to a 64th of a level
        atol = 2e-6 if bits is None else 0.5 / (64 * 127) + 2e-6
        np.testing.assert_allclose(found, expected, atol=atol)
        if min(rows, cols) > 6:  # and light away from the edges stays on the array
            inner = np.pad(b[1:-1, 1:-1], 1)
            inner[2, 2] = 1
            kept = cells(
                core.replace(array={"crosstalk_rows": along, "crosstalk_cols": across}), inner
            )
            assert abs(kept.sum() - inner.sum()) < inner.size * atol


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_crosstalk_moves_light(encoding):
    """On one rail the light of a cell is ``(1 + b)/2``; what leaves the array is missing there too."""
    core = ANALOG.replace(encoding=encoding, rows=4, cols=4, array={"crosstalk_rows": 0.05})
    b = np.random.default_rng(2).uniform(-1, 1, (4, 3))
    b[0, 0] = 1
    expected = shed(b, 0.05, 4)
    if encoding == "offset":
        expected = 2 * shed((1 + b) / 2, 0.05, 4) - 1
    np.testing.assert_allclose(cells(core, b), expected, atol=2e-6)


@pytest.mark.parametrize("rows", [2, 1])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_gains_and_offsets_of_columns(encoding, rows):
    """One lit and one dark token tell them apart; k-tiles are read by the same receiver."""
    core = ANALOG.replace(
        encoding=encoding, rows=rows, receiver={"gain_error": 0.0, "offset_error": 0.0}
    )
    x, b = np.array([[1, 1], [0, 0]], "f4"), np.array([[1], [0.5]], "f4")
    w = np.broadcast_to(b, (2, COLUMNS))
    p, bias = 1.5, (1.5 if encoding == "offset" else 0.0)
    lit, dark = p + bias + (2 if encoding == "offset" else 0), bias  # the constant is biased away
    tiles = 2 // rows
    for gain, offset, full in (
        (0.01, 0.02, 1.0),
        (0.1, 0.001, 3.0),
        (0.3, 0.5, 0.5),
        (0.05, 0.0, 1.0),
    ):
        fields = dict(receiver={"gain_error": gain, "offset_error": offset}, adc={"range": full})
        y = np.asarray(product(core.replace(**fields), x, w), np.float64)
        gains = (y[0] - y[1] - p) / (lit - dark)
        offsets = y[1] - gains * dark
        step = tiles * offset * full * np.sqrt(rows)
        assert abs(gains.mean()) < 5 * gain / np.sqrt(COLUMNS)
        assert abs(gains.var() / gain**2 - 1) < CLOSE
        assert abs(np.corrcoef(gains[1:], gains[:-1])[0, 1]) < 5 / np.sqrt(COLUMNS)
        if offset:
            assert abs(offsets.mean()) < 5 * step / np.sqrt(COLUMNS)
            assert abs(offsets.var() / step**2 - 1) < CLOSE
            assert abs(np.corrcoef(offsets[1:], offsets[:-1])[0, 1]) < 5 / np.sqrt(COLUMNS)
            assert abs(np.corrcoef(gains, offsets)[0, 1]) < 5 / np.sqrt(COLUMNS)
        else:
            np.testing.assert_allclose(offsets, 0, atol=2e-6)


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
