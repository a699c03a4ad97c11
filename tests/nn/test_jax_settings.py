"""A small model under each of JAX's switches: converted, run, differentiated, calibrated."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax as pj
from photonjax.core import random

pytestmark = pytest.mark.slow  # every setting compiles everything anew

CORE = pj.OpticalCore(rows=8, cols=3, photons=300.0, input={"noise": 0.01}, array={"noise": 0.01})
X = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)

SETTINGS = [
    {"jax_default_prng_impl": "rbg"},
    {"jax_default_prng_impl": "unsafe_rbg"},
    {"jax_threefry_partitionable": False},
    {"jax_legacy_prng_key": "error"},
    {"jax_disable_jit": True},
    {"jax_enable_x64": True},
    {"jax_numpy_dtype_promotion": "strict"},
    {"jax_numpy_rank_promotion": "raise"},
    {"jax_debug_nans": True},
    {"jax_debug_infs": True},
    {"jax_default_matmul_precision": "highest"},
    {"jax_default_matmul_precision": "bfloat16"},
    {"jax_check_tracer_leaks": True},
    {"jax_enable_checks": True},
    {
        "jax_numpy_dtype_promotion": "strict",
        "jax_numpy_rank_promotion": "raise",
        "jax_enable_x64": True,
    },
]


@contextlib.contextmanager
def jax_settings(**values):
    before = {name: getattr(jax.config, name) for name in values}
    try:
        for name, value in values.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def run():
    """What a user does, with the same weights under every setting; every number that comes out."""
    model = nnx.Linear(6, 3, use_bias=False, rngs=nnx.Rngs(0))
    weight = jnp.asarray(np.random.default_rng(1).normal(size=(6, 3)), jnp.float32)
    model.kernel.set_value(weight)
    x = jnp.asarray(X)
    optical, report = pj.convert(model, [pj.Rule("*", CORE)])
    assert len(report.optical) == 1
    pj.calibrate(optical, x)
    (dot,) = (dot for _, dot in pj.nnx.optical_dots(optical))
    found = {"range": dot.adc_range[...]}

    @nnx.jit
    def forward_and_slopes(model, x):
        loss = lambda model: (model(x) ** 2).sum()
        slopes = nnx.grad(loss, argnums=nnx.DiffState(0, nnx.Param))(model)
        return model(x), slopes["kernel"][...]

    found["forward"], found["slopes"] = forward_and_slopes(optical, x)

    @jax.jit
    def by_function(key, photons, weight, x):
        core = CORE.replace(photons=photons)
        g = pj.optical(lambda w, x: jnp.tanh(jnp.dot(x, w)).sum(), [pj.Rule("*", core)])
        return g(key, weight, x)

    found["function"], found["light"] = jax.value_and_grad(by_function, 1)(
        random.new_key(3), jnp.float32(300), weight, x
    )
    return {name: np.asarray(value) for name, value in found.items()}


@pytest.fixture(scope="module")
def plain():
    return run()


@pytest.mark.parametrize(
    "settings", SETTINGS, ids=lambda s: ",".join(f"{k[4:]}={v}" for k, v in s.items())
)
def test_a_model_under_jax_settings(settings, plain):
    """The same numbers: keys, precisions and dtypes are the core's own, not the surroundings'."""
    with jax_settings(**settings):
        found = run()
    for name, value in plain.items():
        assert found[name].dtype == np.float32, (name, found[name].dtype)
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
