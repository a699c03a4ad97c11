"""One layer to calibrate, and what of a model calibration may not change."""

import contextlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import photonjax as pj

CORE = pj.OpticalCore(rows=4, cols=8, photons=100.0, adc={"bits": 8})


STATIC = CORE.replace(input={"scale": "static"})


X = jax.random.normal(jax.random.key(0), (6, 8))


def linear(core=CORE, seed=0, **options):
    model = nnx.Sequential(nnx.Linear(8, 5, rngs=nnx.Rngs(seed), **options))
    return pj.convert(model, [pj.Rule("*", core)], noise=False)[0]


def snapshot(model):
    """All of a model's state but its ranges."""
    graph, state = nnx.split(nnx.clone(model))
    probe = nnx.merge(graph, state)
    for _, dot in pj.nnx.optical_dots(probe):
        dot.adc_range = dot.input_range = nnx.data(None)
    graph, state = nnx.split(probe)
    keys = lambda v: jax.random.key_data(v) if jnp.issubdtype(v.dtype, jax.dtypes.prng_key) else v
    return graph, jax.tree.map(lambda v: np.array(keys(v)), nnx.to_pure_dict(state))


@contextlib.contextmanager
def unchanged(model):
    graph, state = snapshot(model)
    yield
    after = snapshot(model)
    chex.assert_trees_all_equal(after[1], state)
    assert after[0] == graph
