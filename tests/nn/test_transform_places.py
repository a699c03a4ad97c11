"""Where a product is: its name, its cells and its noise are the same however the program is written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import photonjax as pj

KEY = jax.random.key(5)
X = jax.random.normal(jax.random.key(1), (5, 16))
W = jax.random.normal(jax.random.key(2), (3, 16, 16)) / 4
# Noise of every call, and errors of the die.
CORE = pj.OpticalCore(rows=16, cols=16, photons=1e3, array={"noise": 0.02})


def scanned(p, x):
    return lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, p["w"])[0]


def remat(p, x):
    return lax.scan(lambda h, w: (jnp.tanh(jax.checkpoint(jnp.matmul)(h, w)), None), x, p["w"])[0]


def unrolled(p, x):
    for i in range(3):
        x = jnp.tanh(x @ p["w"][i])
    return x


def counted(p, x):
    return lax.fori_loop(0, 3, lambda i, h: jnp.tanh(h @ p["w"][i]), x)


def carried(p, x):
    """The stack goes round with the activations."""
    step = lambda c, w: ((c[0], jnp.tanh(c[1] @ w)), None)
    return lax.scan(step, (p["w"], x), p["w"])[0][1]


def nested(p, x):
    """Layers in groups: the outer scan runs over groups, the inner over the layers of one."""
    return lax.scan(lambda h, w: (scanned({"w": w}, h), None), x, p["w"][None])[0]


def branched(p, x):
    def layer(h, w):
        return lax.cond(True, lambda h, w: jnp.tanh(h @ w), lambda h, w: h, h, w), None

    return lax.scan(layer, x, p["w"])[0]


def run(form, key):
    return jax.jit(pj.optical(form, [pj.Rule("w", CORE)]))(key, {"w": W}, X)


@pytest.mark.slow
@pytest.mark.parametrize("form", [remat, unrolled, carried, nested, branched])
def test_same_cells_and_same_noise(form):
    reference = run(scanned, KEY)
    np.testing.assert_allclose(run(form, KEY), reference, rtol=2e-5, atol=2e-6)
    assert np.abs(reference - scanned({"w": W}, X)).max() > 1e-2


@pytest.mark.slow
def test_same_cells():
    """A loop that takes its layers by number draws noise by its turns."""
    np.testing.assert_allclose(run(counted, None), run(scanned, None), rtol=2e-5, atol=2e-6)
    assert np.abs(run(counted, KEY) - run(scanned, KEY)).max() > 1e-3


def test_eager_is_jit():
    eager = pj.optical(scanned, [pj.Rule("w", CORE)])(KEY, {"w": W}, X)
    np.testing.assert_array_equal(eager, run(scanned, KEY))


def test_layers_differ_and_uses_differ():
    same = {"w": jnp.stack([W[0]] * 3)}
    one = pj.optical(lambda p, x: [x @ p["w"][i] for i in (0, 1, 0)], [pj.Rule("w", CORE)])
    one = jax.jit(one)
    first, second, again = one(None, same, X)  # no noise: the die alone
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(first, again)
    first, _, again = one(KEY, same, X)
    assert np.abs(first - again).max() > 1e-3
    # a stack run twice draws twice
    twice = pj.optical(
        lambda p, x: [lax.scan(lambda c, w: (c, x @ w), 0, p["w"])[1] for _ in range(2)],
        [pj.Rule("w", CORE)],
    )
    first, again = jax.jit(twice)(KEY, same, X)
    assert (np.abs(first - again).max((1, 2)) > 1e-3).all()


def test_weights_carried_round_loops_stay_weights():
    def f(p, x):
        _, h, _ = lax.while_loop(
            lambda c: c[2] < 2, lambda c: (c[0], jnp.tanh(c[1] @ c[0]), c[2] + 1), (p["a"], x, 0)
        )
        return lax.fori_loop(0, 2, lambda i, h: jnp.tanh(h @ p["w"][i]), h)

    report = pj.optical(f, [pj.Rule("*", CORE)]).report({"a": W[0], "w": W}, X)
    assert [(s.path, s.status, s.layers) for s in report.sites] == [
        ("a", "optical", 1),
        ("w", "optical", 2),
    ]

    def changes(p, x):  # what depends on the input is no weight
        return lax.scan(lambda c, _: ((c[0] + c[1], c[1] @ c[0]), None), (p["a"], x), None, 2)[0]

    report = pj.optical(changes, [pj.Rule("*", CORE, dynamic=True)]).report(
        {"a": W[0]}, jnp.ones((16, 16))
    )
    assert not report.sites[0].stationary


def test_weights_made_inside_stay_weights():
    """Unpacked in a scan, a remat or a branch, and multiplied outside of it."""

    def f(p, x):
        kind = p["scale"] > 0
        one = lax.scan(lambda c, w: (c, 2 * w), 0, p["w"])[1]
        two = jax.checkpoint(lambda w: w.T)(p["a"])
        three = lax.cond(kind, lambda a: a, lambda a: -a, p["a"])
        return x @ one[1] @ two @ three

    p = {"a": W[0], "w": W, "scale": jnp.ones(())}
    report = pj.optical(f, [pj.Rule("*", CORE)]).report(p, X)
    assert [s.path for s in report.optical] == ["w", "a", "a"]


def test_loops_over_constants():
    """What a loop takes its turns from need not be a parameter."""
    f = lambda p, x: lax.scan(lambda h, i: (h @ p["a"] * i, h @ jnp.eye(16)), x, jnp.arange(3.0))[0]
    report = pj.optical(f, [pj.Rule("a", CORE)]).report({"a": W[0]}, X)
    assert [(s.path, s.layers) for s in report.optical] == [("a", 3)]


def test_names_are_those_of_the_workload():
    def f(p, x):
        with jax.named_scope("mixer"):
            x = x @ x.T @ x
        x = scanned(p, x @ p["blocks"][0]["up"])
        image = lax.conv_general_dilated(x[None], x[None], (1,), "SAME")
        return jnp.einsum("td,sd->ts", x, x) @ jnp.ones((5, 2)) @ jnp.ones((2, 7)), image @ x.T

    p = {"w": W, "blocks": [{"up": W[0]}]}
    names = [s.path for s in pj.matmuls(f, p, X)]
    assert [s.path for s in pj.optical(f, []).report(p, X).sites] == names
    assert len(set(names)) == len(names) - 1  # the scope's two products share its name


def test_a_module_is_matched_by_its_path():
    p = {"layers": [{"weight": W[0]}, {"weight": W[1]}]}
    f = lambda p, x: x @ p["layers"][0]["weight"] @ p["layers"][1]["weight"]
    report = pj.optical(f, [pj.Rule("layers/1", CORE)]).report(p, X)
    assert [s.path for s in report.optical] == ["layers/1/weight"]
    wide = pj.Rule("*", CORE, where=lambda site: site.shape[0] > 8)
    assert len(pj.optical(f, [wide]).report(p, X).optical) == 2


def test_reductions_of_ones_own_are_not_calls():
    """`lax.reduce` has a jaxpr of as many operands as itself."""
    f = lambda p, x: lax.reduce(x @ p["a"], jnp.float32(0), lambda a, b: a * b + a + b, (1,))
    g = pj.optical(
        f,
        [
            pj.Rule(
                "a", pj.OpticalCore(input={"bits": None}, array={"bits": None}, adc={"bits": None})
            )
        ],
    )
    p = {"a": W[0] / 10}
    np.testing.assert_allclose(jax.jit(g)(None, p, X), f(p, X), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_backward_products_on_light():
    """`jax.grad(g)` goes back digitally, `optical(jax.grad(f))` on light too."""
    f = lambda p, x: (jnp.tanh(x @ p["a"]) ** 2).sum()
    rules = [pj.Rule("a", CORE)]
    forward = jax.jit(jax.grad(lambda p, x: pj.optical(f, rules)(KEY, p, x), argnums=1))
    both = pj.optical(jax.grad(f, argnums=1), rules)
    report = both.report({"a": W[0]}, X)
    assert [(s.path, s.status) for s in report.sites] == [("a", "optical")] * 2
    p = {"a": W[0]}
    assert np.abs(forward(p, X) - jax.jit(both)(KEY, p, X)).max() > 1e-3
    np.testing.assert_allclose(forward(p, X), jax.jit(both)(None, p, X), atol=0.3)
