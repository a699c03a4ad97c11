"""Published shapes of today's models by name.

Sizes are facts, read off the `config.json` of each model's repository on the Hugging Face hub
(named beside it) and the papers; a test holds each one's number of parameters against the
published total. No weights come along: see `load_huggingface` for those.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
from typing import Any

from photonjax.models.abstract import ModelConfig
from photonjax.models.config import DecoderConfig, RopeScaling
from photonjax.models.gpt2 import GPT2Config

__all__ = ["named", "names", "widened"]

_LLAMA_3_1: dict[str, Any] = dict(
    vocab_size=128_256,
    num_kv_heads=8,
    rope_theta=500_000.0,
    rope_scaling=RopeScaling(factor=8.0, low=1.0, high=4.0, original_length=8192),
)
_QWEN_3: dict[str, Any] = dict(
    vocab_size=151_936,
    num_kv_heads=8,
    head_dim=128,
    rope_theta=1_000_000.0,
    norm_eps=1e-6,
    qk_norm=True,
    max_length=40_960,
)
_GEMMA_3: dict[str, Any] = dict(
    head_dim=256,
    rope_theta=1_000_000.0,
    norm_eps=1e-6,
    tie_embeddings=True,
    activation="gelu_tanh",
    qk_norm=True,
    embedding_scale=True,
    norm_offset=True,
    post_norms=True,
    global_every=6,
    local_rope_theta=10_000.0,
)
_MISTRAL: dict[str, Any] = dict(vocab_size=32_000, num_kv_heads=8, max_length=32_768)
_SMOLLM_2: dict[str, Any] = dict(
    vocab_size=49_152, num_kv_heads=3, rope_theta=100_000.0, tie_embeddings=True, max_length=8192
)


def _decoder(
    family: dict[str, Any], hidden: int, inner: int, layers: int, heads: int, **changes: Any
) -> DecoderConfig:
    sizes = dict(hidden_size=hidden, intermediate_size=inner, num_layers=layers, num_heads=heads)
    return DecoderConfig(**{**family, **sizes, **changes})  # type: ignore[arg-type]


def _pythia(
    hidden: int, layers: int, heads: int, turned: int, vocab_size: int = 50_304
) -> DecoderConfig:
    return DecoderConfig(
        vocab_size=vocab_size,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_layers=layers,
        num_heads=heads,
        rotary_dim=turned,
        max_length=2048,
        layer_norm=True,
        gated_mlp=False,
        activation="gelu",
        qkv_bias=True,
        o_bias=True,
        mlp_bias=True,
        parallel=True,
    )


_llama, _qwen, _gemma, _mistral = (
    functools.partial(_decoder, family) for family in (_LLAMA_3_1, _QWEN_3, _GEMMA_3, _MISTRAL)
)
_SMALL_GEMMA: dict[str, Any] = dict(
    num_kv_heads=1,
    vocab_size=262_144,
    sliding_window=512,
    query_scale=256**-0.5,
    max_length=32_768,
)
_LARGE_GEMMA: dict[str, Any] = dict(
    vocab_size=262_208, sliding_window=1024, rope_scaling=RopeScaling(factor=8.0)
)
_SHAPES: dict[str, ModelConfig] = {
    # meta-llama/Llama-3.1-{8B,70B,405B}; arXiv 2407.21783, table 3
    "llama-3-8b": _llama(4096, 14_336, 32, 32),
    "llama-3-70b": _llama(8192, 28_672, 80, 64),
    "llama-3-405b": _llama(16_384, 53_248, 126, 128),
    # Qwen/Qwen3-{0.6B,8B,32B,30B-A3B}; arXiv 2505.09388, tables 1 and 2
    "qwen3-0.6b": _qwen(1024, 3072, 28, 16, tie_embeddings=True),
    "qwen3-8b": _qwen(4096, 12_288, 36, 32),
    "qwen3-32b": _qwen(5120, 25_600, 64, 64),
    "qwen3-30b-a3b": _qwen(2048, 768, 48, 32, num_kv_heads=4, num_experts=128, experts_per_token=8),
    # google/gemma-3-{270m,1b,4b,27b}-pt, of the larger two the text tower; arXiv 2503.19786, table 1
    "gemma-3-270m": _gemma(640, 2048, 18, 4, **_SMALL_GEMMA),
    "gemma-3-1b": _gemma(1152, 6912, 26, 4, **_SMALL_GEMMA),
    "gemma-3-4b": _gemma(
        2560, 10_240, 34, 8, num_kv_heads=4, query_scale=256**-0.5, **_LARGE_GEMMA
    ),
    "gemma-3-27b": _gemma(
        5376, 21_504, 62, 32, num_kv_heads=16, head_dim=128, query_scale=168**-0.5, **_LARGE_GEMMA
    ),
    # mistralai/Mistral-7B-v0.1, Mixtral-8x7B-v0.1; arXiv 2310.06825, 2401.04088, tables 1
    "mistral-7b": _mistral(4096, 14_336, 32, 32, sliding_window=4096),
    "mixtral-8x7b": _mistral(
        4096, 14_336, 32, 32, rope_theta=1_000_000.0, num_experts=8, experts_per_token=2
    ),
    # EleutherAI/pythia-{160m,410m,1.4b,6.9b}; arXiv 2304.01373, table 1
    "pythia-160m": _pythia(768, 12, 12, 16),
    "pythia-410m": _pythia(1024, 24, 16, 16),
    "pythia-1.4b": _pythia(2048, 24, 16, 32),
    "pythia-6.9b": _pythia(4096, 32, 32, 32, vocab_size=50_432),
    # openai-community/gpt2
    "gpt2": GPT2Config(),
    # HuggingFaceTB/SmolLM2-135M
    "smollm2-135m": _decoder(_SMOLLM_2, 576, 1536, 30, 9),
}


def names() -> list[str]:
    """The names that `named` knows."""
    return list(_SHAPES)


def named(name: str) -> ModelConfig:
    """The configuration of a published model.

    Raises:
      ValueError: there is none of that name.

    >>> named("llama-3-405b").num_layers
    126
    """
    if name not in _SHAPES:
        near = difflib.get_close_matches(str(name), _SHAPES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"model {name!r} is not known: {hint}known are {', '.join(_SHAPES)}")
    return _SHAPES[name]


def widened(config: ModelConfig, width: int) -> DecoderConfig:
    """The model ``width`` wide: heads of the same size, and the other proportions, stay.

    Raises:
      ValueError: the proportions do not come out whole.

    >>> wide = widened(named("llama-3-8b"), 8192)
    >>> wide.num_heads, wide.num_kv_heads, wide.intermediate_size, wide.num_layers
    (64, 16, 28672, 32)
    """
    if not isinstance(config, DecoderConfig):
        raise ValueError(
            f"{type(config).__name__}: only a DecoderConfig can be widened, as llama-3-8b's"
        )
    names = ("num_heads", "num_kv_heads", "intermediate_size")
    sizes = {name: getattr(config, name) for name in names}
    step = config.hidden_size // math.gcd(config.hidden_size, *sizes.values())
    if width % step:
        raise ValueError(
            f"width = {width}: {', '.join(names)} would not come out whole; choose a multiple of {step}"
        )
    wide = {name: size * width // config.hidden_size for name, size in sizes.items()}
    return dataclasses.replace(config, hidden_size=width, **wide)
