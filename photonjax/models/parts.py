"""Parts that every model here is built from: linear layers, norms, products, the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from photonjax.models.attention import causal_attention, naive_causal_attention

__all__ = [
    "DTYPES",
    "Head",
    "Product",
    "RMSNorm",
    "attend",
    "check_call",
    "check_dtypes",
    "layer_norm",
    "linear",
]

DTYPES = ("float32", "bfloat16", "float16")


def linear(size_in: int, size_out: int, rngs: nnx.Rngs, *, bias: bool = False, **dtypes: Any):
    """A linear layer [in, out] whose product sums in float32."""
    return nnx.Linear(
        size_in, size_out, use_bias=bias, preferred_element_type=jnp.float32, rngs=rngs, **dtypes
    )


def layer_norm(size: int, eps: float, rngs: nnx.Rngs, *, param_dtype: Any) -> nnx.LayerNorm:
    """A LayerNorm with scale and bias, in float32."""
    return nnx.LayerNorm(
        size,
        epsilon=eps,
        use_fast_variance=False,
        dtype=jnp.float32,
        param_dtype=param_dtype,
        rngs=rngs,
    )


class RMSNorm(nnx.Module):
    """x / sqrt(mean(x²) + eps) · (offset + scale) over the last axis, in float32.

    The offset is 0 or 1; the initial factor is 1 either way.
    """

    def __init__(
        self, size: int, eps: float, *, offset: bool = False, param_dtype: Any = jnp.float32
    ) -> None:
        self.scale = nnx.Param(jnp.full((size,), 0.0 if offset else 1.0, param_dtype))
        self.eps = eps
        self.offset = offset

    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises x [..., size]; returns float32."""
        x = x.astype(jnp.float32)
        scale = self.scale[...].astype(jnp.float32)
        y = x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + self.eps)
        return y * (1 + scale if self.offset else scale)


class Product(nnx.Module):
    """A product of two computed arrays, as a module: a place to replace `dot_general`."""

    def __init__(self, dot_general: Callable[..., jax.Array] = lax.dot_general) -> None:
        self.dot_general = dot_general

    def __call__(
        self, a: jax.Array, b: jax.Array, dimension_numbers: Any, **kwargs: Any
    ) -> jax.Array:
        """`lax.dot_general(a, b, dimension_numbers, **kwargs)`, on whatever `dot_general` is."""
        return self.dot_general(a, b, dimension_numbers, **kwargs)


def attend(
    q: jax.Array, k: jax.Array, v: jax.Array, scores: Product, values: Product, **options: Any
) -> jax.Array:
    """`causal_attention`, or over the whole square if one of its products has been replaced."""
    if all(product.dot_general is lax.dot_general for product in (scores, values)):
        return causal_attention(q, k, v, **options)
    return naive_causal_attention(q, k, v, scores=scores, values=values, **options)


class Head(nnx.Module):
    """Logits: x [B, L, D] times the embedding table [V, D], not transposed, or a kernel [D, V]."""

    def __init__(
        self, config: Any, *, rngs: nnx.Rngs, dtype: Any, param_dtype: Any, tied: bool
    ) -> None:
        self.dot_general = lax.dot_general
        self.dtype = dtype
        if tied:
            self.programmed_weight = (
                "embed/embedding",
                1,
            )  # parameter and contracted axis, for convert
        else:
            init = nnx.initializers.lecun_normal()
            shape = (config.hidden_size, config.vocab_size)
            self.kernel = nnx.Param(init(rngs.params(), shape, param_dtype))

    def __call__(self, x: jax.Array, table: jax.Array | None = None) -> jax.Array:
        """x [B, L, D], and the table [V, D] if the head is tied -> logits [B, L, V], float32."""
        weight, axis = (self.kernel[...], 0) if table is None else (table, 1)
        return self.dot_general(
            x.astype(self.dtype),
            weight.astype(self.dtype),
            (((x.ndim - 1,), (axis,)), ((), ())),
            preferred_element_type=jnp.float32,
        )


def check_dtypes(model: str, dtypes: dict[str, Any]) -> None:
    """Refuse dtypes that a model does not compute or store in."""
    for name, value in dtypes.items():
        if jnp.dtype(value).name not in DTYPES:
            raise ValueError(f"{model}: {name}={value!r}: must be one of {', '.join(DTYPES)}")


def check_call(tokens: jax.Array, max_length: int) -> None:
    """Refuses tokens that are not integers [B, L] with L in 1..max_length."""
    if tokens.ndim != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(
            f"tokens: {tokens.dtype}{list(tokens.shape)}: must be integers [batch, length]"
        )
    if not 0 < tokens.shape[1] <= max_length:
        raise ValueError(f"tokens: length {tokens.shape[1]}: not in 1..max_length={max_length}")
