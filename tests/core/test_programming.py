"""Quantized and programmed weights, dtypes, degenerate sizes, and every refusal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import photonjax as pj
from photonjax.core.fixed_point import stored

pytestmark = pytest.mark.slow  # minutes together: on one Python

MATRIX = (((1,), (0,)), ((), ()))
CORE = pj.OpticalCore(rows=16, cols=8)
X = jax.random.normal(jax.random.key(0), (6, 40))
W = jax.random.normal(jax.random.key(1), (40, 12))


def product(x, w, core=CORE, key=None, numbers=MATRIX, **options):
    return pj.optical_dot_general(x, w, numbers, core=core, key=key, **options)


@pytest.mark.parametrize("bits", [8, 4])
def test_quantized_weight_is_the_weight(bits):
    core = CORE.replace(array={"bits": bits}, adc={"bits": None})
    q = pj.quantize(W, bits=bits)
    # The same integers; the scale is divided by the levels and multiplied again: an ulp.
    np.testing.assert_allclose(product(X, q, core), product(X, W, core), rtol=5e-7, atol=1e-6)
    tensor = core.replace(array={"scale": "per_tensor"})
    whole = pj.quantize(W, bits=bits, contracting=None)
    np.testing.assert_allclose(
        product(X, whole, tensor), product(X, W, tensor), rtol=5e-7, atol=1e-6
    )
    xb, wb = X.reshape(2, 3, 40), jax.random.normal(jax.random.key(2), (2, 12, 40))
    numbers = (((2,), (2,)), ((0,), (0,)))
    batched = product(xb, pj.quantize(wb, bits=bits, contracting=2), core, numbers=numbers)
    np.testing.assert_allclose(
        batched, product(xb, wb, core, numbers=numbers), rtol=5e-7, atol=1e-6
    )


@pytest.mark.parametrize(
    "encoding, fields",
    [
        ("differential", {}),
        ("offset", dict(array={"bits": 4})),
        ("homodyne", dict(array={"bits": None})),
        ("differential", dict(array={"bits": 12, "noise": 0.02})),
        ("offset", dict(array={"noise": 0.02})),
        ("homodyne", dict(array={"noise": 0.02})),
        ("differential", dict(array={"noise": 0.02})),
    ],
)
def test_programmed_weight_is_the_weight(encoding, fields):
    core = CORE.replace(
        encoding=encoding, photons=300.0, input={"noise": 0.01}, adc={"bits": None}
    ).replace(**fields)
    key, site = jax.random.key(3), 17

    @jax.jit
    def both(x, w):
        held = pj.program(w, core, site=site)
        return product(x, w, core, key, site=site), product(x, held, core, key, site=site)

    plain, held = both(X, W)
    # Static errors reach the carried integers in the same way, so only the last bits may differ.
    np.testing.assert_allclose(held, plain, rtol=2e-6, atol=2e-6)
    separate = product(X, pj.program(W, core, site=site), core, key, site=site)
    np.testing.assert_allclose(separate, plain, rtol=1e-5, atol=1e-5)


def test_programmed_weight_of_many_axes():
    w = jax.random.normal(jax.random.key(4), (3, 5, 8, 2))
    x = jax.random.normal(jax.random.key(5), (7, 8, 5))
    numbers = (((1, 2), (2, 1)), ((), ()))
    held = pj.program(w, CORE, contracting=(2, 1))
    assert held.shape == w.shape and held.parts[0][0].shape == (40, 6)
    assert stored(held.parts[0][0]).dtype in (jnp.int8, jnp.bfloat16, jnp.float32)
    np.testing.assert_array_equal(product(x, held, numbers=numbers), product(x, w, numbers=numbers))


def test_result_dtypes():
    half = X.astype(jnp.bfloat16)
    assert product(half, W).dtype == jnp.float32
    assert product(half, W.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    assert product(X.astype(jnp.float16), W.astype(jnp.float16)).dtype == jnp.float16
    wide = product(half, W.astype(jnp.bfloat16), preferred_element_type=jnp.float32)
    assert wide.dtype == jnp.float32
    # the bfloat16 operands enter exactly; only the result is rounded
    exact = product(half.astype(jnp.float32), W.astype(jnp.bfloat16).astype(jnp.float32))
    np.testing.assert_array_equal(wide, exact)
    rounded = product(half, W.astype(jnp.bfloat16))
    np.testing.assert_array_equal(rounded, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize("m, k, n", [(0, 4, 3), (2, 0, 3), (2, 4, 0)])
def test_empty_products_are_zero(m, k, n):
    y = product(jnp.ones((m, k)), jnp.ones((k, n)), key=jax.random.key(0))
    assert y.shape == (m, n) and (y == 0).all()


def test_zero_operands_are_zero():
    assert (product(0 * X, W) == 0).all() and (product(X, 0 * W) == 0).all()
    for tiny in (1e-30, 1e-36, 1e-38, 1e-45):  # whose inverses overflow
        assert jnp.abs(product(tiny * X, W)).max() < 1e-27
        assert jnp.abs(product(X, tiny * W)).max() < 1e-27
    noisy = CORE.replace(photons=10.0)
    assert jnp.isfinite(product(0 * X, 0 * W, noisy, jax.random.key(0))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("statistics", ["gaussian", "poisson"])
def test_nan_reaches_the_result(bad, statistics):
    core = CORE.replace(photons=10.0, encoding={"photon_statistics": statistics})
    run = jax.jit(lambda x, w: product(x, w, core, jax.random.key(0)))
    y = run(X.at[2, 5].set(bad), W)
    assert not np.isfinite(y[2]).any() and np.isfinite(np.delete(y, 2, 0)).all()
    y = run(X, W.at[30, 4].set(bad))
    assert not np.isfinite(y[:, 4]).any() and np.isfinite(np.delete(y, 4, 1)).all()
    for x, w, name in ((X.at[2, 5].set(bad), W, "x"), (X, W.at[0, 0].set(bad), "w")):
        with pytest.raises(ValueError, match=f"{name} contains NaN or infinity"):
            product(x, w, core)


HELD = pj.program(W, CORE)
REFUSALS = {
    "integer x": (TypeError, "x is int32", dict(x=X.astype(jnp.int32))),
    "complex x": (TypeError, "x is complex64", dict(x=X.astype(jnp.complex64))),
    "integer w": (TypeError, "weight is int8", dict(w=W.astype(jnp.int8))),
    "shapes": (ValueError, r"axis 1 of x has 40 elements, axis 0 of w has 39", dict(w=W[1:])),
    "no such axis": (ValueError, r"axes \(2,\) of x", dict(numbers=(((2,), (0,)), ((), ())))),
    "twice": (ValueError, r"axes \(0, 0\) of w", dict(numbers=(((0, 1), (0, 0)), ((), ())))),
    "unpaired": (ValueError, "different numbers", dict(numbers=(((1,), ()), ((), ())))),
    "negative": (ValueError, r"axes \(-1,\) of x", dict(numbers=(((-1,), (0,)), ((), ())))),
    "not numbers": (ValueError, "dimension_numbers = 3", dict(numbers=3)),
    "other bits": (ValueError, "4 bits but core.array.bits = 8", dict(w=pj.quantize(W, bits=4))),
    "other axis": (ValueError, r"scales along axis \(0,\)", dict(w=pj.quantize(W, contracting=1))),
    "held otherwise": (ValueError, r"sum over axes \(0,\)", dict(
        w=HELD, x=X[:, :12], numbers=(((1,), (1,)), ((), ())))),
    "held in a batch": (ValueError, "no batch axes", dict(
        w=HELD, x=X[0], numbers=(((), ()), ((0,), (0,))))),
    "held elsewhere": (ValueError, "another kind of core", dict(
        w=HELD, core=CORE.replace(rows=8))),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    error, message, arguments = REFUSALS[name]
    with pytest.raises(error, match=message) as caught:
        product(**(dict(x=X, w=W) | arguments))
    assert "\n" not in str(caught.value)
    with pytest.raises(error, match=message):  # and as early under a trace
        jax.eval_shape(lambda: product(**(dict(x=X, w=W) | arguments)))


def test_core_is_required():
    with pytest.raises(TypeError, match="core"):
        pj.optical_dot_general(X, W, MATRIX)
