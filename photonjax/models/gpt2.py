"""GPT-2: learned positions, LayerNorm, GELU, every linear layer with a bias, a tied head.

Attention and the scanned layers are the decoder's; the products are found under

    layers/{i}/attn/{qkv_proj,o_proj}     [in, out] kernels; q, k and v are one product
    layers/{i}/attn/{scores,values}       products of two computed operands
    layers/{i}/mlp/{up_proj,down_proj}    [in, out] kernels
    head                                  the embedding table [V, D]

Source: Radford et al., "Language models are unsupervised multitask learners", OpenAI 2019.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from photonjax.core.limits import allowed
from photonjax.models.layers import ScannedLayers, make_layers, run_layers
from photonjax.models.parts import (
    Head,
    Product,
    attend,
    check_call,
    check_dtypes,
    layer_norm,
    linear,
)

__all__ = ["GPT2", "GPT2Config"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GPT2Config:
    """Sizes of a GPT-2; the defaults are the smallest published one.

    Args:
      vocab_size: V, rows of the embedding table.
      hidden_size: width of the residual stream.
      intermediate_size: width of the MLP. None: 4 hidden_size.
      num_layers: number of blocks.
      num_heads: attention heads; divides `hidden_size`.
      norm_eps: added to the variance in LayerNorm.
      max_length: rows of the table of positions (tokens); longer sequences are refused.

    Raises:
      ValueError: naming the field, its value and what is allowed.

    >>> GPT2Config(hidden_size=32, num_heads=4).intermediate_size
    128
    """

    vocab_size: int = 50_257
    hidden_size: int = 768
    intermediate_size: int = None  # type: ignore[assignment]
    num_layers: int = 12
    num_heads: int = 12
    norm_eps: float = 1e-5
    max_length: int = 1024

    def __post_init__(self) -> None:
        if self.intermediate_size is None:
            object.__setattr__(self, "intermediate_size", 4 * self.hidden_size)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind = (int, float) if field.type == "float" else int
            if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < 2**63:
                words = "a number" if field.type == "float" else "an integer"
                raise ValueError(
                    f"GPT2Config.{field.name}={value!r:.100}: must be {allowed(words, above=0)}"
                )
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"GPT2Config.num_heads={self.num_heads}: must divide hidden_size={self.hidden_size}"
            )


class Attention(nnx.Module):
    """Causal self-attention; q, k and v side by side in one product."""

    def __init__(self, config: GPT2Config, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        D = config.hidden_size
        self.qkv_proj = linear(D, 3 * D, rngs, bias=True, **dtypes)
        self.o_proj = linear(D, D, rngs, bias=True, **dtypes)
        self.scores = Product()
        self.values = Product()
        self.num_heads = config.num_heads
        self.dtype = dtypes["dtype"]

    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, L, hidden] -> [B, L, hidden], float32."""
        qkv = self.qkv_proj(x).astype(self.dtype).reshape(*x.shape[:2], 3, self.num_heads, -1)
        o = attend(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], self.scores, self.values)
        return self.o_proj(o.reshape(x.shape))


class MLP(nnx.Module):
    """down(gelu(up(x))), the tanh form of GELU."""

    def __init__(self, config: GPT2Config, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        self.up_proj = linear(
            config.hidden_size, config.intermediate_size, rngs, bias=True, **dtypes
        )
        self.down_proj = linear(
            config.intermediate_size, config.hidden_size, rngs, bias=True, **dtypes
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, L, hidden] -> [B, L, hidden], float32."""
        return self.down_proj(jax.nn.gelu(self.up_proj(x), approximate=True))


class Block(nnx.Module):
    """One layer: attention and MLP, each after a norm and added to the residual stream."""

    def __init__(self, config: GPT2Config, *, rngs: nnx.Rngs, **dtypes: Any) -> None:
        self.attn_norm = _norm(config, rngs, dtypes)
        self.attn = Attention(config, rngs=rngs, **dtypes)
        self.mlp_norm = _norm(config, rngs, dtypes)
        self.mlp = MLP(config, rngs=rngs, **dtypes)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, L, hidden] -> [B, L, hidden], float32."""
        with jax.named_scope("attn"):
            x = x + self.attn(self.attn_norm(x))
        with jax.named_scope("mlp"):
            return x + self.mlp(self.mlp_norm(x))


class GPT2(nnx.Module):
    """A causal language model: tokens in, logits at every position out.

    Args:
      config, rngs, scan_layers, remat, dtype, param_dtype: as those of `Decoder`.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> config = GPT2Config(vocab_size=64, hidden_size=32, num_layers=2, num_heads=4)
    >>> GPT2(config, rngs=nnx.Rngs(0))(jnp.zeros((1, 5), jnp.int32)).shape
    (1, 5, 64)
    """

    def __init__(
        self,
        config: GPT2Config,
        *,
        rngs: nnx.Rngs,
        scan_layers: bool = False,
        remat: bool = False,
        dtype: Any = jnp.float32,
        param_dtype: Any = jnp.float32,
    ) -> None:
        dtypes = dict(dtype=dtype, param_dtype=param_dtype)
        check_dtypes("GPT2", dtypes)
        init = dict(embedding_init=nnx.initializers.normal(0.02), rngs=rngs, **dtypes)
        self.config = config
        self.remat = remat
        self.embed = nnx.Embed(config.vocab_size, config.hidden_size, **init)
        self.positions = nnx.Embed(config.max_length, config.hidden_size, **init)
        make = functools.partial(_make_block, config=config, dtypes=dtypes)
        self.layers = make_layers(make, config.num_layers, rngs=rngs, scan=scan_layers)
        self.norm = _norm(config, rngs, dtypes)
        self.head = Head(config, rngs=rngs, tied=True, **dtypes)

    @property
    def scan_layers(self) -> bool:
        """Whether the layers are stacked."""
        return isinstance(self.layers, ScannedLayers)

    def __call__(self, tokens: jax.Array, *, last_only: bool = False) -> jax.Array:
        """Logits of the next token at every position: `Decoder.__call__`, which see."""
        check_call(tokens, self.config.max_length)
        places = self.positions(jnp.arange(tokens.shape[1]))
        x = self.embed(tokens).astype(jnp.float32) + places.astype(jnp.float32)
        x = run_layers(self.layers, x, [()], remat=self.remat)
        return self.head(self.norm(x[:, -1:] if last_only else x), self.embed.embedding[...])


def _make_block(rngs: nnx.Rngs, config: GPT2Config, dtypes: dict[str, Any]) -> Block:
    return Block(config, rngs=rngs, **dtypes)


def _norm(config: GPT2Config, rngs: nnx.Rngs, dtypes: dict[str, Any]) -> nnx.LayerNorm:
    return layer_norm(config.hidden_size, config.norm_eps, rngs, param_dtype=dtypes["param_dtype"])
