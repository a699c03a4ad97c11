"""What a report says of a call: what ran on light, what was multiplied past it, and what beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import photonjax as pj

CORE = pj.OpticalCore(rows=16, cols=16)
EXACT = CORE.replace(input={"bits": None}, array={"bits": None}, adc={"bits": None})
RULES = [pj.Rule("*", CORE)]
X = jax.ShapeDtypeStruct((2, 5, 6), "float32")


class Past(nnx.Linear):
    def __call__(self, x):
        return x @ self.kernel[...]


class Through(nnx.Linear):
    def __call__(self, x):
        return 3 * super().__call__(x)


class Both(nnx.Linear):
    def __call__(self, x):
        return super().__call__(x) + x @ self.kernel[...]


class PastConv(nnx.Conv):
    def __call__(self, x):
        return jnp.einsum("bti,io->bto", x, self.kernel[...][0])


class Model(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.past, self.through = Past(6, 6, rngs=rngs), Through(6, 6, rngs=rngs)
        self.both, self.plain = Both(6, 6, rngs=rngs), nnx.Linear(6, 6, rngs=rngs)
        self.conv, self.idle = PastConv(6, 6, (1,), rngs=rngs), nnx.Linear(6, 6, rngs=rngs)
        self.w = nnx.Param(jnp.ones((6, 6)))
        self.looked_up, self.tied = (nnx.Embed(7, 6, rngs=rngs) for _ in range(2))
        self.attention = nnx.MultiHeadAttention(2, 6, decode=False, rngs=rngs)

    def __call__(self, x, idle=True):
        x = self.both(self.past(x) + self.through(x))
        x = self.conv(self.plain(x)) @ self.w[...]
        tokens = jnp.zeros(5, int)
        x = self.attention(x + self.looked_up(tokens) + self.tied(tokens))
        x = x + jnp.einsum("abc,abd->acd", x, x)[:, :5]
        return self.tied.attend(x if idle else self.idle(x))


def runs(report):
    return {site.path: site.status for site in report.sites}


def reasons(report):
    return {site.path: site.reason for site in report.sites}


WANTED = dict.fromkeys(["through", "both", "plain", "tied"], "optical")
WANTED |= {f"attention/{name}": "optical" for name in ("query", "key", "value", "out")}
WANTED |= dict.fromkeys(["past", "conv", "idle", "looked_up", "w", "abc,abd->acd"], "digital")
WANTED |= {"attention/scores": "digital", "attention/values": "digital"}


def test_what_a_call_ran_on_light():
    model = Model()
    optical, installed = pj.convert(model, RULES)
    # Without a call, what only a call shows is not claimed.
    unchecked = {"past", "through", "both", "conv", "looked_up", "tied"}
    assert {site.path for site in installed.unchecked} == unchecked
    assert "where Past's own call multiplies by dot_general" in reasons(installed)["past"]
    assert reasons(installed)["tied"] == "rule '*', where attend is called"
    report = installed.check(optical, X)
    assert runs(report) == WANTED and not report.unchecked
    why = reasons(report)
    past = "its weight is multiplied past the core in this call"
    assert why["past"] == why["conv"] == past and why["through"] == "rule '*'"
    assert why["both"] == "rule '*'; its weight is also multiplied past the core"
    assert why["idle"] == why["looked_up"] == "not multiplied in this call"
    assert why["w"] == "outside of the layers that convert knows; pj.optical reaches it"
    beside = {site.path: site for site in report.sites}
    assert beside["w"].shape == (6, 6) and beside["w"].stationary
    assert beside["abc,abd->acd"].shape is None and not beside["abc,abd->acd"].stationary
    # It is of one call: another one has another answer; a second look changes nothing.
    assert runs(installed.check(optical, X, idle=False)) == WANTED | {"idle": "optical"}
    assert report.check(optical, X).sites == report.sites
    assert not installed.check(model, X).optical  # the digital model


def test_convert_checks_where_it_is_given_a_sample():
    model = Model()
    for sample in (X, (X,), {"x": X}):
        _, report = pj.convert(model, RULES, sample=sample)
        assert runs(report) == WANTED
    _, report = pj.convert(model, RULES, sample={"x": X, "idle": False})
    assert runs(report)["idle"] == "optical"
    rules = [pj.Rule("*/scores", CORE, dynamic=True), pj.Rule("plain", CORE)]
    _, report = pj.convert(model, rules, sample=X)
    assert {site.path for site in report.optical} == {"attention/scores", "plain"}
    assert runs(report.check(model, X))["attention/scores"] == "digital"
    assert (
        reasons(report.check(model, X))["attention/scores"] == "multiplied digitally in this call"
    )


def test_checking_changes_nothing():
    optical, report = pj.convert(Model(), [pj.Rule("*", pj.OpticalCore(photons=1e3))])
    graph, before = nnx.split(optical)
    report.check(optical, X)
    again, after = nnx.split(optical)
    assert graph == again
    same = lambda a, b: np.testing.assert_array_equal(
        jax.random.key_data(a), jax.random.key_data(b)
    )
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        is_key = jnp.issubdtype(a.dtype, jax.dtypes.prng_key)
        (same if is_key else np.testing.assert_array_equal)(a, b)


def test_stacked_layers_and_compiled_parts():
    class Stack(nnx.Module):
        def __init__(self):
            self.layers = nnx.vmap(lambda rngs: nnx.Linear(6, 6, rngs=rngs))(nnx.Rngs(0).split(3))
            self.own = nnx.Param(jnp.ones((6, 6)))

        @nnx.jit
        def __call__(self, x):
            step = lambda x, layer: jnp.tanh(layer(x))
            x = nnx.scan(step, in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(x, self.layers)
            return x @ self.own[...]

    model = Stack()
    model(jnp.ones((2, 6)))  # a warm cache
    _, report = pj.convert(model, RULES, sample=jnp.ones((2, 6)))
    assert [(s.path, s.status, s.layers) for s in report.sites] == [
        ("layers", "optical", 3), ("own", "digital", 1),
    ]  # fmt: skip


class Coder(nn.Module):
    def setup(self):
        self.up, self.down = nn.Dense(6), nn.Dense(6)

    def __call__(self, x, train=False):
        return self.down(self.encode(x))

    def encode(self, x, times=1):
        for _ in range(times):
            x = self.up(x)
        return x


def test_linen_and_its_other_methods():
    module, x = Coder(), jnp.ones((2, 6))
    optical = pj.linen.Optical(module, tuple([pj.Rule("*", EXACT)]))
    variables = optical.init(jax.random.key(0), x)
    assert jax.tree.structure(variables) == jax.tree.structure(module.init(jax.random.key(0), x))
    some = optical.init(jax.random.key(0), x, method="encode")
    assert set(some["params"]) == {"up"}
    for options in (
        dict(train=True), dict(method="encode", times=2), dict(method=Coder.encode),
    ):  # fmt: skip
        y, wanted = (m.apply(variables, x, **options) for m in (optical, module))
        np.testing.assert_allclose(y, wanted, atol=1e-5)
    report = optical.report(variables, x, method="encode")
    assert runs(report) == {"up/kernel": "optical"}
    assert runs(report.check(optical, variables, x, method="encode")) == runs(report)
    assert runs(report.check(module, variables, x)) == {
        "up/kernel": "digital",
        "down/kernel": "digital",
    }


def repeated(p, x, *, scale, kind, times=1):
    """A Python number and a string decide the program."""
    for _ in range(times):
        x = jnp.tanh(x @ p["w"]) * scale if kind == "tanh" else x
    return jnp.einsum("ab,cb->ac", x, x).reshape(times, -1)


def test_functions_with_keywords_and_static_arguments():
    p, x = {"w": jnp.ones((6, 6)) / 6}, jax.random.normal(jax.random.key(0), (4, 6))
    g = pj.optical(repeated, [pj.Rule("w", EXACT)])
    options = dict(scale=jnp.full(6, 0.5), kind="tanh", times=2)
    np.testing.assert_allclose(g(None, p, x, **options), repeated(p, x, **options), atol=1e-5)
    jitted = jax.jit(g, static_argnames=("kind", "times"))
    np.testing.assert_allclose(jitted(None, p, x, **options), repeated(p, x, **options), atol=1e-5)
    report = g.report(p, x, **options)
    assert [s.status for s in report.sites] == ["optical", "optical", "digital"]
    assert report.check(g, p, x, **options).sites == report.sites
    assert not report.check(repeated, p, x, **options).optical

    def named(x, *, params):
        return x @ params["w"]

    g = pj.optical(named, [pj.Rule("w", EXACT)], params="params")
    assert runs(g.report(x, params=p)) == {"w": "optical"}
    with pytest.raises(ValueError, match="params = 'params', but there are 1 arguments, weights"):
        g(None, x, weights=p)


def test_a_report_of_no_model():
    with pytest.raises(ValueError, match="report.check: this report is of no model"):
        pj.ConversionReport(()).check(Model(), X)
