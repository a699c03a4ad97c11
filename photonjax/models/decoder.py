"""A decoder-only transformer of the Llama family in Flax NNX, with the flags of its relatives.

RMSNorm, rotary positions, grouped-query attention, a gated MLP or experts, a tied or an untied
head. Every matrix product, but those of experts, goes through an attribute called ``dot_general``,
so `photonjax.convert` can put any of them on light:

    embed                                                 lookup, no product
    layers/{i}/attn/{q_proj,k_proj,v_proj,o_proj}         [in, out] kernels
    layers/{i}/attn/{scores,values}                       products of two computed operands
    layers/{i}/mlp/{gate_proj,up_proj,down_proj}          [in, out] kernels
    layers/{i}/mlp/router                                 [in, experts] kernel, with experts
    head                                                  table [V, D] if tied, else kernel [D, V]

With ``scan_layers=True`` the layers are one block at ``layers/block`` whose Variables carry a
leading layer axis.

Sources: Touvron et al., arXiv 2302.13971 (the family); Zhang & Sennrich, arXiv 1910.07467
(RMSNorm); Ainslie et al., arXiv 2305.13245 (grouped queries); Shazeer, arXiv 2002.05202 (gated
MLPs); Jiang et al., arXiv 2310.06825 (Mistral); Qwen team, arXiv 2412.15115 and 2505.09388 (Qwen
2.5 and 3); Gemma team, arXiv 2408.00118 and 2503.19786 (Gemma 2 and 3).
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from photonjax.models.config import DecoderConfig
from photonjax.models.experts import Experts
from photonjax.models.layers import ScannedLayers, make_layers, run_layers
from photonjax.models.parts import Head, Product, RMSNorm, attend, check_call, check_dtypes, linear
from photonjax.models.rotary import rotary_angles, rotate

__all__ = ["Decoder", "DecoderConfig"]

_ACTIVATIONS = {"silu": jax.nn.silu, "gelu_tanh": jax.nn.gelu}  # jax's gelu is the tanh form


class Attention(nnx.Module):
    """Causal grouped-query self-attention with rotary positions."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        D, H, G = config.head_dim, config.num_heads, config.num_kv_heads
        bias = config.qkv_bias
        self.q_proj = linear(config.hidden_size, H * D, rngs, bias=bias, **dtypes)
        self.k_proj = linear(config.hidden_size, G * D, rngs, bias=bias, **dtypes)
        self.v_proj = linear(config.hidden_size, G * D, rngs, bias=bias, **dtypes)
        self.o_proj = linear(H * D, config.hidden_size, rngs, **dtypes)
        self.qk_norm = config.qk_norm
        if config.qk_norm:
            self.q_norm = _norm(config, D, dtypes)
            self.k_norm = _norm(config, D, dtypes)
        self.scores = Product()
        self.values = Product()
        self.head_dim = D
        self.scale = config.query_scale
        self.cap = config.scores_cap
        self.dtype = dtypes["dtype"]

    def __call__(
        self, x: jax.Array, cos: jax.Array, sin: jax.Array, window: int | None = None
    ) -> jax.Array:
        """x [B, L, hidden], angles [L, head_dim / 2] -> [B, L, hidden], float32."""
        heads = (*x.shape[:2], -1, self.head_dim)
        x = x.astype(self.dtype)
        q, k = self.q_proj(x).reshape(heads), self.k_proj(x).reshape(heads)
        if self.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = (rotate(a, cos, sin).astype(self.dtype) for a in (q, k))
        v = self.v_proj(x).reshape(heads).astype(self.dtype)
        options = dict(scale=self.scale, window=window, cap=self.cap)
        o = attend(q, k, v, self.scores, self.values, **options)
        return self.o_proj(o.reshape(*x.shape[:2], -1))


class MLP(nnx.Module):
    """A gated MLP: down(activation(gate(x)) · up(x))."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        self.gate_proj = linear(config.hidden_size, config.intermediate_size, rngs, **dtypes)
        self.up_proj = linear(config.hidden_size, config.intermediate_size, rngs, **dtypes)
        self.down_proj = linear(config.intermediate_size, config.hidden_size, rngs, **dtypes)
        self.activation = _ACTIVATIONS[config.activation]

    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, L, hidden] -> [B, L, hidden], float32."""
        return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))


class Block(nnx.Module):
    """One layer: attention and MLP, each after a norm and added to the residual stream."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        self.attn_norm = _norm(config, config.hidden_size, dtypes)
        self.attn = Attention(config, rngs=rngs, **dtypes)
        self.mlp_norm = _norm(config, config.hidden_size, dtypes)
        self.mlp: MLP | Experts
        if config.num_experts is None:
            self.mlp = MLP(config, rngs=rngs, **dtypes)
        else:
            activation = _ACTIVATIONS[config.activation]
            self.mlp = Experts(config, rngs=rngs, activation=activation, **dtypes)
        self.post_norms = config.post_norms
        if config.post_norms:
            self.attn_post_norm = _norm(config, config.hidden_size, dtypes)
            self.mlp_post_norm = _norm(config, config.hidden_size, dtypes)

    def __call__(
        self, x: jax.Array, cos: jax.Array, sin: jax.Array, window: int | None = None
    ) -> jax.Array:
        """x [B, L, hidden] -> [B, L, hidden], float32."""
        with jax.named_scope("attn"):
            y = self.attn(self.attn_norm(x), cos, sin, window)
            x = x + (self.attn_post_norm(y) if self.post_norms else y)
        with jax.named_scope("mlp"):
            y = self.mlp(self.mlp_norm(x))
            return x + (self.mlp_post_norm(y) if self.post_norms else y)


def _norm(config: DecoderConfig, size: int, dtypes: dict[str, Any]) -> RMSNorm:
    return RMSNorm(
        size, config.norm_eps, offset=config.norm_offset, param_dtype=dtypes["param_dtype"]
    )


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
        dtypes = dict(dtype=dtype, param_dtype=param_dtype)
        check_dtypes("Decoder", dtypes)
        init = nnx.initializers.normal(0.02)
        self.config = config
        self.remat = remat
        self.embed = nnx.Embed(
            config.vocab_size, config.hidden_size, embedding_init=init, rngs=rngs, **dtypes
        )
        make = functools.partial(_make_block, config=config, dtypes=dtypes)
        self.layers = make_layers(make, config.num_layers, rngs=rngs, scan=scan_layers)
        self.norm = _norm(config, config.hidden_size, dtypes)
        self.head = Head(config, rngs=rngs, tied=config.tie_embeddings, **dtypes)

    @property
    def scan_layers(self) -> bool:
        """Whether the layers are stacked."""
        return isinstance(self.layers, ScannedLayers)

    def __call__(self, tokens: jax.Array, *, last_only: bool = False) -> jax.Array:
        """Logits of the next token at every position.

        Args:
          tokens: [B, L] integer token ids below `config.vocab_size`.
          last_only: those after the last token only, all that a prefill needs.

        Returns:
          [B, L, V] float32; [B, 1, V] if `last_only`.

        Raises:
          ValueError: tokens are not a [B, L] integer array, or L exceeds `config.max_length`.
        """
        check_call(tokens, self.config.max_length)
        x = self.embed(tokens).astype(jnp.float32)
        if self.config.embedding_scale:
            x = x * self.config.hidden_size**0.5
        contexts = _contexts(self.config, tokens.shape[1])
        x = run_layers(self.layers, x, contexts, remat=self.remat)
        x = self.norm(x[:, -1:] if last_only else x)
        logits = self.head(x, self.embed.embedding[...] if self.config.tie_embeddings else None)
        cap = self.config.logits_cap
        return logits if cap is None else cap * jnp.tanh(logits / cap)


def _make_block(rngs: nnx.Rngs, config: DecoderConfig, dtypes: dict[str, Any]) -> Block:
    return Block(config, rngs=rngs, **dtypes)


def _contexts(config: DecoderConfig, length: int) -> list[tuple[Any, ...]]:
    """Angles and window of each layer of a period."""
    everywhere = rotary_angles(length, config.head_dim, config.rope_theta, config.rope_scaling)
    near = everywhere
    if config.local_rope_theta is not None:
        near = rotary_angles(length, config.head_dim, config.local_rope_theta)
    return [
        (*near, config.sliding_window) if config.local(layer) else (*everywhere, None)
        for layer in range(config.period)
    ]
