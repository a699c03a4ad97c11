"""Flax's own tools on a converted model: split, merge, clone, jit, tabulate, state, Orbax."""

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from jax import lax

import photonjax as pj

pytestmark = pytest.mark.slow

RULES = [pj.Rule("*", pj.OpticalCore(photons=1e3))]
X = jax.random.normal(jax.random.key(0), (2, 6, 6, 3))


def two_times(x, w, numbers, **options):
    return 2 * lax.dot_general(x, w, numbers, **options)


def digital():
    rngs = nnx.Rngs(0)
    return nnx.Sequential(
        nnx.ConvTranspose(3, 4, (3, 3), rngs=rngs),
        nnx.Conv(4, 4, (3, 3), rngs=rngs),
        nnx.Linear(4, 4, dot_general=two_times, rngs=rngs),
        nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs),
    )


def test_they_work_on_a_converted_model(tmp_path):
    model = digital()
    optical, _ = pj.convert(model, RULES, noise=False)
    y = optical(X)
    graph, state = nnx.split(optical)
    np.testing.assert_array_equal(nnx.merge(graph, state)(X), y)
    graph, parameters, rest = nnx.split(optical, nnx.Param, ...)
    assert jax.tree.structure(parameters) == jax.tree.structure(nnx.state(model, nnx.Param))
    np.testing.assert_array_equal(nnx.merge(graph, parameters, rest)(X), y)
    np.testing.assert_array_equal(nnx.clone(optical)(X), y)
    np.testing.assert_allclose(nnx.jit(lambda m, x: m(x))(optical, X), y, atol=1e-4)
    table = nnx.tabulate(optical, X, console_kwargs={"width": 250})
    assert "OpticalConvTranspose" in table and "layers/3/query" in table
    saver = ocp.StandardCheckpointer()
    saver.save(tmp_path / "state", nnx.state(optical))
    saver.wait_until_finished()
    other = nnx.clone(model)
    nnx.update(other, jax.tree.map(jnp.zeros_like, nnx.state(other)))
    fresh, _ = pj.convert(other, RULES, noise=False)
    nnx.update(fresh, saver.restore(tmp_path / "state", nnx.state(fresh)))
    np.testing.assert_array_equal(fresh(X), y)
    shapes = nnx.eval_shape(lambda: pj.convert(digital(), RULES)[0])
    assert shapes.layers[1].kernel.shape == (3, 3, 4, 4)
