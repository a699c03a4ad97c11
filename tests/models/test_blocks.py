"""What the flags of the families do to a block, against the same written out in numpy, in double precision.

Against the families' own code, see tests/parity/test_families.py.
"""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from photonjax.models import Decoder, DecoderConfig

WIDTHS = dict(vocab_size=11, hidden_size=12, intermediate_size=20, head_dim=4)
SIZES = dict(WIDTHS, num_layers=2, num_heads=3, num_kv_heads=1, rope_theta=10.0, norm_eps=1e-2)
NEOX = dict(
    layer_norm=True, gated_mlp=False, activation="gelu", qkv_bias=True, o_bias=True, mlp_bias=True
)
FAMILIES = {
    "gpt-neox": dict(NEOX, parallel=True, rotary_dim=2, num_kv_heads=3),
    "gpt-neox, in turn": dict(NEOX, rotary_dim=2),
    "falcon": dict(
        layer_norm=True, gated_mlp=False, activation="gelu", parallel=True, shared_norm=True
    ),
    "olmo 2": dict(pre_norms=False, post_norms=True, qk_norm=True, qk_norm_whole=True),
    "smollm3": dict(no_rope_every=2),
    "llama, biases": dict(qkv_bias=True, o_bias=True, mlp_bias=True),
}
TOKENS = np.array([[3, 1, 4, 1, 5, 9, 2]])


def logits(config, p, tokens):
    """[L, V] of tokens [L]; p by path."""
    D, eps = config.head_dim, config.norm_eps

    def linear(x, name):
        return x @ p[f"{name}/kernel"] + p.get(f"{name}/bias", 0.0)

    def norm(x, name):
        if config.layer_norm:
            x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
        return x * p[f"{name}/scale"] + p.get(f"{name}/bias", 0.0)

    def activation(x):
        if config.activation == "gelu":
            return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2
        return x / (1 + np.exp(-x))

    def turned(x):  # [heads, L, D], the first R components as complex numbers
        R = config.rotary_dim or D
        z = x[..., : R // 2] + 1j * x[..., R // 2 : R]
        angle = np.arange(len(tokens))[:, None] * config.rope_theta ** (-np.arange(0, R, 2) / R)
        z = z * np.exp(1j * angle)
        return np.concatenate([z.real, z.imag, x[..., R:]], -1)

    def attention(x, at, turn):
        q, k, v = (linear(x, f"{at}/{name}_proj") for name in "qkv")
        if config.qk_norm:
            q, k = norm(q, f"{at}/q_norm"), norm(k, f"{at}/k_norm")
        q, k, v = (a.reshape(len(a), -1, D).swapaxes(0, 1) for a in (q, k, v))
        if turn:
            q, k = turned(q), turned(k)
        k, v = (np.repeat(a, len(q) // len(a), axis=0) for a in (k, v))
        scores = q @ k.swapaxes(1, 2) / math.sqrt(D)
        weights = np.exp(scores) * np.tri(len(tokens))
        o = weights / weights.sum(-1, keepdims=True) @ v
        return linear(o.swapaxes(0, 1).reshape(len(tokens), -1), f"{at}/o_proj")

    def mlp(x, at):
        up = linear(x, f"{at}/up_proj")
        hidden = activation(linear(x, f"{at}/gate_proj")) * up if config.gated_mlp else None
        return linear(activation(up) if hidden is None else hidden, f"{at}/down_proj")

    x = p["embed/embedding"][tokens]
    for i in range(config.num_layers):
        at = f"layers/{i}"
        turn = config.no_rope_every is None or (i + 1) % config.no_rope_every
        if not config.pre_norms:  # OLMo 2
            x = x + norm(attention(x, f"{at}/attn", turn), f"{at}/attn_post_norm")
            x = x + norm(mlp(x, f"{at}/mlp"), f"{at}/mlp_post_norm")
            continue
        y = x + attention(norm(x, f"{at}/attn_norm"), f"{at}/attn", turn)
        read = x if config.parallel else y
        name = f"{at}/attn_norm" if config.shared_norm else f"{at}/mlp_norm"
        x = y + mlp(norm(read, name), f"{at}/mlp")
    return norm(x, "norm") @ p["head/kernel"]


@pytest.mark.parametrize("family", FAMILIES)
def test_against_numpy(family):
    config = DecoderConfig(**SIZES | FAMILIES[family])
    model = Decoder(config, rngs=nnx.Rngs(0))
    draws = np.random.default_rng(0)
    parameters = {}
    for path, param in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        value = draws.normal(size=param.shape) * (0.5 if len(param.shape) == 2 else 0.3)
        value = value + (path[-1] == "scale")
        param[...] = jnp.asarray(value, jnp.float32)
        parameters["/".join(map(str, path))] = np.asarray(param[...], np.float64)
    expected = logits(config, parameters, TOKENS[0])
    found = np.asarray(nnx.jit(lambda m, t: m(t))(model, jnp.asarray(TOKENS)))[0]
    assert expected.std() > 0.3
    np.testing.assert_allclose(found, expected, atol=3e-5 * np.abs(expected).max())
