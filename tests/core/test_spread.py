"""Point-spread functions against light moved by hand; crosstalk and misalignment are special cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import integrate, ndimage, stats

import photonjax as pj
from photonjax.core.product import traced_dot_general
from photonjax.core.spread import change, gaussian_spot

NUMBERS = (((1,), (0,)), ((), ()))
ANALOG = pj.OpticalCore(
    rows=6, cols=3, photons=9.0, input={"bits": None}, array={"bits": None}, adc={"bits": None}
).replace(encoding={"shot_estimate": "exact"})
TAPS = np.array([[0.01, 0.02, 0.0], [0.05, 0.7, 0.04], [0.0, 0.03, 0.06]])  # lopsided


def landed(light, taps, rows, cols):
    """Light of each cell handed to the cells around it, array by array."""
    out, (down, across) = np.zeros_like(light), np.array(taps.shape) // 2
    for (k, n), one in np.ndenumerate(light):
        for (i, j), tap in np.ndenumerate(taps):
            to = k + i - down, n + j - across
            same = to[0] // rows == k // rows and to[1] // cols == n // cols
            if same and 0 <= to[0] < len(light) and 0 <= to[1] < light.shape[1]:
                out[to] += tap * one
    return out


def operands():
    rng = np.random.default_rng(4)
    x, b = rng.uniform(-1, 1, (5, 8)), rng.uniform(-1, 1, (8, 5))
    x[:, 0], b[0] = 1, [1, -1, 1, -1, 1]
    return x, b


@jax.jit
def traced(core, x, w):
    return traced_dot_general(x, w, NUMBERS, core=core)[1]


def test_light_lands_where_the_taps_say():
    """Several arrays, the last ones not full; a kernel wider than the array; against scipy inside one."""
    rng = np.random.default_rng(0)
    light, wide = rng.uniform(0, 1, (7, 8)).astype("f4"), rng.uniform(0, 0.1, (5, 3))
    for taps, rows, cols in ((TAPS, 3, 4), (wide, 2, 8), (TAPS, 16, 16)):
        found = light + np.asarray(change(jnp.asarray(light), taps, rows, cols))
        np.testing.assert_allclose(found, landed(light, taps, rows, cols), atol=1e-6)
    expected = ndimage.convolve(light, TAPS, mode="constant")
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow  # physics, not interfaces: run on one Python
@pytest.mark.parametrize("interleaved", [False, True])
def test_rail_by_rail(interleaved):
    """What lands on each rail, written out: the sum, and the light counted for it."""
    core = ANALOG.replace(array={"interleaved": interleaved, "point_spread": TAPS})
    x, b = operands()
    rails = np.stack([np.maximum(b, 0), np.maximum(-b, 0)], 2)
    if interleaved:
        rails = landed(rails.reshape(8, -1), TAPS, 6, 6).reshape(8, 5, 2)
    else:
        rails = np.stack([landed(rails[..., s], TAPS, 6, 3) for s in (0, 1)], 2)
    found = traced(core, x.astype("f4"), b.astype("f4"))
    np.testing.assert_allclose(found.y, x @ (rails[..., 0] - rails[..., 1]), atol=3e-6)
    light = sum(np.abs(x[:, k : k + 6]) @ rails[k : k + 6].sum(2) for k in (0, 6))
    np.testing.assert_allclose(sum(found.light), light, atol=3e-6)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["offset", "homodyne"])
def test_one_rail_and_fields(encoding):
    core = ANALOG.replace(encoding=encoding, array={"point_spread": TAPS})
    x, b = operands()
    dark = 1 if encoding == "offset" else 0
    expected = landed(b + dark, TAPS, 6, 3) - dark
    found = traced(core, x.astype("f4"), b.astype("f4"))
    np.testing.assert_allclose(found.y, x @ expected, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("interleaved", [False, True])
def test_crosstalk_and_misalignment_are_special_cases(interleaved):
    x, b = (v.astype("f4") for v in operands())
    core = ANALOG.replace(array={"interleaved": interleaved})
    near = lambda f: np.array([f, 1 - 2 * f, f])
    off = lambda f: np.array([f, 1 - f, 0])
    for fields, taps in (
        ({"crosstalk_rows": 0.1, "crosstalk_cols": 0.04}, np.outer(near(0.1), near(0.04))),
        ({"misalignment_cols": 0.3}, off(0.3)[None]),
    ):
        one = traced(core.replace(array=fields), x, b)
        same = traced(core.replace(array={"point_spread": taps}), x, b)
        np.testing.assert_allclose(one.y, same.y, atol=2e-6)
        np.testing.assert_allclose(one.light[0], same.light[0], atol=2e-6)
    alone = core.replace(array={"point_spread": [[0, 0, 0], [0, 1, 0], [0, 0, 0]]})
    np.testing.assert_array_equal(traced(alone, x, b).y, traced(core, x, b).y)


@pytest.mark.slow
def test_slopes_by_taps_are_those_of_differences():
    x, b = (v.astype("f4") for v in operands())
    core = ANALOG.replace(array={"interleaved": True})
    weights = np.random.default_rng(1).normal(size=(5, 5)).astype("f4")

    @jax.jit
    def total(taps):
        y = pj.optical_matmul(x, b, core=core.replace(array={"point_spread": taps}))
        return (weights * y).sum()

    slopes = jax.grad(total)(jnp.float32(TAPS))
    for at in ((0, 0), (1, 1), (1, 2)):
        step = np.zeros((3, 3), "f4")
        step[at] = 0.05  # outputs are linear in the taps
        difference = (total(TAPS + step) - total(TAPS - step)) / 0.1
        assert float(slopes[at]) == pytest.approx(float(difference), rel=1e-3, abs=1e-3)


def test_a_gaussian_spot():
    """The integral of the spot over each pixel; all of it within reach, none without width."""
    taps = gaussian_spot(0.8, 0.3, reach=3)
    pixel = integrate.quad(lambda r: stats.norm.pdf(r, scale=0.8), 0.5, 1.5)[0]
    centre = integrate.quad(lambda r: stats.norm.pdf(r, scale=0.3), -0.5, 0.5)[0]
    assert taps[4, 3] == taps[2, 3] == pytest.approx(pixel * centre, rel=1e-5)
    assert taps.sum() == pytest.approx(1, abs=1e-4) and taps.shape == (7, 7)
    assert gaussian_spot(0, 0, 1).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    for wrong in ((-1, 0, 1), (0, float("nan"), 1), (0.1, 0.1, 99)):
        with pytest.raises(ValueError, match="^gaussian_spot: "):
            gaussian_spot(*wrong)


def test_wrong_taps_are_named():
    for wrong, kind in (
        ([[0.5, 0.5]], ValueError),
        ([[0.5, 0.5, 0.5]], ValueError),
        ([[-0.1]], ValueError),
        ([[1.0], [1.0, 2.0]], (ValueError, TypeError)),
        ([["a"]], TypeError),
        (0.5, TypeError),
    ):
        with pytest.raises(kind, match=r"^OpticalCore\.array\.point_spread .*matrix of taps"):
            pj.OpticalCore(array={"point_spread": wrong})


@pytest.mark.slow
def test_taps_in_a_layer_of_a_model():
    """As a variable of its own, which can be set; a stack of layers has it once for each."""
    core = ANALOG.replace(photons=None, array={"point_spread": TAPS})
    x, b = (v.astype("f4") for v in operands())
    layer = pj.nnx.OpticalLinear(8, 5, use_bias=False, core=core, rngs=nnx.Rngs(0))
    layer.kernel[...] = b
    run = nnx.jit(lambda layer, x: layer(x))
    np.testing.assert_allclose(run(layer, x), pj.optical_matmul(x, b, core=core), atol=1e-6)
    pj.nnx.set_hardware(layer, **{"array.point_spread": TAPS.T})
    other = core.replace(array={"point_spread": TAPS.T})
    np.testing.assert_allclose(run(layer, x), pj.optical_matmul(x, b, core=other), atol=1e-6)
    stacked = pj.nnx.OpticalDot(core, rngs=nnx.Rngs(0), site=np.arange(2), stack=(2,))
    assert stacked.hardware["array.point_spread"][...].shape == (2, 3, 3)
    assert stacked.hardware["adc.range"][...].shape == (2,)
