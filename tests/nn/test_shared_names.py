"""Rules for products that share a name: by named scope, by the order of the calls, by a condition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import photonjax as pj

CORE = pj.OpticalCore(rows=8, cols=8, array={"bits": 3})
X = jax.random.normal(jax.random.key(0), (4, 4))


def attend(x, scoped=False):
    for layer in range(3):
        with jax.named_scope(f"layers/{layer}" if scoped else "attention"):
            x = jax.nn.softmax(jnp.einsum("qd,kd->qk", x, x)) @ x
    return x


def by_hand(x, layers):
    """The same with the scores of some layers on light."""
    for layer in range(3):
        numbers = (((1,), (1,)), ((), ()))
        on = layer in layers
        s = pj.optical_dot_general(x, x, numbers, core=CORE) if on else x @ x.T
        x = jax.nn.softmax(s) @ x
    return x


NAME = "attention/qd,kd->qk"


@pytest.mark.parametrize(
    "rule, scoped, layers",
    [
        (pj.Rule("layers/1/qd,kd->qk", CORE, dynamic=True), True, [1]),
        (pj.Rule(f"{NAME}#2", CORE, dynamic=True), False, [2]),
        (pj.Rule(f"{NAME}#[01]", CORE, dynamic=True), False, [0, 1]),
        (pj.Rule(NAME, CORE, dynamic=True, where=lambda site: site.number > 0), False, [1, 2]),
        (
            pj.Rule("*->*", CORE, dynamic=True, where=lambda site: "layers/0" in site.scope),
            True,
            [0],
        ),
    ],
)
def test_one_layer_of_several(rule, scoped, layers):
    g = pj.optical(attend, [rule], params=())
    report = g.report(X, scoped)
    scores = [site for site in report.sites if "->" in site.path]
    assert [i for i, site in enumerate(scores) if site.status == "optical"] == layers
    assert report.check(g, X, scoped).sites == report.sites
    np.testing.assert_allclose(g(None, X, scoped), by_hand(X, layers), atol=1e-5)
    assert jnp.abs(g(None, X, scoped) - attend(X)).max() > 1e-3
    if not scoped:
        assert f"{NAME}#0 " in str(report) and f"{NAME}#2 " in str(report)


def test_weights_used_twice_and_loops():
    """A number is one of the program's text: a loop's body is one product, however often JAX traces it."""

    def f(p, x):
        y = x @ p["w"]
        return lax.scan(lambda y, _: (y @ p["w"], None), y, None, length=3)[0] @ p["w"]

    p = {"w": X / 4}
    g = pj.optical(f, [pj.Rule("w#1", CORE)])
    report = g.report(p, X)
    assert [(s.number, s.layers, s.status) for s in report.sites] == [
        (0, 1, "digital"), (1, 3, "optical"), (2, 1, "digital"),
    ]  # fmt: skip
    assert report.check(g, p, X).sites == report.sites
    jax.grad(lambda p: g(None, p, X).sum())(p)
