"""Causal attention, grouped-query, for prefill: query blocks against only the keys they may see.

One softmax over the whole [L, L] square wastes half of its work on the future and does not stay in
cache. Here the queries are cut into a few static segments; segment i meets keys ``[0, end_i)`` and
nothing later, so the future is never computed. Inside a segment, blocks of 64 rows run one after
another: their scores stay in cache. All keys of a row are there at once, so the softmax is the
plain one (no running maximum). With a sliding window a block meets only the keys that some row of
it may see, so that the work grows with L · window.

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
    q_BGRQD: jax.Array,
    k_BGKD: jax.Array,
    v_BGKD: jax.Array,
    first: jax.Array | int,
    window: int | None,
    cap: float | None,
) -> jax.Array:
    """Attention of a row block whose first query is at position `first` of the keys given."""
    B, G, R, Q, D = q_BGRQD.shape
    K = k_BGKD.shape[2]
    batch = ((0, 1), (0, 1))
    with jax.named_scope("scores"):
        s = lax.dot_general(
            q_BGRQD.reshape(B, G, R * Q, D),
            k_BGKD,
            (((3,), (3,)), batch),
            preferred_element_type=jnp.float32,
        ).reshape(B, G, R, Q, K)
    column = lax.broadcasted_iota(jnp.int32, (Q, K), 1)
    row = first + lax.broadcasted_iota(jnp.int32, (Q, K), 0)
    seen = column <= row
    if window is not None:
        seen &= column > row - window
    s = jnp.where(seen, _capped(s, cap), -jnp.inf)
    p = jnp.exp(s - s.max(-1, keepdims=True))
    total = p.sum(-1, keepdims=True)
    with jax.named_scope("values"):
        o = lax.dot_general(
            p.astype(v_BGKD.dtype).reshape(B, G, R * Q, K),
            v_BGKD,
            (((3,), (2,)), batch),
            preferred_element_type=jnp.float32,
        )
    return o.reshape(B, G, R, Q, D) / total


def _capped(s: jax.Array, cap: float | None) -> jax.Array:
    return s if cap is None else cap * jnp.tanh(s / cap)


def causal_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    scale: float | None = None,
    window: int | None = None,
    cap: float | None = None,
    block: int | None = None,
) -> jax.Array:
    """Causal softmax attention, ``softmax(scale q kᵀ) v``.

    Args:
      q: queries [B, L, H, D].
      k: keys [B, L, G, D]; query head h reads key-value head h // (H / G). Never repeated.
      v: values [B, L, G, D].
      scale: of the scores. None: D^-0.5.
      window: a query sees this many keys, its own position included. None: all before it.
      cap: scores s become cap · tanh(s / cap). None: they stay.
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
    q = (q * (scale or D**-0.5)).astype(q.dtype).reshape(B, L, G, R, D).transpose(0, 2, 3, 1, 4)
    k, v = k.transpose(0, 2, 1, 3), v.transpose(0, 2, 1, 3)
    window = window if window and window < L else None
    rows = min(block or _block_rows(min(L, (window or L) + BLOCK), B * H), L)
    blocks = -(-L // rows)
    step = rows * -(-blocks // SEGMENTS)
    out = []
    for start in range(0, L, step):
        stop = min(start + step, L)
        oldest = max(0, start + 1 - window) if window else 0
        keys, values = k[:, :, oldest:stop], v[:, :, oldest:stop]

        def attend(q, first, keys=keys, values=values):
            """A block against the keys it may see; `first` counts from the segment's oldest key."""
            Q = q.shape[3]
            near = Q + window - 1 if window else L
            if near < keys.shape[2]:
                begin = jnp.maximum(first + Q - near, 0)
                keys, values = (lax.dynamic_slice_in_dim(a, begin, near, 2) for a in (keys, values))
                first = first - begin
            return _attend(q, keys, values, first, window, cap)

        whole = (stop - start) // rows
        if whole > 1:
            segment = q[:, :, :, start : start + whole * rows].reshape(B, G, R, whole, rows, D)
            firsts = start - oldest + rows * jnp.arange(whole)
            o = lax.map(
                lambda qf, attend=attend: attend(*qf), (jnp.moveaxis(segment, 3, 0), firsts)
            )
            out.append(jnp.moveaxis(o, 0, 3).reshape(B, G, R, whole * rows, D))
            start += whole * rows
        if start < stop:
            out.append(attend(q[:, :, :, start:stop], start - oldest))
    o = out[0] if len(out) == 1 else jnp.concatenate(out, axis=3)
    return o.transpose(0, 3, 1, 2, 4).reshape(B, L, H, D)


def naive_causal_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    scale: float | None = None,
    window: int | None = None,
    cap: float | None = None,
    scores=lax.dot_general,
    values=lax.dot_general,
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
        (q * (scale or D**-0.5))
        .astype(q.dtype)
        .reshape(B, L, G, R, D)
        .transpose(0, 2, 3, 1, 4)
        .reshape(B, G, R * L, D)
    )
    k, v = k.transpose(0, 2, 1, 3), v.transpose(0, 2, 1, 3)
    batch = ((0, 1), (0, 1))
    with jax.named_scope("scores"):
        s = scores(q, k, (((3,), (3,)), batch), preferred_element_type=jnp.float32).reshape(
            B, G, R, L, L
        )
    seen = jnp.tri(L, dtype=bool)
    if window is not None:
        seen &= ~jnp.tri(L, k=-window, dtype=bool)
    p = jax.nn.softmax(jnp.where(seen, _capped(s, cap), -jnp.inf), axis=-1).astype(v.dtype)
    with jax.named_scope("values"):
        o = values(
            p.reshape(B, G, R * L, L), v, (((3,), (2,)), batch), preferred_element_type=jnp.float32
        )
    return o.reshape(B, G, R, L, D).transpose(0, 3, 1, 2, 4).reshape(B, L, H, D)
