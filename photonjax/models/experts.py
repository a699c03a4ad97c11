"""A mixture of experts: every token goes through the few of many MLPs that a router picks for it.

Rows are sorted by expert and multiplied by `lax.ragged_dot`: row i meets the matrix of its own
expert only. So the program holds experts_per_token / num_experts of the work of all experts, and
the workload counts that. (XLA's CPU backend has no ragged product and multiplies every row with
every expert; results are the same, the time is not.) Nothing is dropped, whatever the balance.

Sources: Shazeer et al., arXiv 1701.06538; Jiang et al., arXiv 2401.04088 (Mixtral).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from photonjax.core.ragged import optical_ragged_dot
from photonjax.models.config import DecoderConfig
from photonjax.models.parts import linear

__all__ = ["ExpertLinear", "Experts"]


class ExpertLinear(nnx.Module):
    """One matrix [in, out] per expert; sorted rows meet their own expert's."""

    batch_axes = 1  # of the kernel: its elements are matrices of their own

    def __init__(
        self, experts: int, size_in: int, size_out: int, rngs: nnx.Rngs, *, dtype, param_dtype
    ) -> None:
        init = nnx.initializers.lecun_normal(batch_axis=0)
        self.kernel = nnx.Param(init(rngs.params(), (experts, size_in, size_out), param_dtype))
        self.dtype = dtype
        self.dot_general = lax.dot_general

    def __call__(self, x: jax.Array, rows: jax.Array) -> jax.Array:
        """x [rows, in], sorted by expert, rows [experts] of each -> [rows, out], float32."""
        x, w = x.astype(self.dtype), self.kernel[...].astype(self.dtype)
        if self.dot_general is lax.dot_general:
            return lax.ragged_dot(x, w, rows, preferred_element_type=jnp.float32)
        return optical_ragged_dot(
            x, w, rows, preferred_element_type=jnp.float32, dot_general=self.dot_general
        )


class Experts(nnx.Module):
    """Σ over the chosen experts e of gate_e(x) · down_e(activation(gate_proj_e(x)) · up_e(x))."""

    def __init__(
        self,
        config: DecoderConfig,
        *,
        rngs: nnx.Rngs,
        activation: Callable[[jax.Array], jax.Array],
        **dtypes: Any,
    ) -> None:
        assert config.num_experts is not None and config.experts_per_token is not None
        hidden, inner, count = config.hidden_size, config.intermediate_size, config.num_experts
        self.router = linear(hidden, count, rngs, **dtypes)
        self.gate_proj = ExpertLinear(count, hidden, inner, rngs, **dtypes)
        self.up_proj = ExpertLinear(count, hidden, inner, rngs, **dtypes)
        self.down_proj = ExpertLinear(count, inner, hidden, rngs, **dtypes)
        self.activation = activation
        self.experts, self.chosen = count, config.experts_per_token
        self.normalize = config.normalize_experts

    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, L, hidden] -> [B, L, hidden], float32."""
        x_TD = x.reshape(-1, x.shape[-1])
        gates, chosen = lax.top_k(jax.nn.softmax(self.router(x_TD)), self.chosen)  # [T, chosen]
        if self.normalize:
            gates = gates / gates.sum(-1, keepdims=True)
        order = jnp.argsort(chosen.ravel())
        rows = jnp.zeros(self.experts, jnp.int32).at[chosen.ravel()].add(1)
        sorted_x = x_TD[order // self.chosen]
        hidden = self.activation(self.gate_proj(sorted_x, rows)) * self.up_proj(sorted_x, rows)
        y = self.down_proj(hidden, rows)[jnp.argsort(order)]
        y = y.reshape(*gates.shape, -1) * gates[..., None]
        return y.sum(1).reshape(x.shape)
