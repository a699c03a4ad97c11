"""What each flag of the decoder's families does, against what it says in the papers."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax as pj
from photonjax.models import Decoder, DecoderConfig, RopeScaling, stack_layers
from photonjax.models.experts import Experts
from photonjax.models.parts import RMSNorm
from photonjax.models.rotary import rotary_angles

pytestmark = pytest.mark.slow  # minutes together: on one Python

WIDTHS = dict(vocab_size=61, hidden_size=24, intermediate_size=40, head_dim=8)
CONFIG = DecoderConfig(**WIDTHS, num_layers=1, num_heads=4, num_kv_heads=2)
NORMS = dict(qk_norm=True, norm_offset=True, post_norms=True)
CAPS = dict(scores_cap=5.0, logits_cap=3.0)
LOCAL = dict(sliding_window=5, global_every=2, local_rope_theta=100.0)
SCALES = dict(rope_scaling=RopeScaling(factor=2.0), embedding_scale=True, tie_embeddings=True)
GEMMA = dataclasses.replace(  # two periods, and one layer more
    CONFIG, num_layers=5, activation="gelu_tanh", **NORMS, **CAPS, **LOCAL, **SCALES
)
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 61, (2, 23)), jnp.int32)

forward = nnx.jit(lambda model, tokens: model(tokens))


def make(config, **kwargs):
    """A decoder whose biases and norms are random too."""
    model = Decoder(config, rngs=nnx.Rngs(0), **kwargs)
    draws = np.random.default_rng(1)
    for _, param in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        if param[...].ndim == 1:
            param[...] = param[...] + 0.3 * draws.standard_normal(param.shape).astype(np.float32)
    return model


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activation", "relu6"),
        ("qkv_bias", 1),
        ("sliding_window", 0),
        ("global_every", 2),
        ("local_rope_theta", 1e4),
        ("scores_cap", -1.0),
        ("query_scale", math.inf),
        ("rope_scaling", 8.0),
        ("num_experts", 4),
        ("experts_per_token", 2),
    ],
)
def test_config_refuses(field, value):
    with pytest.raises(ValueError, match=r"DecoderConfig\.") as error:
        dataclasses.replace(CONFIG, **{field: value})
    assert "\n" not in str(error.value)
    if field != "num_experts":
        assert f"DecoderConfig.{field}={value!r}: " in str(error.value)


def test_more_experts_per_token_than_there_are():
    with pytest.raises(ValueError, match="must be an integer of 1 ... 2 "):
        dataclasses.replace(CONFIG, num_experts=2, experts_per_token=3)


@pytest.mark.parametrize(
    "wrong", [dict(factor=0.0), dict(factor=8.0, low=1.0), dict(factor=8.0, low=4.0, high=1.0)]
)
def test_rope_scaling_refuses(wrong):
    if "high" in wrong:
        wrong = dict(wrong, original_length=64)
    with pytest.raises(ValueError, match="RopeScaling"):
        RopeScaling(**wrong)


def test_linear_rope_scaling_interpolates_positions():
    plain = rotary_angles(9, 8, 100.0)
    scaled = rotary_angles(17, 8, 100.0, RopeScaling(factor=2.0))
    for a, b in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(b[::2], a, atol=1e-6)


def test_llama_3_rope_scaling_keeps_fast_turns_and_slows_slow_ones():
    scaling = RopeScaling(factor=8.0, low=1.0, high=4.0, original_length=8192)
    plain, scaled = (
        np.arctan2(*np.asarray(rotary_angles(2, 128, 500_000.0, s)[::-1], np.float64)[:, 1])
        for s in (None, scaling)
    )
    turns = 8192 * plain / (2 * np.pi)
    ratio = scaled / plain
    np.testing.assert_allclose(ratio[turns > 4], 1, rtol=1e-5)
    np.testing.assert_allclose(ratio[turns < 1], 1 / 8, rtol=1e-5)
    between = (turns > 1) & (turns < 4)
    assert between.any() and ((ratio[between] > 1 / 8) & (ratio[between] < 1)).all()
    assert (np.diff(ratio) <= 1e-6).all()


def reach(config, **kwargs):
    """Which positions' logits change with the token at position 10."""
    model = make(config, **kwargs)
    change = forward(model, TOKENS.at[:, 10].add(1)) - forward(model, TOKENS)
    return np.flatnonzero(np.abs(change).max((0, 2)) > 1e-5)


def test_a_local_layer_sees_its_window_and_no_further():
    config = dataclasses.replace(CONFIG, sliding_window=5)
    assert reach(config).tolist() == list(range(10, 15))
    two = dataclasses.replace(config, num_layers=2)
    assert reach(two, scan_layers=True).tolist() == list(range(10, 19))
    assert reach(dataclasses.replace(two, global_every=2)).tolist() == list(range(10, 23))


@pytest.mark.parametrize(
    ("layers", "every", "remat"),
    [(5, 2, False), (3, 2, True), (2, 3, False)],
    ids=["two periods and a layer", "remat", "less than a period"],
)
def test_scanned_periods_equal_unrolled_layers(layers, every, remat):
    config = dataclasses.replace(GEMMA, num_layers=layers, global_every=every)
    unrolled = make(config, remat=remat)
    scanned = Decoder(config, rngs=nnx.Rngs(1), scan_layers=True, remat=remat)
    nnx.update(scanned, stack_layers(nnx.state(unrolled)))
    expected = forward(unrolled, TOKENS)
    np.testing.assert_allclose(forward(scanned, TOKENS), expected, rtol=1e-5, atol=1e-5)
    if remat:
        gradient = nnx.jit(nnx.grad(lambda model: jnp.mean(model(TOKENS) ** 2)))
        ours, theirs = stack_layers(gradient(unrolled)), gradient(scanned)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
            nnx.to_pure_dict(ours),
            nnx.to_pure_dict(theirs),
        )


def test_noise_of_scanned_periods_is_that_of_unrolled_layers():
    """Sites keep their own random streams, and count their calls, layer by layer."""
    config = dataclasses.replace(GEMMA, num_layers=3)
    unrolled = make(config)
    scanned = Decoder(config, rngs=nnx.Rngs(1), scan_layers=True)
    nnx.update(scanned, stack_layers(nnx.state(unrolled)))
    rules = [pj.Rule("*/mlp/up_proj", pj.OpticalCore(photons=1e3))]
    noisy = [pj.convert(m, rules, key=jax.random.key(7))[0] for m in (unrolled, scanned)]
    step = nnx.jit(lambda model, tokens: model(tokens))
    calls = [[step(model, TOKENS) for _ in range(2)] for model in noisy]
    assert np.abs(calls[0][0] - calls[0][1]).max() > 1e-2
    for ours, theirs in zip(*calls, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_order_of_local_and_global_layers_matters():
    """So that the test above would notice layers run with each other's windows."""
    other = dataclasses.replace(GEMMA, global_every=3)
    a, b = make(GEMMA), Decoder(other, rngs=nnx.Rngs(1))
    nnx.update(b, nnx.state(a))
    assert np.abs(forward(a, TOKENS) - forward(b, TOKENS)).max() > 1e-3


@pytest.mark.parametrize("scan_layers", [False, True])
def test_optical_products_with_a_window_cap_and_scale(scan_layers):
    """Attention on light goes over the whole square: the same masks, caps and scale."""
    config = dataclasses.replace(GEMMA, query_scale=0.3, num_layers=2)
    model = make(config, scan_layers=scan_layers)
    wide = pj.OpticalCore(
        input={"bits": None}, array={"bits": None}, adc={"bits": None}, photons=None
    )
    optical, report = pj.convert(model, [pj.Rule("*", wide, dynamic=True)])
    assert not report.digital
    np.testing.assert_allclose(forward(optical, TOKENS), forward(model, TOKENS), atol=2e-4)


def test_qk_norm_undoes_the_scale_of_q():
    for config in (CONFIG, dataclasses.replace(CONFIG, qk_norm=True, norm_eps=1e-12)):
        model = make(config)
        before = forward(model, TOKENS)
        kernel = model.layers[0].attn.q_proj.kernel
        kernel[...] = 3 * kernel[...]
        change = np.abs(forward(model, TOKENS) - before).max()
        assert (change < 1e-5) == config.qk_norm


def test_norm_offset_and_embedding_scale():
    x = jax.random.normal(jax.random.key(0), (3, 24))
    norm, plain = RMSNorm(24, 1e-6, offset=True), RMSNorm(24, 1e-6)
    np.testing.assert_allclose(norm(x), plain(x))
    norm.scale[...] = norm.scale[...] + 0.5
    np.testing.assert_allclose(norm(x), 1.5 * plain(x), rtol=1e-6)

    tied = dataclasses.replace(CONFIG, norm_eps=1e-12)
    a, b = make(tied), make(dataclasses.replace(tied, embedding_scale=True))
    a.embed.embedding[...] = a.embed.embedding[...] * 24**0.5
    np.testing.assert_allclose(forward(a, TOKENS), forward(b, TOKENS), atol=1e-5)


def test_logits_cap_and_last_only():
    capped, plain = make(dataclasses.replace(CONFIG, logits_cap=0.5)), make(CONFIG)
    logits = forward(plain, TOKENS)
    assert np.abs(logits).max() > 0.6
    np.testing.assert_allclose(forward(capped, TOKENS), 0.5 * np.tanh(logits / 0.5), atol=1e-5)
    last = plain(TOKENS, last_only=True)
    np.testing.assert_allclose(last, logits[:, -1:], atol=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_experts_equal_a_loop_over_tokens(normalize):
    config = dataclasses.replace(
        CONFIG, num_experts=5, experts_per_token=2, normalize_experts=normalize
    )
    dtypes = dict(dtype=jnp.float32, param_dtype=jnp.float32)
    experts = Experts(config, rngs=nnx.Rngs(0), activation=jax.nn.silu, **dtypes)
    x = jax.random.normal(jax.random.key(0), (2, 7, 24))
    router, gate, up, down = (
        np.asarray(getattr(experts, name).kernel[...], np.float64)
        for name in ("router", "gate_proj", "up_proj", "down_proj")
    )
    expected, used = np.zeros((14, 24)), set()
    for row, token in enumerate(np.asarray(x, np.float64).reshape(14, 24)):
        share = np.exp(token @ router) / np.exp(token @ router).sum()
        best = np.argsort(share)[-2:]
        used |= set(best.tolist())
        for e in best:
            g = token @ gate[e]
            y = (g / (1 + np.exp(-g)) * (token @ up[e])) @ down[e]
            expected[row] += share[e] / (share[best].sum() if normalize else 1) * y
    assert len(used) > 2
    out = nnx.jit(lambda experts, x: experts(x))(experts, x)
    np.testing.assert_allclose(out.reshape(14, 24), expected, atol=1e-5)


def test_experts_are_differentiable():
    config = dataclasses.replace(CONFIG, num_experts=3, experts_per_token=2)
    dtypes = dict(dtype=jnp.float32, param_dtype=jnp.float32)
    experts = Experts(config, rngs=nnx.Rngs(0), activation=jax.nn.silu, **dtypes)
    x = jax.random.normal(jax.random.key(0), (1, 9, 24))
    gradient = nnx.jit(nnx.grad(lambda experts: jnp.mean(experts(x) ** 2)))(experts)
    for path, leaf in nnx.to_flat_state(gradient):
        assert np.isfinite(leaf[...]).all() and np.abs(leaf[...]).max() > 0, path


def test_scanned_layers_with_experts():
    config = dataclasses.replace(CONFIG, num_layers=2, num_experts=5, experts_per_token=2)
    unrolled = make(config)
    scanned = Decoder(config, rngs=nnx.Rngs(1), scan_layers=True)
    nnx.update(scanned, stack_layers(nnx.state(unrolled)))
    np.testing.assert_allclose(forward(scanned, TOKENS), forward(unrolled, TOKENS), atol=1e-5)


def test_experts_on_light():
    config = dataclasses.replace(CONFIG, num_experts=5, experts_per_token=2)
    model = make(config)
    bare = {"input": {"bits": None}, "array": {"bits": None}, "adc": {"bits": None}}
    exact, report = pj.convert(model, [pj.Rule("layers/*", pj.OpticalCore(**bare))], sample=TOKENS)
    experts = [s for s in report.optical if s.path.endswith(("gate_proj", "up_proj", "down_proj"))]
    assert len(experts) == 3 * config.num_layers and {s.shape[0] for s in experts} == {5}
    np.testing.assert_allclose(forward(exact, TOKENS), forward(model, TOKENS), atol=1e-4)
    rules = [pj.Rule("layers/0/mlp/up_proj", pj.OpticalCore(photons=10.0))]
    noisy, _ = pj.convert(model, rules)
    assert np.abs(forward(noisy, TOKENS) - forward(model, TOKENS)).max() > 1e-3
