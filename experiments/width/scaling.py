"""How initial weights and learning rates follow the width: the standard way, and maximal updates (µP).

Yang et al., "Tensor Programs V", arXiv 2203.03466, table 3, for Adam, whose updates have the size of the
learning rate whatever the gradient's. ``r`` is the width over the base width, where both ways are one:

============================  ================================  =========================
weights                       initial standard deviation        learning rate
============================  ================================  =========================
embedding (input)             constant                          constant
norms                         1, exactly                        constant
hidden matrices               ``fan_in**-0.5``                  ``1/r`` (standard: constant)
head (output)                 ``fan_in**-0.5 r**-0.5``          ``1/r`` (standard: constant)
                              (standard: without ``r**-0.5``)
============================  ================================  =========================

Why ``1/r``: an update of a hidden matrix is correlated with its input, so that it adds ``rate * K`` to an
output, and not ``rate * K**0.5``. Why the head's ``r**-0.5``: what the hidden state has learnt is correlated
with the head's first weights, and their product would grow as ``K**0.5``. The head's two factors together
are a factor of ``1/r`` on logits whose weights start and learn as at the base width (their lemma J.1: Adam
does not see the size of a gradient). Attention's scores need no ``1/d`` in place of ``d**-0.5``, since a
head's size ``d`` does not grow here. Weight decay is taken with the learning rate before its multiplier, so
that ``rate * decay``, which sets how long a weight is remembered, does not depend on width (Wang and
Aitchison, arXiv 2405.13698).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


def multipliers(state: nnx.State, scaling: str, ratio: float) -> nnx.State:
    """The factor of each parameter's learning rate.

    >>> from photonjax.models import Decoder, DecoderConfig
    >>> sizes = dict(vocab_size=32, hidden_size=16, intermediate_size=32, num_layers=1, num_heads=2)
    >>> state = nnx.state(Decoder(DecoderConfig(**sizes), rngs=nnx.Rngs(0)), nnx.Param)
    >>> factors = multipliers(state, "mup", 4.0)
    >>> float(factors["head"]["kernel"][...]), float(factors["embed"]["embedding"][...])
    (0.25, 1.0)
    """
    slow = 1 / ratio if scaling == "mup" else 1.0
    return _of_each(state, lambda path: slow if "kernel" in path else 1.0)


def decays(state: nnx.State) -> nnx.State:
    """1 for what weight decay acts on: matrices, but for the embedding; else 0."""
    return _of_each(state, lambda path: 1.0 if "kernel" in path else 0.0)


def initialize(model: nnx.Module, scaling: str, ratio: float) -> None:
    """Scale a decoder's own initial weights (``fan_in**-0.5`` in every matrix); in place."""
    if scaling == "mup":
        head: Any = model.head  # type: ignore[attr-defined]
        head.kernel[...] = head.kernel[...] * ratio**-0.5


def _of_each(state: nnx.State, number: Any) -> nnx.State:
    def one(path: Any, _: Any) -> jax.Array:
        return jnp.float32(number(jax.tree_util.keystr(path)))

    return jax.tree_util.tree_map_with_path(one, state)
