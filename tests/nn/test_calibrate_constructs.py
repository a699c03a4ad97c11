"""Calibration and measurement see every product, in whatever construct of JAX it is made."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

import photonjax as pj

KEY = jax.random.key(0)


def in_scan(w, x):
    return lax.scan(lambda x, _: (jnp.tanh(x @ w["w"]), None), x, length=3)[0]


def in_while(w, x):
    return lax.fori_loop(0, 3, lambda _, x: jnp.tanh(x @ w["w"]), x)


def in_while_truly(w, x):
    step = lambda c: (c[0] + 1, jnp.tanh(c[1] @ w["w"]))
    return lax.while_loop(lambda c: c[0] < 3, step, (0, x))[1]


def in_cond(w, x):
    for i in range(3):
        x = lax.cond(i < 9, lambda x: jnp.tanh(x @ w["w"]), lambda x: x, x)
    return x


def in_jit_and_remat(w, x):
    for _ in range(3):
        x = jax.checkpoint(jax.jit(lambda x: jnp.tanh(x @ w["w"])))(x)
    return x


def in_custom(w, x):
    f = jax.custom_jvp(lambda x: jnp.tanh(x @ w["w"]))
    f.defjvp(lambda p, t: (f(*p), t[0]))
    for _ in range(3):
        x = f(x)
    return x


def in_shards(w, x, check=True):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    loop = lambda w, x: in_scan({"w": w}, x)
    run = jax.shard_map(
        loop, mesh=mesh, in_specs=(P(), P("data")), out_specs=P("data"), check_vma=check
    )
    return run(w["w"], x)


def in_unchecked_shards(w, x):
    return in_shards(w, x, check=False)


SMALL = pj.OpticalCore(rows=4, cols=8, photons=100.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "f",
    [in_while, in_while_truly, in_cond, in_jit_and_remat, in_custom, in_shards, in_unchecked_shards],
)  # fmt: skip
def test_signals_are_found_wherever_a_product_is_made(f):
    w = {"w": 2 * jax.random.normal(jax.random.key(1), (8, 8)) / math.sqrt(8)}
    x = jax.random.normal(jax.random.key(2), (4, 8))
    rules = [pj.Rule("*", SMALL)]
    signals, peak = x, 0.0
    one = pj.optical(lambda w, x: x @ w["w"], rules)
    for _ in range(3):
        peak = max(peak, pj.calibrate(one, w, signals)["w"]["adc"])
        open_core = SMALL.replace(photons=None, adc={"bits": None})
        signals = jnp.tanh(pj.optical_matmul(signals, w["w"], core=open_core, site="w"))
    assert pj.calibrate(pj.optical(f, rules), w, x)["w"]["adc"] == pytest.approx(peak, rel=1e-5)
    g = pj.optical(f, rules)
    y, measured = jax.jit(g.measured)(KEY, w, x)
    np.testing.assert_array_equal(y, jax.jit(g)(KEY, w, x))
    assert measured["w"].multiplies == 3 * 4 * 8 * 8
    assert 0 < measured["w"].photons_per_multiply < 100


def test_signals_are_found_in_the_test_of_a_loop():
    """The last test sees what ends the loop; its answers, and so the result, are the loop's own."""
    core = SMALL.replace(input={"scale": "static", "range": 100.0}, adc={"bits": 14})
    w, x = {"w": jnp.eye(8)}, jnp.ones((4, 8))
    twice = lambda w, x: lax.while_loop(lambda x: (x @ w["w"]).sum() < 500, lambda x: 2 * x, x)
    g = pj.optical(twice, [pj.Rule("*", core)])
    assert pj.calibrate(g, w, x)["w"]["input"] == pytest.approx(1.1 * 16)  # 32, 64, ... 512
    y, measured = jax.jit(g.measured)(KEY, w, x)
    np.testing.assert_array_equal(y, jax.jit(g)(KEY, w, x))
    assert measured["w"].outputs == 5 * 4 * 8 and measured["w"].input_peak == 16
