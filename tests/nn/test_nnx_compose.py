"""Converted models under jit, scan, remat and grad; shared modules; modules with random streams."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import photonjax as pj
from photonjax.nn.convert import revert

pytestmark = pytest.mark.slow  # minutes together: on one Python

CORE = pj.OpticalCore(rows=16, cols=16, photons=200.0, array={"noise": 0.02}, adc={"bits": None})
IDEAL = pj.OpticalCore(
    rows=16, cols=16, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
KEY = jax.random.key(4)
X = jax.random.normal(jax.random.key(0), (5, 12))
LAYERS = 3


class Block(nnx.Module):
    def __init__(self, rngs):
        self.up = nnx.Linear(12, 12, use_bias=False, rngs=rngs)

    def __call__(self, x):
        return jnp.abs(self.up(x))


class Listed(nnx.Module):
    def __init__(self, rngs, remat=False):
        self.blocks = nnx.List([Block(rngs) for _ in range(LAYERS)])
        self.remat = remat

    def __call__(self, x):
        run = nnx.remat(lambda block, x: block(x)) if self.remat else lambda block, x: block(x)
        for block in self.blocks:
            x = run(block, x)
        return x


class Scanned(nnx.Module):
    """The blocks of a :class:`Listed` model, stacked and run by ``nnx.scan``."""

    def __init__(self, listed, remat=False):
        parts = [nnx.split(block) for block in listed.blocks]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(state for _, state in parts))
        self.blocks = nnx.merge(parts[0][0], stacked)
        self.remat = remat

    def __call__(self, x):
        def layer(block, x):
            return block(x)

        body = nnx.remat(layer) if self.remat else layer
        return nnx.scan(body, in_axes=(0, nnx.Carry), out_axes=nnx.Carry)(self.blocks, x)


@nnx.jit
def jitted(model, x):
    return model(x)


def variants():
    rngs = nnx.Rngs(0)
    listed = Listed(rngs)
    again = nnx.clone(listed)
    again.remat = True
    models = {
        "eager": listed, "jit": listed, "remat": again, "scan": Scanned(listed),
        "scan and remat": Scanned(listed, remat=True),
    }  # fmt: skip
    for name, model in models.items():
        optical, report = pj.convert(model, [pj.Rule("blocks/*", CORE)], key=KEY)
        assert sum(site.layers for site in report.optical) == LAYERS
        yield name, optical, model if name == "eager" else jitted


def test_eager_jit_scan_and_remat_agree():
    """One key, one die: the same numbers however the layers are run, in the first call and the second."""
    results = {}
    for name, optical, _ in variants():
        run = (lambda model, x: model(x)) if name == "eager" else jitted
        results[name] = np.stack([run(optical, X), run(optical, X)])
    first, second = results["eager"]
    assert (first != second).mean() > 0.9
    for name, found in results.items():
        # Programs differ in how they contract multiplications and additions, so in last bits, which
        # may then meet a rounding.
        near = np.abs(found - results["eager"]) < 1e-5 * np.abs(first).max()
        assert near.mean() > 0.98, (name, near.mean())


def test_gradients_agree_and_noise_does_not_disturb_them():
    grads = {}

    def loss(model, x):
        return jnp.mean(model(x) ** 2)

    for name, optical, _ in variants():
        if name == "jit":  # as eager, here
            continue
        grad = nnx.jit(nnx.grad(loss))(optical, X)
        leaves = nnx.to_pure_dict(grad)["blocks"]
        if "scan" in name:
            leaves = {i: {"up": {"kernel": leaves["up"]["kernel"][i]}} for i in range(LAYERS)}
        grads[name] = np.stack([leaves[i]["up"]["kernel"] for i in range(LAYERS)])
    reference = grads["eager"]
    assert np.isfinite(reference).all() and (reference != 0).mean() > 0.5
    for name, found in grads.items():
        error = np.linalg.norm(found - reference) / np.linalg.norm(reference)
        assert error < 1e-3, (name, error)


def test_gradients_on_an_ideal_core_are_digital():
    model = Listed(nnx.Rngs(0))
    optical, _ = pj.convert(model, [pj.Rule("*", IDEAL)])

    def loss(model, x):
        return jnp.mean(jnp.tanh(model(x)))

    one, two = (nnx.grad(loss)(m, X) for m in (model, optical))
    chex.assert_trees_all_close(one, two, rtol=1e-4, atol=1e-6)


def test_stacked_layers_called_as_one_say_so():
    optical, _ = pj.convert(Scanned(Listed(nnx.Rngs(0))), [pj.Rule("*", CORE)])

    def of_parameters_alone(model, x):
        axes = nnx.StateAxes({nnx.Param: 0, ...: None})
        run = nnx.scan(lambda b, x: b(x), in_axes=(axes, nnx.Carry), out_axes=nnx.Carry)
        return run(model.blocks, x)

    with pytest.raises(ValueError, match=r"3 stacked layers \(blocks/\*/up\) .*in_axes=\(0"):
        of_parameters_alone(optical, X)


def test_stacks_keep_sites_apart_wherever_they_are():
    class Deep(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.embed = nnx.Embed(5, 12, rngs=rngs)
            self.body = nnx.Dict(
                layers=Scanned(Listed(rngs)).blocks, out=nnx.Linear(12, 3, rngs=rngs)
            )

    optical, report = pj.convert(Deep(), [pj.Rule("*", CORE)])
    layers = {site.path: site.layers for site in report.sites}
    assert layers == {"body/layers/up": 3, "body/out": 1, "embed": 1}
    sites = np.concatenate([np.ravel(dot.site[...]) for _, dot in pj.nnx.optical_dots(optical)])
    assert len(set(sites.tolist())) == len(sites) == 5
    dots = dict(pj.nnx.optical_dots(optical))
    assert dots["body/layers/up"].unrolled == "body/layers/{}/up"


# --- programs that were compiled before


def test_a_warm_jit_gets_each_model_its_own_program():
    traces = []

    @nnx.jit
    def run(model, x):
        traces.append(type(model.blocks[0].up.dot_general).__name__)
        return model(x)

    model = Listed(nnx.Rngs(0))
    digital = run(model, X)
    optical, _ = pj.convert(model, [pj.Rule("*", CORE)], key=KEY)
    light = run(optical, X)
    np.testing.assert_array_equal(run(model, X), digital)
    pj.nnx.set_noise_key(optical, KEY)
    np.testing.assert_array_equal(run(optical, X), light)
    assert (light != digital).mean() > 0.9
    np.testing.assert_array_equal(run(revert(optical), X), digital)
    assert len(traces) == 2 and traces[1] == "OpticalDot"  # the reverted model is the digital one
    # In the other order, and against a function that never saw the digital model.
    pj.nnx.set_noise_key(optical, KEY)
    np.testing.assert_array_equal(nnx.jit(lambda m, x: m(x))(optical, X), light)


@jax.jit
def warm(x, w):
    return lax.dot_general(x, w, (((1,), (0,)), ((), ())))


class UsesInnerJit(nnx.Module):
    """Has a hook, and a product inside a jitted function of its own, compiled long before."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(12, 12, use_bias=False, rngs=rngs)
        self.fixed = nnx.Param(jnp.eye(12))

    def __call__(self, x):
        return warm(self.linear(x), self.fixed[...])


def test_no_function_outside_the_model_is_poisoned():
    model = UsesInnerJit(nnx.Rngs(0))
    w = model.linear.kernel[...]
    before = warm(X, w), jnp.dot(X, w), jax.jit(jnp.dot)(X, w)
    digital = jitted(model, X)
    optical, report = pj.convert(model, [pj.Rule("*", CORE)], key=KEY)
    assert [site.path for site in report.sites] == ["linear"]
    light = jitted(optical, X)
    assert (light != digital).any()
    # The inner jit stays digital (only the hook is light), in this process and for everybody else.
    np.testing.assert_array_equal(warm(jnp.eye(12), model.fixed[...]), jnp.eye(12))
    after = warm(X, w), jnp.dot(X, w), jax.jit(jnp.dot)(X, w)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(jitted(model, X), digital)
    assert model.linear.dot_general is lax.dot_general


# --- random streams


class Dropping(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(12, 12, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.rngs = rngs
        self.norm = nnx.BatchNorm(12, rngs=rngs)

    def __call__(self, x):
        y = self.dropout(self.linear(x)) + 0.1 * jax.random.normal(self.rngs.params(), (12,))
        return self.norm(y)


def test_random_streams_of_the_model_run_on_as_they_did():
    model = Dropping(nnx.Rngs(0, params=1, dropout=2))
    optical, _ = pj.convert(model, [pj.Rule("*", IDEAL)])
    for _ in range(2):
        np.testing.assert_allclose(optical(X), model(X), rtol=1e-4, atol=1e-5)
    assert optical.dropout.rngs.count[...] == model.dropout.rngs.count[...] == 2
    noisy, _ = pj.convert(model, [pj.Rule("*", CORE)])
    count = noisy.dropout.rngs.count[...]
    pj.nnx.set_noise_key(noisy, KEY)  # restarts the noise, and nothing else
    assert noisy.dropout.rngs.count[...] == count
    jitted(noisy, X)
    assert noisy.linear.dot_general.stream.count[...] == 1
    assert noisy.dropout.rngs.count[...] == count + 1
