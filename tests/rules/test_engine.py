"""Rules: conditions, cores of their own, order, and what is refused, with the path in the message."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax as pj
from photonjax.rules import Engine, Site

A = pj.OpticalCore(rows=16, cols=16, adc={"bits": None})
B = pj.OpticalCore(rows=32, cols=16, input={"bits": 6})


class Model(nnx.Module):
    def __init__(self, **options):
        rngs = nnx.Rngs(0)
        self.narrow = nnx.Linear(4, 6, rngs=rngs)
        self.wide = nnx.Linear(6, 9, rngs=rngs, **options)
        self.attention = nnx.MultiHeadAttention(3, 9, decode=False, rngs=rngs)

    def __call__(self, x):
        return self.attention(self.wide(self.narrow(x)))


def cores(rules, model=None):
    _, report = pj.convert(Model() if model is None else model, rules)
    return {site.path: site.core for site in report.sites}


def test_first_match_wins_and_every_rule_has_its_core():
    found = cores([pj.Rule("attention/out", None), pj.Rule("attention/*", A), pj.Rule("*", B)])
    assert found.pop("attention/out") is None
    assert found.pop("attention/scores") is found.pop("attention/values") is None
    assert found.pop("wide") is found.pop("narrow") is B
    assert set(found) == {"attention/query", "attention/key", "attention/value"}
    assert all(core is A for core in found.values())


def test_conditions_see_shape_dtype_layers_and_path():
    seen = {}

    def where(site):
        seen[site.path] = site
        return site.shape[0] >= 6

    found = cores([pj.Rule("*", A, where=where)])
    assert found["narrow"] is None and found["wide"] is found["attention/query"] is A
    assert "attention/scores" not in seen  # has no shape to ask about, and was not asked for
    wide = seen["wide"]
    assert (wide.parameter, wide.shape, wide.layers, wide.dtype) == (
        "wide/kernel", (6, 9), 1, "float32",
    )  # fmt: skip
    assert wide.stationary and wide.status == "digital"
    found = cores([pj.Rule("*", A, where=lambda s: s.dtype == "float32"), pj.Rule("*", B, True)])
    assert found["wide"] is A and found["attention/scores"] is B
    both = cores([pj.Rule("*", A, dynamic=True, where=lambda s: not s.stationary)])
    assert both["attention/scores"] is both["attention/values"] is A and both["wide"] is None


def test_conditions_that_go_wrong_name_the_site():
    with pytest.raises(
        ValueError, match=r"attention/key: the condition \(where\) of rule '\*' failed: "
    ):
        cores([pj.Rule("*", A, where=lambda site: site.no_such_thing)])
    with pytest.raises(ValueError, match="attention/scores: .*not subscriptable"):
        cores([pj.Rule("*/scores", A, dynamic=True, where=lambda site: site.shape[0] > 1)])


def test_rules_of_no_use():
    model = "the model has attention/key, attention/out"
    with pytest.raises(ValueError, match=f"rule 'wdie' matches no product; {model}"):
        cores([pj.Rule("wdie", A)])
    with pytest.raises(ValueError, match=r"rule '\*' matches no product, under its condition"):
        cores([pj.Rule("*", A, where=lambda site: site.shape[0] > 512)])
    text = "rule 'wide' has no effect: .* taken by earlier rules: wide by rule 'w*'"
    with pytest.raises(ValueError, match=text.replace("w*", r"w\*")):
        cores([pj.Rule("w*", A), pj.Rule("wide", B)])
    text = "rule '.*/scores' has no effect: attention/scores: dynamic product, .*dynamic=True"
    with pytest.raises(ValueError, match=text):
        cores([pj.Rule("*/scores", A)])


class Bare(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.ones((3, 3)))


def test_models_without_products():
    with pytest.raises(
        ValueError, match="Bare has no module whose product can be replaced: .*optical"
    ):
        pj.convert(Bare(), [pj.Rule("*", A)])
    mine = type("Mine", (nnx.ConvTranspose,), {})
    up = nnx.Sequential(mine(2, 3, (3,), rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"Sequential has no .* \(layers/0: Mine is its own"):
        pj.convert(up, [pj.Rule("*", A)])


@pytest.mark.parametrize(
    "options, problem",
    [
        (dict(param_dtype=jnp.complex64), "wide: wide/kernel is complex64, which rule"),
        (dict(dtype=jnp.complex64), "wide: dtype of Linear is complex64, which rule"),
        (dict(preferred_element_type=jnp.int32), "wide: preferred_element_type of Linear is int32"),
    ],
)
def test_dtypes_that_cannot_be_carried(options, problem):
    model = Model(kernel_init=nnx.initializers.ones, **options)
    with pytest.raises(ValueError, match=problem):
        cores([pj.Rule("*", A)], model)
    found = cores([pj.Rule("wide", None), pj.Rule("*", A)], model)  # the remedy that it names
    assert found["wide"] is None and found["narrow"] is A


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_dtypes_that_are_carried(dtype):
    model = Model(param_dtype=dtype, dtype=dtype)
    optical, report = pj.convert(model, [pj.Rule("wide", A)], noise=False)
    assert {s.path: s.dtype for s in report.sites}["wide"] == jnp.dtype(dtype).name
    x = jax.random.normal(jax.random.key(0), (5, 6))
    y, z = optical.wide(x), model.wide(x)
    assert y.dtype == z.dtype == dtype
    error = np.asarray(y - z, np.float32)
    assert 0 < error.std() < 0.05 * np.asarray(z, np.float32).std()  # 8 bits


@pytest.mark.parametrize("kind", [jnp.float8_e4m3fn, jnp.float8_e5m2])
def test_parameters_of_eight_bits_are_carried_exactly(kind):
    """Layers and functions give what they give with a wide copy of the same numbers."""
    model = Model(dtype=jnp.float32)
    model.wide.kernel.set_value(model.wide.kernel[...].astype(kind))
    wide = nnx.clone(model)
    wide.wide.kernel.set_value(model.wide.kernel[...].astype(jnp.float32))
    x = jax.random.normal(jax.random.key(0), (5, 6))
    of, report = pj.convert(model, [pj.Rule("wide", A)], noise=False)
    assert {s.path: s.dtype for s in report.sites}["wide"] == jnp.dtype(kind).name
    want = pj.convert(wide, [pj.Rule("wide", A)], noise=False)[0].wide(x)
    np.testing.assert_array_equal(of.wide(x), want)
    numbers = (((1,), (0,)), ((), ()))
    g = pj.optical(lambda w, x: jax.lax.dot_general(x, w, numbers), [pj.Rule("*", A)])
    y = g(None, model.wide.kernel[...], x)
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y, g(None, wide.wide.kernel[...], x))


def test_the_engine_decides_one_after_another():
    engine = Engine([pj.Rule("a", A), pj.Rule("*", B)])
    found = [engine.decide(Site(path), {path: "float32"}) for path in ("a", "b")]
    assert [site.core for site in found] == [A, B] and engine.report().optical == tuple(found)
    engine.check()
    left = engine.decide(Site("c", stationary=False), {})
    assert left.status == "digital" and "dynamic=True takes both" in left.reason
    whole = engine.decide(Site("c"), {"its input": "int32"})
    assert whole.reason == "not a product of real numbers: its input is int32"


class Bilinear(nnx.Module):
    """Multiplies with a parameter that is not called kernel."""

    def __init__(self):
        self.table = nnx.Param(jnp.ones((6, 4)))
        self.dot_general = jax.lax.dot_general

    def __call__(self, x):
        return self.dot_general(x, self.table[...], (((1,), (0,)), ((), ())))


def test_a_weight_of_any_name_is_one():
    _, report = pj.convert(Bilinear(), [pj.Rule("*", A)])
    (site,) = report.optical
    assert (site.path, site.parameter, site.shape) == ("", "table", (6, 4)) and site.stationary


def test_products_of_no_real_numbers_say_so():
    whole, odd = jnp.ones((6, 6), jnp.int32), jnp.ones((6, 6), jnp.complex64)
    for x, kind in ((whole, "int32"), (odd, "complex64")):
        g = pj.optical(lambda x: x @ x, [pj.Rule("*", A)], params=())
        text = (
            f"rule '.*' has no effect: dot_general:0: not a product of real numbers: .* is {kind}"
        )
        with pytest.raises(ValueError, match=text):
            g.report(x)
        kept = pj.optical(lambda x: x @ x, [pj.Rule("*", None)], params=())
        assert kept.report(x).digital
    for kind in (jnp.int8, jnp.complex64):
        g = pj.optical(lambda w, x: x @ w, [pj.Rule("*", A)])
        with pytest.raises(ValueError, match=f"argument/0 is {jnp.dtype(kind).name}, which rule"):
            g.report(jnp.ones((6, 4), kind), jnp.ones((2, 6), kind))
    engine = Engine([pj.Rule("*", A)])
    engine.decide(Site("", stationary=False), {})
    with pytest.raises(ValueError, match="has no effect: the model: dynamic product"):
        engine.check()
