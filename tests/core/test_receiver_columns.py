"""What the receivers of a die do to its columns, against closed forms."""

import jax
import numpy as np
import pytest

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
