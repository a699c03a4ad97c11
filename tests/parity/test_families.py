"""Every family against transformers on torch: small random models, written by transformers.

Opt-in: install the `parity` extra and run ``pytest -m parity tests/parity/test_families.py``. The
worst difference of each family is printed (``-s``).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from photonjax.models import load_huggingface

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.parity

LENGTH = 150
COUNTS = dict(num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2)
SIZES = COUNTS | dict(vocab_size=97, hidden_size=48, intermediate_size=80)
SIZES |= dict(max_position_embeddings=256, initializer_range=0.2)
LLAMA_3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0)
LLAMA_3 |= dict(high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=64)
LONG_ROPE = dict(
    rope_type="longrope",
    rope_theta=1e4,
    short_factor=[1.0, 1.1, 1.2, 1.3],
    long_factor=[1.5, 3.0, 6.0, 12.0],
    original_max_position_embeddings=64,
)
GEMMA = dict(SIZES, num_hidden_layers=8, head_dim=10, query_pre_attn_scalar=12, sliding_window=40)
MOE = dict(
    num_experts=7, num_experts_per_tok=3, moe_intermediate_size=20, head_dim=10, norm_topk_prob=True
)
NEOX = {k: v for k, v in SIZES.items() if k != "num_key_value_heads"}
PARTIAL = dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5)
FALCON = {k: v for k, v in SIZES.items() if k not in ("num_key_value_heads", "intermediate_size")}
GPT2 = dict(
    vocab_size=97, n_embd=48, n_layer=3, n_head=6, n_positions=LENGTH, initializer_range=0.2
)
FAMILIES = {
    "llama 3.1 rope": ("Llama", dict(SIZES, rope_parameters=LLAMA_3)),
    "llama linear rope": (
        "Llama",
        dict(SIZES, rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=4.0)),
    ),
    "llama yarn": ("Llama", dict(SIZES, rope_parameters=YARN)),
    "qwen3 yarn": ("Qwen3", dict(SIZES, head_dim=16, rope_parameters=YARN)),
    "phi 3 longrope, long": ("Phi3", dict(SIZES, rope_parameters=LONG_ROPE, pad_token_id=0)),
    "phi 3 longrope, short": (
        "Phi3",
        dict(
            SIZES,
            rope_parameters=dict(LONG_ROPE, original_max_position_embeddings=200),
            original_max_position_embeddings=200,
            pad_token_id=0,
        ),
    ),
    "mistral, window": ("Mistral", dict(SIZES, sliding_window=37)),
    "mistral, no window": ("Mistral", dict(SIZES, sliding_window=None, head_dim=10)),
    "qwen2": ("Qwen2", SIZES),
    "qwen2, tied": ("Qwen2", dict(SIZES, tie_word_embeddings=True)),
    "qwen3": ("Qwen3", dict(SIZES, head_dim=10)),
    "qwen3, tied": ("Qwen3", dict(SIZES, head_dim=10, tie_word_embeddings=True)),
    "qwen3 moe": ("Qwen3Moe", dict(SIZES, **MOE)),
    "qwen3 moe, gates as they are": ("Qwen3Moe", {**SIZES, **MOE, "norm_topk_prob": False}),
    "mixtral": ("Mixtral", dict(SIZES, num_local_experts=5, num_experts_per_tok=2)),
    "gemma": ("Gemma", dict(SIZES, head_dim=10)),
    "gemma 2": ("Gemma2", dict(GEMMA, attn_logit_softcapping=5.0, final_logit_softcapping=8.0)),
    "gemma 2, no caps": (
        "Gemma2",
        dict(GEMMA, attn_logit_softcapping=None, final_logit_softcapping=None),
    ),
    "gemma 3": (
        "Gemma3Text",
        dict(
            GEMMA,
            rope_parameters={
                "full_attention": dict(rope_type="linear", rope_theta=1e6, factor=8.0),
                "sliding_attention": dict(rope_type="default", rope_theta=1e4),
            },
        ),
    ),
    "llama, biases": ("Llama", dict(SIZES, attention_bias=True, mlp_bias=True)),
    "gpt-neox": ("GPTNeoX", dict(NEOX, rope_parameters=PARTIAL)),
    "gpt-neox, in turn": (
        "GPTNeoX",
        dict(NEOX, use_parallel_residual=False, hidden_act="gelu_fast"),
    ),
    "falcon 7b": ("Falcon", FALCON),
    "falcon 40b": ("Falcon", dict(FALCON, new_decoder_architecture=True, num_kv_heads=2)),
    "falcon 11b": (
        "Falcon",
        dict(
            FALCON,
            new_decoder_architecture=True,
            num_kv_heads=3,
            num_ln_in_parallel_attn=1,
            ffn_hidden_size=70,
            tie_word_embeddings=False,
        ),
    ),
    "falcon, in turn, with biases": (
        "Falcon",
        dict(FALCON, multi_query=False, parallel_attn=False, bias=True),
    ),
    "phi 3": ("Phi3", dict(SIZES, sliding_window=37, pad_token_id=0)),
    "phi 4 mini": ("Phi3", dict(SIZES, rope_parameters=PARTIAL, pad_token_id=0)),
    "olmo 2": ("Olmo2", SIZES),
    "smollm3": ("SmolLM3", dict(SIZES, num_hidden_layers=5, pad_token_id=0)),
    "gpt2": ("GPT2", GPT2),
    "gpt2, own width": ("GPT2", dict(GPT2, n_inner=100)),
}

forward = nnx.jit(lambda model, tokens: model(tokens))


def peer(kind, options, seed=0):
    """A random model of transformers; biases and norms, which start as 0 and 1, are random too."""
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(**options)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape))
            elif "gate" in name and parameter.shape[-1] == options.get("hidden_size"):
                torch.nn.init.normal_(parameter, std=0.2)  # routers start at zero
    return model


def logits_of(model, tokens):
    with torch.inference_mode():
        return model(torch.tensor(tokens), use_cache=False).logits.float().numpy()


@pytest.mark.parametrize("scan_layers", [False, True], ids=["unrolled", "scanned"])
@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_logits(tmp_path, family, scan_layers):
    """Logits within 1e-4 in float32 of a sharded checkpoint, at every position."""
    theirs = peer(*FAMILIES[family])
    theirs.save_pretrained(tmp_path, max_shard_size="60KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    tokens = np.random.default_rng(0).integers(0, 97, (2, LENGTH))
    model = load_huggingface(tmp_path, scan_layers=scan_layers)
    ours, expected = forward(model, jnp.asarray(tokens)), logits_of(theirs, tokens)
    difference, spread = np.abs(ours - expected).max(), expected.std()
    print(f"\n{family}: max |difference| {difference:.1e} of logits with std {spread:.2f}", end="")
    assert spread > 0.1  # else agreement would say little
    np.testing.assert_allclose(ours, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", ["gpt2", "qwen3 moe", "gemma 3"])
def test_one_file_gives_the_same(tmp_path, family):
    """Not sharded; and the last position's logits alone."""
    theirs = peer(*FAMILIES[family], seed=1)
    theirs.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    tokens = np.random.default_rng(1).integers(0, 97, (2, 60))
    model = load_huggingface(tmp_path, scan_layers=True)
    last = nnx.jit(lambda model, tokens: model(tokens, last_only=True))(model, jnp.asarray(tokens))
    assert last.shape == (2, 1, 97)
    np.testing.assert_allclose(last, logits_of(theirs, tokens)[:, -1:], atol=1e-4, rtol=0)
