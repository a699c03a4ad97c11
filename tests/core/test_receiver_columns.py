"""What the receivers of a die do to its columns, against closed forms."""

import numpy as np
import pytest
from columns import ANALOG, CLOSE, COLUMNS, product

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


ENCODINGS = ["differential", "offset", "homodyne", "quadrature"]


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
