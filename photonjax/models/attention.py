"""Causal attention, grouped-query, for prefill: query blocks against only the keys they may see.

One softmax over the whole [L, L] square wastes half of its work on the future and does not stay in
cache. Here the queries are cut into a few static segments; segment i meets keys ``[0, end_i)`` and
nothing later, so the future is never computed. Inside a segment, blocks of 64 rows run one after
another: their scores stay in cache. All keys of a row are there at once, so the softmax is the
plain one (no running maximum).

Shapes: B batch, L tokens, H query heads, G key-value heads (G divides H), R = H / G, D head size.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["causal_attention", "naive_causal_attention"]

BLOCK = 64
"""Query rows per block. Measured with 9 heads of 64 on 2 cores, 1,024 to 4,096 tokens: 64 is the
quickest, 256 costs up to double."""

SCORES_BYTES = 32 << 20
"""Most that one row block's scores may take, in bytes; long sequences get smaller blocks."""

SEGMENTS = 8
"""Most static segments of a sequence: at most 1/(2·SEGMENTS) of the scores are computed in vain."""


def _block_rows(length: int, heads: int) -> int:
    """`BLOCK`, halved (down to 16) until the scores of `heads` heads fit `SCORES_BYTES`."""
    rows = BLOCK
    while rows > 16 and 4 * heads * rows * length > SCORES_BYTES:
        rows //= 2
    return rows


def _attend(
    q_BGRQD: jax.Array, k_BGKD: jax.Array, v_BGKD: jax.Array, first: jax.Array | int
) -> jax.Array:
    """Attention of a row block whose first query is at position `first`; keys start at 0."""
    B, G, R, Q, D = q_BGRQD.shape
    K = k_BGKD.shape[2]
    batch = ((0, 1), (0, 1))
    s = lax.dot_general(
        q_BGRQD.reshape(B, G, R * Q, D),
        k_BGKD,
        (((3,), (3,)), batch),
        preferred_element_type=jnp.float32,
    ).reshape(B, G, R, Q, K)
    seen = lax.broadcasted_iota(jnp.int32, (Q, K), 1) <= first + lax.broadcasted_iota(
        jnp.int32, (Q, K), 0
    )
    s = jnp.where(seen, s, -jnp.inf)
    p = jnp.exp(s - s.max(-1, keepdims=True))
    total = p.sum(-1, keepdims=True)
    o = lax.dot_general(
        p.astype(v_BGKD.dtype).reshape(B, G, R * Q, K),
        v_BGKD,
        (((3,), (2,)), batch),
        preferred_element_type=jnp.float32,
    )
    return o.reshape(B, G, R, Q, D) / total


def causal_attention(
    q: jax.Array, k: jax.Array, v: jax.Array, *, block: int | None = None
) -> jax.Array:
    """Causal softmax attention, ``softmax(q kᵀ / sqrt(D)) v``.

    Args:
      q: queries [B, L, H, D].
      k: keys [B, L, G, D]; query head h reads key-value head h // (H / G). Never repeated.
      v: values [B, L, G, D].
      block: query rows per block; by default chosen from L and H so that scores stay small.

    Returns:
      [B, L, H, D] in float32. Softmax and accumulation are float32 whatever the inputs' dtype.

    >>> import jax
    >>> x = jax.random.normal(jax.random.key(0), (1, 5, 2, 4))
    >>> causal_attention(x, x, x).shape
    (1, 5, 2, 4)
    """
    B, L, H, D = q.shape
    G = k.shape[2]
    R = H // G
    q = (q * D**-0.5).astype(q.dtype).reshape(B, L, G, R, D).transpose(0, 2, 3, 1, 4)
    k, v = k.transpose(0, 2, 1, 3), v.transpose(0, 2, 1, 3)
    rows = min(block or _block_rows(L, B * H), L)
    blocks = -(-L // rows)
    step = rows * -(-blocks // SEGMENTS)
    out = []
    for start in range(0, L, step):
        stop = min(start + step, L)
        keys, values = k[:, :, :stop], v[:, :, :stop]
        whole = (stop - start) // rows
        if whole > 1:
            segment = q[:, :, :, start : start + whole * rows].reshape(B, G, R, whole, rows, D)
            firsts = start + rows * jnp.arange(whole)
            o = lax.map(
                lambda qf, keys=keys, values=values: _attend(qf[0], keys, values, qf[1]),
                (jnp.moveaxis(segment, 3, 0), firsts),
            )
            out.append(jnp.moveaxis(o, 0, 3).reshape(B, G, R, whole * rows, D))
            start += whole * rows
        if start < stop:
            out.append(_attend(q[:, :, :, start:stop], keys, values, start))
    o = out[0] if len(out) == 1 else jnp.concatenate(out, axis=3)
    return o.transpose(0, 3, 1, 2, 4).reshape(B, L, H, D)


def naive_causal_attention(
    q: jax.Array, k: jax.Array, v: jax.Array, *, scores=lax.dot_general, values=lax.dot_general
) -> jax.Array:
    """The same attention over the full square, its two products done by the callables given.

    The products see plain operands (scores: [B, G, R·L, D] x [B, G, L, D]; values: [B, G, R·L, L] x
    [B, G, L, D]); the causal mask is applied after the first. This is the path of an attention
    whose products run on light, and the reference for `causal_attention`, which see for shapes.
    """
    B, L, H, D = q.shape
    G = k.shape[2]
    R = H // G
    q = (
        (q * D**-0.5)
        .astype(q.dtype)
        .reshape(B, L, G, R, D)
        .transpose(0, 2, 3, 1, 4)
        .reshape(B, G, R * L, D)
    )
    k, v = k.transpose(0, 2, 1, 3), v.transpose(0, 2, 1, 3)
    batch = ((0, 1), (0, 1))
    s = scores(q, k, (((3,), (3,)), batch), preferred_element_type=jnp.float32).reshape(
        B, G, R, L, L
    )
    p = jax.nn.softmax(jnp.where(jnp.tri(L, dtype=bool), s, -jnp.inf), axis=-1).astype(v.dtype)
    o = values(
        p.reshape(B, G, R * L, L), v, (((3,), (2,)), batch), preferred_element_type=jnp.float32
    )
    return o.reshape(B, G, R, L, D).transpose(0, 3, 1, 2, 4).reshape(B, L, H, D)
