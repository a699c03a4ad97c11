"""What reading a prompt multiplies, and what one step of decoding does: traced from shapes alone."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from photonjax.core.limits import allowed
from photonjax.core.pytree import brief
from photonjax.models.abstract import ModelConfig, abstract_model
from photonjax.models.config import DecoderConfig
from photonjax.models.rotary import rotary_angles
from photonjax.models.shapes import named
from photonjax.workload import MatmulSite, Workload, trace_workload

__all__ = ["CACHES", "decode_workload", "prefill_workload"]

CACHES = ("keys", "values")
"""Paths of the products with the cache."""


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
    if not isinstance(config, ModelConfig):
        raise TypeError(f"model = {brief(model)} is neither a name nor a configuration of a model")
    for name, value in (("tokens", tokens), ("batch", batch)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r}: must be {allowed('an integer', 1)}")
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


_OTHER = ("sliding_window", "scores_cap", "no_rope_every")  # what `_block` has not


@functools.cache
def decode_workload(model: str | DecoderConfig, *, context: int, batch: int = 1) -> Workload:
    """What one token for each of ``batch`` prompts multiplies, ``context`` tokens being cached for each.

    The cache is read from memory as weights are, so its products count as stationary, at
    paths ``keys`` and ``values``. The new keys and values are returned, to be written to the cache;
    that write, and the token's product with itself, are 1 / context of what is read, and left out.

    The models read prompts only, so the step is put together here from a model's own modules: its
    embedding, norms, projections, MLP and head, and one query per prompt against the cache.

    Args:
      model: a name that `named` knows, or a configuration.
      context: tokens in each prompt's cache.
      batch: prompts decoded at the same time.

    Raises:
      ValueError: a model whose attention is not the plain one.

    >>> workload = decode_workload("llama-3-8b", context=8192, batch=4)
    >>> [(s.count, s.batch, s.M, s.K, s.N) for s in workload.matmuls if s.path == "keys"]
    [(32, 32, 4, 128, 8192)]
    """
    config: Any = named(model) if isinstance(model, str) else model
    if not isinstance(config, DecoderConfig) or any(getattr(config, field) for field in _OTHER):
        raise ValueError(f"decode_workload: {model!r} has attention of another kind than Llama's")
    graph, state = nnx.split(abstract_model(config))
    shape = (config.num_layers, batch, config.num_kv_heads, context, config.head_dim)
    cache = {name: jax.ShapeDtypeStruct(shape, jnp.bfloat16) for name in CACHES}
    now = jax.ShapeDtypeStruct((batch, 1), jnp.int32)

    def step(state: Any, cache: Any, now: jax.Array) -> Any:
        whole: Any = nnx.merge(graph, state)
        x = whole.embed(now).astype(jnp.float32)
        size = config.rotary_dim or config.head_dim
        angles = rotary_angles(context + 1, size, config.rope_theta, config.rope_scaling)
        turn = tuple(a[-1:] for a in angles)
        inner, layers = nnx.split(whole.layers.block)

        def layer(x: jax.Array, own: Any) -> tuple[jax.Array, Any]:
            weights, keys, values = own
            return _block(nnx.merge(inner, weights), x, keys, values, turn)

        x, new = jax.lax.scan(layer, x, (layers, cache["keys"], cache["values"]))
        table = whole.embed.embedding[...] if config.tie_embeddings else None
        return whole.head(whole.norm(x), table), new

    return trace_workload(step, state, cache, now, params=(0, 1))


def _block(
    block: Any, x: jax.Array, keys: jax.Array, values: jax.Array, turn: Any
) -> tuple[jax.Array, Any]:
    """One layer: x [B, 1, hidden], keys and values [B, G, L, D]."""
    attn, (B, G, _, D) = block.attn, keys.shape
    new: list[jax.Array] = []

    def cached(y: jax.Array) -> jax.Array:
        q, *new[:] = attn.heads(y, turn)
        pairs = ((0, 1), (0, 1))
        scores = jax.lax.dot_general(
            q.reshape(B, G, -1, D), keys, (((3,), (3,)), pairs), preferred_element_type=jnp.float32
        )
        p = jax.nn.softmax(scores * (attn.scale or D**-0.5), axis=-1).astype(values.dtype)
        o = jax.lax.dot_general(
            p, values, (((3,), (2,)), pairs), preferred_element_type=jnp.float32
        )
        return attn.o_proj(o.reshape(B, 1, -1).astype(attn.dtype))

    return block.run(x, cached), tuple(new)
