"""A decoder-only transformer of the Llama family in Flax NNX, with the flags of its relatives.

RMSNorm or LayerNorm, rotary positions, grouped-query attention, an MLP or experts, one after the
other or side by side, a tied or an untied head. Every matrix product, but those of experts, goes
through an attribute called ``dot_general``, so `photonjax.convert` can put any of them on light:

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
2.5 and 3); Gemma team, arXiv 2408.00118 and 2503.19786 (Gemma 2 and 3); Black et al., arXiv
2204.06745 (GPT-NeoX); Almazrouei et al., arXiv 2311.16867 (Falcon); OLMo team, arXiv 2501.00656.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from photonjax.models.config import DecoderConfig
from photonjax.models.experts import Experts
from photonjax.models.layers import ScannedLayers, make_layers, run_layers
from photonjax.models.parts import (
    Head,
    Product,
    RMSNorm,
    attend,
    check_call,
    check_dtypes,
    layer_norm,
    linear,
)
from photonjax.models.rotary import rotary_angles, rotate

__all__ = ["Decoder", "DecoderConfig"]

_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "silu": jax.nn.silu,
    "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "relu": jax.nn.relu,
}


Angles = tuple[jax.Array, jax.Array]


class Attention(nnx.Module):
    """Causal grouped-query self-attention with rotary positions."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        D, H, G = config.head_dim, config.num_heads, config.num_kv_heads
        bias = config.qkv_bias
        self.q_proj = linear(config.hidden_size, H * D, rngs, bias=bias, **dtypes)
        self.k_proj = linear(config.hidden_size, G * D, rngs, bias=bias, **dtypes)
        self.v_proj = linear(config.hidden_size, G * D, rngs, bias=bias, **dtypes)
        self.o_proj = linear(H * D, config.hidden_size, rngs, bias=config.o_bias, **dtypes)
        self.qk_norm, self.norm_whole = config.qk_norm, config.qk_norm_whole
        if config.qk_norm:
            self.q_norm = _norm(config, H * D if self.norm_whole else D, rngs, dtypes)
            self.k_norm = _norm(config, G * D if self.norm_whole else D, rngs, dtypes)
        self.scores = Product()
        self.values = Product()
        self.head_dim = D
        self.scale = config.query_scale
        self.cap = config.scores_cap
        self.dtype = dtypes["dtype"]

    def __call__(
        self, x: jax.Array, turn: Angles | None = None, window: int | None = None
    ) -> jax.Array:
        """x [B, L, hidden], angles 2 x [L, rotary_dim / 2] -> [B, L, hidden], float32."""
        options: dict[str, Any] = dict(scale=self.scale, window=window, cap=self.cap)
        o = attend(*self.heads(x, turn), self.scores, self.values, **options)
        return self.o_proj(o.reshape(*x.shape[:2], -1))

    def heads(self, x: jax.Array, turn: Angles | None) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Queries [B, L, H, D], keys and values [B, L, G, D] of x [B, L, hidden]."""
        heads = (*x.shape[:2], -1, self.head_dim)
        x = x.astype(self.dtype)
        q, k = self.q_proj(x), self.k_proj(x)
        if self.qk_norm and self.norm_whole:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = q.reshape(heads), k.reshape(heads)
        if self.qk_norm and not self.norm_whole:
            q, k = self.q_norm(q), self.k_norm(k)
        if turn is not None:
            q, k = rotate(q, *turn), rotate(k, *turn)
        q, k = q.astype(self.dtype), k.astype(self.dtype)
        return q, k, self.v_proj(x).reshape(heads).astype(self.dtype)


class MLP(nnx.Module):
    """down(activation(gate(x)) · up(x)), or without a gate down(activation(up(x)))."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        hidden, inner, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self.gated = config.gated_mlp
        if self.gated:
            self.gate_proj = linear(hidden, inner, rngs, bias=bias, **dtypes)
        self.up_proj = linear(hidden, inner, rngs, bias=bias, **dtypes)
        self.down_proj = linear(inner, hidden, rngs, bias=bias, **dtypes)
        self.activation = _ACTIVATIONS[config.activation]

    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, L, hidden] -> [B, L, hidden], float32."""
        if self.gated:
            return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))
        return self.down_proj(self.activation(self.up_proj(x)))


class Block(nnx.Module):
    """One layer: attention and MLP, normalised and added to the residual stream."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        self.pre_norms, self.post_norms = config.pre_norms, config.post_norms
        self.parallel, self.shared_norm = config.parallel, config.shared_norm
        if config.pre_norms:
            self.attn_norm = _norm(config, config.hidden_size, rngs, dtypes)
        self.attn = Attention(config, rngs=rngs, **dtypes)
        if config.pre_norms and not config.shared_norm:
            self.mlp_norm = _norm(config, config.hidden_size, rngs, dtypes)
        self.mlp: MLP | Experts
        if config.num_experts is None:
            self.mlp = MLP(config, rngs=rngs, **dtypes)
        else:
            activation = _ACTIVATIONS[config.activation]
            self.mlp = Experts(config, rngs=rngs, activation=activation, **dtypes)
        if config.post_norms:
            self.attn_post_norm = _norm(config, config.hidden_size, rngs, dtypes)
            self.mlp_post_norm = _norm(config, config.hidden_size, rngs, dtypes)

    def __call__(
        self, x: jax.Array, turn: Angles | None = None, window: int | None = None
    ) -> jax.Array:
        """x [B, L, hidden] -> [B, L, hidden], float32."""
        return self.run(x, lambda y: self.attn(y, turn, window))

    def run(self, x: jax.Array, attention: Callable[[jax.Array], jax.Array]) -> jax.Array:
        """The layer, with whatever `attention` does in the place of its own."""
        with jax.named_scope("attn"):
            read = self.attn_norm(x) if self.pre_norms else x
            y = attention(read)
            x, before = x + (self.attn_post_norm(y) if self.post_norms else y), x
        with jax.named_scope("mlp"):
            if not self.shared_norm:
                read = before if self.parallel else x
                read = self.mlp_norm(read) if self.pre_norms else read
            y = self.mlp(read)
            return x + (self.mlp_post_norm(y) if self.post_norms else y)


def _norm(
    config: DecoderConfig, size: int, rngs: nnx.Rngs, dtypes: dict[str, Any]
) -> RMSNorm | nnx.LayerNorm:
    if config.layer_norm:
        return layer_norm(size, config.norm_eps, rngs, param_dtype=dtypes["param_dtype"])
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
        self.norm = _norm(config, config.hidden_size, rngs, dtypes)
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
    """Angles, None where nothing is turned, and window of each layer of a period."""
    size = config.rotary_dim or config.head_dim
    everywhere = rotary_angles(length, size, config.rope_theta, config.rope_scaling)
    near = everywhere
    if config.local_rope_theta is not None:
        near = rotary_angles(length, size, config.local_rope_theta)
    contexts: list[tuple[Any, ...]] = []
    for layer in range(config.period):
        local = config.local(layer)
        turn = (near if local else everywhere) if config.turned(layer) else None
        contexts.append((turn, config.sliding_window if local else None))
    return contexts
