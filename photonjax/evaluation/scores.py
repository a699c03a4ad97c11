"""How far one window's logits are from the text, and from the digital model's."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Scores(NamedTuple):
    """Sums over the predictions of one window.

    Attributes:
      nll: negative log-likelihood of the text, nats.
      kl: Kullback-Leibler divergence of these predictions from the reference's, nats.
      agree: how many predictions have the same most likely token.
    """

    nll: jax.Array
    kl: jax.Array
    agree: jax.Array


@jax.jit
def compare(logits: jax.Array, reference: jax.Array, tokens: jax.Array) -> Scores:
    """Score logits ``[length, vocabulary]`` of a window against its tokens and a reference's logits.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.zeros((3, 4))
      >>> scores = compare(logits, logits, jnp.array([0, 1, 2]))
      >>> float(scores.nll / 2), float(scores.kl), int(scores.agree)    # ln 4: all four are as likely
      (1.3862943649291992, 0.0, 2)
    """
    ours, theirs = jax.nn.log_softmax(logits[:-1]), jax.nn.log_softmax(reference[:-1])
    p, d = jnp.exp(theirs), ours - theirs
    # p log(p/q) - p + q: the same sum, but no term is negative, whatever the rounding of the others.
    kl = jnp.where(jnp.abs(d) < 1, p * (jnp.expm1(d) - d), jnp.exp(ours) - p - p * d)
    return Scores(
        nll=-jnp.take_along_axis(ours, tokens[1:, None], 1).sum(),
        kl=jnp.sum(kl),
        agree=jnp.sum(logits[:-1].argmax(-1) == reference[:-1].argmax(-1)),
    )
