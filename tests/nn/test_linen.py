"""Flax Linen: hook and interception agree with the product called by hand, and leave the tree alone."""

import functools
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import photonjax as pj

CORE = pj.OpticalCore(rows=16, cols=16, photons=1e3)
EXACT = pj.OpticalCore(rows=64, cols=64, bits_in=None, bits_weight=None, bits_out=None)
TOKENS = jnp.arange(10).reshape(2, 5)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _=None):
        x = x + nn.MultiHeadDotProductAttention(2, name="attention")(x, x)
        return x + nn.Dense(8, name="up")(x), None


class Model(nn.Module):
    lift: str = "scan"
    split_noise: bool = True

    @nn.compact
    def __call__(self, tokens):
        embed = nn.Embed(11, 8, name="embed")
        x = embed(tokens)
        block = nn.remat(Block) if self.lift == "remat" else Block
        if self.lift == "scan":
            split = {"params": True} | ({"noise": True} if self.split_noise else {})
            block = nn.scan(Block, variable_axes={"params": 0}, split_rngs=split, length=3)
        return embed.attend(block(name="block")(x, None)[0])


@functools.cache
def variables(lift):
    return Model(lift).init(jax.random.key(0), TOKENS)


def noise(seed=1):
    return {"noise": jax.random.key(seed)}


def test_hook_is_the_product():
    x = jax.random.normal(jax.random.key(2), (6, 8))
    layer = nn.Dense(
        4, dot_general_cls=functools.partial(pj.linen.OpticalDot, core=CORE), use_bias=False
    )
    plain = nn.Dense(4, use_bias=False)
    held = layer.init(jax.random.key(0), x)
    assert jax.tree.structure(held) == jax.tree.structure(plain.init(jax.random.key(0), x))
    quiet = pj.optical_dot_general(
        x, held["params"]["kernel"], (((1,), (0,)), ((), ())), core=CORE, site=zlib.crc32(b"")
    )
    np.testing.assert_array_equal(layer.apply(held, x), quiet)
    one, two = layer.apply(held, x, rngs=noise()), layer.apply(held, x, rngs=noise(2))
    assert (one == layer.apply(held, x, rngs=noise())).all() and (one != two).any()


@pytest.mark.parametrize("lift", ["scan", "remat", "none"])
def test_interception(lift):
    model = Model(lift)
    exact = pj.linen.Optical(model, (pj.Rule("*", EXACT),))
    fresh = exact.init(jax.random.key(0), TOKENS)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), fresh, variables(lift)))
    digital = model.apply(variables(lift), TOKENS)
    np.testing.assert_allclose(exact.apply(variables(lift), TOKENS), digital, rtol=1e-4, atol=1e-4)
    optical = pj.linen.Optical(model, (pj.Rule("*", CORE),))
    apply = lambda v: optical.apply(v, TOKENS, rngs=noise())
    noisy = apply(variables(lift))
    np.testing.assert_array_equal(jax.jit(apply)(variables(lift)), noisy)
    assert np.abs(noisy - digital).max() > 1e-3
    slopes = jax.grad(lambda v: (apply(v) ** 2).sum())(variables(lift))
    assert all(bool(jnp.isfinite(s).all()) and bool(jnp.any(s)) for s in jax.tree.leaves(slopes))
    # the module itself stays digital
    np.testing.assert_array_equal(model.apply(variables(lift), TOKENS), digital)


def test_interception_is_the_product():
    x = jax.random.normal(jax.random.key(3), (4, 8))
    layer = nn.Sequential([nn.Dense(4, use_bias=False)])
    held = layer.init(jax.random.key(0), x)
    optical = pj.linen.Optical(layer, (pj.Rule("layers_0/kernel", CORE),))
    kernel = held["params"]["layers_0"]["kernel"]
    by_hand = pj.optical_dot_general(
        x, kernel, (((1,), (0,)), ((), ())), core=CORE, site=zlib.crc32(b"layers_0")
    )
    np.testing.assert_array_equal(optical.apply(held, x), by_hand)


def test_report_and_rules():
    optical = pj.linen.Optical(Model("none"), (pj.Rule("*/up", None), pj.Rule("*", CORE)))
    report = optical.report(variables("none"), TOKENS)
    assert [s.path for s in report.digital] == ["block/up"]
    names = ["query", "key", "value", "out"]
    assert [s.path for s in report.optical] == [f"block/attention/{n}" for n in names] + ["embed"]
    assert {s.path: s.shape for s in report.sites}["embed"] == (11, 8)
    with pytest.raises(ValueError, match="rule 'head' matches no product"):
        pj.linen.Optical(Model("none"), (pj.Rule("head", CORE),)).report(variables("none"), TOKENS)


def test_noise_that_would_silently_be_lost():
    optical = pj.linen.Optical(Model("scan", split_noise=False), (pj.Rule("*", CORE),))
    with pytest.raises(ValueError, match="rng stream 'noise' does not reach this layer"):
        optical.apply(variables("scan"), TOKENS, rngs=noise())
    optical.apply(variables("scan"), TOKENS)  # without noise it is fine
