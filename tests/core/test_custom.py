"""Functions of one's own in a core, and classes derived from it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import photonjax as pj
from photonjax.core.pytree import Scalar, leaf, static

CORE = pj.OpticalCore(
    rows=8, cols=4, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
X = np.random.default_rng(0).uniform(-1, 1, (5, 16)).astype(np.float32)
KEY = jax.random.key(0)
W = np.random.default_rng(1).uniform(-1, 1, (16, 4)).astype(np.float32)


def hum(core, p, key, size=0.1):
    return p if key is None else p + size * jax.random.normal(key, p.shape)


def double(core, p, key):
    return 2 * p


def lit(core, p, key):
    return p * core.photons


def test_noise_of_ones_own_has_its_variance():
    """Two k-tiles of 0.1 each, independent; for ones, full scale is one."""
    x, w = np.ones((400, 16), np.float32), np.ones((16, 50), np.float32)
    run = lambda core, key=KEY: np.asarray(pj.optical_matmul(x, w, core=core, key=key))
    core = CORE.replace(cols=64, custom={"amplified": hum})
    error = run(core) - 16
    # 20,000 samples: their variance scatters by 1 %
    assert abs(error.var() / (2 * 0.1**2) - 1) < 0.05 and abs(error.mean()) < 0.005
    np.testing.assert_array_equal(run(core), run(core))
    np.testing.assert_array_equal(run(core, None), run(CORE, None))  # no key: nothing is drawn
    both = core.replace(custom={"detected": hum})  # places have keys of their own
    assert abs((run(both) - 16).var() / (4 * 0.1**2) - 1) < 0.05
    averaged = core.replace(averages=2)  # and so have passes
    assert abs((run(averaged) - 16).var() / (0.1**2) - 1) < 0.05
    louder = core.replace(**{"custom.amplified": functools.partial(hum, size=0.2)})
    assert abs((run(louder) - 16).var() / (2 * 0.2**2) - 1) < 0.05
    assert core.dynamic and not CORE.dynamic


@pytest.mark.slow
def test_places():
    """Detected: before the columns' gains. Amplified: after them, before the converter."""
    core = CORE.replace(receiver={"offset_error": 0.1})
    plain = np.asarray(pj.optical_matmul(X, W, core=core))
    bare = np.asarray(pj.optical_matmul(X, W, core=CORE))
    for place, want in (("detected", bare + plain), ("amplified", 2 * plain)):
        y = pj.optical_matmul(X, W, core=core.replace(custom={place: double}))
        np.testing.assert_allclose(
            y, want if place == "amplified" else bare + plain, rtol=1e-5, atol=1e-5
        )
    coarse = CORE.replace(
        rows=16, adc={"bits": 4}, custom={"amplified": lambda core, p, key: p + 1e3}
    )
    ones = pj.optical_matmul(np.ones((2, 16)), np.ones((16, 3)), core=coarse)
    np.testing.assert_allclose(ones, 4.0 * 7 / 8)  # its last code: full scale is sqrt(16)


def jitter(core, p, key, size=0.05):
    return p if key is None else p + size * jax.random.normal(key, p.shape)


def test_effects_on_inputs_and_weights():
    """An input's error is every column's, drawn at each call; a weight's is every token's, and the die's."""
    x, w = np.ones((200, 64), np.float32), np.ones((64, 200), np.float32)
    base = pj.OpticalCore(rows=64, cols=256, adc={"bits": None})
    run = jax.jit(lambda core, key: pj.optical_matmul(x, w, core=core, key=key))
    keys = jax.random.split(KEY)
    for place, axis in (("modulated", 1), ("programmed", 0)):
        core = base.replace(custom={place: jitter})
        error = np.asarray(run(core, keys[0])) - 64
        # one error for each token, or output: 64 terms of 0.05 each; 200 of them scatter by 10 %
        assert abs(error.mean(axis).var() / (64 * 0.05**2) - 1) < 0.35, place
        assert error.std(axis).max() < 1e-3 * error.std(), place
        again = np.asarray(run(core, keys[1])) - 64
        assert (again == error).all() == (place == "programmed")
        assert core.dynamic == (place == "modulated") and core.custom and not base.custom
    np.testing.assert_array_equal(run(core, None) - 64, error)  # a die needs no key
    other = run(core.replace(chip_seed=1), None) - 64
    assert abs(np.corrcoef(other[0], error[0])[0, 1]) < 0.4
    held = pj.program(w, core)
    np.testing.assert_array_equal(pj.optical_matmul(x, held, core=core) - 64, error)
    with pytest.raises(ValueError, match="programmed for another kind of core"):
        pj.optical_matmul(x, held, core=base)


def test_a_rule_gives_some_sites_an_effect():
    """Rules have cores, and cores effects: no second way to say so."""
    rules = [pj.Rule("up", CORE.replace(custom={"modulated": double})), pj.Rule("*", CORE)]
    g = pj.optical(lambda p, x: (x @ p["up"]) @ p["down"], rules)
    params = {"up": W, "down": W.T}
    np.testing.assert_allclose(g(None, params, X), 2 * X @ W @ W.T, rtol=1e-5, atol=1e-5)
    reasons = [site.reason for site in g.report(params, X).optical]
    assert reasons == ["rule 'up', custom: modulated double", "rule '*'"]


@pytest.mark.slow
def test_transforms():
    core = CORE.replace(photons=1e4, custom={"amplified": lit})
    run = lambda core, x=X: pj.optical_matmul(x, W, core=core).sum()
    np.testing.assert_allclose(run(core), 1e4 * run(CORE), rtol=1e-5)
    slope = jax.jit(jax.grad(run))(core)
    np.testing.assert_allclose(slope.photons, run(CORE), rtol=1e-4)
    np.testing.assert_allclose(
        jax.grad(run, 1)(core, X), 1e4 * jax.grad(run, 1)(CORE, X), rtol=1e-5
    )
    light = jnp.float32([1.0, 2.0, 3.0])
    several = jax.vmap(lambda m: run(core.replace(photons=m)))(light)
    np.testing.assert_allclose(several, light * run(CORE), rtol=1e-5)
    noisy = CORE.replace(custom={"amplified": hum})
    keys = jax.random.split(jax.random.key(0), 3)
    of_key = lambda key: pj.optical_matmul(X, W, core=noisy, key=key)
    for one, key in zip(jax.vmap(of_key)(keys), keys, strict=True):
        np.testing.assert_allclose(one, of_key(key), rtol=1e-5, atol=1e-5)


def test_every_front_end_and_its_report():
    rules = [pj.Rule("*", CORE.replace(custom={"detected": double}))]
    model = nnx.Linear(16, 4, use_bias=False, rngs=nnx.Rngs(0))
    model.kernel.set_value(jnp.asarray(W))
    want = 2 * (X @ W)
    optical, report = pj.convert(model, rules)
    np.testing.assert_allclose(optical(X), want, rtol=1e-5, atol=1e-5)
    assert report.optical[0].reason == "rule '*', custom: detected double"
    assert report.to_dict()["cores"][0]["custom"] == {
        "modulated": None,
        "programmed": None,
        "detected": "double",
        "amplified": None,
    }
    report.to_json()
    g = pj.optical(lambda w, x: x @ w, rules)
    np.testing.assert_allclose(g(jax.random.key(0), W, X), want, rtol=1e-5, atol=1e-5)
    dense = pj.linen.Optical(linen.Dense(4, use_bias=False), tuple(rules))
    y = dense.apply({"params": {"kernel": W}}, X)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)
    assert "custom.detected" in pj.machines.describe(rules[0].core)


def test_what_is_no_effect():
    for value in (3, "hum", [hum], pj.OpticalCore):
        with pytest.raises(TypeError, match="OpticalCore.custom.amplified = .* is not a function"):
            CORE.replace(custom={"amplified": value})
    wide = CORE.replace(custom={"amplified": lambda core, p, key: p.sum()})
    with pytest.raises(
        ValueError, match=r"custom.amplified \(.*lambda.*\) gave shape \(\) for values"
    ):
        pj.optical_matmul(X, W, core=wide)


class Plain(pj.OpticalCore):
    pass


@dataclasses.dataclass(frozen=True)
class Swinging(pj.OpticalCore):
    swing: Scalar = leaf(0.5, low=0.0)
    turns: int = static(2, low=1, high=9)


def swung(core, p, key):
    return p * core.swing * core.turns


@pytest.mark.parametrize("kind", [Plain, Swinging])
def test_derived_classes(kind):
    core = kind(rows=8, cols=4, adc={"bits": None}, photons=10.0)
    leaves, tree = jax.tree.flatten(core)
    again = jax.tree.unflatten(tree, leaves)
    assert type(again) is kind and again == core
    assert len(leaves) == 3 + (kind is Swinging)
    other = core.replace(photons=20.0, **{"array.noise": 0.1})
    assert type(other) is kind and (other.photons, other.array.noise) == (20.0, 0.1)
    assert jax.tree.structure(core) != jax.tree.structure(
        pj.OpticalCore(rows=8, cols=4, adc={"bits": None}, photons=10.0)
    )
    run = jax.jit(lambda core: pj.optical_matmul(X, W, core=core))
    base = pj.OpticalCore(rows=8, cols=4, adc={"bits": None}, photons=10.0)
    np.testing.assert_array_equal(run(core), run(base))
    _, report = pj.convert(nnx.Linear(16, 4, rngs=nnx.Rngs(0)), [pj.Rule("*", core)])
    assert type(report.optical[0].core) is kind


def test_fields_of_a_derived_class():
    core = Swinging(rows=8, cols=4, adc={"bits": None}, custom={"amplified": swung})
    run = lambda core: pj.optical_matmul(X, W, core=core).sum()
    slope = jax.grad(run)(core)
    np.testing.assert_allclose(slope.swing, 2 * run(core.replace(swing=1.0, turns=1)), rtol=1e-5)
    with pytest.raises(ValueError, match=r"Swinging.swing = -1.0 is not a number of 0 or more"):
        core.replace(swing=-1.0)
    with pytest.raises(ValueError, match="Swinging.turns = 10 is not an integer of 1 ... 9"):
        core.replace(turns=10)
