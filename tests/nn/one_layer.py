"""One layer of Flax, converted and called by hand."""

import zlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import photonjax as pj

IDEAL = pj.OpticalCore(
    rows=128, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
NOISY = pj.OpticalCore(rows=64, cols=64, photons=50.0, array={"noise": 0.02}, adc={"bits": None})
LIT = pj.OpticalCore(rows=64, cols=64, photons=50.0, adc={"bits": None})
KEY = jax.random.key(11)
WITHOUT_KERNEL = ("lora_a", "lora_b", "scores", "values")


def normal(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


class Holder(nnx.Module):
    """Gives a layer a path: ``layer``."""

    def __init__(self, layer, method="__call__"):
        self.layer = layer
        self.method = method

    def __call__(self, *args, **kwargs):
        return getattr(self.layer, self.method)(*args, **kwargs)


def converted(layer, core, method="__call__", rule="*", **options):
    holder = Holder(layer, method)
    optical, report = pj.convert(holder, [pj.Rule(rule, core, **options)], key=KEY)
    return holder, optical, report


def by_hand(path, core=NOISY, name="kernel"):
    """The op as the site at ``path`` calls it first after conversion with ``KEY``."""
    parameter = path if path.endswith(WITHOUT_KERNEL) else f"{path}/{name}"
    site = zlib.crc32(parameter.encode())
    key = nnx.RngStream(jax.random.fold_in(KEY, zlib.crc32(path.encode())), tag="noise")()
    core = jax.tree.map(jnp.float32, core)

    def dot(x, w, contracting, batch=((), ()), **options):
        numbers = (contracting, batch)
        return pj.optical_dot_general(x, w, numbers, core=core, key=key, site=site, **options)

    return dot


def same_parameters(a, b):
    a, b = nnx.state(a, nnx.Param), nnx.state(b, nnx.Param)
    chex.assert_trees_all_equal(a, b)


def close(optical, digital, **tolerances):
    np.testing.assert_allclose(optical, digital, **({"rtol": 2e-5, "atol": 2e-5} | tolerances))


RNGS = nnx.Rngs(0)
LAYERS = {
    "linear": (nnx.Linear(10, 4, rngs=RNGS), normal(3, 10)),
    "general": (nnx.LinearGeneral((2, 5), (3, 2), axis=(-2, -1), rngs=RNGS), normal(3, 2, 5)),
    "batched": (nnx.LinearGeneral(5, 3, batch_axis={0: 2}, rngs=RNGS), normal(2, 4, 5)),
    "einsum": (nnx.Einsum("bti,ihd->bthd", (10, 2, 3), (2, 3), rngs=RNGS), normal(2, 3, 10)),
    "lora": (nnx.LoRA(10, 3, 4, b_initializer=nnx.initializers.normal(), rngs=RNGS), normal(3, 10)),
}


def attention(**options):
    return nnx.MultiHeadAttention(4, 12, decode=False, rngs=nnx.Rngs(0), **options)
