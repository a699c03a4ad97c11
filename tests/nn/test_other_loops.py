"""Loops of other libraries: their scanned layers are layers."""

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import photonjax as pj
from tests.nn.one_layer import IDEAL as EXACT
from tests.nn.one_layer import KEY, normal
from tests.nn.one_layer import LIT as CORE

pytestmark = pytest.mark.slow  # minutes together: on one Python


X = normal(5, 8, seed=1)


def test_haiku_loops_and_layers():
    """hk.layer_stack scans over layers; hk.remat and hk.scan inside."""

    def forward(x):
        def block(x):
            return jnp.tanh(hk.remat(hk.Linear(8))(x))

        x = hk.layer_stack(3)(block)(x)
        cell = hk.Linear(8)
        return hk.scan(lambda h, row: (jnp.tanh(cell(h) + row), h), x[0], x)[1]

    model = hk.without_apply_rng(hk.transform(forward))
    p = model.init(jax.random.key(0), X)
    report = pj.optical(model.apply, [pj.Rule("*", CORE)]).report(p, X)
    assert [(s.path.rpartition("/")[2], s.layers) for s in report.optical] == [("w", 3), ("w", 5)]
    exact = jax.jit(pj.optical(model.apply, [pj.Rule("*", EXACT)]))(KEY, p, X)
    np.testing.assert_allclose(exact, model.apply(p, X), rtol=1e-4, atol=1e-5)


def test_equinox_scans_over_layers():
    """Stacked Equinox modules run by a scan are the same, cell by cell, as the modules one by one."""
    keys = jax.random.split(jax.random.key(0), 3)
    stack = eqx.filter_vmap(lambda key: eqx.nn.Linear(8, 8, key=key))(keys)

    def scanned(stack, x):
        arrays, static = eqx.partition(stack, eqx.is_array)
        layer = lambda h, part: (jnp.tanh(jax.vmap(eqx.combine(part, static))(h)), None)
        return lax.scan(layer, x, arrays)[0]

    def unrolled(stack, x):
        for i in range(3):
            x = jnp.tanh(jax.vmap(jax.tree.map(lambda a: a[i], stack))(x))  # noqa: B023
        return x

    die = pj.OpticalCore(rows=32, cols=32, photons=1e3, array={"noise": 0.02})
    rules = [pj.Rule("weight", die)]
    a, b = (eqx.filter_jit(pj.optical(f, rules))(KEY, stack, X) for f in (scanned, unrolled))
    np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
    assert np.abs(a - scanned(stack, X)).max() > 1e-2
