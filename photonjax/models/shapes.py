"""Published shapes of today's models by name, and what a prefill of one multiplies.

Sizes are facts, read off the `config.json` of each model's repository on the Hugging Face hub
(named beside it) and the papers; a test holds each one's number of parameters against the
published total. No weights come along: see `load_huggingface` for those.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from photonjax.models.abstract import ModelConfig, abstract_model
from photonjax.models.config import DecoderConfig, RopeScaling
from photonjax.models.gpt2 import GPT2Config
from photonjax.workload import MatmulSite, Workload, trace_workload

__all__ = ["named", "names", "prefill_workload"]

_LLAMA_3_1 = dict(
    vocab_size=128_256,
    num_kv_heads=8,
    rope_theta=500_000.0,
    rope_scaling=RopeScaling(factor=8.0, low=1.0, high=4.0, original_length=8192),
)
_QWEN_3 = dict(
    vocab_size=151_936,
    num_kv_heads=8,
    head_dim=128,
    rope_theta=1_000_000.0,
    norm_eps=1e-6,
    qk_norm=True,
    max_length=40_960,
)
_GEMMA_3 = dict(
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
_MISTRAL = dict(
    vocab_size=32_000,
    hidden_size=4096,
    intermediate_size=14_336,
    num_layers=32,
    num_heads=32,
    num_kv_heads=8,
    max_length=32_768,
)


def _llama(hidden: int, inner: int, layers: int, heads: int) -> DecoderConfig:
    sizes = dict(hidden_size=hidden, intermediate_size=inner, num_layers=layers, num_heads=heads)
    return DecoderConfig(**_LLAMA_3_1, **sizes)  # type: ignore[arg-type]


def _qwen(hidden: int, inner: int, layers: int, heads: int, **changes: Any) -> DecoderConfig:
    sizes = dict(hidden_size=hidden, intermediate_size=inner, num_layers=layers, num_heads=heads)
    return DecoderConfig(**{**_QWEN_3, **sizes, **changes})  # type: ignore[arg-type]


def _gemma(hidden: int, inner: int, layers: int, heads: int, **changes: Any) -> DecoderConfig:
    sizes = dict(hidden_size=hidden, intermediate_size=inner, num_layers=layers, num_heads=heads)
    return DecoderConfig(**{**_GEMMA_3, **sizes, **changes})  # type: ignore[arg-type]


_LONG = RopeScaling(factor=8.0)
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
    "gemma-3-270m": _gemma(
        640,
        2048,
        18,
        4,
        num_kv_heads=1,
        vocab_size=262_144,
        sliding_window=512,
        query_scale=256**-0.5,
        max_length=32_768,
    ),
    "gemma-3-1b": _gemma(
        1152,
        6912,
        26,
        4,
        num_kv_heads=1,
        vocab_size=262_144,
        sliding_window=512,
        query_scale=256**-0.5,
        max_length=32_768,
    ),
    "gemma-3-4b": _gemma(
        2560,
        10_240,
        34,
        8,
        num_kv_heads=4,
        vocab_size=262_208,
        sliding_window=1024,
        query_scale=256**-0.5,
        rope_scaling=_LONG,
    ),
    "gemma-3-27b": _gemma(
        5376,
        21_504,
        62,
        32,
        num_kv_heads=16,
        head_dim=128,
        vocab_size=262_208,
        sliding_window=1024,
        query_scale=168**-0.5,
        rope_scaling=_LONG,
    ),
    # mistralai/Mistral-7B-v0.1, Mixtral-8x7B-v0.1; arXiv 2310.06825, 2401.04088, tables 1
    "mistral-7b": DecoderConfig(**_MISTRAL, sliding_window=4096),  # type: ignore[arg-type]
    "mixtral-8x7b": DecoderConfig(
        **_MISTRAL,  # type: ignore[arg-type]
        rope_theta=1_000_000.0,
        num_experts=8,
        experts_per_token=2,
    ),
    # openai-community/gpt2
    "gpt2": GPT2Config(),
    # HuggingFaceTB/SmolLM2-135M
    "smollm2-135m": DecoderConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_layers=30,
        num_heads=9,
        num_kv_heads=3,
        rope_theta=100_000.0,
        tie_embeddings=True,
        max_length=8192,
    ),
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


def prefill_workload(
    model: str | ModelConfig,
    *,
    tokens: int,
    batch: int = 1,
    dtype: Any = jnp.bfloat16,
    last_only: bool = True,
) -> Workload:
    """What reading a prompt multiplies, from shapes alone: nothing is computed or allocated.

    The layers are scanned, so their sites, at ``layers/block/...``, have counts. Attention is
    counted as it is executed: in blocks, without the future and without what lies outside a sliding
    window, but with the masked corners of the blocks.

    Args:
      model: a name that `named` knows, or a configuration.
      tokens: in each prompt. May exceed what a model with rotary positions was made for.
      batch: prompts read at the same time.
      dtype: of the weights and of the products' operands.
      last_only: logits after each prompt's last token only. False: at every position, as in an
        evaluation.

    Raises:
      ValueError: an unknown name, or numbers of tokens or prompts that cannot be.

    >>> workload = prefill_workload("llama-3-8b", tokens=8192)
    >>> up = next(s for s in workload.matmuls if s.path.endswith("up_proj/kernel"))
    >>> up.count, up.M, up.K, up.N
    (32, 8192, 4096, 14336)
    """
    config = named(model) if isinstance(model, str) else model
    for name, value in (("tokens", tokens), ("batch", batch)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r}: must be an integer of at least 1")
    if isinstance(config, DecoderConfig):
        config = dataclasses.replace(config, max_length=max(tokens, config.max_length))
    graph, state = nnx.split(abstract_model(config, dtype=dtype))
    shape = jax.ShapeDtypeStruct((batch, tokens), jnp.int32)
    workload = trace_workload(
        lambda state, t: nnx.merge(graph, state)(t, last_only=last_only), state, shape
    )
    return dataclasses.replace(workload, matmuls=_merged(workload.matmuls))


def _merged(sites: list[MatmulSite]) -> list[MatmulSite]:
    """Sites that differ in their count only, such as one layer of each period, as one."""
    counts: dict[MatmulSite, int] = {}
    for site in sites:
        alike = dataclasses.replace(site, count=1)
        counts[alike] = counts.get(alike, 0) + site.count
    return [dataclasses.replace(site, count=count) for site, count in counts.items()]
