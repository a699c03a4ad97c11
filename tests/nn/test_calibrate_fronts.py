"""One calibration for every front end: the same weights, the same ranges, the same numbers."""

import functools
import json
import math
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax import lax

import photonjax as pj

CORE = pj.OpticalCore(rows=16, cols=64, photons=1e4, array={"noise": 0.002}, chip_seed=3)
SIZE, LAYERS, KEY = 16, 2, jax.random.key(0)
RULES = [pj.Rule("*", CORE)]
X = jax.random.normal(KEY, (2, 6, SIZE)).at[..., 3].multiply(8.0)  # one channel stands out


class Block(nnx.Module):
    def __init__(self, rngs):
        linear = functools.partial(nnx.Linear, use_bias=False, rngs=rngs)
        self.qkv, self.o = linear(SIZE, 3 * SIZE), linear(SIZE, SIZE)
        self.up, self.down = linear(SIZE, 4 * SIZE), linear(4 * SIZE, SIZE)

    def __call__(self, x):
        x = x + self.o(attend(self.qkv(x)))
        return x + self.down(jax.nn.gelu(self.up(x)))


class Transformer(nnx.Module):
    def __init__(self, rngs=None):
        rngs = rngs or nnx.Rngs(0)
        self.layers = nnx.List([Block(rngs) for _ in range(LAYERS)])

    def __call__(self, x):
        for block in self.layers:
            x = block(x)
        return x


RUN = nnx.jit(lambda model, x: model(x))


def attend(qkv):
    q, k, v = jnp.split(qkv, 3, -1)
    return jax.nn.softmax(q @ jnp.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])) @ v


def block(p, x):
    x = x + attend(x @ p["qkv"]["kernel"]) @ p["o"]["kernel"]
    return x + jax.nn.gelu(x @ p["up"]["kernel"]) @ p["down"]["kernel"]


def listed(p, x):
    """A plain function of the parameters."""
    for layer in p["layers"]:
        x = block(layer, x)
    return x


def scanned(p, x):
    return lax.scan(lambda x, layer: (jax.checkpoint(block)(layer, x), None), x, p["layers"])[0]


@pytest.fixture(scope="module")
def params():
    state = nnx.to_pure_dict(nnx.state(Transformer(), nnx.Param))
    return {"layers": [state["layers"][i] for i in range(LAYERS)]}


@pytest.fixture(scope="module")
def calibrated():
    model, _ = pj.convert(Transformer(), RULES, noise=False)
    return model, pj.calibrate(model, X)


def linear_paths():
    names = ("qkv", "o", "up", "down")
    return {f"layers/{i}/{name}/kernel" for i in range(LAYERS) for name in names}


@pytest.mark.slow
def test_a_function_finds_the_ranges_that_the_nnx_model_finds(calibrated, params):
    _, ranges = calibrated
    assert ranges.keys() == linear_paths()
    graph, state = nnx.split(Transformer())
    stacked = {"layers": jax.tree.map(lambda *w: jnp.stack(w), *params["layers"])}
    found = {
        "of NNX": pj.calibrate(pj.optical(lambda s, x: nnx.merge(graph, s)(x), RULES), state, X),
        "listed": pj.calibrate(pj.optical(listed, RULES), params, X),
        "scanned": pj.calibrate(pj.optical(scanned, RULES), stacked, X),
    }
    for name, one in found.items():
        assert one.keys() == ranges.keys(), name
        chex.assert_trees_all_close(one, ranges, rtol=1e-5)


@pytest.mark.slow
def test_the_calibrated_function_is_the_calibrated_model(calibrated, params):
    """Bit for bit, on one die; and nearer to the digital model than without."""
    model, ranges = calibrated
    ranges = json.loads(json.dumps(ranges))
    light = np.asarray(RUN(model, X))
    g = pj.optical(listed, RULES)
    for way in (g.with_ranges(ranges), pj.optical(listed, RULES, ranges=ranges)):
        np.testing.assert_array_equal(jax.jit(way)(None, params, X), light)
    stacked = {"layers": jax.tree.map(lambda *w: jnp.stack(w), *params["layers"])}
    inside = jax.jit(pj.optical(scanned, RULES, ranges=ranges))(None, stacked, X)
    np.testing.assert_allclose(inside, light, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_calibrated_function_is_nearer_to_the_digital_one():
    display = pj.machines.optical("display-1024").replace(photons=1e6)
    shapes = {"qkv": (256, 768), "o": (256, 256), "up": (256, 512), "down": (512, 256)}
    draw = lambda i, shape: jax.random.normal(jax.random.key(i), shape) / math.sqrt(shape[0])
    params = {
        "layers": [{name: {"kernel": draw(i, s)} for i, (name, s) in enumerate(shapes.items())}]
    }
    x = jax.random.normal(KEY, (32, 256))
    g = pj.optical(listed, [pj.Rule("*", display)])
    calibrated = g.with_ranges(pj.calibrate(g, params, x))
    digital = np.asarray(listed(params, x))
    for key, at_most in ((None, 1.0), (KEY, 0.7)):
        errors = [np.linalg.norm(jax.jit(f)(key, params, x) - digital) for f in (calibrated, g)]
        assert errors[0] < at_most * errors[1]


# Flax Linen ------------------------------------------------------------------------------------------


class Mlp(nn.Module):
    dense: object = nn.Dense

    @nn.compact
    def __call__(self, x, *, train=False):
        y = self.dense(32, name="up")(x)
        y = nn.BatchNorm(use_running_average=not train)(y)
        return self.dense(8, name="down")(nn.Dropout(0.5, deterministic=not train)(y))


@pytest.mark.slow
def test_linen():
    module = Mlp()
    variables = module.init(KEY, X)
    optical = pj.linen.Optical(module, tuple(RULES))
    ranges = pj.calibrate(optical, variables, X)
    assert ranges.keys() == {"up/kernel", "down/kernel"}
    light = jax.jit(optical.with_ranges(ranges).apply)(variables, X)
    assert (light != jax.jit(optical.apply)(variables, X)).any()
    digital = module.apply(variables, X)
    assert jnp.linalg.norm(light - digital) < 0.03 * jnp.linalg.norm(digital)

    dot = functools.partial(pj.linen.OpticalDot, core=CORE, ranges=ranges)
    by_hook = functools.partial(nn.Dense, dot_general_cls=dot)
    by_hand = jax.jit(Mlp(by_hook).apply)(variables, X)
    np.testing.assert_allclose(by_hand, light, rtol=1e-5, atol=1e-5)

    train = dict(rngs={"dropout": KEY}, mutable=["batch_stats"], train=True)
    before = jax.tree.map(np.array, variables)
    assert pj.calibrate(optical, variables, X, **train) != ranges
    chex.assert_trees_all_equal(variables, before)
    chex.assert_trees_all_close(
        pj.calibrate(optical, variables, batches=[X[:1], X[1:]]), ranges, rtol=1e-5
    )


@pytest.mark.slow
def test_a_function_measures_what_a_model_measures(calibrated, params):
    model, ranges = calibrated
    pj.nnx.start_measuring(model)
    RUN(model, X)
    measured = pj.nnx.stop_measuring(model)
    g = pj.optical(listed, RULES, ranges=ranges)
    _, seen = jax.jit(g.measured)(None, params, X)
    assert seen.keys() == {f"{path}/kernel" for path in measured}
    for path, one in measured.items():
        chex.assert_trees_all_close(
            seen[f"{path}/kernel"], jax.tree.map(jnp.asarray, one), rtol=1e-4
        )


# Calls and refusals ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_keywords_and_numbers_are_the_functions_own():
    def f(w, x, *, axis, power=1, act=None):
        y = jnp.sum(x @ w["w"], axis=axis) ** power
        return y if act is None else act(y)

    g, w = pj.optical(f, RULES), {"w": jnp.ones((SIZE, 4))}
    open_core = CORE.replace(adc={"bits": None}, array={"noise": None})
    digital = f(w, X, axis=1, power=2, act=jnp.tanh)
    light = pj.optical(f, [pj.Rule("*", open_core)])(None, w, X, axis=1, power=2, act=jnp.tanh)
    np.testing.assert_allclose(light, digital, atol=0.05)
    assert jax.grad(g, argnums=2)(None, w, X[0, :1], axis=(0, 1)).shape == (1, SIZE)
    named = pj.optical(f, RULES, params="w")
    assert pj.calibrate(g, w, X, axis=0) == pj.calibrate(named, w=w, x=X, axis=0)
    assert [s.path for s in g.report(w, X, axis=0).optical] == ["w"]


@pytest.mark.slow
def test_what_a_function_is_refused(params):
    g = pj.optical(listed, RULES)
    with pytest.raises(ValueError, match=r"argument 1 has no rows \(shape \(0, 6, 16\)\)"):
        pj.calibrate(g, params, X[:0])
    with pytest.raises(ValueError, match="argument 1 has NaN"):
        pj.calibrate(g, params, X.at[0].set(jnp.inf))
    with pytest.raises(TypeError, match="a jitted function: give it before jax.jit"):
        pj.calibrate(jax.jit(g), params, X)
    with pytest.raises(
        ValueError, match=r"ranges\['layers/9'\] is no optical product; there are layers/0/qkv"
    ):
        jax.eval_shape(g.with_ranges({"layers/9": {"adc": 1.0}}), None, params, X)
    with pytest.raises(ValueError, match=r"\['adc'\] = inf is not a number above 0"):
        g.with_ranges({"layers/9": {"adc": math.inf}})
    zero = jax.tree.map(lambda w: w, params)
    zero["layers"][1]["up"]["kernel"] = jnp.zeros((SIZE, 4 * SIZE))
    with pytest.warns(UserWarning, match=r"no signal at layers/1/up/kernel \("):
        assert len(pj.calibrate(g, zero, X)) == 4 * LAYERS - 1


# An ADC without a range ------------------------------------------------------------------------------


def told(call, *args, **kwargs):
    """The texts of such warnings, whatever was warned of before."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*args, **kwargs)
    return [str(w.message) for w in caught if issubclass(w.category, pj.UncalibratedWarning)]


@pytest.mark.slow
def test_a_warning_once_for_a_conversion():
    mlp = lambda: nnx.Sequential(*(nnx.Linear(SIZE, SIZE, rngs=nnx.Rngs(i)) for i in range(2)))
    model, _ = pj.convert(mlp(), RULES)
    (text,) = told(RUN, model, X)
    assert text.startswith("uncalibrated ADC at layers/0/kernel: its full scale is")
    assert told(RUN, model, X[:1]) == []
    again, _ = pj.convert(mlp(), RULES)
    assert told(pj.calibrate, again, X) == [] and told(RUN, again, X) == []

    f, w = lambda w, x: x @ w["a"] @ w["b"], {name: jnp.eye(SIZE) for name in "ab"}
    shapes = lambda g: functools.partial(jax.eval_shape, g, None)
    g = pj.optical(f, RULES)
    found = pj.calibrate(g, w, X)
    assert [text[:25] for text in told(shapes(g), w, X)] == ["uncalibrated ADC at a, b:"]
    assert told(shapes(g), w, X) == []
    assert told(shapes(g.with_ranges(found)), w, X) == []
    (text,) = told(shapes(g.with_ranges({"a": found["a"]})), w, X)
    assert text.startswith("uncalibrated ADC at b:")
    assert told(shapes(pj.optical(f, [pj.Rule("*", CORE.replace(adc={"bits": None}))])), w, X) == []

    variables = nn.Dense(4).init(KEY, X)
    optical = pj.linen.Optical(nn.Dense(4), tuple(RULES))
    shapes = lambda module: functools.partial(jax.eval_shape, module.apply)
    assert told(shapes(optical), variables, X)[0].startswith("uncalibrated ADC at kernel:")
    ranged = optical.with_ranges(pj.calibrate(optical, variables, X))
    assert told(shapes(ranged), variables, X) == []
