"""GPT-2: its configuration, its two forms, and the same model written out in numpy."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax as pj
from photonjax.models import GPT2, GPT2Config, stack_layers

CONFIG = GPT2Config(
    vocab_size=61, hidden_size=24, num_layers=2, num_heads=4, intermediate_size=40, max_length=30
)
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 61, (2, 23)), jnp.int32)

forward = nnx.jit(lambda model, tokens: model(tokens))


def make(**kwargs):
    model = GPT2(CONFIG, rngs=nnx.Rngs(0), **kwargs)
    draws = np.random.default_rng(1)
    for _, param in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        noise = 0.2 * draws.standard_normal(param.shape)
        param[...] = param[...] + noise.astype(np.float32)
    return model


def written_out(model, tokens):
    """GPT-2 in float64, one token's attention at a time."""

    def norm(x, layer):
        y = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + CONFIG.norm_eps)
        return y * np.asarray(layer.scale[...]) + np.asarray(layer.bias[...])

    def affine(x, layer):
        return x @ np.asarray(layer.kernel[...], np.float64) + np.asarray(layer.bias[...])

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    table = np.asarray(model.embed.embedding[...], np.float64)
    x = table[tokens] + np.asarray(model.positions.embedding[...])[: len(tokens)]
    for block in model.layers:
        q, k, v = np.split(affine(norm(x, block.attn_norm), block.attn.qkv_proj), 3, -1)
        mixed = np.zeros_like(x)
        for head in np.split(np.arange(24), 4):
            for t in range(len(tokens)):
                scores = k[: t + 1, head] @ q[t, head] / np.sqrt(6)
                share = np.exp(scores - scores.max())
                mixed[t, head] = share / share.sum() @ v[: t + 1, head]
        x = x + affine(mixed, block.attn.o_proj)
        x = x + affine(
            gelu(affine(norm(x, block.mlp_norm), block.mlp.up_proj)), block.mlp.down_proj
        )
    return norm(x, model.norm) @ table.T


def test_equals_the_model_written_out():
    model = make()
    logits = forward(model, TOKENS)
    assert logits.dtype == jnp.float32
    for ours, tokens in zip(logits, np.asarray(TOKENS), strict=True):
        np.testing.assert_allclose(ours, written_out(model, tokens), atol=2e-4)


@pytest.mark.parametrize("remat", [False, True])
def test_scanned_equals_unrolled(remat):
    unrolled, scanned = make(), make(scan_layers=True, remat=remat)
    nnx.update(scanned, stack_layers(nnx.state(unrolled)))
    np.testing.assert_allclose(forward(scanned, TOKENS), forward(unrolled, TOKENS), atol=1e-4)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_conversion_by_rules(scan_layers):
    model = make(scan_layers=scan_layers)
    wide = pj.OpticalCore(
        input={"bits": None}, array={"bits": None}, adc={"bits": None}, photons=None
    )
    rules = [pj.Rule("head", None), pj.Rule("*", wide, dynamic=True)]
    optical, report = pj.convert(model, rules)
    layers = ["layers/block"] if scan_layers else ["layers/0", "layers/1"]
    names = ["attn/qkv_proj", "attn/o_proj", "attn/scores", "attn/values", "mlp/up_proj"]
    expected = {f"{layer}/{name}" for layer in layers for name in [*names, "mlp/down_proj"]}
    assert {site.path for site in report.optical} == expected
    assert [site.path for site in report.digital] == ["head"]
    np.testing.assert_allclose(forward(optical, TOKENS), forward(model, TOKENS), atol=2e-4)


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_heads", 5), ("vocab_size", 0), ("num_layers", True), ("norm_eps", -1e-5)],
)
def test_config_refuses(field, value):
    with pytest.raises(ValueError, match=rf"GPT2Config\.{field}={value}"):
        dataclasses.replace(CONFIG, **{field: value})


def test_refuses_more_tokens_than_positions():
    with pytest.raises(ValueError, match="max_length=30"):
        make()(jnp.zeros((1, 31), jnp.int32))
