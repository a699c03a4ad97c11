"""The sizes and constants that make a decoder, and the flags in which its families differ."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from photonjax.core.limits import allowed
from photonjax.models.scaling import LongRopeScaling, RopeScaling, YarnScaling, positive

__all__ = ["ACTIVATIONS", "DecoderConfig", "LongRopeScaling", "RopeScaling", "YarnScaling"]

Scaling = RopeScaling | YarnScaling | LongRopeScaling

ACTIVATIONS = ("silu", "gelu_tanh", "gelu", "relu")
MOST = {
    "num_layers": 10_000,
    "num_experts": 4096,
    **dict.fromkeys(("vocab_size", "hidden_size", "intermediate_size", "num_heads"), 2**24),
    **dict.fromkeys(("max_length", "sliding_window"), 2**31 - 1),
}
"""Bounds of what a configuration may count: a broken file must not loop for hours."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes and constants of a decoder. The defaults make a Llama; the rest are other families.

    Args:
      vocab_size: V, rows of the embedding table.
      hidden_size: width of the residual stream.
      intermediate_size: width of the gated MLP; with experts, of each expert.
      num_layers: number of blocks.
      num_heads: query heads.
      num_kv_heads: key-value heads; divides `num_heads`. None: as many as `num_heads`.
      head_dim: size of one head, even. None: hidden_size / num_heads.
      rope_theta: base of the rotary wavelengths.
      norm_eps: added to the mean square in RMSNorm.
      tie_embeddings: the head is the embedding table.
      max_length: longest sequence the model was made for (tokens); longer ones are refused.
      activation: of the MLP, ``"silu"``, ``"gelu_tanh"`` (Gemma), ``"gelu"`` (GPT-NeoX) or ``"relu"`` (OPT).
      gated_mlp: down(activation(gate(x)) · up(x)); else down(activation(up(x))) (GPT-NeoX, Falcon).
      qkv_bias: the q, k and v projections add a bias (Qwen2).
      o_bias, mlp_bias: so do attention's output and the MLP's projections (GPT-NeoX).
      layer_norm: LayerNorms, with a bias, in place of RMSNorms (GPT-NeoX, Falcon).
      qk_norm: every head of q and k goes through a norm before it is turned (Qwen3, Gemma 3).
      qk_norm_whole: that norm spans all heads at once (OLMo 2).
      query_scale: what q kᵀ is multiplied with. None: head_dim^-0.5.
      embedding_scale: embeddings are multiplied with hidden_size^0.5 (Gemma).
      norm_offset: RMSNorms multiply with ``1 + scale`` instead of ``scale`` (Gemma).
      pre_norms: attention and MLP read the residual stream through a norm; all but OLMo 2 do.
      post_norms: attention and MLP are normalised before they are added (Gemma 2 and 3, OLMo 2).
      parallel: attention and MLP read the same residual stream (GPT-NeoX, Falcon).
      shared_norm: through the same norm (Falcon 7B).
      scores_cap, logits_cap: c tanh(x / c) applied to q kᵀ, to the logits (Gemma 2).
      sliding_window: queries of local layers see this many tokens, themselves included. All layers
        are local (Mistral) unless `global_every` says otherwise.
      global_every: one layer in this many, the last of each period, attends to everything (Gemma: 2, 6).
      local_rope_theta: base of the wavelengths in local layers. None: as everywhere.
      rotary_dim: first components of each head that are turned, even. None: all of them.
      no_rope_every: one layer in so many, the last of each period, turns nothing (SmolLM3).
      rope_scaling: `RopeScaling`, `YarnScaling` or `LongRopeScaling`; not in local layers that have
        a base of their own.
      num_experts: experts of each MLP. None: one MLP, without routing.
      experts_per_token: of them, how many each token goes through.
      normalize_experts: the gates of a token's experts sum to one.

    Raises:
      ValueError: naming the field, its value and what is allowed.

    >>> DecoderConfig(
    ...     vocab_size=64, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=4
    ... ).head_dim
    8
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int = None  # type: ignore[assignment]
    head_dim: int = None  # type: ignore[assignment]
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    tie_embeddings: bool = False
    max_length: int = 131_072
    activation: str = "silu"
    gated_mlp: bool = True
    qkv_bias: bool = False
    o_bias: bool = False
    mlp_bias: bool = False
    layer_norm: bool = False
    qk_norm: bool = False
    qk_norm_whole: bool = False
    query_scale: float | None = None
    embedding_scale: bool = False
    norm_offset: bool = False
    pre_norms: bool = True
    post_norms: bool = False
    parallel: bool = False
    shared_norm: bool = False
    scores_cap: float | None = None
    logits_cap: float | None = None
    sliding_window: int | None = None
    global_every: int | None = None
    local_rope_theta: float | None = None
    rotary_dim: int | None = None
    no_rope_every: int | None = None
    rope_scaling: Scaling | None = None
    num_experts: int | None = None
    experts_per_token: int | None = None
    normalize_experts: bool = True

    def __post_init__(self) -> None:
        sizes = "vocab_size hidden_size intermediate_size num_layers num_heads max_length"
        if self.num_kv_heads is None:
            object.__setattr__(self, "num_kv_heads", self.num_heads)
        for field in (*sizes.split(), "num_kv_heads"):
            self._check(field, _whole, f"must be {allowed('an integer', 1)}")
        counts = "sliding_window global_every no_rope_every num_experts experts_per_token"
        for field in counts.split():
            self._check(
                field, _whole, f"must be {allowed('an integer', 1, optional=True)}", optional=True
            )
        for field, most in MOST.items():
            self._check(
                field,
                lambda n, m=most: n <= m,
                f"must be {allowed('an integer', 1, most)}",
                optional=True,
            )
        if self.num_heads % self.num_kv_heads:
            self._refuse("num_kv_heads", f"must divide num_heads={self.num_heads}")
        if self.head_dim is None:
            if self.hidden_size % self.num_heads:
                self._refuse(
                    "num_heads", f"must divide hidden_size={self.hidden_size}, or give head_dim"
                )
            object.__setattr__(self, "head_dim", self.hidden_size // self.num_heads)
        self._check(
            "head_dim",
            lambda value: _whole(value) and value % 2 == 0 and value <= MOST["hidden_size"],
            f"must be {allowed('an even integer', 2, MOST['hidden_size'])} (rotary positions turn pairs)",
        )
        self._check(
            "rotary_dim",
            lambda n: _whole(n) and n % 2 == 0 and n <= self.head_dim,
            f"must be {allowed('an even integer', 2, self.head_dim, optional=True)} (head_dim)",
            optional=True,
        )
        if self.rotary_dim == self.head_dim:
            object.__setattr__(self, "rotary_dim", None)
        for field in ("rope_theta", "norm_eps"):
            self._check(field, positive, f"must be {allowed('a number', above=0)}")
        for field in ("query_scale", "scores_cap", "logits_cap", "local_rope_theta"):
            self._check(
                field,
                positive,
                f"must be {allowed('a number', above=0, optional=True)}",
                optional=True,
            )
        for flag in dataclasses.fields(self):
            if flag.type == "bool":
                self._check(
                    flag.name, lambda value: isinstance(value, bool), "must be True or False"
                )
        if self.activation not in ACTIVATIONS:
            self._refuse("activation", f"must be one of {', '.join(ACTIVATIONS)}")
        if self.sliding_window is None:
            for field in ("global_every", "local_rope_theta"):
                if getattr(self, field) is not None:
                    self._refuse(field, "is for local layers: give sliding_window too")
        for field, other in (
            ("qk_norm_whole", "qk_norm"),
            ("shared_norm", "parallel"),
            ("shared_norm", "pre_norms"),
        ):
            if getattr(self, field) and not getattr(self, other):
                self._refuse(field, f"goes with {other}=True")
        if self.num_experts is not None and (self.mlp_bias or not self.gated_mlp):
            self._refuse("num_experts", "goes with a gated MLP without biases only")
        if not isinstance(self.rope_scaling, Scaling | None):
            self._refuse(
                "rope_scaling", "must be a RopeScaling, YarnScaling, LongRopeScaling or None"
            )
        pairs = (self.rotary_dim or self.head_dim) // 2
        if isinstance(self.rope_scaling, LongRopeScaling) and (
            {len(self.rope_scaling.short), len(self.rope_scaling.long)} != {pairs}
        ):
            self._refuse("rope_scaling", f"short and long must have {pairs} numbers each")
        if (self.num_experts is None) != (self.experts_per_token is None):
            self._refuse("experts_per_token", "goes with num_experts: give both or neither")
        if self.experts_per_token is not None and self.experts_per_token > self.num_experts:  # type: ignore[operator]
            self._refuse(
                "experts_per_token",
                f"must be {allowed('an integer', 1, self.num_experts)} (num_experts)",
            )

    def _check(self, field: str, right: Any, remedy: str, optional: bool = False) -> None:
        value = getattr(self, field)
        if not (optional and value is None) and not right(value):
            self._refuse(field, remedy)

    def _refuse(self, field: str, remedy: str) -> None:
        raise ValueError(f"DecoderConfig.{field}={getattr(self, field)!r:.100}: {remedy}")

    @property
    def period(self) -> int:
        """Layers after which the pattern of local ones and of turned ones repeats."""
        return math.lcm(self.global_every or 1, self.no_rope_every or 1)

    def local(self, layer: int) -> bool:
        """Whether a layer sees its sliding window only."""
        if self.sliding_window is None:
            return False
        return self.global_every is None or (layer + 1) % self.global_every != 0

    def turned(self, layer: int) -> bool:
        """Whether a layer turns its queries and keys by their positions."""
        return self.no_rope_every is None or (layer + 1) % self.no_rope_every != 0


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
