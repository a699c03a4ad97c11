"""One model, one `chip_seed`, one die: the static errors of a weight follow from its path, through every
front end and however the layers are run."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import photonjax as pj

pytestmark = pytest.mark.slow  # minutes together

CORE = pj.OpticalCore(
    rows=8, cols=8, input={"bits": None}, array={"bits": None, "noise": 0.05}, adc={"bits": None},
    receiver={"gain_error": 0.02}, chip_seed=3,
)  # fmt: skip
RULES = [pj.Rule("*", CORE)]
LAYERS, SIZE, WORDS = 3, 12, 20
X = jax.random.normal(jax.random.key(1), (5, SIZE))

kernels = jax.random.normal(jax.random.key(0), (LAYERS + 1, SIZE, SIZE)) / SIZE**0.5
STACK, MIX = kernels[:LAYERS], kernels[LAYERS]
TABLE = jax.random.normal(jax.random.key(2), (WORDS, SIZE)) / SIZE**0.5

Dot = Callable[[jax.Array, jax.Array, str], jax.Array]


def on_light(x: jax.Array, w: jax.Array, path: str) -> jax.Array:
    numbers = (((1,), (0,)), ((), ()))
    return pj.optical_dot_general(x, w, numbers, core=CORE, site=path)


def written(dot: Dot) -> jax.Array:
    """The model: a stack of layers, a module used twice, a head that is the embedding."""
    x = X
    for i in range(LAYERS):
        x = x + jnp.tanh(dot(x, STACK[i], f"layers/{i}/up/kernel"))
    x = dot(jnp.tanh(dot(x, MIX, "mix/kernel")), MIX, "mix/kernel")
    return dot(x, TABLE.T, "embed/embedding")


# Plain functions of plain trees -------------------------------------------------------------------


def tail(p, x):
    x = jnp.tanh(x @ p["mix"]["kernel"]) @ p["mix"]["kernel"]
    return jnp.einsum("vd,td->tv", p["embed"]["embedding"], x)  # the table on the left


def step(x, kernel):
    return x + jnp.tanh(x @ kernel), None


def listed(p, x):
    for layer in p["layers"]:
        x, _ = step(x, layer["up"]["kernel"])
    return tail(p, x)


def indexed(p, x):
    for i in range(LAYERS):
        x, _ = step(x, p["layers"]["up"]["kernel"][i])
    return tail(p, x)


def scanned(p, x):
    return tail(p, lax.scan(step, x, p["layers"]["up"]["kernel"])[0])


def carried(p, x):
    """By number, out of a stack that goes round with the loop."""
    body = lambda i, h: step(h, p["layers"]["up"]["kernel"][i])[0]
    return tail(p, lax.fori_loop(0, LAYERS, body, x))


def leftover(p, x):
    """Two layers at a turn, and the odd one after the loop."""
    stack = p["layers"]["up"]["kernel"]
    pairs = stack[:2].reshape(1, 2, SIZE, SIZE)
    x, _ = lax.scan(lambda x, pair: (step(step(x, pair[0])[0], pair[1])[0], None), x, pairs)
    return tail(p, step(x, stack[2:][0])[0])


def tree(layers):
    return {"layers": layers, "mix": {"kernel": MIX}, "embed": {"embedding": TABLE}}


LIST = tree([{"up": {"kernel": w}} for w in STACK])
STACKED = tree({"up": {"kernel": STACK}})


# Flax NNX ------------------------------------------------------------------------------------------


class Block(nnx.Module):
    def __init__(self, rngs):
        self.up = nnx.Linear(SIZE, SIZE, use_bias=False, rngs=rngs)

    def __call__(self, x):
        return x + jnp.tanh(self.up(x))


class Net(nnx.Module):
    def __init__(self, stacked):
        rngs = nnx.Rngs(0)
        self.embed = nnx.Embed(WORDS, SIZE, rngs=rngs)
        if stacked:
            make = nnx.split_rngs(splits=LAYERS)(nnx.vmap(Block, in_axes=0, out_axes=0))
            self.layers = make(rngs)
            self.layers.up.kernel[...] = STACK
        else:
            self.layers = nnx.List([Block(rngs) for _ in range(LAYERS)])
            for block, kernel in zip(self.layers, STACK, strict=True):
                block.up.kernel[...] = kernel
        self.mix = nnx.Linear(SIZE, SIZE, use_bias=False, rngs=rngs)
        self.mix.kernel[...], self.embed.embedding[...] = MIX, TABLE
        self.other = nnx.Dict(mix=self.mix)

    def __call__(self, x):
        if isinstance(self.layers, nnx.List):
            for block in self.layers:
                x = block(x)
        else:
            run = nnx.scan(lambda b, x: b(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
            x = run(self.layers, x)
        return self.embed.attend(self.other["mix"](jnp.tanh(self.mix(x))))


def converted(stacked):
    optical, report = pj.convert(Net(stacked), RULES, noise=False, sample=X)
    assert len(report.optical) == (1 if stacked else LAYERS) + 2
    return nnx.jit(lambda m, x: m(x))(optical, X)


def programmed(stacked):
    optical, _ = pj.convert(Net(stacked), RULES, noise=False, sample=X)
    pj.program_weights(optical)
    return nnx.jit(lambda m, x: m(x))(optical, X)


def transformed(stacked):
    graph, state = nnx.split(Net(stacked))
    return jax.jit(pj.optical(lambda s, x: nnx.merge(graph, s)(x), RULES))(None, state, X)


def placed():
    """Products put into the layers by hand, each told its weight's path."""
    model = Net(stacked=False)
    for i, block in enumerate(model.layers):
        block.up.dot_general = nnx.data(pj.nnx.OpticalDot(CORE, site=f"layers/{i}/up/kernel"))
    model.mix.dot_general = nnx.data(pj.nnx.OpticalDot(CORE, site="mix/kernel"))
    optical, report = pj.convert(model, [pj.Rule("embed", CORE)], noise=False)
    assert [s.reason for s in report.sites][-1] == "optical before this conversion"
    return optical(X)


# Flax Linen ----------------------------------------------------------------------------------------


class LinenBlock(nn.Module):
    dense: Callable[..., nn.Module] = functools.partial(nn.Dense, SIZE, use_bias=False)

    @nn.compact
    def __call__(self, x, _=None):
        return x + jnp.tanh(self.dense(name="up")(x)), None


class List(nn.Module):
    dense: Callable[..., nn.Module] = LinenBlock.dense

    @nn.compact
    def __call__(self, x, _):
        for i in range(LAYERS):
            x, _ = LinenBlock(self.dense, name=f"{i}")(x)
        return x, None


class LinenNet(nn.Module):
    layers: type[nn.Module]
    dense: Callable[..., nn.Module] = LinenBlock.dense

    @nn.compact
    def __call__(self, x):
        embed = nn.Embed(WORDS, SIZE, name="embed")
        x, _ = self.layers(self.dense, name="layers")(x, None)
        mix = self.dense(name="mix")
        return embed.attend(mix(jnp.tanh(mix(x))))


SCAN = nn.scan(
    nn.remat(LinenBlock), variable_axes={"params": 0}, split_rngs={"params": True}, length=LAYERS
)
LINEN_LIST = {
    "params": LIST | {"layers": {str(i): layer for i, layer in enumerate(LIST["layers"])}}
}
LINEN = {List: LINEN_LIST, SCAN: {"params": STACKED}}


def linen(layers):
    optical = pj.linen.Optical(LinenNet(layers), tuple(RULES))
    return jax.jit(optical.apply)(LINEN[layers], X)


def linen_inside():
    """The wrapped module is a part of another."""

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            one = functools.partial(pj.linen.Optical, rules=(pj.Rule("layers/*", CORE),))
            x = one(SCAN(name="layers"))(x, None)[0]
            mix = nn.Dense(SIZE, use_bias=False, name="mix")
            return nn.Embed(WORDS, SIZE, name="embed").attend(mix(jnp.tanh(mix(x))))

    rules = [pj.Rule("mix", CORE), pj.Rule("embed", CORE)]
    return pj.optical(Outer().apply, rules)(None, {"params": STACKED}, X)


def linen_transformed(layers):
    return jax.jit(pj.optical(LinenNet(layers).apply, RULES))(None, LINEN[layers], X)


def linen_placed():
    """The hook in every layer that has one, and the head on light by a rule."""
    dense = functools.partial(
        LinenBlock.dense, dot_general_cls=functools.partial(pj.linen.OpticalDot, core=CORE)
    )
    digital = LinenNet(List, dense)
    rest = pj.Rule("embed", CORE)
    inside = pj.Rule("*", None)
    return pj.optical(digital.apply, [rest, inside])(None, LINEN_LIST, X)


WAYS = {
    "function of a list": lambda: jax.jit(pj.optical(listed, RULES))(None, LIST, X),
    **{
        f"function, {f.__name__}": lambda f=f: jax.jit(pj.optical(f, RULES))(None, STACKED, X)
        for f in (indexed, scanned, carried, leftover)
    },
    "convert": lambda: converted(stacked=False),
    "convert, stacked": lambda: converted(stacked=True),
    "convert, programmed": lambda: programmed(stacked=False),
    "convert, stacked, programmed": lambda: programmed(stacked=True),
    "optical of NNX": lambda: transformed(stacked=False),
    "optical of NNX, stacked": lambda: transformed(stacked=True),
    "OpticalDot in NNX": placed,
    "Linen": lambda: linen(List),
    "Linen, scanned": lambda: linen(SCAN),
    "optical of Linen": lambda: linen_transformed(List),
    "optical of Linen, scanned": lambda: linen_transformed(SCAN),
    "Linen, a part of another": linen_inside,
    "OpticalDot in Linen": linen_placed,
}


@pytest.fixture(scope="module")
def by_hand():
    return written(on_light)


@pytest.mark.parametrize("way", WAYS)
def test_one_die(way, by_hand):
    np.testing.assert_allclose(WAYS[way](), by_hand, rtol=2e-5, atol=2e-5)


def test_the_die_shows(by_hand):
    """What is compared above is not the digital model, and every weight has errors of its own."""
    digital = written(lambda x, w, path: x @ w)
    assert np.abs(by_hand - digital).max() > 0.05
    for path in ("layers/1/up/kernel", "mix/kernel", "embed/embedding"):
        elsewhere = written(lambda x, w, p, path=path: on_light(x, w, "x" if p == path else p))
        assert np.abs(by_hand - elsewhere).max() > 1e-2, path


def test_a_stack_in_a_stack_and_a_part_of_a_layer():
    """Groups of layers, and a fused weight cut apart within each layer."""
    w = jax.random.normal(jax.random.key(5), (2, 3, SIZE, SIZE))
    x = jnp.ones((1, SIZE))

    def scan(p, x):
        each = lambda _, parts: (None, [x @ parts[j] for j in range(3)])
        return jnp.stack(lax.scan(each, None, p["net"]["qkv"])[1], 1)

    def unroll(p, x):
        return jnp.stack(
            [jnp.stack([x @ p["net"]["qkv"][i][j] for j in range(3)]) for i in range(2)]
        )

    one, two = (pj.optical(f, RULES)(None, {"net": {"qkv": w}}, x) for f in (scan, unroll))
    np.testing.assert_allclose(one, two, rtol=2e-5, atol=2e-5)
    hand = on_light(x, w[1, 2], "net/1/qkv/2")
    np.testing.assert_allclose(one[1, 2], hand, rtol=2e-5, atol=2e-5)
