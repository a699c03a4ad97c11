"""Settings of the design of a machine, with their types and ranges; values are in ``configs/design.yaml``."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.harness import settings
from experiments.harness.errors import UserError
from experiments.harness.machines import check_context, check_model, make_accelerator, make_core
from experiments.harness.schema import setting
from photonjax import cost

MOST_ARRAYS = 1 << 20  # what OpticalCore.costs.cores can be
MOST_POINTS = 1_000_000  # of the grid, for each array and number of bits


@dataclasses.dataclass
class Quality:
    """The surrogate of quality."""

    photons_run: str | None = setting()
    crest: float = setting(low=0, below=1e6)


@dataclasses.dataclass
class Grid:
    """Points of the grid along each axis."""

    photons: int = setting(low=2, high=1000)
    clock: int = setting(low=2, high=1000)
    enob: int = setting(low=2, high=1000)

    def check(self) -> None:
        points = self.photons * self.clock * self.enob
        if points > MOST_POINTS:
            raise UserError(
                f"grid: {self.photons} x {self.clock} x {self.enob} points are {points:,}; "
                f"at most {MOST_POINTS:,} fit"
            )


@dataclasses.dataclass
class Design(settings.Experiment):
    """A machine for a model."""

    model: settings.Shape = setting()
    context: int = setting(low=1, high=2**31 - 1)
    tokens_together: int = setting(low=1, high=2**31 - 1)
    machine: Any = setting()  # a name or a mapping: harness.machines.make_core
    accelerator: str = setting()
    sizes: list[int] = setting(low=2, high=65536)
    bits: list[int] = setting(low=2, high=16)
    clock_hz: list[float] = setting(above=0, high=1e15)
    enob: list[float] = setting(above=0, below=24)
    photons: list[float] = setting(above=0, high=1e15)
    cells: int = setting(low=1, high=2**53)
    corner_hz: float = setting(above=0, high=1e15)
    corner_enob: float = setting(above=0, below=24)
    quality: Quality = setting()
    floors_percent: list[float] = setting(above=0, high=1e6)
    prices: list[float] = setting(above=-1, high=1e3)
    tolerance: float = setting(above=0, below=1)
    same_within: float = setting(above=0, below=1)
    grid_within: float = setting(above=0, below=1)
    grid: Grid = setting()

    def check(self) -> None:
        for key in ("clock_hz", "enob", "photons"):
            pair = getattr(self, key)
            if len(pair) != 2 or pair[0] >= pair[1]:
                raise UserError(f"{key}: {pair} is not [low, high] with low < high")
        for size in self.sizes:
            if self.cells // size**2 > MOST_ARRAYS:
                raise UserError(
                    f"cells: {self.cells} are {self.cells // size**2:,} arrays of {size} x {size}; a machine "
                    f"has at most {MOST_ARRAYS:,}: lower cells, or leave {size} out of sizes"
                )
        check_model("model.name", self.model.name)
        check_context("context", self.model.name, self.context)
        make_accelerator("accelerator", self.accelerator, ["bfloat16"])
        known = self.core()
        if known.machine.adc.enob is None or known.machine.input.bits is None:
            raise UserError(
                f"machine: {known.name!r} has no adc.enob or no input.bits; take display-1024"
            )

    def core(self) -> cost.UncertainMachine:
        """The machine that every number is taken from."""
        return make_core("machine", self.machine)
