"""Rungs on several dies, with several draws of noise for each window."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from photonjax.core import OpticalCore
from photonjax.evaluation.rungs import Rung, rules_of


class Sample(NamedTuple):
    """One rung on one of its dies with one draw of noise; both are counted from 0.

    >>> str(Sample("dim", 0, 0)), str(Sample("dim", 2, 0)), Sample("dim", 2, 1).model
    ('dim', 'dim, die 2', 'dim, die 2')
    """

    rung: str
    die: int
    draw: int

    def __str__(self) -> str:
        return self.model + (f", draw {self.draw}" if self.draw else "")

    @property
    def model(self) -> str:
        """The rung on its die, which all draws share."""
        return self.rung + (f", die {self.die}" if self.die else "")

    def key(self, window: jax.Array) -> jax.Array:
        """Noise of its own from a window's key; the first die's first draw has this key itself."""
        if not self.die and not self.draw:
            return window
        return jax.random.fold_in(jax.random.fold_in(window, self.die), self.draw)


def samples(rung: str, dies: int, draws: int) -> list[Sample]:
    """All of a rung, die by die."""
    return [Sample(rung, die, draw) for die in range(dies) for draw in range(draws)]


def on_dies(rungs: Mapping[str, Rung], dies: int) -> dict[str, Rung]:
    """Every rung on so many dies, by :attr:`Sample.model`: those with the cores' own ``chip_seed``, and
    with the numbers that follow it.
    """
    return dict(_on_dies(rungs, dies)) if dies > 1 else dict(rungs)


def _on_dies(rungs: Mapping[str, Rung], dies: int) -> Iterator[tuple[str, Rung]]:
    seeds: dict[tuple[Any, int], jax.Array] = {}  # arrays are told apart by which they are

    def on(core: OpticalCore | None, die: int) -> OpticalCore | None:
        if core is None:
            return None
        base = core.chip_seed
        at = (base if isinstance(base, int) else id(base), die)
        if at not in seeds:  # an array: all dies are one compiled program
            seeds[at] = jnp.asarray(base, jnp.uint32) + jnp.uint32(die)
        return core.replace(chip_seed=seeds[at])

    for name, rung in rungs.items():
        for die in range(dies):
            rules = [dataclasses.replace(r, core=on(r.core, die)) for r in rules_of(rung)]
            yield Sample(name, die, 0).model, rules
