"""What the receivers of a die do to its columns, against closed forms."""

import jax
import numpy as np
import pytest
from columns import ANALOG, CLOSE, COLUMNS, product

import photonjax as pj

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


@pytest.mark.parametrize("encoding", ["differential", "homodyne"])
def test_an_unbalanced_pair_sees_the_light(encoding):
    """Three tokens of one die: ``e S/2`` stays where ``p`` is zero; k-tiles share a pair, columns do not."""
    core = ANALOG.replace(encoding=encoding, rows=2, receiver={"imbalance": 0.0, "gain_error": 0.0})
    x = np.array([[1, -1, 1, -1], [1, -1, 0, 0], [1, 1, 1, 1]], "f4")
    b = np.array([1, 1, 0.5, 0.5])
    w = np.broadcast_to(b[:, None], (4, COLUMNS)).astype("f4")
    p = x @ b
    light = np.abs(x) @ b if encoding == "differential" else ((x**2).sum(1) + (b**2).sum()) / 2
    for size, gain in ((0.01, 0.0), (0.2, 0.0), (0.02, 0.02)):
        own = core.replace(receiver={"imbalance": size, "gain_error": gain})
        error = np.asarray(product(own, x, w), np.float64) - p[:, None]
        epsilon = 2 * error[0] / light[0]
        if gain == 0:
            np.testing.assert_allclose(error, epsilon * light[:, None] / 2, atol=1e-5)
        assert abs(epsilon.mean()) < 5 * size / np.sqrt(COLUMNS)
        assert abs(epsilon.var() / (size**2 * (1 + gain**2)) - 1) < CLOSE
        assert abs(np.corrcoef(epsilon[1:], epsilon[:-1])[0, 1]) < 5 / np.sqrt(COLUMNS)
        expected = (size * light[2] / 2) ** 2 + (gain * p[2]) ** 2  # independent draws
        assert abs(error[2].var() / expected - 1) < 2 * CLOSE


def test_what_an_unbalanced_pair_counts():
    """Shot noise of responsivities 1 +- e/2, a limit, and the laser's fluctuation where ``p`` is zero."""
    tokens, m, rin = 100_000, 30.0, -110.0
    x = np.broadcast_to(np.array([1, -1, 0.3, 0.3], "f4"), (tokens, 4))
    b = np.array([[1, 1, 0.2, -1], [1, -1, 0.9, 0.5], [1, 0.1, -0.7, 1], [-1, 0.3, 1, 0.4]], "f4")
    core = ANALOG.replace(receiver={"imbalance": 0.3}, encoding={"shot_estimate": "exact"})
    p, light = x[0] @ b, np.abs(x[0]) @ np.abs(b)
    error = np.asarray(product(core, x[:1], b), np.float64)[0] - p
    epsilon = 2 * error / light
    assert np.ptp(epsilon) > 0.2
    key = jax.random.key(3)
    for statistics in ("gaussian", "poisson"):
        counted = core.replace(photons=m, encoding={"photon_statistics": statistics})
        y = np.asarray(product(counted, x, b, key), np.float64)
        variance = (light + epsilon * p / 2) / m
        assert (abs(y.mean(0) - p - error) < 5 * np.sqrt(variance / tokens)).all()
        np.testing.assert_allclose(y.var(0) / variance, 1, atol=2 * CLOSE)
    y = np.asarray(product(core.replace(source={"rin_db_hz": rin}), x, b, key), np.float64)
    size = 10 ** (rin / 20) * np.sqrt(5e8)
    np.testing.assert_allclose(y.std(0) / size, abs(p + epsilon * light / 2), atol=0.02)
    full = core.replace(photons=m, receiver={"saturation_electrons": 20.0})
    plus, minus = ((1 + s * epsilon / 2) * m * (light + s * p) / 2 for s in (1, -1))
    assert ((plus > 20) != (minus > 20)).any()
    expected = (np.minimum(plus, 20) - np.minimum(minus, 20)) / m
    np.testing.assert_allclose(product(full, x[:1], b)[0], expected, atol=1e-5)


@pytest.mark.parametrize("encoding", ["offset", "quadrature"])
def test_imbalance_is_of_pairs_that_share_the_light(encoding):
    with pytest.raises(ValueError, match=r"OpticalCore\.receiver\.imbalance has no meaning"):
        pj.OpticalCore(encoding=encoding, receiver={"imbalance": 0.01})
