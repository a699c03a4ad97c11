"""One small transformer as NNX modules, as Linen modules and as a function: by hand, and converted."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

import photonjax as pj

LAST_BY_FIRST = (((1,), (0,)), ((), ()))


EVERYTHING = "*"


Linear = Callable[[str, jax.Array], jax.Array]


def block(h: jax.Array, linear: Linear, heads: int) -> jax.Array:
    """One layer, ``[tokens, width]``; ``linear(name, x)`` multiplies with the weight of that name."""
    q, k, v = jnp.split(linear("qkv", h).reshape(len(h), 3 * heads, -1), 3, axis=1)
    scores = jnp.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
    scores = jnp.where(jnp.tri(len(h), dtype=bool), scores, -jnp.inf)
    mixed = jnp.einsum("hqk,khd->qhd", jax.nn.softmax(scores), v).reshape(len(h), -1)
    h = h + linear("out", mixed)
    return h + linear("down", jax.nn.gelu(linear("up", h)))


def widths(width: int) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of a layer's weights."""
    return {
        "qkv": (width, 3 * width),
        "out": (width, width),
        "up": (width, 4 * width),
        "down": (4 * width, width),
    }


class NnxBlock(nnx.Module):
    """The layer in NNX; ``make`` is the class of its linear layers."""

    def __init__(self, width: int, heads: int, make: Callable[..., Any]):
        self.heads = heads
        for name, (k, n) in widths(width).items():
            setattr(self, name, make(k, n, use_bias=False, rngs=nnx.Rngs(0)))

    def __call__(self, h: jax.Array) -> jax.Array:
        return block(h, lambda name, x: getattr(self, name)(x), self.heads)


class LinenBlock(linen.Module):
    """The layer in Linen; ``dot`` stands in for ``lax.dot_general``."""

    width: int
    heads: int
    dot: Any = None

    @linen.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        def linear(name: str, x: jax.Array) -> jax.Array:
            size = widths(self.width)[name][1]
            dense = linen.Dense(size, use_bias=False, name=name, dot_general_cls=self.dot)
            return dense(x)

        return block(h, linear, self.heads)


def function(params: Any, x: jax.Array, heads: int, dot: Callable[..., jax.Array]) -> jax.Array:
    """The layers as a function; ``dot(path, x, w)`` multiplies."""
    for i, layer in enumerate(params):

        def linear(name: str, x: jax.Array, i: int = i, layer: Any = layer) -> jax.Array:
            return dot(f"{i}/{name}", x, layer[name])

        x = block(x, linear, heads)
    return x


def nnx_pair(core: pj.OpticalCore, layers: int, width: int, heads: int) -> list[Any]:
    """Optical layers, and ordinary ones converted."""
    optical = functools.partial(pj.nnx.OpticalLinear, core=core)
    hand, plain = (
        nnx.Sequential(*(NnxBlock(width, heads, make) for _ in range(layers)))
        for make in (optical, nnx.Linear)
    )
    converted, _ = pj.convert(plain, [pj.Rule(EVERYTHING, core)])

    def run(graph: Any, state: Any, x: jax.Array, key: jax.Array) -> jax.Array:
        model = nnx.merge(graph, state)
        pj.nnx.set_noise_key(model, key)
        return model(x)

    split = [nnx.split(model) for model in (hand, converted)]
    return [(functools.partial(run, graph), state) for graph, state in split]


def linen_pair(
    core: pj.OpticalCore, layers: int, width: int, heads: int, x: jax.Array
) -> list[Any]:
    """The hook for ``dot_general_cls``, and an unmodified module on light."""
    dot = functools.partial(pj.linen.OpticalDot, core=core)
    plain = linen.Sequential([LinenBlock(width, heads) for _ in range(layers)])
    hand = linen.Sequential([LinenBlock(width, heads, dot) for _ in range(layers)])
    converted = pj.linen.Optical(plain, (pj.Rule(EVERYTHING, core),))
    variables = plain.init(jax.random.key(0), x)

    def run(model: Any, variables: Any, x: jax.Array, key: jax.Array) -> jax.Array:
        return model.apply(variables, x, rngs={"noise": key})

    return [(functools.partial(run, model), variables) for model in (hand, converted)]


def function_pair(core: pj.OpticalCore, layers: int, width: int, heads: int) -> list[Any]:
    """``optical_dot_general`` written out, and the digital function transformed."""
    sizes = widths(width)
    params = [{n: jnp.ones(s) / s[0] for n, s in sizes.items()} for _ in range(layers)]

    def by_hand(params: Any, x: jax.Array, key: jax.Array) -> jax.Array:
        def dot(path: str, x: jax.Array, w: jax.Array) -> jax.Array:
            site = zlib.crc32(path.encode())
            own = jax.random.fold_in(jax.random.fold_in(key, site), 0)
            return pj.optical_dot_general(x, w, LAST_BY_FIRST, core=core, key=own, site=site)

        return function(params, x, heads, dot)

    def digital(params: Any, x: jax.Array) -> jax.Array:
        return function(params, x, heads, lambda _, x, w: x @ w)

    g = pj.optical(digital, [pj.Rule(EVERYTHING, core)])
    return [(by_hand, params), (lambda params, x, key: g(key, params, x), params)]
