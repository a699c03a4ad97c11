"""Layers that multiply through a function of the user's: what it does around its product stays."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax import lax

import photonjax as pj

BARE = {"input": {"bits": None}, "array": {"bits": None}, "adc": {"bits": None}}
EXACT = pj.OpticalCore(rows=16, cols=16, **BARE)
COARSE = pj.OpticalCore(rows=16, cols=16, array={"bits": 3})
X = jax.random.normal(jax.random.key(0), (5, 6))
IMAGE = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))


def two_times(x, w, numbers, **options):
    return 2 * lax.dot_general(x, w, numbers, **options)


def of_another_weight(x, w, numbers, **options):
    return lax.dot_general(jnp.tanh(x), w * 0.5 + 1, numbers, **options)


def two_einsums(text, x, w, **options):
    return 2 * jnp.einsum(text, x, w, **options)


def two_convolutions(x, w, *args, **options):
    return 2 * lax.conv_general_dilated(x, w, *args, **options)


def linear(**options):
    return nnx.Linear(6, 4, rngs=nnx.Rngs(0), **options)


LAYERS = {
    "linear": (lambda: linear(dot_general=two_times), X),
    "of another weight": (lambda: linear(dot_general=of_another_weight), X),
    "a precision": (
        lambda: linear(dot_general=functools.partial(lax.dot_general, precision="highest")),
        X,
    ),
    "compiled": (lambda: linear(dot_general=jax.jit(two_times, static_argnums=2)), X),
    "bfloat16": (lambda: linear(dot_general=two_times, dtype=jnp.bfloat16), X),
    "another result": (
        lambda: linear(dot_general=two_times, preferred_element_type=jnp.bfloat16),
        X,
    ),
    "general": (
        lambda: nnx.LinearGeneral(
            (2, 3), 4, axis=(-2, -1), batch_axis={0: 5}, dot_general=two_times, rngs=nnx.Rngs(0)
        ),
        X.reshape(5, 2, 3),
    ),
    "einsum": (
        lambda: nnx.Einsum("...bi,iho->...bho", (6, 2, 4), einsum_op=two_einsums, rngs=nnx.Rngs(0)),
        X,
    ),
    "convolution": (
        lambda: nnx.Conv(
            3, 4, (3, 3), kernel_dilation=2, conv_general_dilated=two_convolutions, rngs=nnx.Rngs(0)
        ),
        IMAGE,
    ),
    "attention": (
        lambda: nnx.MultiHeadAttention(
            2, 6, qkv_dot_general=two_times, decode=False, rngs=nnx.Rngs(0)
        ),
        X[None],
    ),
}


@pytest.mark.parametrize(
    "name", [n if n == "linear" else pytest.param(n, marks=pytest.mark.slow) for n in LAYERS]
)
def test_the_function_stays_around_the_product(name):
    make, x = LAYERS[name]
    layer = make()
    optical, report = pj.convert(layer, [pj.Rule("*", EXACT)])
    assert all(s.status == "optical" for s in report.sites if s.stationary)
    wanted = layer(x)
    bits = 2e-2 if wanted.dtype == jnp.bfloat16 else 1e-5
    scale = np.abs(np.asarray(wanted, np.float32)).max()
    assert optical(x).dtype == wanted.dtype
    np.testing.assert_allclose(
        np.asarray(optical(x), np.float32), np.asarray(wanted, np.float32), atol=bits * scale
    )
    coarse, _ = pj.convert(layer, [pj.Rule("*", COARSE)])
    assert jnp.abs(coarse(x) - wanted).max() > 1e-2 * scale  # it is on light
    y = coarse(x)
    pj.program_weights(coarse)  # the array would hold another matrix than the parameter: left out
    np.testing.assert_array_equal(coarse(x), y)
    assert nnx.graphdef(pj.revert(coarse)) == nnx.graphdef(layer)
    again, _ = pj.convert(coarse, [pj.Rule("*", EXACT)])
    np.testing.assert_array_equal(again(x), optical(x))


@pytest.mark.slow
class Doubling:
    def __call__(self, *args, **kwargs):
        return 2 * lax.dot_general(*args, **kwargs)


def test_a_class_of_functions_is_a_function():
    make = functools.partial(nnx.LinearGeneral, 6, 4, rngs=nnx.Rngs(0))
    model = make(dot_general_cls=Doubling)
    optical, report = pj.convert(model, [pj.Rule("*", EXACT)])
    x = jax.random.normal(jax.random.key(0), (3, 6))
    assert [site.path for site in report.optical] == [""]
    np.testing.assert_allclose(optical(x), model(x), rtol=1e-5, atol=1e-5)
    assert np.abs(optical(x) - make()(x)).max() > 0.1
    again, _ = pj.convert(optical, [pj.Rule("*", pj.OpticalCore(array={"bits": 3}))])
    assert np.abs(again(x) - model(x)).max() > 1e-3
    assert nnx.graphdef(pj.revert(again)) == nnx.graphdef(model)
    for kind, reason in (
        (functools.partial(pj.nnx.OpticalDot, EXACT), "is a OpticalDot, with variables"),
        (lambda: 1 / 0, "cannot be made .division by zero"),
    ):
        with pytest.raises(ValueError, match=f"its own dot_general_cls {reason}"):
            pj.convert(make(dot_general_cls=kind), [pj.Rule("*", EXACT)])


def test_noise_gradients_and_compiling():
    layer = linear(dot_general=two_times)
    core = pj.OpticalCore(rows=16, cols=16, photons=1e3)
    optical, _ = pj.convert(layer, [pj.Rule("*", core)])
    assert (optical(X) != optical(X)).any()  # the stream of noise goes on
    jitted = nnx.jit(lambda model, x: model(x))
    assert (jitted(optical, X) != jitted(optical, X)).any()
    exact, _ = pj.convert(layer, [pj.Rule("*", EXACT)])
    slope = nnx.grad(lambda model: (model(X) ** 2).sum())
    mine, wanted = slope(exact)["kernel"][...], slope(layer)["kernel"][...]
    np.testing.assert_allclose(mine, wanted, rtol=1e-4)


class Holder(nnx.Module):
    """A function with variables of its own."""

    def __init__(self):
        self.scale = nnx.Variable(jnp.ones(()))

    def __call__(self, x, w, numbers, **options):
        return self.scale[...] * lax.dot_general(x, w, numbers, **options)


def whole_numbers(x, w, numbers, **options):
    kind = jnp.int32
    y = lax.dot_general(
        x.astype(jnp.int8), w.astype(jnp.int8), numbers, preferred_element_type=kind
    )
    return y.astype(x.dtype)


@pytest.mark.parametrize(
    "function, reason",
    [
        (lambda x, w, numbers, **options: jnp.ones((x.shape[0], 4)), "has 0 products of the input"),
        (lambda *a, **o: two_times(*a, **o) + two_times(*a, **o), "has 2 products of the input"),
        (
            lambda x, w, numbers, **options: lax.map(lambda r: r @ w, x),
            "multiplies in a way that cannot be replaced (scan)",
        ),
        (
            whole_numbers,
            "multiplies in a way that cannot be replaced (dot_general of int8 and int8)",
        ),
        (lambda x, w, numbers: x @ w, "cannot be traced (<lambda>() got an unexpected"),
        (Holder(), "is a Holder, with variables of its own"),
    ],
)
def test_what_cannot_be_wrapped_stays_digital_and_says_why(function, reason):
    held = nnx.data(function) if isinstance(function, nnx.Pytree) else function
    model = nnx.Sequential(linear(dot_general=held), nnx.Linear(4, 4, rngs=nnx.Rngs(1)))
    optical, report = pj.convert(model, [pj.Rule("*", COARSE)])
    first, second = report.sites
    assert (first.status, second.status) == ("digital", "optical")
    assert f"its own dot_general {reason}" in first.reason
    if "cannot be traced" not in reason:
        np.testing.assert_array_equal(optical.layers[0](X), model.layers[0](X))


@pytest.mark.slow
def test_promoting_by_the_user_is_not_passed_by_programmed_weights():
    """`promote_dtype` sees the weight too, and may change it."""

    def halved(arrays, dtype=None):
        x, w, b = arrays
        return x, w / 2, b

    layer = linear(promote_dtype=halved)
    optical, _ = pj.convert(layer, [pj.Rule("*", COARSE)])
    y = optical(X)
    pj.program_weights(optical)
    np.testing.assert_array_equal(optical(X), y)
    exact, _ = pj.convert(layer, [pj.Rule("*", EXACT)])
    np.testing.assert_allclose(exact(X), layer(X), atol=1e-5)


@pytest.mark.slow
def test_a_programmed_weight_is_cast_as_the_layer_casts_it():
    layer = linear(dtype=jnp.bfloat16)
    optical, _ = pj.convert(layer, [pj.Rule("*", EXACT)])
    y = optical(X)
    pj.program_weights(optical)
    np.testing.assert_array_equal(optical(X), y)


@pytest.mark.slow
def test_linen():
    """`pj.linen.Optical` reads the program, the user's function with it."""
    layer = nn.Dense(4, dot_general=two_times)
    variables = layer.init(jax.random.key(0), X)
    optical = pj.linen.Optical(layer, (pj.Rule("*", EXACT),))
    np.testing.assert_allclose(optical.apply(variables, X), layer.apply(variables, X), atol=1e-5)
    (site,) = optical.report(variables, X).sites
    assert (site.path, site.status) == ("kernel", "optical")
    conv = nn.Conv(4, (3, 3), conv_general_dilated=two_convolutions)
    variables = conv.init(jax.random.key(0), IMAGE)
    optical = pj.linen.Optical(conv, (pj.Rule("*", EXACT),))
    np.testing.assert_allclose(
        optical.apply(variables, IMAGE), conv.apply(variables, IMAGE), atol=1e-5
    )
