"""`pj.optical` on models of other libraries: Equinox, Haiku, and one under Hugging Face's tensor names.

Each is checked against the same model with :func:`photonjax.optical_dot_general` written by hand, with the
keys that the documentation of `pj.optical` states.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import photonjax as pj

pytestmark = pytest.mark.slow  # minutes together: on one Python

CORE = pj.OpticalCore(rows=32, cols=32, photons=1e3)
EXACT = pj.OpticalCore(
    rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
KEY = jax.random.key(7)
X = jax.random.normal(jax.random.key(1), (5, 8))
DIGITAL = lambda x, w, path: x @ w


def by_hand(x, w, path):
    """``x @ w`` on light, as `pj.optical` names it and draws its noise at the first use."""
    site = zlib.crc32(path.encode())
    key = jax.random.fold_in(jax.random.fold_in(KEY, site), 0)
    numbers = (((x.ndim - 1,), (0,)), ((), ()))
    return pj.optical_dot_general(x, w, numbers, core=CORE, key=key, site=site)


# Hand-written -------------------------------------------------------------------------------


def written(p, x, dot=DIGITAL):
    return dot(jnp.tanh(dot(x, p["up"], "up")), p["down"], "down")


def written_params():
    keys = jax.random.split(jax.random.key(0))
    return {"up": jax.random.normal(keys[0], (8, 16)), "down": jax.random.normal(keys[1], (16, 4))}


# Equinox ------------------------------------------------------------------------------------


def equinox(model, x):
    return jax.vmap(model)(x)


def equinox_model():
    return eqx.nn.MLP(8, 4, 16, 1, activation=jax.nn.gelu, key=jax.random.key(0))


def equinox_by_hand(model, x, dot):
    for i, layer in enumerate(model.layers):
        x = dot(x, layer.weight.T, f"layers/{i}/weight") + layer.bias
        x = x if i else jax.nn.gelu(x)
    return x


# Haiku --------------------------------------------------------------------------------------

haiku_model = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([16, 4])(x)))


def haiku_by_hand(p, x, dot):
    x = jax.nn.relu(dot(x, p["mlp/~/linear_0"]["w"], "mlp/~/linear_0/w") + p["mlp/~/linear_0"]["b"])
    return dot(x, p["mlp/~/linear_1"]["w"], "mlp/~/linear_1/w") + p["mlp/~/linear_1"]["b"]


# Hugging Face's names and layouts: a flat dict, weights [out, in] ------------------------------

HEADS, GROUPS, SIZE, LAYERS = 4, 2, 4, 2
PROJECTIONS = {
    "self_attn.q_proj": (16, 16),
    "self_attn.k_proj": (8, 16),
    "self_attn.v_proj": (8, 16),
    "self_attn.o_proj": (16, 16),
    "mlp.gate_proj": (24, 16),
    "mlp.up_proj": (24, 16),
    "mlp.down_proj": (16, 24),
}


def llama_params():
    shapes = {"model.embed_tokens.weight": (11, 16), "model.norm.weight": (16,)}
    for i in range(LAYERS):
        for name, shape in PROJECTIONS.items():
            shapes[f"model.layers.{i}.{name}.weight"] = shape
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"model.layers.{i}.{name}.weight"] = (16,)
    keys = jax.random.split(jax.random.key(0), len(shapes))
    draw = lambda key, shape: jax.random.normal(key, shape) / (4 if len(shape) > 1 else 1)
    return {name: draw(k, s) for k, (name, s) in zip(keys, shapes.items(), strict=True)}


def llama(p, tokens, dot=DIGITAL):
    """A Llama: tokens [L] to logits [L, vocabulary]; the head is the embedding."""

    def linear(name, x):
        return dot(x, p[f"{name}.weight"].T, f"{name}.weight")

    def norm(name, x):
        return p[f"{name}.weight"] * x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)

    def rotate(x):  # [L, heads, size]
        angle = jnp.arange(len(x))[:, None] / 1e4 ** (jnp.arange(0, SIZE, 2) / SIZE)
        sin, cos = jnp.sin(angle)[:, None], jnp.cos(angle)[:, None]
        a, b = jnp.split(x, 2, -1)
        return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    x = p["model.embed_tokens.weight"][tokens]
    seen = jnp.tri(len(tokens), dtype=bool)
    for i in range(LAYERS):
        at = f"model.layers.{i}"
        h = norm(f"{at}.input_layernorm", x)
        q, k, v = (linear(f"{at}.self_attn.{n}_proj", h).reshape(len(h), -1, SIZE) for n in "qkv")
        q, k, v = rotate(q), *(jnp.repeat(a, HEADS // GROUPS, 1) for a in (rotate(k), v))
        scores = jnp.where(seen, jnp.einsum("qhd,khd->hqk", q, k) / SIZE**0.5, -jnp.inf)
        mixed = jnp.einsum("hqk,khd->qhd", jax.nn.softmax(scores), v).reshape(len(h), -1)
        x = x + linear(f"{at}.self_attn.o_proj", mixed)
        h = norm(f"{at}.post_attention_layernorm", x)
        gate, up = linear(f"{at}.mlp.gate_proj", h), linear(f"{at}.mlp.up_proj", h)
        x = x + linear(f"{at}.mlp.down_proj", jax.nn.silu(gate) * up)
    return linear("model.embed_tokens", norm("model.norm", x))


# ----------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Case:
    """A model: the function, its parameters, an input, and the same with its products by hand."""

    f: Callable
    params: Callable
    x: jax.Array
    hand: Callable
    sites: list[str]


CASES = {
    "hand-written": Case(written, written_params, X, written, ["up", "down"]),
    "equinox": Case(
        equinox, equinox_model, X, equinox_by_hand, ["layers/0/weight", "layers/1/weight"]
    ),
    "haiku": Case(
        haiku_model.apply,
        lambda: haiku_model.init(jax.random.key(0), X),
        X,
        haiku_by_hand,
        ["mlp/~/linear_0/w", "mlp/~/linear_1/w"],
    ),
    "hugging face": Case(
        llama,
        llama_params,
        jnp.arange(6),
        llama,
        [f"model.layers.{i}.{n}.weight" for i in range(LAYERS) for n in PROJECTIONS]
        + ["model.embed_tokens.weight"],
    ),
}


@functools.cache
def params(name):
    return CASES[name].params()


@functools.cache
def light(name):
    """The model on light, compiled."""
    case = CASES[name]
    return eqx.filter_jit(pj.optical(case.f, [pj.Rule("*", CORE)]))(KEY, params(name), case.x)


@functools.cache
def digital(name):
    return eqx.filter_jit(CASES[name].f)(params(name), CASES[name].x)


@pytest.mark.parametrize("name", CASES)
def test_the_same_as_by_hand(name):
    case = CASES[name]
    wanted = eqx.filter_jit(functools.partial(case.hand, dot=by_hand))(params(name), case.x)
    np.testing.assert_allclose(light(name), wanted, rtol=1e-5, atol=1e-5)
    plain = eqx.filter_jit(functools.partial(case.hand, dot=DIGITAL))(params(name), case.x)
    np.testing.assert_allclose(plain, digital(name), rtol=1e-5, atol=1e-5)
    assert np.abs(light(name) - plain).max() > 1e-2


@pytest.mark.parametrize("name", CASES)
def test_report(name):
    case = CASES[name]
    report = pj.optical(case.f, [pj.Rule("*", CORE)]).report(params(name), case.x)
    assert [s.path for s in report.optical] == case.sites
    assert all(not s.stationary for s in report.digital)


@pytest.mark.parametrize("name", ["equinox", "haiku"])
def test_remat(name):
    case, arrays = CASES[name], _arrays(params(name))
    again = jax.checkpoint(lambda p, x: case.f(_whole(p, params(name)), x))
    y = jax.jit(pj.optical(again, [pj.Rule("*", CORE)]))(KEY, arrays, case.x)
    np.testing.assert_allclose(y, light(name), rtol=1e-5, atol=1e-5)


def test_eager():
    """An Equinox model as it is, its activation function among its leaves."""
    y = pj.optical(equinox, [pj.Rule("*", CORE)])(KEY, params("equinox"), X)
    np.testing.assert_allclose(y, light("equinox"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    """Those of the digital model, where the core is exact; parameters come back in their own tree."""
    case = CASES[name]
    g = pj.optical(case.f, [pj.Rule("*", EXACT)])
    loss = lambda f: eqx.filter_jit(eqx.filter_grad(lambda p: (f(p, case.x) ** 2).mean()))
    mine = loss(functools.partial(g, None))(params(name))
    theirs = loss(case.f)(params(name))
    assert jax.tree.structure(mine) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
        assert np.abs(b).max() > 0


@pytest.mark.parametrize("name", CASES)
def test_no_cache_is_poisoned(name):
    """The model's own compiled function, cold or warm, is optical in `pj.optical` and digital outside."""
    case, arrays = CASES[name], _arrays(params(name))
    own = jax.jit(lambda p, x: case.f(_whole(p, params(name)), x))
    run = lambda: jax.jit(pj.optical(own, [pj.Rule("*", CORE)]))(KEY, arrays, case.x)
    np.testing.assert_allclose(run(), light(name), rtol=1e-5, atol=1e-5)  # own is cold
    np.testing.assert_allclose(own(arrays, case.x), digital(name), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(run(), light(name), rtol=1e-5, atol=1e-5)  # own is warm


def _arrays(p):
    return eqx.filter(p, eqx.is_array)


def _whole(arrays, p):
    return eqx.combine(arrays, p)


def test_attention_on_light_too():
    """Of the Llama's products of two computed operands, by rule."""
    rules = [pj.Rule("model.layers.0.*_proj.weight", CORE), pj.Rule("*->*", CORE, dynamic=True)]
    report = pj.optical(llama, rules).report(params("hugging face"), jnp.arange(6))
    assert len(report.optical) == len(PROJECTIONS) + 2 * LAYERS
    assert {s.path for s in report.optical if not s.stationary} == {"qhd,khd->hqk", "hqk,khd->qhd"}


def test_photons_are_mapped_and_differentiated():
    p, wanted = params("haiku"), digital("haiku")

    def error(photons):
        core = dataclasses.replace(CORE, photons=photons)
        y = pj.optical(haiku_model.apply, [pj.Rule("*", core)])(KEY, p, X)
        return ((y - wanted) ** 2).mean()

    errors = jax.jit(jax.vmap(error))(jnp.asarray([1e2, 1e5]))
    assert errors[0] > 3 * errors[1]
    assert jax.jit(jax.grad(error))(1e2) < 0
