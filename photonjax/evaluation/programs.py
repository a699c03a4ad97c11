"""A model's prefill as compiled programs, shared by models of equal structure."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import photonjax.nn.nnx as optics
from photonjax.core import random
from photonjax.core.measure import Measurement
from photonjax.nn.optical_dot import SiteMeasurement

Watch = Callable[[str, int, int | None], None]
"""Told what is being done, how much of it is done, and of how much (None: it is one step)."""


class Prefill:
    """A model as a function of one window of tokens and a key for its noise.

    Programs are compiled once for each structure and length: models that differ in their weights,
    or in continuous fields of their cores such as ``photons``, share them.

    Args:
      model: an NNX module, digital or converted, that takes tokens ``[batch, length]`` and gives logits
        ``[batch, length, vocabulary]``. What it is now is taken; later changes do not count.

    Example:
      >>> import jax, jax.numpy as jnp, photonjax as pj
      >>> from flax import nnx
      >>> from photonjax.models import Decoder, DecoderConfig
      >>> config = DecoderConfig(vocab_size=32, hidden_size=16, intermediate_size=32, num_layers=1,
      ...                        num_heads=2, num_kv_heads=2, tie_embeddings=True, max_length=8)
      >>> prefill = Prefill(Decoder(config, rngs=nnx.Rngs(0)))
      >>> prefill(jnp.arange(8), jax.random.key(0)).shape
      (8, 32)
    """

    def __init__(self, model: nnx.Module):
        self.model = model
        self.graph, self.state = nnx.split(model)

    def __call__(self, tokens: jax.Array, key: jax.Array) -> jax.Array:
        """Logits ``[length, vocabulary]`` of one window ``[length]``."""
        return self._program(tokens.shape[0], False)(self.state, tokens, key)

    def measured(
        self, tokens: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, dict[str, Measurement]]:
        """The logits, with the same noise, and what was measured at every optical product (about twice
        the time).
        """
        logits, found = self._program(tokens.shape[0], True)(self.state, tokens, key)
        model = nnx.merge(self.graph, self.state)
        optics.start_measuring(model)
        nnx.update(model, found)
        return logits, optics.stop_measuring(model)

    def compile(self, length: int, *, measuring: bool = False) -> None:
        """Compile what a window of ``length`` tokens needs, unless that was done before."""
        self._program(length, measuring)

    def identity(self, length: int, measuring: bool) -> Any:
        """Equal for models and lengths that share a program."""
        return self.graph, _shapes(self.state), length, measuring

    def _program(self, length: int, measuring: bool) -> Any:
        return _compile(*self.identity(length, measuring))


def compile_all(
    wanted: Iterable[tuple[Prefill, bool]], length: int, watch: Watch | None = None
) -> None:
    """Compile the programs of several models, each once, as many at a time as there are processors.

    Args:
      wanted: models, and whether their sites are to be measured.
      length: tokens of a window.
      watch: told how many of them are done, and of how many.
    """
    distinct = {prefill.identity(length, measuring) for prefill, measuring in wanted}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        jobs = [threads.submit(_compile, *identity) for identity in distinct]
        for done, job in enumerate(itertools.chain([None], as_completed(jobs))):
            if job is not None:
                job.result()
            if watch is not None:
                watch("compile", done, len(jobs))


def measure(model: nnx.Module, windows: jax.Array, key: jax.Array) -> dict[str, Measurement]:
    """Signal, error, light and clipping of every optical product, pooled over windows.

    Args:
      model: converted by :func:`photonjax.convert`.
      windows: tokens ``[windows, length]``.
      key: of the first window's noise; each further one has its own, folded from it.

    Returns:
      a :class:`photonjax.core.Measurement` for each site, by path; of stacked layers, one for each layer.
    """
    prefill = Prefill(model)
    pooled: dict[str, Measurement] = {}
    for i, window in enumerate(jnp.asarray(windows, jnp.int32)):
        _, found = prefill.measured(window, jax.random.fold_in(key, i) if i else key)
        pooled = pool(pooled, found)
    return pooled


def pool(one: dict[str, Measurement], other: dict[str, Measurement]) -> dict[str, Measurement]:
    """Measurements of the same sites together."""
    return {
        site: one[site].pool(found) if site in one else found for site, found in other.items()
    } | {site: found for site, found in one.items() if site not in other}


@functools.cache
def _compile(graph: Any, state: Any, length: int, measuring: bool) -> Any:
    def prefill(state: nnx.State, tokens: jax.Array, key: jax.Array) -> Any:
        model = nnx.merge(graph, state)
        optics.set_noise_key(model, key)
        if not measuring:
            return model(tokens[None])[0]
        optics.start_measuring(model)
        logits = model(tokens[None])[0]
        return logits, nnx.state(model, SiteMeasurement)

    leaves, structure = state
    shapes = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(s, d) for s, d in leaves])
    tokens = jax.ShapeDtypeStruct((length,), jnp.int32)
    return jax.jit(prefill).lower(shapes, tokens, random.new_key(0)).compile()


def _shapes(state: Any) -> tuple[tuple[tuple[tuple[int, ...], Any], ...], Any]:
    leaves, structure = jax.tree.flatten(state)
    return tuple((leaf.shape, leaf.dtype) for leaf in leaves), structure
