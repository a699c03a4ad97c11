"""Decoders trained from scratch: AdamW in one compiled loop, kept as it goes, and the choice of its rate."""

from __future__ import annotations

import functools
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.harness import Progress
from experiments.harness.checkpoint import read_state, write_state
from experiments.width.config import Training, Width
from experiments.width.scaling import decays, initialize, multipliers
from photonjax.models import Decoder

MOST_NORM = 1.0  # of a gradient, all parameters together
ADAM = optax.chain(optax.clip_by_global_norm(MOST_NORM), optax.scale_by_adam(b1=0.9, b2=0.95))


def new_decoder(config: Width, mlp: str, scaling: str, width: int, seed: int) -> Decoder:
    """A decoder before training."""
    model = Decoder(config.decoder(width, mlp), rngs=nnx.Rngs(seed), scan_layers=True)
    initialize(model, scaling, width / min(config.grid.widths))
    return model


def train(
    config: Width,
    model: Decoder,
    scaling: str,
    tokens: np.ndarray,
    *,
    rate: float,
    steps: int,
    seed: int,
    begun: pathlib.Path | None = None,
) -> Decoder:
    """The decoder after so many steps; the one given is changed.

    Args:
      tokens: one stream ``[n]``, from which windows of ``text.length`` tokens are drawn anywhere.
      rate: highest learning rate, before any multiplier.
      seed: of the order of the text.
      begun: a file that holds the state as it goes, from which an interrupted training goes on; removed by
        whoever keeps the result.
    """
    graph, parameters = nnx.split(model)
    ratio = model.config.hidden_size / min(config.grid.widths)
    factors = multipliers(parameters, scaling, ratio), decays(parameters)
    state = (parameters, ADAM.init(parameters))
    first, state = (0, state) if begun is None else read_state(begun, state)
    text, key = jnp.asarray(tokens, jnp.int32), jax.random.key(seed)
    every = config.training.keep_every
    name = f"train {scaling} {model.config.hidden_size} at {rate:g}"
    with Progress(name, steps, "steps") as progress:
        progress.advance(first, already=True)
        for start in range(first, steps, every):
            state = _advance(
                graph,
                config.training,
                config.text.length,
                state,
                factors,
                text,
                key,
                rate,
                start,
                steps,
            )
            jax.block_until_ready(state)
            if begun is not None:
                write_state(begun, start + every, state)
            progress.advance(every)
    nnx.update(model, state[0])
    return model


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _advance(
    graph: Any,
    training: Training,
    length: int,
    state: Any,
    factors: Any,
    text: jax.Array,
    key: jax.Array,
    rate: jax.Array,
    start: jax.Array,
    steps: jax.Array,
) -> Any:
    """The state after ``training.keep_every`` more steps."""
    multiplier, decay = factors

    def step(state: Any, i: jax.Array) -> tuple[Any, None]:
        parameters, moments = state
        places = jax.random.randint(
            jax.random.fold_in(key, i), (training.batch,), 0, text.size - length
        )
        batch = text[places[:, None] + jnp.arange(length)]
        slope = jax.grad(lambda p: mean_loss(graph, p, batch))(parameters)
        direction, moments = ADAM.update(slope, moments)
        now = rate * _schedule(training, i / steps)
        parameters = jax.tree.map(
            lambda p, u, m, d: p - now * (m * u + training.weight_decay * d * p),
            parameters, direction, multiplier, decay,
        )  # fmt: skip
        return (parameters, moments), None

    return jax.lax.scan(step, state, start + jnp.arange(training.keep_every))[0]


def _schedule(training: Training, done: jax.Array) -> jax.Array:
    """Of the highest learning rate: up in a straight line, then down half a cosine."""
    up, last = training.warm_up_fraction, training.last_fraction
    rest = jnp.clip((done - up) / max(1 - up, 1e-6), 0, 1)
    down = last + (1 - last) * 0.5 * (1 + jnp.cos(jnp.pi * rest))
    return jnp.minimum(done / up, 1.0) * down if up else down


def mean_loss(graph: Any, parameters: nnx.State, tokens: jax.Array) -> jax.Array:
    """Mean negative log-likelihood of tokens ``[n, length]`` but the first, in nats."""
    logits = nnx.merge(graph, parameters)(tokens)[:, :-1]
    return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()


_loss = jax.jit(mean_loss, static_argnums=0)


def loss_of(model: Decoder, windows: np.ndarray) -> float:
    """:func:`mean_loss` of a decoder."""
    return float(_loss(*nnx.split(model), jnp.asarray(windows, jnp.int32)))


def choose_rate(losses: dict[float, float]) -> float:
    """The learning rate of the lowest loss; what is not a number has diverged.

    >>> choose_rate({1e-3: 5.1, 4e-3: 4.8, 1.6e-2: math.nan})
    0.004
    """
    return min(losses, key=lambda rate: losses[rate] if math.isfinite(losses[rate]) else math.inf)
