"""A decoder-only transformer of the Llama family in Flax NNX.

RMSNorm, rotary positions, grouped-query attention, SwiGLU, a tied or an untied head. Every matrix
product goes through an attribute called ``dot_general``, so `photonjax.convert` can put any of them
on light:

    embed                                                 lookup, no product
    layers/{i}/attn/{q_proj,k_proj,v_proj,o_proj}         [in, out] kernels
    layers/{i}/attn/{scores,values}                       products of two computed operands
    layers/{i}/mlp/{gate_proj,up_proj,down_proj}          [in, out] kernels
    head                                                  table [V, D] if tied, else kernel [D, V]

With ``scan_layers=True`` the layers are one block at ``layers/block`` whose Variables carry a
leading layer axis.

Sources: Touvron et al., arXiv 2302.13971 (the family); Zhang & Sennrich, arXiv 1910.07467
(RMSNorm); Su et al., arXiv 2104.09864 (rotary); Ainslie et al., arXiv 2305.13245 (grouped queries);
Shazeer, arXiv 2002.05202 (SwiGLU).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from photonjax.models.attention import causal_attention, naive_causal_attention
from photonjax.models.config import DecoderConfig

__all__ = ["Decoder", "DecoderConfig"]

_DTYPES = ("float32", "bfloat16", "float16")


def rotary_angles(length: int, head_dim: int, theta: float) -> tuple[jax.Array, jax.Array]:
    """Cosines and sines [L, head_dim / 2] of position · theta^(-2i/head_dim), float32."""
    frequency = theta ** -(jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim)
    angle = jnp.arange(length, dtype=jnp.float32)[:, None] * frequency
    return jnp.cos(angle), jnp.sin(angle)


def rotate(x_BLHD: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """Turns the pairs (i, i + D/2) of each head by its token's angles; float32 in and out."""
    x, y = jnp.split(x_BLHD, 2, axis=-1)
    cos, sin = cos[:, None], sin[:, None]
    return jnp.concatenate([x * cos - y * sin, y * cos + x * sin], axis=-1)


class RMSNorm(nnx.Module):
    """x / sqrt(mean(x²) + eps) · scale over the last axis, in float32."""

    def __init__(self, size: int, eps: float, *, param_dtype: Any = jnp.float32) -> None:
        self.scale = nnx.Param(jnp.ones((size,), param_dtype))
        self.eps = eps

    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises x [..., size]; returns float32."""
        x = x.astype(jnp.float32)
        return (
            x
            * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + self.eps)
            * self.scale[...].astype(jnp.float32)
        )


class Product(nnx.Module):
    """A product of two computed arrays, as a module: a place to replace `dot_general`."""

    def __init__(self, dot_general: Callable[..., jax.Array] = lax.dot_general) -> None:
        self.dot_general = dot_general

    def __call__(
        self, a: jax.Array, b: jax.Array, dimension_numbers: Any, **kwargs: Any
    ) -> jax.Array:
        """`lax.dot_general(a, b, dimension_numbers, **kwargs)`, on whatever `dot_general` is."""
        return self.dot_general(a, b, dimension_numbers, **kwargs)


class Attention(nnx.Module):
    """Causal grouped-query self-attention with rotary positions."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        D, H, G = config.head_dim, config.num_heads, config.num_kv_heads
        self.q_proj = _linear(config.hidden_size, H * D, rngs, **dtypes)
        self.k_proj = _linear(config.hidden_size, G * D, rngs, **dtypes)
        self.v_proj = _linear(config.hidden_size, G * D, rngs, **dtypes)
        self.o_proj = _linear(H * D, config.hidden_size, rngs, **dtypes)
        self.scores = Product()
        self.values = Product()
        self.head_dim = D
        self.dtype = dtypes["dtype"]

    def __call__(self, x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
        """x [B, L, hidden], angles [L, head_dim / 2] -> [B, L, hidden], float32."""
        heads = (*x.shape[:2], -1, self.head_dim)
        x = x.astype(self.dtype)
        q = rotate(self.q_proj(x).reshape(heads), cos, sin).astype(self.dtype)
        k = rotate(self.k_proj(x).reshape(heads), cos, sin).astype(self.dtype)
        v = self.v_proj(x).reshape(heads).astype(self.dtype)
        if (
            self.scores.dot_general is lax.dot_general
            and self.values.dot_general is lax.dot_general
        ):
            o = causal_attention(q, k, v)
        else:
            o = naive_causal_attention(q, k, v, scores=self.scores, values=self.values)
        return self.o_proj(o.reshape(*x.shape[:2], -1))


class MLP(nnx.Module):
    """SwiGLU: down(silu(gate(x)) · up(x))."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        self.gate_proj = _linear(config.hidden_size, config.intermediate_size, rngs, **dtypes)
        self.up_proj = _linear(config.hidden_size, config.intermediate_size, rngs, **dtypes)
        self.down_proj = _linear(config.intermediate_size, config.hidden_size, rngs, **dtypes)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, L, hidden] -> [B, L, hidden], float32."""
        return self.down_proj(jax.nn.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nnx.Module):
    """One layer: attention and MLP, each after a norm and added to the residual stream."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        self.attn_norm = RMSNorm(
            config.hidden_size, config.norm_eps, param_dtype=dtypes["param_dtype"]
        )
        self.attn = Attention(config, rngs=rngs, **dtypes)
        self.mlp_norm = RMSNorm(
            config.hidden_size, config.norm_eps, param_dtype=dtypes["param_dtype"]
        )
        self.mlp = MLP(config, rngs=rngs, **dtypes)

    def __call__(self, x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
        """x [B, L, hidden] -> [B, L, hidden], float32."""
        x = x + self.attn(self.attn_norm(x), cos, sin)
        return x + self.mlp(self.mlp_norm(x))


class Head(nnx.Module):
    """Logits: x [B, L, D] times the embedding table [V, D], not transposed, or a kernel [D, V]."""

    def __init__(
        self, config: DecoderConfig, *, rngs: nnx.Rngs, dtype: Any, param_dtype: Any
    ) -> None:
        self.dot_general = lax.dot_general
        self.dtype = dtype
        if config.tie_embeddings:
            self.held_weight = ("embed/embedding", 1)  # parameter and contracted axis, for convert
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


class ScannedLayers(nnx.Module):
    """All layers as one block whose Variables are stacked on axis 0, run by `lax.scan`.

    A Variable that a converter puts into the block (calibration, a random stream) is treated like a
    parameter: sliced per layer, and its new values stacked again, if it has axes; carried from
    layer to layer if it is a scalar (a plain `nnx.RngStream`'s key and counter, so no two layers
    draw the same numbers). What a layer leaves as it was is not written again.
    """

    def __init__(
        self, config: DecoderConfig, *, rngs: nnx.Rngs, remat: bool, **dtypes: Any
    ) -> None:
        @nnx.split_rngs(splits=config.num_layers)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def create(rngs: nnx.Rngs) -> Block:
            return Block(config, rngs=rngs, **dtypes)

        self.block = create(rngs)
        self.num_layers = config.num_layers
        self.remat = remat

    def __call__(self, x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
        """x [B, L, hidden] through every layer in turn."""
        graph, state = nnx.split(self.block)
        variables = nnx.to_flat_state(state)
        shared = {path: v for path, v in variables if jnp.ndim(v.get_value()) == 0}
        stacked = {path: v for path, v in variables if path not in shared}

        def layer(carry: Any, sliced: Any) -> tuple[Any, Any]:
            x, shared = carry
            block = nnx.merge(graph, nnx.from_flat_state({**sliced, **shared}))
            before = {path: v.get_value() for path, v in sliced.items()}
            x = block(x, cos, sin)
            after = dict(nnx.to_flat_state(nnx.state(block)))
            changed = {
                path: after[path]
                for path, value in before.items()
                if after[path].get_value() is not value
            }
            return (x, {path: after[path] for path in shared}), changed

        body = jax.checkpoint(layer) if self.remat else layer
        (x, shared), changed = lax.scan(body, (x, shared), stacked, length=self.num_layers)
        nnx.update(self.block, nnx.from_flat_state({**changed, **shared}))
        return x


class Decoder(nnx.Module):
    """A causal language model: tokens in, logits at every position out.

    Args:
      config: sizes and constants.
      rngs: where the initial weights come from (stream ``params``).
      scan_layers: keep the layers stacked and scan over them (one compiled layer, small programs).
      remat: recompute each layer in the backward pass instead of storing its activations.
      dtype: of the operands of the products; their sums, the norms, the softmax and the residual
        stream are float32.
      param_dtype: of the stored weights.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> config = DecoderConfig(
    ...     vocab_size=64, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=4
    ... )
    >>> model = Decoder(config, rngs=nnx.Rngs(0))
    >>> model(jnp.zeros((1, 5), jnp.int32)).shape
    (1, 5, 64)
    """

    def __init__(
        self,
        config: DecoderConfig,
        *,
        rngs: nnx.Rngs,
        scan_layers: bool = False,
        remat: bool = False,
        dtype: Any = jnp.float32,
        param_dtype: Any = jnp.float32,
    ) -> None:
        for name, value in (("dtype", dtype), ("param_dtype", param_dtype)):
            if jnp.dtype(value).name not in _DTYPES:
                raise ValueError(f"Decoder: {name}={value!r}: must be one of {', '.join(_DTYPES)}")
        dtypes = dict(dtype=dtype, param_dtype=param_dtype)
        init = nnx.initializers.normal(0.02)
        self.config = config
        self.remat = remat
        self.embed = nnx.Embed(
            config.vocab_size, config.hidden_size, embedding_init=init, rngs=rngs, **dtypes
        )
        self.layers: nnx.Module
        if scan_layers:
            self.layers = ScannedLayers(config, rngs=rngs, remat=remat, **dtypes)
        else:
            self.layers = nnx.List(
                [Block(config, rngs=rngs, **dtypes) for _ in range(config.num_layers)]
            )
        self.norm = RMSNorm(config.hidden_size, config.norm_eps, param_dtype=param_dtype)
        self.head = Head(config, rngs=rngs, **dtypes)

    @property
    def scan_layers(self) -> bool:
        """Whether the layers are stacked."""
        return isinstance(self.layers, ScannedLayers)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Logits of the next token at every position.

        Args:
          tokens: [B, L] integer token ids below `config.vocab_size`.

        Returns:
          [B, L, V] float32.

        Raises:
          ValueError: tokens are not a [B, L] integer array, or L exceeds `config.max_length`.
        """
        if tokens.ndim != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer):
            raise ValueError(
                f"tokens: {tokens.dtype}{list(tokens.shape)}: must be integers [batch, length]"
            )
        if not 0 < tokens.shape[1] <= self.config.max_length:
            raise ValueError(
                f"tokens: length {tokens.shape[1]}: not in 1..max_length={self.config.max_length}"
            )
        cos, sin = rotary_angles(tokens.shape[1], self.config.head_dim, self.config.rope_theta)
        x = self.embed(tokens).astype(jnp.float32)
        if self.scan_layers:
            x = self.layers(x, cos, sin)
        else:
            run = nnx.remat(_run) if self.remat else _run
            for block in self.layers:  # type: ignore[attr-defined]
                x = run(block, x, cos, sin)
        return self.head(
            self.norm(x), self.embed.embedding[...] if self.config.tie_embeddings else None
        )


def _run(block: Block, x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    return block(x, cos, sin)


def _linear(size_in: int, size_out: int, rngs: nnx.Rngs, **dtypes: Any) -> nnx.Linear:
    return nnx.Linear(
        size_in, size_out, use_bias=False, preferred_element_type=jnp.float32, rngs=rngs, **dtypes
    )
