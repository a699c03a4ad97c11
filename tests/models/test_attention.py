"""Blockwise attention against the whole square."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from photonjax.models import attention
from photonjax.models.attention import causal_attention, naive_causal_attention

pytestmark = pytest.mark.slow  # minutes together: on one Python


def _textbook(q, k, v, window=None, cap=None, scale=None):
    """Attention written out per head in float64, keys and values repeated."""
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    length, repeats = q.shape[1], q.shape[2] // k.shape[2]
    k, v = (np.repeat(a, repeats, axis=2) for a in (k, v))
    s = np.einsum("bqhd,bkhd->bhqk", q, k) * (scale or 1 / np.sqrt(q.shape[-1]))
    s = cap * np.tanh(s / cap) if cap else s
    distance = np.arange(length)[:, None] - np.arange(length)
    s = np.where((distance >= 0) & (distance < (window or length)), s, -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True))
    return np.einsum("bhqk,bkhd->bqhd", p / p.sum(-1, keepdims=True), v)


def _qkv(batch, length, groups, repeats, size, dtype=jnp.float32, scale=1.0):
    keys = jax.random.split(jax.random.key(length), 3)
    shapes = [(batch, length, groups * repeats, size)] + 2 * [(batch, length, groups, size)]
    return [
        (scale * jax.random.normal(key, shape)).astype(dtype)
        for key, shape in zip(keys, shapes, strict=True)
    ]


@hypothesis.given(
    batch=st.integers(1, 2),
    length=st.integers(1, 70),
    groups=st.integers(1, 3),
    repeats=st.integers(1, 3),
    block=st.one_of(st.none(), st.integers(1, 80)),
)
@hypothesis.settings(max_examples=12, deadline=None)
def test_blockwise_and_whole_equal_the_textbook(batch, length, groups, repeats, block):
    q, k, v = _qkv(batch, length, groups, repeats, 4)
    expected = _textbook(q, k, v)
    both = jax.jit(lambda *a: (causal_attention(*a, block=block), naive_causal_attention(*a)))
    for out in both(q, k, v):
        np.testing.assert_allclose(out, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("length", "window", "block", "cap"),
    [
        (1, 1, None, None),  # one token
        (40, 1, 7, None),  # each token sees itself
        (97, 13, 3, 0.7),  # blocks smaller than the window; a remainder
        (108, 5, 8, None),  # and larger; the last segment is a block and a half
        (60, 59, 4, 0.7),  # only the first key is ever forgotten
        (60, 60, 4, None),  # none is
    ],
)
def test_sliding_windows_caps_and_scales_equal_the_textbook(length, window, block, cap):
    q, k, v = _qkv(1, length, 2, 2, 4)
    options = dict(window=window, cap=cap, scale=0.9)
    expected = _textbook(q, k, v, **options)
    both = lambda *a: (
        causal_attention(*a, block=block, **options),
        naive_causal_attention(*a, **options),
    )
    for out in jax.jit(both)(q, k, v):
        np.testing.assert_allclose(out, expected, atol=3e-6)


@pytest.mark.parametrize(("length", "window"), [(1000, 100), (700, 64), (1100, 1)])
def test_default_blocks_with_a_window(length, window):
    q, k, v = _qkv(1, length, 1, 2, 4)
    out = jax.jit(lambda *a: causal_attention(*a, window=window))(q, k, v)
    np.testing.assert_allclose(out, _textbook(q, k, v, window), atol=5e-6)


@pytest.mark.parametrize("length", [64, 65, 1000])
def test_default_blocks(length):
    q, k, v = _qkv(1, length, 1, 3, 8)
    out = jax.jit(causal_attention)(q, k, v)
    np.testing.assert_allclose(out, _textbook(q, k, v), atol=5e-6)


def test_large_scores_do_not_overflow():
    q, k, v = _qkv(1, 130, 1, 2, 8, scale=60.0)
    out = jax.jit(causal_attention)(q, k, v)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out, _textbook(q, k, v), rtol=1e-3, atol=2e-2)


def test_bfloat16_operands_accumulate_in_float32():
    q, k, v = _qkv(1, 100, 2, 2, 16, jnp.bfloat16)
    out = jax.jit(causal_attention)(q, k, v)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, _textbook(q, k, v), atol=2e-2)


def test_gradients_agree():
    q, k, v = _qkv(1, 70, 1, 2, 4)

    def loss(attend, *args):
        return jnp.sum(attend(*args) ** 2)

    def gradient(attend):
        return jax.jit(jax.grad(lambda *a: loss(attend, *a), (0, 1, 2)))(q, k, v)

    ours, whole = gradient(causal_attention), gradient(naive_causal_attention)
    for a, b in zip(ours, whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_future_keys_are_never_multiplied():
    """At 8 segments at most 1/16 of the square beyond the diagonal's own blocks is computed."""
    q, k, v = _qkv(1, 1024, 1, 1, 8)
    whole = jax.jit(naive_causal_attention).lower(q, k, v).compile().cost_analysis()
    unrolled = jax.jit(lambda *a: causal_attention(*a, block=128)).lower(q, k, v).compile()
    assert unrolled.cost_analysis()["flops"] < 0.6 * whole["flops"]


def test_long_sequences_get_smaller_blocks():
    assert attention._block_rows(1024, 9) == attention.BLOCK
    rows = attention._block_rows(32_768, 9)
    assert 16 <= rows < attention.BLOCK


def test_products_are_called_with_plain_operands():
    seen = []

    def spy(a, b, dimension_numbers, **kwargs):
        seen.append((a.shape, b.shape))
        return lax.dot_general(a, b, dimension_numbers, **kwargs)

    naive_causal_attention(*_qkv(2, 5, 2, 3, 4), scores=spy, values=spy)
    assert seen == [((2, 2, 15, 4), (2, 2, 5, 4)), ((2, 2, 15, 5), (2, 2, 5, 4))]
