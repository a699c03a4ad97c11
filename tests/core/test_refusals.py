"""What a product, a programmed weight and a quantized one are given that they cannot be: refused, by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax as pj

CORE = pj.OpticalCore(rows=8, cols=8)
STATIC = CORE.replace(input={"scale": "static"})
X, W = np.full((2, 8), 0.5, np.float32), np.full((8, 4), 0.25, np.float32)


@pytest.mark.parametrize("value", [0, -1, np.inf, np.nan, np.float32([1, 1, 1, -1])])
def test_a_range_is_positive_and_finite(value):
    for name, core in (("adc_range", CORE), ("input_range", STATIC)):
        if name == "input_range" and np.ndim(value):
            continue
        with pytest.raises(ValueError, match=rf"{name} = .* is not a number above 0"):
            pj.optical_matmul(X, W, core=core, **{name: value})
        with pytest.raises(ValueError, match=f"{name} = "):  # a constant of a traced program
            jax.jit(lambda x, n=name, c=core: pj.optical_matmul(x, W, core=c, **{n: value}))(X)
    # a traced one is not known yet: it takes effect as it always did
    traced = jax.jit(lambda r: pj.optical_matmul(X, W, core=CORE, adc_range=r))(jnp.float32(2.0))
    np.testing.assert_array_equal(traced, pj.optical_matmul(X, W, core=CORE, adc_range=2.0))


@pytest.mark.parametrize("value", [1e39, 1e-45, 10**400, np.float64(1e-40)])
def test_a_number_is_one_in_single_precision(value):
    """As float32 it would be infinite or zero, and so every result."""
    for call in (
        lambda: pj.optical_matmul(X, W, core=CORE, adc_range=value),
        lambda: pj.optical_matmul(X, W, core=STATIC, input_range=value),
        lambda: CORE.replace(photons=value),
        lambda: CORE.replace(**{"adc.range": value}),
    ):
        with pytest.raises(ValueError, match="(photons|range) = .* is not a number above 0"):
            call()


@pytest.mark.parametrize("value", ["a", True, 1j, object(), [1j] * 4])
def test_a_range_is_a_number(value):
    with pytest.raises(TypeError, match="adc_range = .* is not a number"):
        pj.optical_matmul(X, W, core=CORE, adc_range=value)


def test_a_range_for_each_output():
    want = pj.optical_matmul(X, W, core=CORE, adc_range=1.5)
    for each in ([1.5] * 4, np.full((1, 4), 1.5), np.float64(1.5), jnp.full(1, 1.5)):
        np.testing.assert_array_equal(pj.optical_matmul(X, W, core=CORE, adc_range=each), want)
    with pytest.raises(
        ValueError, match=r"adc_range has shape \(3,\); give a number, or 4 of them"
    ):
        pj.optical_matmul(X, W, core=CORE, adc_range=np.ones(3))
    with pytest.raises(ValueError, match=r"input_range has shape \(2,\); give a number"):
        pj.optical_matmul(X, W, core=STATIC, input_range=np.ones(2))


@pytest.mark.parametrize("make", [pj.quantize, lambda w, **o: pj.program(w, CORE, **o)])
def test_contracted_axes(make):
    for axes, error in (
        (5, "does not exist"),
        (-3, "does not exist"),
        ((0, -2), "names an axis twice"),
        (1.5, "neither an axis nor"),
        (True, "neither an axis nor"),
        ("0", "neither an axis nor"),
    ):
        with pytest.raises((ValueError, TypeError), match=f"contracting = .* {error}"):
            make(W, contracting=axes)
    for axes in (1, -1, np.int64(1), [1]):
        assert make(W, contracting=axes).contracting == (1,)


def test_nothing_to_sum_and_nothing_at_all():
    """No contracted axis: an outer product. No elements: zeros of the product's shape."""
    outer = pj.optical_dot_general(
        X, W, (((), ()), ((), ())), core=CORE.replace(adc={"bits": None})
    )
    np.testing.assert_allclose(outer, np.multiply.outer(X, W), rtol=1e-6)
    full = CORE.replace(photons=10.0, receiver={"common_noise": 0.1}, array={"noise": 0.1})
    for x, w in (((0, 8), (8, 4)), ((2, 0), (0, 4)), ((2, 8), (8, 0))):
        y = pj.optical_matmul(np.ones(x), np.ones(w), core=full, key=jax.random.key(0))
        np.testing.assert_array_equal(y, np.zeros((x[0], w[1])))
        q = pj.quantize(np.ones(w))
        assert q.shape == w and q.scale.shape == (1, w[1])
        assert pj.optical_matmul(np.ones(x), q, core=full).shape == (x[0], w[1])
    with pytest.raises(ValueError, match=r"program: w \(0, 4\) has no elements"):
        pj.program(np.ones((0, 4)), CORE)
    with pytest.raises(ValueError, match="w contains NaN"):
        pj.program(np.full((2, 2), np.nan), CORE)
    numbers = ("NHWC", "HWIO", "NHWC")
    for image, kernel in (
        ((0, 8, 8, 3), (3, 3, 3, 5)),
        ((1, 0, 8, 3), (3, 3, 3, 5)),
        ((1, 8, 8, 0), (3, 3, 0, 5)),
        ((1, 8, 8, 3), (3, 3, 3, 0)),
        ((1, 2, 2, 3), (3, 3, 3, 5)),
    ):
        image, kernel = np.ones(image, np.float32), np.ones(kernel, np.float32)
        y = pj.optical_conv(image, kernel, (1, 1), "VALID", dimension_numbers=numbers, core=CORE)
        want = jax.lax.conv_general_dilated(
            image, kernel, (1, 1), "VALID", dimension_numbers=numbers
        )
        assert y.shape == want.shape and y.dtype == want.dtype and not np.any(y)


@pytest.mark.parametrize(
    "setting",
    [
        {"window_strides": (0, 1)},
        {"window_strides": (1,)},
        {"window_strides": 2},
        {"lhs_dilation": (1,)},
        {"rhs_dilation": (0, 1)},
        {"feature_group_count": 0},
        {"batch_group_count": 0},
    ],
)
def test_convolution_settings(setting):
    options = dict(
        window_strides=(1, 1), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    (name,) = setting
    with pytest.raises(ValueError, match=f"{name} = "):
        pj.optical_conv(
            np.ones((1, 4, 4, 3)), np.ones((3, 3, 3, 5)), core=CORE, **(options | setting)
        )


def test_what_is_no_operand_no_core_no_site():
    with pytest.raises(TypeError, match="optical_matmul: x = .* is not an array"):
        pj.optical_matmul(X.tolist(), W, core=CORE)
    with pytest.raises(TypeError, match="optical_einsum: w = 1.0 is not an array"):
        pj.optical_einsum("ij,jk->ik", X, 1.0, core=CORE)
    for core in (None, "display-1024", pj.OpticalCore):
        for call in (
            lambda core: pj.optical_matmul(X, W, core=core),
            lambda core: pj.program(W, core),
        ):
            with pytest.raises(TypeError, match=r"core = .* is not an OpticalCore; make one by"):
                call(core)
    for site in (None, 1.5, True, ("a", None)):
        with pytest.raises(
            TypeError, match="site = .* is neither a parameter's path nor an integer"
        ):
            pj.optical_matmul(X, W, core=CORE, site=site)
    for site in (-1, 2**32):
        with pytest.raises(ValueError, match=f"site = {site} is not an integer of"):
            pj.optical_matmul(X, W, core=CORE, site=site)
    with pytest.raises(TypeError, match="site = .* is neither"):
        pj.optical_matmul(X, W, core=CORE, site=np.arange(3))
    for start, error in ((1.5, TypeError), (True, TypeError), ("a", TypeError), (-1, ValueError)):
        with pytest.raises(error, match=f"batch_start = {start!r} is not an integer"):
            pj.optical_dot_general(
                X[None], W[None], (((2,), (1,)), ((0,), (0,))), core=CORE, batch_start=start
            )
    with pytest.raises(TypeError, match="key = .* is not a key; make one"):
        pj.optical_matmul(X, W, core=CORE, key=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"dimension_numbers = \(\(\(1.7"):
        pj.optical_dot_general(X, W, (((1.7,), (0.2,)), ((), ())), core=CORE)
    for kind in ("int32", "complex64"):
        with pytest.raises(TypeError, match=f"preferred_element_type = {kind}"):
            pj.optical_dot_general(
                X, W, (((1,), (0,)), ((), ())), preferred_element_type=kind, core=CORE
            )


def test_integers_of_numpy_are_integers():
    made = pj.OpticalCore(
        rows=np.int64(64),
        cols=np.uint16(32),
        averages=np.int8(2),
        chip_seed=np.int32(7),
        adc={"bits": np.int32(6)},
    )
    plain = pj.OpticalCore(rows=64, cols=32, averages=2, chip_seed=7, adc={"bits": 6})
    assert made == plain and repr(made) == repr(plain)
    assert jax.tree.structure(made) == jax.tree.structure(plain)
    with pytest.raises(ValueError, match="rows = 0 is not an integer of"):
        pj.OpticalCore(rows=np.int64(0))
    for seed in (np.int64(-1), np.uint64(2**32)):
        with pytest.raises(ValueError, match=f"chip_seed = {seed} is not an integer of"):
            pj.OpticalCore(chip_seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2", "float4_e2m1fn"])
def test_floats_of_eight_bits_are_carried_exactly(kind):
    """The same bits as of their float32 copies; dtypes as in lax.dot_general; gradients in their own."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(6, 8)), kind)
    w = jnp.asarray(rng.normal(size=(8, 4)), kind)
    core = CORE.replace(photons=100.0)
    numbers, key = (((1,), (0,)), ((), ())), jax.random.key(0)
    run = lambda x, w, core=core, **o: pj.optical_dot_general(
        x, w, numbers, core=core, key=key, **o
    )
    wide = run(x.astype("float32"), w.astype("float32"))
    for one, other in ((x, w.astype("float32")), (x.astype("float32"), w), (x, w)):
        y = run(one, other)
        assert y.dtype == jax.lax.dot_general(one, other, numbers).dtype
        np.testing.assert_array_equal(y, wide.astype(y.dtype))
        np.testing.assert_array_equal(run(one, other, preferred_element_type="float32"), wide)
    np.testing.assert_array_equal(pj.quantize(w).values, pj.quantize(w.astype("float32")).values)
    programmed = pj.program(w, core)
    np.testing.assert_array_equal(run(x.astype("float32"), programmed), wide)
    loss = lambda w: run(x, w, preferred_element_type="float32").sum()
    slope = jax.grad(loss)(w)
    assert slope.dtype == w.dtype
    np.testing.assert_array_equal(slope, jax.grad(loss)(w.astype("float32")).astype(kind))
