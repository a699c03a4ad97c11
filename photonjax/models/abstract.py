"""Models without weights: shapes and dtypes only, whatever their size."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx

from photonjax.models.config import DecoderConfig
from photonjax.models.decoder import Decoder
from photonjax.models.gpt2 import GPT2, GPT2Config

__all__ = ["ModelConfig", "abstract_model"]

ModelConfig = DecoderConfig | GPT2Config


def abstract_model(
    config: ModelConfig, *, scan_layers: bool = True, dtype: Any = jnp.bfloat16
) -> Decoder | GPT2:
    """The model of a configuration, its weights `jax.ShapeDtypeStruct`.

    >>> abstract_model(GPT2Config()).embed.embedding.shape
    (50257, 768)
    """
    options = dict(scan_layers=scan_layers, dtype=dtype, param_dtype=dtype)
    kind: Any = Decoder if isinstance(config, DecoderConfig) else GPT2
    return nnx.eval_shape(lambda: kind(config, rngs=nnx.Rngs(0), **options))
