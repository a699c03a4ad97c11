"""A table of architectures: which products run on light; an exact core gives the model's own numbers."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax import lax

import photonjax as pj

pytestmark = pytest.mark.slow  # minutes together

EXACT = pj.OpticalCore(
    rows=16, cols=16, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
COARSE = pj.OpticalCore(rows=16, cols=16, array={"bits": 3})
X = jax.random.normal(jax.random.key(0), (2, 5, 6))
IMAGE = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
TOKENS = jnp.arange(10).reshape(2, 5) % 7


def rngs():
    return nnx.Rngs(0)


@dataclasses.dataclass
class Case:
    """A model (NNX module, or a function of parameters), its input, and its sites on light and digital."""

    make: Callable[[], Any]
    x: jax.Array
    optical: list[str]
    digital: list[str] = dataclasses.field(default_factory=list)


# NNX ------------------------------------------------------------------------------------------


def mlp():
    return nnx.Sequential(nnx.Linear(6, 8, rngs=rngs()), nnx.gelu, nnx.Linear(8, 4, rngs=rngs()))


def convolutions():
    return nnx.Sequential(
        nnx.Conv(3, 4, (3, 3), rngs=rngs()),
        nnx.BatchNorm(4, use_running_average=True, rngs=rngs()),
        nnx.relu,
        nnx.Conv(4, 4, (3, 3), feature_group_count=4, rngs=rngs()),
    )


def upward():
    options = dict(strides=(2, 2), rngs=rngs())
    return nnx.Sequential(
        nnx.ConvTranspose(3, 4, (3, 3), **options),
        nnx.relu,
        nnx.ConvTranspose(4, 2, (3, 3), padding="CIRCULAR", transpose_kernel=True, **options),
    )


class Grouped(nnx.Module):
    """Attention of four query heads and two of keys and values, by einsum."""

    def __init__(self):
        self.q = nnx.Einsum("btd,dhk->bthk", (6, 4, 3), rngs=rngs())
        self.kv = nnx.Einsum("btd,dhk->bthk", (6, 2, 6), rngs=rngs())
        self.out = nnx.LinearGeneral((4, 3), 6, axis=(-2, -1), rngs=rngs())

    def __call__(self, x):
        q = self.q(x).reshape(2, 5, 2, 2, 3)
        k, v = jnp.split(self.kv(x), 2, -1)
        weights = jax.nn.softmax(jnp.einsum("btgnk,bsgk->bgnts", q, k))
        return self.out(jnp.einsum("bgnts,bsgk->btgnk", weights, v).reshape(2, 5, 4, 3))


class LowRank(nnx.Module):
    def __init__(self):
        init = nnx.initializers.normal()
        self.base = nnx.LoRALinear(6, 4, lora_rank=2, rngs=rngs())
        self.base.lora.lora_b[...] = init(jax.random.key(0), (2, 4))

    def __call__(self, x):
        return self.base(x)


class Tied(nnx.Module):
    def __init__(self):
        self.embed, self.place = (nnx.Embed(7, 6, rngs=rngs()) for _ in range(2))
        self.mix = nnx.Linear(6, 6, rngs=rngs())

    def __call__(self, tokens):
        x = self.embed(tokens) + self.place(jnp.arange(5))
        return self.embed.attend(self.mix(x))


class Scanned(nnx.Module):
    def __init__(self):
        self.layers = nnx.vmap(lambda rngs: nnx.Linear(6, 6, rngs=rngs))(rngs().split(3))

    def __call__(self, x):
        step = lambda x, layer: jnp.tanh(layer(x))
        return nnx.scan(step, in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(x, self.layers)


class Past(nnx.Linear):
    def __call__(self, x):
        return x @ self.kernel[...]


def subclass():
    return nnx.Sequential(Past(6, 6, rngs=rngs()), nnx.Linear(6, 4, rngs=rngs()))


def two_times(x, w, numbers, **options):
    return 2 * lax.dot_general(x, w, numbers, **options)


def own_function():
    return nnx.Linear(6, 4, dot_general=two_times, rngs=rngs())


NNX = {
    "mlp": Case(mlp, X, ["layers/0", "layers/2"]),
    "convolutions": Case(convolutions, IMAGE, ["layers/0", "layers/3"]),
    "upward": Case(upward, IMAGE, ["layers/0", "layers/2"]),
    "lstm": Case(
        lambda: nnx.RNN(nnx.OptimizedLSTMCell(6, 4, rngs=rngs())),
        X,
        ["cell/dense_h", "cell/dense_i"],
    ),
    "gru": Case(
        lambda: nnx.RNN(nnx.GRUCell(6, 4, rngs=rngs())), X, ["cell/dense_h", "cell/dense_i"]
    ),
    "attention": Case(
        lambda: nnx.MultiHeadAttention(2, 6, normalize_qk=True, decode=False, rngs=rngs()),
        X,
        ["key", "out", "query", "value"],
        ["scores", "values"],
    ),
    "grouped attention": Case(
        Grouped, X, ["kv", "out", "q"], ["btgnk,bsgk->bgnts", "bgnts,bsgk->btgnk"]
    ),
    "low rank": Case(LowRank, X, ["base", "base/lora/lora_a", "base/lora/lora_b"]),
    "tied embedding": Case(Tied, TOKENS, ["embed", "mix"], ["place"]),
    "scanned": Case(Scanned, X, ["layers"]),
    "weight norm": Case(
        lambda: nnx.WeightNorm(nnx.Linear(6, 4, rngs=rngs()), rngs=rngs()), X, ["layer_instance"]
    ),
    "subclass": Case(subclass, X, ["layers/1"], ["layers/0"]),
    "own function": Case(own_function, X, [""]),
}


@pytest.mark.parametrize("name", NNX)
def test_nnx(name):
    case = NNX[name]
    model = case.make()
    optical, report = pj.convert(model, [pj.Rule("*", EXACT)], sample=case.x)
    assert [s.path for s in report.optical] == case.optical
    assert sorted(s.path for s in report.digital) == sorted(case.digital)
    same(optical(case.x), model(case.x))
    coarse, _ = pj.convert(model, [pj.Rule("*", COARSE)])
    y = coarse(case.x)
    assert np.abs(y - model(case.x)).max() > 1e-3  # it is on light
    pj.program_weights(coarse)
    same(coarse(case.x), y)
    reverted = pj.revert(coarse)
    same(reverted(case.x), model(case.x))


# Functions: Linen, Equinox, Haiku, plain JAX ----------------------------------------------------


def linen(module, x):
    return module.apply, module.init(jax.random.key(0), x)


class LinenNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=True)(nn.Conv(4, (3, 3), name="conv")(x))
        x = nn.ConvTranspose(2, (3, 3), strides=(2, 2), name="up")(nn.relu(x))
        return nn.Dense(4, name="head", dot_general=two_times)(x.mean((1, 2)))


def equinox():
    model = eqx.nn.GRUCell(6, 4, key=jax.random.key(0))
    step = lambda model: lambda h, x: (model(x, h), None)
    return lambda m, x: jax.vmap(lambda x: lax.scan(step(m), jnp.zeros(4), x)[0])(x), model


def haiku():
    model = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([8, 4])(x)))
    return model.apply, model.init(jax.random.key(0), X)


def equinox_attention():
    model = eqx.nn.MultiheadAttention(2, 6, key=jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_array)
    return lambda p, x: jax.vmap(lambda x: eqx.combine(p, static)(x, x, x))(x), params


def haiku_attention():
    attend = lambda x: hk.MultiHeadAttention(2, 3, w_init=hk.initializers.RandomNormal())(x, x, x)
    model = hk.without_apply_rng(hk.transform(attend))
    return model.apply, model.init(jax.random.key(0), X)


def mixture():
    """Each row through the expert that a router picks for it."""
    keys = jax.random.split(jax.random.key(0))
    p = {
        "router": jax.random.normal(keys[0], (6, 3)),
        "experts": jax.random.normal(keys[1], (3, 6, 4)),
    }

    def f(p, x):
        rows = x.reshape(-1, 6)
        chosen = jnp.argmax(lax.stop_gradient(rows) @ p["router"], -1)
        order, sizes = jnp.argsort(chosen), jnp.bincount(chosen, length=3)
        return lax.ragged_dot(rows[order], p["experts"], sizes)[jnp.argsort(order)]

    return f, p


def numbers_of_other_kinds():
    """A product of complex numbers and one of whole numbers beside one of real numbers."""

    def f(p, x):
        turned = jnp.fft.fft(x, axis=-1)
        odd = jnp.einsum("btd,bsd->bts", turned, turned.conj()).real
        whole = jnp.round(4 * x).astype(jnp.int32)
        return odd + jnp.einsum("bti,bsi->bts", whole, whole) + (x @ p["w"])[..., :5]

    return f, {"w": jax.random.normal(jax.random.key(0), (6, 6))}


FUNCTIONS = {
    "linen": Case(
        lambda: linen(LinenNet(), IMAGE), IMAGE, ["conv/kernel", "up/kernel", "head/kernel"]
    ),
    "linen attention": Case(
        lambda: linen(nn.MultiHeadDotProductAttention(2), X),
        X,
        [*(f"{n}/kernel" for n in ("query", "key", "value")), "out/kernel"],
        [
            f"MultiHeadDotProductAttention/{t}"
            for t in ("...qhd,...khd->...hqk", "...hqk,...khd->...qhd")
        ],
    ),
    "linen lstm": Case(
        lambda: linen(nn.RNN(nn.OptimizedLSTMCell(4)), X),
        X,
        ["cell/hi/kernel", "cell/ii/kernel"],  # of all gates together
    ),
    "equinox": Case(equinox, X, ["weight_ih", "weight_hh"]),
    "equinox attention": Case(
        equinox_attention,
        X,
        [f"{n}_proj/weight" for n in ("query", "key", "value", "output")],
        [f"vmap(eqx.nn.MultiheadAttention)/vmap({t})" for t in ("sd,Sd->sS", "sS,Sd->sd")],
    ),
    "haiku": Case(haiku, X, ["mlp/~/linear_0/w", "mlp/~/linear_1/w"]),
    "haiku attention": Case(
        haiku_attention,
        X,
        [f"multi_head_attention/{n}/w" for n in ("query", "key", "value", "linear")],
        [f"multi_head_attention/{t}" for t in ("...thd,...Thd->...htT", "...htT,...Thd->...thd")],
    ),
    "mixture": Case(mixture, X, ["router", "experts"]),
    "numbers of other kinds": Case(
        numbers_of_other_kinds, X, ["w"], ["fft", "btd,bsd->bts", "bti,bsi->bts"]
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    case = FUNCTIONS[name]
    f, p = case.make()
    g = pj.optical(f, [pj.Rule("*", EXACT)])
    report = g.report(p, case.x)
    assert [s.path for s in report.optical] == case.optical
    assert sorted(s.path for s in report.digital) == sorted(case.digital)
    assert report.check(g, p, case.x).sites == report.sites
    same(g(None, p, case.x), f(p, case.x))
    coarse = pj.optical(f, [pj.Rule("*", COARSE)])
    assert np.abs(coarse(None, p, case.x) - f(p, case.x)).max() > 1e-3


def same(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
