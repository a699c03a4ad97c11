"""What `pj.optical` refuses, and says why."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import photonjax as pj

CORE = pj.OpticalCore(photons=1e3)
RULES = [pj.Rule("*", CORE)]
KEY = jax.random.key(0)
P = {"up": jnp.ones((8, 4))}
X = jnp.ones((2, 8))


def looks(p, x):
    return x @ p["up"] if x.sum() > 0 else x


def selects(p, x):
    return x[x > 0] @ p["up"]


def leaves_jax(p, x):
    return np.asarray(x) @ p["up"]


def counts(p, x):
    return jnp.ones(x.sum().astype(int)) @ p["up"]


@pytest.mark.parametrize("f", [looks, selects, leaves_jax, counts])
def test_a_function_that_cannot_be_traced(f):
    line = f.__code__.co_firstlineno + 1
    where = (
        rf"optical: {f.__name__} cannot be traced: at .*test_transform_errors.py:{line}, it needs"
    )
    for call in (pj.optical(f, RULES), jax.jit(pj.optical(f, RULES))):
        with pytest.raises(TypeError, match=where):
            call(KEY, P, X)
    with pytest.raises(TypeError, match=where):
        pj.optical(f, RULES).report(P, X)


def test_a_function_without_products():
    with pytest.raises(ValueError, match="optical: tanh has no matrix product or convolution$"):
        pj.optical(jnp.tanh, RULES)(KEY, X)

    def called(x):
        return jax.pure_callback(lambda x: x, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    with pytest.raises(
        ValueError, match="called has no .* only what cannot be entered: pure_callb"
    ):
        pj.optical(called, RULES)(KEY, X)


def test_rules_name_what_there_is_once():
    f = lambda p, x: sum(x @ p["up"] for _ in range(3))
    with pytest.raises(ValueError, match="rule 'down' matches no product; the model has up$"):
        pj.optical(f, [pj.Rule("down", pj.OpticalCore())])(KEY, P, X)


def test_the_key_comes_first():
    f = lambda p, x: x @ p["up"]
    for wrong in (P, X, 3, jax.random.split(KEY, 2)):
        with pytest.raises(TypeError, match="optical: the first argument is the noise key"):
            pj.optical(f, RULES)(wrong, P, X)
    pj.optical(f, RULES)(jax.random.PRNGKey(0), P, X)  # the older kind is a key too


def test_errors_of_a_product_name_it():
    p = {"layers": [{"w": jnp.full((8, 4), jnp.nan)}]}
    with pytest.raises(ValueError, match="^layers/0/w: w contains NaN or infinity"):
        pj.optical(lambda p, x: x @ p["layers"][0]["w"], RULES)(KEY, p, X)


def test_symbolic_shapes():
    """Any number of tokens may stream; what stands in the array has a fixed size."""
    (tokens,) = jax.export.symbolic_shape("tokens")
    args = (KEY, P, jax.ShapeDtypeStruct((tokens, 8), jnp.float32))
    g = pj.optical(lambda p, x: x @ p["up"], RULES)
    exported = jax.export.export(jax.jit(g))(*args)
    np.testing.assert_array_equal(exported.call(KEY, P, X), jax.jit(g)(KEY, P, X))
    grows = pj.optical(
        lambda p, x: (x @ p["up"]).T @ x, [pj.Rule("up", CORE), pj.Rule("dot*", CORE, dynamic=True)]
    )
    with pytest.raises(ValueError, match=r"dot_general:0: what the array holds is \(tokens, 8\)"):
        jax.export.export(jax.jit(grows))(*args)


def test_what_is_no_array_is_passed_on():
    def f(model, x):
        y = model["act"](x @ model["w"])
        return y if model["on"] else x

    model = {"w": P["up"], "act": jnp.tanh, "on": True, "name": "mlp"}
    g = pj.optical(f, RULES)
    assert g(KEY, model, X).shape == (2, 4)
    assert [s.path for s in g.report(model, X).optical] == ["w"]
