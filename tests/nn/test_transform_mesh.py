"""`pj.optical` of a function with a shard_map in it, on two virtual devices in a process of its own."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import photonjax as pj

P = jax.sharding.PartitionSpec
EXACT = pj.OpticalCore(
    rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
NOISY = pj.OpticalCore(rows=64, cols=64, photons=1e3)


def program() -> dict[str, float]:
    """A feed-forward layer, its inner axis and the tokens over one mesh axis each in turn."""
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    keys = jax.random.split(jax.random.key(0), 3)
    p = {"up": jax.random.normal(keys[0], (8, 16)), "down": jax.random.normal(keys[1], (16, 8)) / 4}
    x = jax.random.normal(keys[2], (6, 8))

    def tensor(p, x):  # the sum over the inner axis is one over devices
        def shard(up, down, x):
            return jax.lax.psum(jnp.tanh(x @ up) @ down, "x")

        specs = (P(None, "x"), P("x"), P())
        return jax.shard_map(shard, mesh=mesh, in_specs=specs, out_specs=P())(p["up"], p["down"], x)

    def data(p, x):  # the gradient of the weights is a sum over devices
        def shard(up, down, x):
            return jnp.tanh(x @ up) @ down

        specs = (P(), P(), P("x"))
        return jax.shard_map(shard, mesh=mesh, in_specs=specs, out_specs=P("x"))(
            p["up"], p["down"], x
        )

    def copies(p, x):  # every device does the same: JAX checks that the noise is the same too
        return jax.shard_map(lambda w, x: x @ w, mesh=mesh, in_specs=P(), out_specs=P())(p["up"], x)

    noisy = jax.jit(pj.optical(copies, [pj.Rule("*", NOISY)]))(jax.random.key(1), p, x)
    found = {"copies noise": float(jnp.abs(noisy - x @ p["up"]).max())}
    for f in (tensor, data):
        g = pj.optical(f, [pj.Rule("*", EXACT)])
        run = lambda f: jax.jit(jax.value_and_grad(lambda p: (f(p, x) ** 2).sum()))(p)
        mine, theirs = run(lambda p, x: g(None, p, x)), run(f)  # noqa: B023
        pairs = zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True)
        found[f.__name__] = max(float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in pairs)
        noisy = jax.jit(pj.optical(f, [pj.Rule("*", NOISY)]))
        error = noisy(jax.random.key(1), p, jnp.concatenate([x[:3], x[:3]])) - f(
            p, jnp.concatenate([x[:3], x[:3]])
        )
        found[f"{f.__name__} noise"] = float(jnp.abs(error).max())
        # the same three tokens on both devices: their errors differ
        found[f"{f.__name__} difference"] = float(jnp.abs(error[:3] - error[3:]).max())
    return found


@pytest.fixture(scope="module")
def found():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, __file__], env=os.environ | flags, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tensor", "data"])
def test_values_and_gradients(found, form):
    np.testing.assert_allclose(found[form], 0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tensor", "data"])
def test_each_shard_draws_its_own(found, form):
    assert found[f"{form} noise"] > 1e-2
    assert found[f"{form} difference"] > 1e-3


@pytest.mark.slow
def test_copies_draw_the_same(found):
    assert found["copies noise"] > 1e-2


if __name__ == "__main__":
    print(json.dumps(program()))
