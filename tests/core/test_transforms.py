"""jit, vmap and derivatives of the product (scan: test_whole_core; slopes by fields: test_gradients)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import photonjax as pj

pytestmark = pytest.mark.slow  # minutes together: on one Python

MATRIX = (((1,), (0,)), ((), ()))
KEY = jax.random.key(7)
X = jax.random.normal(jax.random.key(0), (9, 40))
W = jax.random.normal(jax.random.key(1), (40, 12))
ALL = pj.OpticalCore(
    rows=16, cols=5, photons=50.0, receiver={"noise_a_per_rthz": 1e-14}, source={"rin_db_hz": -120.0},
    input={"noise": 0.02}, array={"noise": 0.02}, adc={"enob": 6.0},
)  # fmt: skip
ANALOG = ALL.replace(input={"bits": None}, array={"bits": None}, adc={"bits": None, "enob": None})


def product(x, w, core, key=KEY, **options):
    return pj.optical_dot_general(x, w, MATRIX, core=core, key=key, **options)


@pytest.mark.parametrize(
    "encoding, sampler",
    [("offset", "threefry"), ("homodyne", "mixed")],
)
def test_jit_is_eager(encoding, sampler):
    core = ALL.replace(
        rows=64, encoding=encoding, sampler=sampler, adc={"bits": None, "enob": None}
    )
    eager, jitted = product(X, W, core), jax.jit(product)(X, W, core)
    # XLA contracts the samplers' polynomials to fused multiply-adds, step by step it cannot.
    np.testing.assert_allclose(eager, jitted, rtol=1e-5, atol=1e-5 * np.abs(eager).max())
    np.testing.assert_array_equal(jax.jit(product)(X, W, core), jitted)
    np.testing.assert_array_equal(product(X, W, core), eager)


def test_keys():
    run = jax.jit(product)
    first = run(X, W, ALL)
    np.testing.assert_array_equal(run(X, W, ALL, jax.random.key(7)), first)
    other = run(X, W, ALL, jax.random.key(8))
    assert (first != other).mean() > 0.9
    silent = run(X, W, ALL, None)
    np.testing.assert_array_equal(run(X, W, ALL, None), silent)
    assert (silent != first).mean() > 0.9
    static = pj.OpticalCore(rows=16, cols=5).replace(array={"noise": 0.1})
    np.testing.assert_array_equal(run(X, W, static), run(X, W, static, None))


def test_vmap():
    core = ANALOG.replace(encoding="offset")
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)  # float32, |y| ~ 20
    run = jax.jit(lambda x, key, m: product(x, W, core.replace(photons=m), key))
    keys, xs = jax.random.split(KEY, 3), jnp.stack([X, 2 * X, X[::-1]])
    photons = jnp.array([1.0, 10.0, 1e3])
    each = zip(xs, keys, photons, strict=True)
    close(jax.vmap(run)(xs, keys, photons), jnp.stack([run(*one) for one in each]))
    over_keys = jax.vmap(run, (None, 0, None))(X, keys, photons[0])
    close(over_keys, jnp.stack([run(X, key, photons[0]) for key in keys]))
    assert (over_keys[0] != over_keys[1]).mean() > 0.9


def test_straight_through_gradients():
    """Without noise: those of the plain product of the operands as quantized."""
    core = pj.OpticalCore(rows=64, cols=64, adc={"bits": None})
    cotangent = jax.random.normal(jax.random.key(2), (9, 12))
    _, pull = jax.vjp(lambda x, w: product(x, w, core, None), X, W)
    dx, dw = pull(cotangent)
    s_x, s_w = jnp.abs(X).max(1, keepdims=True), jnp.abs(W).max(0, keepdims=True)
    x_hat, w_hat = jnp.round(X / s_x * 127) / 127 * s_x, jnp.round(W / s_w * 127) / 127 * s_w
    np.testing.assert_allclose(dx, cotangent @ w_hat.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dw, x_hat.T @ cotangent, rtol=1e-5, atol=1e-5)
    # forward mode agrees: <cotangent, J t> = <J^T cotangent, t>
    _, push = jax.jvp(
        lambda x, w: product(x, w, core, None), (X, W), (W.T[:9], X.T.repeat(2, 1)[:, :12])
    )
    pulled = (dx * W.T[:9]).sum() + (dw * X.T.repeat(2, 1)[:, :12]).sum()
    assert float((push * cotangent).sum()) == pytest.approx(float(pulled), rel=1e-4)


def test_converter_gradients():
    """Inside the ADC's range that of the analog sum, outside none; by range, that of the ends."""
    core = pj.OpticalCore(
        rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": 8}
    )
    x, w = jnp.array([[1.0, 0.5]]), jnp.array([[1.0], [1.0]])  # p = 1.5
    inside = lambda x, r: product(x, w, core, None, adc_range=r)[0, 0]
    dx, dr = jax.grad(inside, (0, 1))(x, 4.0)
    assert dx.tolist() == [[1, 1]] and abs(float(dr)) < 1 / 128  # only the grid moves
    dx, dr = jax.grad(inside, (0, 1))(x, 0.7)
    assert dx.tolist() == [[0, 0]] and float(dr) == pytest.approx(127 / 128)
    dr = jax.grad(inside, 1)(-x, 0.7)
    assert float(dr) == pytest.approx(-1)
    by_core = jax.grad(lambda r: product(x, w, core.replace(adc={"range": r}), None)[0, 0])
    assert float(by_core(0.2)) == pytest.approx(
        127 / 128 * np.sqrt(2)
    )  # in units of sqrt(rows used)


@pytest.mark.parametrize("encoding, bits", [("differential", 8), ("offset", 4), ("homodyne", 8)])
def test_all_gradients_are_finite_with_everything_on(encoding, bits):
    core = ALL.replace(rows=64, encoding=encoding, input={"bits": bits}, array={"bits": bits})
    loss = lambda x, w, core: (product(x, w, core) ** 2).sum()
    gradients = jax.jit(jax.grad(loss, (0, 1, 2)))(X.at[2].set(0), W.at[:, 3].set(0), core)
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradients))
    assert all((g != 0).any() for g in jax.tree.leaves(gradients))


def test_poisson_gradients_are_those_of_the_same_variance():
    core = ANALOG.replace(photons=30.0, encoding={"photon_statistics": "poisson"})
    core = core.replace(
        source={"rin_db_hz": None},
        input={"noise": None},
        array={"noise": None},
        receiver={"noise_a_per_rthz": None},
    )
    run = lambda m: product(X, W, core.replace(photons=m))
    y, slope = jax.jit(lambda m: jax.jvp(run, (m,), (1.0,)))(30.0)
    noise = y - product(X, W, core, None)
    # deviation ~ m**-1/2 at a fixed deviate, tile by tile
    np.testing.assert_allclose(slope, -noise / 60, rtol=1e-3, atol=1e-3 * np.abs(noise / 60).max())
