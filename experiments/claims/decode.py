"""One decode step as a traced program: each prompt's next token against a cache of keys and values.

The models read prompts only, so the step is put together here from a model's own modules: its
embedding, norms, projections, MLP and head, and one query per prompt against the cache.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from photonjax.models.abstract import abstract_model
from photonjax.models.config import DecoderConfig
from photonjax.models.rotary import rotary_angles, rotate
from photonjax.models.shapes import named
from photonjax.workload import Workload, trace_workload

CACHES = ("keys", "values")
"""Paths of the products with the cache."""


@functools.cache
def decode_workload(model: str | DecoderConfig, *, context: int, batch: int = 1) -> Workload:
    """What one token for each of ``batch`` prompts multiplies, ``context`` tokens being cached for each.

    The cache is read from memory as weights are, so its products count as stationary, at
    paths ``keys`` and ``values``. The new keys and values are returned, to be written to the cache;
    that write, and the token's product with itself, are 1 / context of what is read, and left out.

    Raises:
      ValueError: a model whose attention is not the plain one.
    """
    config: Any = named(model) if isinstance(model, str) else model
    if not isinstance(config, DecoderConfig) or config.sliding_window or config.scores_cap:
        raise ValueError(f"decode_workload: {model!r} has attention of another kind than Llama's")
    graph, state = nnx.split(abstract_model(config))
    shape = (config.num_layers, batch, config.num_kv_heads, context, config.head_dim)
    cache = {name: jax.ShapeDtypeStruct(shape, jnp.bfloat16) for name in CACHES}
    now = jax.ShapeDtypeStruct((batch, 1), jnp.int32)

    def step(state: Any, cache: Any, now: jax.Array) -> Any:
        whole: Any = nnx.merge(graph, state)
        x = whole.embed(now).astype(jnp.float32)
        angles = rotary_angles(context + 1, config.head_dim, config.rope_theta, config.rope_scaling)
        cos, sin = (a[-1:] for a in angles)
        inner, layers = nnx.split(whole.layers.block)

        def layer(x: jax.Array, own: Any) -> tuple[jax.Array, Any]:
            weights, keys, values = own
            return _block(nnx.merge(inner, weights), x, keys, values, cos, sin)

        x, new = jax.lax.scan(layer, x, (layers, cache["keys"], cache["values"]))
        table = whole.embed.embedding[...] if config.tie_embeddings else None
        return whole.head(whole.norm(x), table), new

    return trace_workload(step, state, cache, now, params=(0, 1))


def _block(
    block: Any, x: jax.Array, keys: jax.Array, values: jax.Array, cos: jax.Array, sin: jax.Array
) -> tuple[jax.Array, Any]:
    """One layer: x [B, 1, hidden], keys and values [B, G, L, D]."""
    attn, (B, G, _, D) = block.attn, keys.shape
    y = block.attn_norm(x).astype(attn.dtype)
    q, k = attn.q_proj(y).reshape(B, 1, -1, D), attn.k_proj(y).reshape(B, 1, G, D)
    if attn.qk_norm:
        q, k = attn.q_norm(q), attn.k_norm(k)
    q, k = (rotate(a, cos, sin).astype(attn.dtype) for a in (q, k))
    v = attn.v_proj(y).reshape(B, 1, G, D).astype(attn.dtype)
    pairs = ((0, 1), (0, 1))
    scores = jax.lax.dot_general(
        q.reshape(B, G, -1, D), keys, (((3,), (3,)), pairs), preferred_element_type=jnp.float32
    )
    p = jax.nn.softmax(scores * (attn.scale or D**-0.5), axis=-1).astype(values.dtype)
    o = jax.lax.dot_general(p, values, (((3,), (2,)), pairs), preferred_element_type=jnp.float32)
    x = x + attn.o_proj(o.reshape(B, 1, -1).astype(attn.dtype))
    return x + block.mlp(block.mlp_norm(x)), (k, v)
