"""Crosstalk between cells, against closed forms."""

import jax
import numpy as np
import pytest

import photonjax as pj

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


NUMBERS = (((1,), (0,)), ((), ()))


ENCODINGS = ["differential", "offset", "homodyne", "quadrature"]


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
