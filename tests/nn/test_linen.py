"""Flax Linen: the hook and whole modules on light: as by hand, and the tree left alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import photonjax as pj

CORE = pj.OpticalCore(rows=16, cols=16, photons=1e3)
EXACT = pj.OpticalCore(
    rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
TOKENS = jnp.arange(10).reshape(2, 5)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _=None):
        x = x + nn.MultiHeadDotProductAttention(2, name="attention")(x, x)
        return x + nn.Dense(8, name="up")(x), None


class Model(nn.Module):
    lift: str = "scan"

    @nn.compact
    def __call__(self, tokens):
        embed = nn.Embed(11, 8, name="embed")
        x = embed(tokens)
        block = nn.remat(Block) if self.lift == "remat" else Block
        if self.lift == "scan":
            split = {"params": True}
            block = nn.scan(Block, variable_axes={"params": 0}, split_rngs=split, length=3)
        return embed.attend(block(name="block")(x, None)[0])


@functools.cache
def variables(lift):
    return jax.jit(Model(lift).init)(jax.random.key(0), TOKENS)


def noise(seed=1):
    return {"noise": jax.random.key(seed)}


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_hook_is_the_product():
    x = jax.random.normal(jax.random.key(2), (6, 8))
    layer = nn.Dense(
        4, dot_general_cls=functools.partial(pj.linen.OpticalDot, core=CORE), use_bias=False
    )
    plain = nn.Dense(4, use_bias=False)
    held = layer.init(jax.random.key(0), x)
    assert jax.tree.structure(held) == jax.tree.structure(plain.init(jax.random.key(0), x))
    quiet = pj.optical_dot_general(
        x, held["params"]["kernel"], (((1,), (0,)), ((), ())), core=CORE, site="kernel"
    )
    np.testing.assert_array_equal(layer.apply(held, x), quiet)
    one, two = layer.apply(held, x, rngs=noise()), layer.apply(held, x, rngs=noise(2))
    assert (one == layer.apply(held, x, rngs=noise())).all() and (one != two).any()


@pytest.mark.slow
@pytest.mark.parametrize("lift", ["none", "scan", "remat"])
def test_modules_on_light(lift):
    model = Model(lift)
    exact = pj.linen.Optical(model, (pj.Rule("*", EXACT),))
    fresh = jax.jit(exact.init)(jax.random.key(0), TOKENS)
    assert jax.tree.structure(fresh) == jax.tree.structure(variables(lift))
    for a, b in zip(jax.tree.leaves(fresh), jax.tree.leaves(variables(lift)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    digital = jax.jit(model.apply)(variables(lift), TOKENS)
    np.testing.assert_allclose(
        jax.jit(exact.apply)(variables(lift), TOKENS), digital, rtol=1e-4, atol=1e-4
    )
    optical = pj.linen.Optical(model, (pj.Rule("*", CORE),))
    apply = lambda v: optical.apply(v, TOKENS, rngs=noise())

    @jax.jit
    @functools.partial(jax.grad, has_aux=True)
    def run(v):
        y = apply(v)
        return (y**2).sum(), y

    slopes, noisy = run(variables(lift))
    if lift == "none":
        np.testing.assert_allclose(apply(variables(lift)), noisy, rtol=1e-5, atol=1e-5)
    assert np.abs(noisy - digital).max() > 1e-3
    assert all(bool(jnp.isfinite(s).all()) and bool(jnp.any(s)) for s in jax.tree.leaves(slopes))
    # the module itself stays digital
    np.testing.assert_array_equal(jax.jit(model.apply)(variables(lift), TOKENS), digital)


def test_a_module_on_light_is_the_product():
    x = jax.random.normal(jax.random.key(3), (4, 8))
    layer = nn.Sequential([nn.Dense(4, use_bias=False)])
    held = layer.init(jax.random.key(0), x)
    optical = pj.linen.Optical(layer, (pj.Rule("layers_0/kernel", CORE),))
    kernel = held["params"]["layers_0"]["kernel"]
    by_hand = pj.optical_dot_general(
        x, kernel, (((1,), (0,)), ((), ())), core=CORE, site="layers_0/kernel"
    )
    np.testing.assert_array_equal(optical.apply(held, x), by_hand)


def test_report_and_rules():
    optical = pj.linen.Optical(Model("none"), (pj.Rule("*/up", None), pj.Rule("*", CORE)))
    report = optical.report(variables("none"), TOKENS)
    assert [s.path for s in report.digital if s.stationary] == ["block/up/kernel"]
    names = ["query", "key", "value", "out"]
    wanted = [*(f"block/attention/{n}/kernel" for n in names), "embed/embedding"]
    assert [s.path for s in report.optical] == wanted
    assert {s.path: s.shape for s in report.sites}["embed/embedding"] == (8, 11)
    scores = [s for s in report.digital if not s.stationary]
    assert len(scores) == 2 and all("dynamic=True takes both" in s.reason for s in scores)
    with pytest.raises(ValueError, match="rule 'head' matches no product"):
        pj.linen.Optical(Model("none"), (pj.Rule("head", CORE),)).report(variables("none"), TOKENS)


class Stateful(nn.Module):
    """What a module does beside its products."""

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dropout(0.5, deterministic=not train)(nn.Dense(6, name="up")(x))
        self.sow("intermediates", "dropped", x)
        return nn.BatchNorm(use_running_average=not train)(x)


def test_random_streams_and_collections_are_the_modules_own():
    x = jax.random.normal(jax.random.key(3), (4, 8))
    model = Stateful()
    exact = pj.linen.Optical(model, (pj.Rule("*", EXACT),))
    held = exact.init(jax.random.key(0), x, train=False)
    rngs = {"dropout": jax.random.key(4), **noise()}
    outs = [
        m.apply(held, x, train=True, rngs=rngs, mutable=["batch_stats", "intermediates"])
        for m in (exact, model)
    ]
    jax.tree.map(close, *outs)
    assert outs[0][1]["batch_stats"]["BatchNorm_0"]["mean"].any()
    close(*(m.apply(held, x, train=False) for m in (exact, model)))


class Closed(nn.Module):
    """Layers whose products have no hook, and products that are no layer's."""

    @nn.compact
    def __call__(self, x):
        x = nn.Einsum((8, 2, 4), "td,dnh->tnh", name="einsum")(x)
        x = nn.Conv(6, (3,), feature_group_count=2, name="conv")(x.reshape(-1, 8))
        x = nn.ConvTranspose(6, (2,), name="back")(x)
        x = nn.ConvLocal(3, (2,), name="local")(x[None])[0]
        x = x @ self.param("own", nn.initializers.normal(1.0), (3, 3))
        return x @ (x.T @ x)


LAYERS = ["einsum", "conv", "back", "local"]


def test_layers_without_a_hook():
    x = jax.random.normal(jax.random.key(3), (5, 8))
    model = Closed()
    held = jax.jit(model.init)(jax.random.key(0), x)
    exact = pj.linen.Optical(model, (pj.Rule("*", EXACT),))
    shapes = jax.eval_shape(exact.init, jax.random.key(0), x)
    assert jax.tree.structure(shapes) == jax.tree.structure(held)
    run = lambda m: jax.jit(jax.value_and_grad(lambda v: (m.apply(v, x) ** 2).sum()))(held)
    for mine, theirs in zip(jax.tree.leaves(run(exact)), jax.tree.leaves(run(model)), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_without_a_hook_on_light(name):
    x = jax.random.normal(jax.random.key(3), (5, 8))
    held = jax.jit(Closed().init)(jax.random.key(0), x)
    optical = pj.linen.Optical(Closed(), (pj.Rule(name, CORE),))
    apply = jax.jit(lambda seed: optical.apply(held, x, rngs=noise(seed)))
    one, two, digital = apply(1), apply(2), Closed().apply(held, x)
    assert np.abs(one - digital).max() > 1e-3 * np.abs(digital).max()
    assert (one != two).any() and (one == apply(1)).all()


def test_products_that_no_layer_makes():
    x = jnp.ones((5, 8))
    held = Closed().init(jax.random.key(0), x)
    rules = (pj.Rule("*/kernel", CORE), pj.Rule("own", CORE))
    report = pj.linen.Optical(Closed(), rules).report(held, x)
    assert [s.path for s in report.optical] == [*(f"{name}/kernel" for name in LAYERS), "own"]
    assert [s.stationary for s in report.digital] == [True, False, False]
    assert (
        report.digital[0].parameter is None
    )  # ConvLocal cuts patches by a product with ones and zeros


class Inner(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(4, name="inner")(x)


Jitted = nn.jit(Inner)  # one class, one cache


class Compiled(nn.Module):
    @nn.compact
    def __call__(self, x):
        return Jitted(name="jitted")(x) + nn.Dense(4, name="outer")(x)


@pytest.mark.parametrize("digital_first", [True, False])
def test_nn_jit_is_not_poisoned(digital_first):
    """Flax keeps what nn.jit traced: warm or cold, digital stays digital and light is light."""
    x = jax.random.normal(jax.random.key(3), (5 + digital_first, 8))  # no trace of the other case
    model = Compiled()
    held = model.init(jax.random.key(0), x)
    coarse, fine = (
        pj.linen.Optical(model, (pj.Rule("jitted/*", pj.OpticalCore(array={"bits": bits})),))
        for bits in (3, 8)
    )
    inner, outer = held["params"]["jitted"]["inner"], held["params"]["outer"]
    wanted = x @ (inner["kernel"] + outer["kernel"])
    runs = [model, coarse, fine]
    for each in (runs if digital_first else runs[::-1]) * 2:
        error = np.abs(each.apply(held, x) - wanted).max()
        least, most = {id(model): (0, 1e-5), id(coarse): (0.1, 1)}.get(id(each), (1e-4, 0.05))
        assert least <= error < most


@pytest.mark.slow
def test_scan_and_remat_draw_alike():
    """The hook inside nn.scan: each layer its own noise; remat draws again what it drew."""
    dot = functools.partial(pj.linen.OpticalDot, core=CORE)
    x = jax.random.normal(jax.random.key(3), (4, 8))

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x, _=None):
            return x, nn.Dense(8, dot_general_cls=dot, name="dense")(x)

    def run(layer):
        split = {"params": True, "noise": True}
        stack = nn.scan(layer, variable_axes={"params": 0}, split_rngs=split, length=3)()
        held = jax.jit(stack.init)(jax.random.key(0), x, None)
        held = jax.tree.map(lambda a: jnp.broadcast_to(a[:1], a.shape), held)  # three alike

        def loss(held):
            y = stack.apply(held, x, None, rngs=noise())[1]
            return (y**2).sum(), y

        return jax.jit(jax.grad(loss, has_aux=True))(held)

    (slope, plain), (slope_again, again) = run(Layer), run(nn.remat(Layer))
    np.testing.assert_allclose(again, plain, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(slope_again), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(plain[a] - plain[b]).max() > 1e-3
