"""Ragged products on light: each group of rows through its own matrix, as by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import photonjax as pj
from photonjax.core.ragged import optical_ragged_dot

X = jax.random.normal(jax.random.key(0), (7, 12))
W = jax.random.normal(jax.random.key(1), (3, 12, 5))
EXACT = pj.OpticalCore(
    rows=8, cols=8, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)


def test_the_digital_product_where_the_core_is_exact():
    light = jax.jit(functools.partial(optical_ragged_dot, core=EXACT))
    for sizes in ((2, 4, 1), (0, 7, 0), (3, 0, 2)):  # the last: two rows of no group
        sizes = jnp.array(sizes)
        np.testing.assert_allclose(light(X, W, sizes), lax.ragged_dot(X, W, sizes), atol=1e-5)


@pytest.mark.slow
def test_each_group_is_the_product_with_its_own_die_and_levels():
    core = pj.OpticalCore(rows=8, cols=8, array={"noise": 0.05}, input={"bits": 4})
    y = optical_ragged_dot(X, W, jnp.array([2, 4, 1]), core=core, site=9)
    for group, rows in enumerate((slice(0, 2), slice(2, 6), slice(6, 7))):
        by_hand = pj.optical_dot_general(
            X[rows], W[group], (((1,), (0,)), ((), ())), core=core, site=(9, group)
        )
        np.testing.assert_allclose(y[rows], by_hand, atol=1e-5)
    assert jnp.abs(y - lax.ragged_dot(X, W, jnp.array([2, 4, 1]))).max() > 0.05


@pytest.mark.slow
def test_noise_is_shot_noise_of_the_rows_own_product():
    """Variance of a differential product: sum |a||b| / photons, in units of its scales."""
    core = EXACT.replace(photons=50.0, rows=12, **{"encoding.shot_estimate": "exact"})
    sizes, keys = jnp.array([2, 4, 1]), jax.random.split(jax.random.key(2), 2000)
    draw = lambda key: optical_ragged_dot(X, W, sizes, core=core, key=key)
    seen = jax.jit(jax.vmap(draw))(keys).var(0)
    groups = np.repeat(np.arange(3), np.array(sizes))
    s_x, s_w = np.abs(X).max(1)[:, None], np.abs(W).max(1)[groups]
    light = np.einsum("tk,tkn->tn", np.abs(X) / s_x, np.abs(W[groups]) / s_w[:, None])
    np.testing.assert_allclose(seen, light / 50 * (s_x * s_w) ** 2, rtol=0.2)


@pytest.mark.slow
def test_gradients():
    sizes = jnp.array([2, 4, 1])
    loss = lambda dot: jax.grad(lambda x, w: (dot(x, w, sizes) ** 2).sum(), (0, 1))(X, W)
    exact = loss(functools.partial(optical_ragged_dot, core=EXACT))
    for mine, wanted in zip(exact, loss(lax.ragged_dot), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_any_function():
    """`pj.optical` names the experts' product after its parameter; other forms stay digital, with it."""
    sizes = jnp.array([2, 4, 1])

    def f(p, x):
        return lax.ragged_dot(x, p["experts"], sizes)

    p = {"experts": W}
    g = pj.optical(f, [pj.Rule("experts", EXACT)])
    (site,) = g.report(p, X).sites
    assert (site.path, site.shape, site.status) == ("experts", (3, 12, 5), "optical")
    np.testing.assert_allclose(g(None, p, X), f(p, X), atol=1e-5)
    core = EXACT.replace(array={"noise": 0.05, "bits": 8})
    hand = optical_ragged_dot(X, W, sizes, core=core, site=pj.core.site_number("experts"))
    np.testing.assert_allclose(pj.optical(f, [pj.Rule("*", core)])(None, p, X), hand, atol=1e-5)
    back = pj.optical(jax.grad(lambda p, x: f(p, x).sum(), 1), [pj.Rule("*", EXACT)])
    first, second = back.report(p, X).sites
    assert (first.path, first.status) == ("experts", "optical")
    assert (second.path, second.status, second.shape) == ("experts", "digital", (3, 12, 5))
    assert second.reason == "ragged_dot_general cannot be entered"
