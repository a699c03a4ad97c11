"""The layers of a model, one after another or scanned, with what differs between them.

A block is called as ``block(x, *context)``. Contexts repeat with a period: one for models whose
layers are alike, six for five local layers and a global one. They may hold arrays (angles) and
static values (a window), so that a local layer does a local layer's work, scanned or not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

__all__ = ["ScannedLayers", "make_layers", "run_layers"]

Context = tuple[Any, ...]
MakeBlock = Callable[[nnx.Rngs], nnx.Module]


def make_layers(make: MakeBlock, count: int, *, rngs: nnx.Rngs, scan: bool) -> nnx.Module:
    """`count` blocks: a list, at ``layers/{i}``, or stacked, at ``layers/block``."""
    return (
        ScannedLayers(make, count, rngs) if scan else nnx.List([make(rngs) for _ in range(count)])
    )


def run_layers(
    layers: Any, x: jax.Array, contexts: Sequence[Context], *, remat: bool = False
) -> jax.Array:
    """x [B, L, hidden] through every layer in turn; `remat` recomputes each in the backward pass."""
    if isinstance(layers, ScannedLayers):
        return layers(x, contexts, remat=remat)
    for i, block in enumerate(layers):
        run = _with(contexts[i % len(contexts)])
        with jax.named_scope(f"layers/{i}"):
            x = (nnx.remat(run) if remat else run)(block, x)
    return x


def _with(context: Context) -> Callable[[Any, jax.Array], jax.Array]:
    def run(block: Any, x: jax.Array) -> jax.Array:
        return block(x, *context)

    return run


class ScannedLayers(nnx.Module):
    """All layers as one block whose Variables are stacked on axis 0, run by `lax.scan`.

    A turn of the scan runs one period of layers; those left over from the last whole period run
    after it (and then the weights of the others are copied at every call). A Variable that a
    converter puts into the block (calibration, a random stream) is treated like a parameter: sliced
    per layer, and its new values stacked again, if it has axes; carried from layer to layer if it is
    a scalar (a plain `nnx.RngStream`'s key and counter, so no two layers draw the same numbers).
    What a layer leaves as it was is not written again.
    """

    def __init__(self, make: MakeBlock, count: int, rngs: nnx.Rngs) -> None:
        @nnx.split_rngs(splits=count)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def create(rngs: nnx.Rngs) -> nnx.Module:
            return make(rngs)

        self.block = create(rngs)
        self.num_layers = count

    def __call__(
        self, x: jax.Array, contexts: Sequence[Context], *, remat: bool = False
    ) -> jax.Array:
        """x [B, L, hidden] through every layer in turn."""
        graph, state = nnx.split(self.block)
        variables = nnx.to_flat_state(state)
        shared = {path: v for path, v in variables if jnp.ndim(v.get_value()) == 0}
        stacked = {path: v for path, v in variables if path not in shared}

        def layer(carry: Any, sliced: Any, context: Context) -> tuple[Any, Any]:
            x, shared = carry
            block = nnx.merge(graph, nnx.from_flat_state({**sliced, **shared}))
            before = {path: v.get_value() for path, v in sliced.items()}
            with jax.named_scope("layers/block"):
                x = block(x, *context)
            after = dict(nnx.to_flat_state(nnx.state(block)))
            changed = {
                path: after[path]
                for path, value in before.items()
                if after[path].get_value() is not value
            }
            return (x, {path: after[path] for path in shared}), changed

        bodies: list[Any] = [functools.partial(layer, context=context) for context in contexts]
        if remat:
            bodies = [jax.checkpoint(body) for body in bodies]
        (x, shared), changed = _scan(bodies, (x, shared), stacked, self.num_layers)
        nnx.update(self.block, nnx.from_flat_state({**changed, **shared}))
        return x


def _scan(bodies: Sequence[Any], carry: Any, stacked: Any, count: int) -> tuple[Any, Any]:
    """`lax.scan` over `count` layers, whose bodies take turns."""
    if len(bodies) == 1:
        return lax.scan(bodies[0], carry, stacked, length=count)
    period = len(bodies)
    scanned = count - count % period

    def turn(carry: Any, sliced: Any, layers: int = period) -> tuple[Any, Any]:
        changes = []
        for j in range(layers):
            carry, changed = bodies[j](carry, jax.tree.map(lambda leaf, j=j: leaf[j], sliced))
            changes.append(changed)
        return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *changes)

    changes = []
    if scanned:
        first = jax.tree.map(
            lambda leaf: leaf[:scanned].reshape(-1, period, *leaf.shape[1:]), stacked
        )
        carry, changed = lax.scan(turn, carry, first)
        changes.append(jax.tree.map(lambda leaf: leaf.reshape(scanned, *leaf.shape[2:]), changed))
    if scanned < count:
        rest = jax.tree.map(lambda leaf: leaf[scanned:], stacked)
        carry, changed = turn(carry, rest, count - scanned)
        changes.append(changed)
    return carry, jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *changes)
