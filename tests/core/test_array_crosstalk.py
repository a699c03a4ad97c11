"""Crosstalk between cells, against closed forms."""

import jax
import numpy as np
import pytest

import photonjax as pj
from photonjax.core.product import traced_dot_general

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


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("interleaved", [False, True])
def test_crosstalk_is_of_light_on_two_rails(interleaved, bits):
    """Rails written out: what each sheds lands on its neighbour there. Signed neighbours cancel in the
    difference of the detectors, not in the light that they count."""
    core = ANALOG.replace(rows=6, cols=3, photons=9.0, encoding={"shot_estimate": "exact"})
    core = core.replace(input={"bits": bits}, array={"bits": bits, "interleaved": interleaved})
    rng = np.random.default_rng(4)
    x, b = rng.integers(-127, 128, (5, 6)) / 127, rng.integers(-127, 128, (6, 5)) / 127
    x[:, 0], b[0] = 1, [1, -1, 1, -1, 1]
    run = jax.jit(lambda core, w: traced_dot_general(x.astype("f4"), w, NUMBERS, core=core)[1])
    for along, across in ((0.05, 0.0), (0.0, 0.04), (0.1, 0.2)):
        mixed = core.replace(array={"crosstalk_rows": along, "crosstalk_cols": across})
        rails = [shed(np.maximum(s * b, 0), along, 6) for s in (1, -1)]
        if interleaved:
            side = np.stack(rails, 2).reshape(
                6, -1
            )  # b+ and b- of the first output, of the second ...
            side = shed(side.T, across, 6).T.reshape(6, -1, 2)
            plus, minus = side[..., 0], side[..., 1]
        else:
            plus, minus = (shed(rail.T, across, 3).T for rail in rails)
        up, down = np.maximum(x, 0), np.maximum(-x, 0)
        counts = up @ plus + down @ minus, up @ minus + down @ plus
        atol = 3e-6 if bits is None else 6 * 0.5 / (64 * 127)
        weight = b.astype("f4")
        for held in (weight, pj.program(weight, mixed)):
            found = run(mixed, held)
            np.testing.assert_allclose(found.y, counts[0] - counts[1], atol=atol)
            np.testing.assert_allclose(found.light[0], counts[0] + counts[1], atol=atol)
        rough = run(mixed.replace(encoding={"shot_estimate": "rank_one"}), weight).light[0]
        moments = np.abs(x).sum(1)[:, None] * (plus + minus).sum(0) / 6
        np.testing.assert_allclose(rough, moments, atol=atol)
    assert (counts[0] + counts[1] - np.abs(x) @ np.abs(plus - minus) > -1e-6).all()
    assert (counts[0] + counts[1] - np.abs(x) @ np.abs(plus - minus)).mean() > 0.05


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_vignetting_and_misalignment(encoding):
    """Cell by cell: light falls with the squared distance from the middle; what is off by a fraction of a
    pitch meets the next cell, beyond the far edge of an array nothing."""
    core = ANALOG.replace(encoding=encoding, rows=4, cols=3)
    b = np.random.default_rng(6).uniform(-1, 1, (6, 5))
    b[0, 0] = 1
    dark = 1.0 if encoding == "offset" else 0.0
    k, n = np.meshgrid(np.arange(6) % 4, np.arange(5) % 3, indexing="ij")
    far = (((k - 1.5) / 1.5) ** 2 + (n - 1.0) ** 2) / 2
    assert far.max() == 1
    for corner, along, across in ((0.3, 0.0, 0.0), (0.0, 0.2, 0.0), (0.1, 0.05, 0.3)):
        kept = 1 - corner * far
        light = (b + dark) * (np.sqrt(kept) if encoding in ("homodyne", "quadrature") else kept)
        after = np.where(np.arange(6)[:, None] % 4 == 3, 0, np.vstack([light[1:], 0 * light[:1]]))
        light = (1 - along) * light + along * after
        after = np.where(np.arange(5) % 3 == 2, 0, np.hstack([light[:, 1:], 0 * light[:, :1]]))
        light = (1 - across) * light + across * after
        fields = {"vignetting": corner, "misalignment_rows": along, "misalignment_cols": across}
        np.testing.assert_allclose(cells(core.replace(array=fields), b), light - dark, atol=3e-6)


def test_rails_side_by_side_and_optics_that_are_off():
    """Off by half a rail, b+ meets half of b- of its own output, and b- half of the next output's b+."""
    core = ANALOG.replace(rows=2, cols=2, photons=1.0, encoding={"shot_estimate": "exact"})
    core = core.replace(array={"interleaved": True, "misalignment_cols": 0.5})
    b = np.array([[1, -0.5, 0.25], [1, 0.5, -1]])
    rails = np.stack([np.maximum(b, 0), np.maximum(-b, 0)], 2)
    last = np.array([[0], [1], [0]])[None] * np.array([0, 1])  # of an array: nothing beyond it
    following = np.concatenate([rails.reshape(2, -1)[:, 1:], np.zeros((2, 1))], 1).reshape(2, 3, 2)
    met = (rails + following * (1 - last)) / 2
    mixed = core.replace(array={"scale": "per_tensor"})
    trace = traced_dot_general(np.eye(2, dtype="f4"), b.astype("f4"), NUMBERS, core=mixed)[1]
    np.testing.assert_allclose(trace.y, met[..., 0] - met[..., 1], atol=1e-6)
    np.testing.assert_allclose(trace.light[0], met.sum(2), atol=1e-6)
