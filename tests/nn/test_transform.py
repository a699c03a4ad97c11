"""`pj.optical`: products found wherever JAX hides them, on the right core, under the right name."""

import zlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import pallas as pl

import photonjax as pj

NOISY = pj.OpticalCore(rows=16, cols=16, photons=1e3)
EXACT = pj.OpticalCore(
    rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
KEY = jax.random.key(7)
LAST = (((1,), (0,)), ((), ()))


def params():
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        "in": jax.random.normal(keys[0], (8, 16)) / 4,
        "layers": {"w": jax.random.normal(keys[1], (3, 16, 16)) / 4},
        "kernel": jax.random.normal(keys[2], (3, 3, 2, 4)),
    }


X = jax.random.normal(jax.random.key(1), (5, 8))


@jax.custom_jvp
def act(w, x):
    return jnp.tanh(x @ w)


@act.defjvp
def _act_jvp(primals, tangents):
    return act(*primals), 3.0 * (tangents[1] @ primals[0])  # not the derivative, on purpose


@jax.custom_vjp
def half(w, x):
    return x @ w


half.defvjp(lambda w, x: (half(w, x), w), lambda w, g: (jnp.zeros_like(w), 0.5 * (g @ w.T)))


def layered(p, x):
    h = jax.jit(lambda w, x: x @ w)(p["in"], x)
    return lax.scan(
        lambda h, w: (jnp.tanh(jax.checkpoint(jnp.matmul)(h, w)), None), h, p["layers"]["w"]
    )[0]


def everything(p, x):
    """Each control-flow primitive around a product."""
    h = layered(p, x) @ p["in"].T
    h = lax.cond(h.sum() > 0, lambda h: h @ p["in"], lambda h: 2 * (h @ p["in"]), h)
    h = lax.while_loop(
        lambda c: c[0] < 2, lambda c: (c[0] + 1, jnp.tanh(c[1] @ p["in"].T @ p["in"])), (0, h)
    )[1]
    h = act(p["in"], h @ p["in"].T)
    h = half(p["in"], h @ p["in"].T)
    scores = jax.nn.softmax(jnp.einsum("td,sd->ts", h, h))
    image = jnp.outer(scores.sum(0), jnp.arange(1.0, 6.0)).reshape(1, 5, 5, 1).repeat(2, -1)
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(image, p["kernel"], (2, 1), "SAME", dimension_numbers=numbers)


@pytest.mark.slow
def test_the_same_as_by_hand():
    w = params()["in"]
    g = pj.optical(lambda p, x: x @ p["in"], [pj.Rule("in", NOISY)])
    number = zlib.crc32(b"in")
    key = jax.random.fold_in(jax.random.fold_in(KEY, number), 0)
    by_hand = pj.optical_dot_general(X, w, LAST, core=NOISY, key=key, site=number)
    np.testing.assert_array_equal(g(KEY, params(), X), by_hand)
    # a parameter on the left, as einsum may put it
    left = pj.optical(
        lambda p, x: lax.dot_general(p["in"], x, (((0,), (1,)), ((), ()))), [pj.Rule("in", NOISY)]
    )
    np.testing.assert_array_equal(left(KEY, params(), X), by_hand.T)


@pytest.mark.slow
def test_every_primitive_is_entered():
    g = pj.optical(everything, [pj.Rule("*", EXACT, dynamic=True)])
    report = g.report(params(), X)
    assert not report.digital
    assert [s.path for s in report.optical].count("in") == 10
    assert {s.path: s.layers for s in report.optical}["layers/w"] == 3
    wanted = everything(params(), X)
    np.testing.assert_allclose(g(None, params(), X), wanted, rtol=1e-4, atol=1e-5)
    # and every one of them is really on light: none is left as it was when its core is coarse
    for path in ("in", "layers/w", "kernel", "td,sd->ts"):
        coarse = pj.OpticalCore(input={"bits": 2}, array={"bits": 2}, adc={"bits": None})
        one = pj.optical(everything, [pj.Rule(path, coarse, dynamic=True)])
        assert np.abs(one(None, params(), X) - wanted).max() > 1e-3, path


@pytest.mark.slow
def test_derivatives_and_the_rules_of_users():
    def f(p, x):
        return half(p["in"], act(p["in"], layered(p, x) @ p["in"].T) @ p["in"].T)

    g = pj.optical(f, [pj.Rule("*", EXACT)])
    direction = jax.random.normal(jax.random.key(2), (5, 16))
    loss = lambda h: lambda p, x: (h(p, x) * direction).sum()
    mine = jax.grad(loss(lambda p, x: g(None, p, x)), (0, 1))(params(), X)
    theirs = jax.grad(loss(f), (0, 1))(params(), X)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_jit_vmap_keys():
    g = pj.optical(layered, [pj.Rule("*", NOISY)])
    eager = g(KEY, params(), X)
    np.testing.assert_array_equal(jax.jit(g)(KEY, params(), X), eager)
    assert (g(jax.random.key(8), params(), X) != eager).any()
    keys = jax.random.split(KEY, 2)
    mapped = jax.vmap(g, (0, None, 0))(keys, params(), jnp.stack([X, 2 * X]))
    np.testing.assert_allclose(mapped[0], g(keys[0], params(), X), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_dies():
    """Layers of a scan are different cells; a weight used again in each turn is the same ones."""
    core = pj.OpticalCore(
        rows=64,
        cols=64,
        input={"bits": None},
        array={"bits": None, "noise": 0.05},
        adc={"bits": None},
    )
    w = jnp.eye(16)
    apart = pj.optical(
        lambda p, x: lax.scan(lambda c, w: (c, x @ w), 0, p)[1], [pj.Rule("*", core)]
    )
    again = pj.optical(
        lambda p, x: lax.scan(lambda c, _: (c, x @ p), 0, None, 3)[1], [pj.Rule("*", core)]
    )
    x = jax.random.normal(KEY, (4, 16))
    layers, turns = apart(None, jnp.stack([w] * 3), x), again(None, w, x)
    assert np.abs(layers[0] - layers[1]).max() > 1e-3 < np.abs(layers[1] - layers[2]).max()
    assert (turns[0] == turns[1]).all() and (turns[1] == turns[2]).all()
    noisy = pj.optical(
        lambda p, x: lax.scan(lambda c, _: (c, x @ p), 0, None, 3)[1], [pj.Rule("*", NOISY)]
    )
    draws = noisy(KEY, w, x)
    assert (draws[0] != draws[1]).any()  # noise is drawn again at each turn


@pytest.mark.slow
def test_no_cache_is_poisoned():
    """An inner jit, warm or cold, stays digital for others and becomes optical here."""
    inner = jax.jit(lambda x, w: x @ w)
    f = lambda p, x: inner(x, p["in"])
    g = pj.optical(f, [pj.Rule("in", NOISY)])
    cold = g(KEY, params(), X)  # before inner was ever compiled
    digital = f(params(), X)
    np.testing.assert_allclose(digital, X @ params()["in"], rtol=1e-6)
    np.testing.assert_array_equal(g(KEY, params(), X), cold)  # now that it is warm
    assert (cold != digital).any()


def test_what_cannot_be_entered_is_reported():
    def kernel(x, y):
        y[...] = 2 * x[...]

    @jax.custom_vjp
    def hidden(x):
        return pl.pallas_call(kernel, jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)(x)

    hidden.defvjp(lambda x: (hidden(x), None), lambda _, g: (2 * g,))

    def f(p, x):
        doubled = pl.pallas_call(kernel, jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)(x)
        solved = jnp.linalg.solve(jnp.eye(5), x)
        echo = jax.pure_callback(lambda x: x, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
        whole = x.astype(jnp.int32) @ jnp.ones((8, 2), jnp.int32)
        sizes = jnp.array([3, 2])
        slope = jax.grad(lambda w: lax.ragged_dot(x, w, sizes).sum())(jnp.ones((2, 8, 4)))
        return doubled @ p["in"], hidden(x), solved, echo, whole, slope

    g = pj.optical(f, [pj.Rule("*", NOISY)])
    reasons = " | ".join(f"{s.path}: {s.reason}" for s in g.report(params(), X).digital)
    for closed in (
        "pallas_call:",
        "custom_vjp_call:",
        "pure_callback:",
        "lu:",
        "custom_linear_solve:",
        "ragged_dot_general:",
    ):
        assert f"{closed} {closed[:-1]} cannot be entered" in reasons, closed
    assert "(it has pallas_call)" in reasons and "not a product of real numbers" in reasons
    paths = [s.path for s in g.report(params(), X).optical]
    assert paths == ["dot_general:1", "in"]  # the experts' own product, before that of their slope


@pytest.mark.slow
def test_shard_map():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec
    f = lambda p, x: jax.shard_map(
        jnp.matmul, mesh=mesh, in_specs=(spec("data"), spec()), out_specs=spec("data")
    )(x, p["in"])
    g = pj.optical(f, [pj.Rule("in", EXACT)])
    np.testing.assert_allclose(g(KEY, params(), X), f(params(), X), rtol=1e-5, atol=1e-5)
    noisy = pj.optical(f, [pj.Rule("in", NOISY)])
    assert np.abs(jax.jit(noisy)(KEY, params(), X) - f(params(), X)).max() > 1e-3


def test_rules():
    f = lambda p, x: x @ p["in"]
    with pytest.raises(ValueError, match=r"rule 'out' matches no product; the model has in"):
        pj.optical(f, [pj.Rule("out", NOISY)])(KEY, params(), X)
    with pytest.raises(ValueError, match=r"rule '\*' has no effect"):
        pj.optical(f, [pj.Rule("in", NOISY), pj.Rule("*", NOISY)])(KEY, params(), X)
    with pytest.raises(ValueError, match=r"params = 3, but there are 2 arguments"):
        pj.optical(f, [pj.Rule("in", NOISY)], params=3)(KEY, params(), X)
    kept = pj.optical(layered, [pj.Rule("in", None), pj.Rule("*", NOISY)]).report(params(), X)
    assert [s.reason for s in kept.digital] == ["rule 'in' keeps it digital"]
    dynamic = pj.optical(lambda x: x @ x.T, [pj.Rule("*", NOISY, dynamic=True)], params=())
    assert dynamic.report(X).optical[0].parameter is None


def test_new_keys_light_and_dies_run_the_program_that_is_there():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(core, key, w, x):
        return pj.optical(lambda w, x: x @ w, [pj.Rule("*", core)])(key, w, x)

    core = NOISY.replace(array={"noise": 0.02}, chip_seed=jnp.uint32(0))  # a leaf
    w, other = params()["in"], jax.random.key(8)
    changed = (
        (core.replace(photons=50.0), KEY),
        (core.replace(chip_seed=jnp.uint32(5)), KEY),
        (core, other),
    )
    first = run(core, KEY, w, X)
    assert all((run(*call, w, X) != first).any() for call in changed)
    np.testing.assert_array_equal(run(core, KEY, w, X), first)
