"""Settings of the benchmark, with their types and ranges; values are in ``configs/benchmark.yaml``."""

from __future__ import annotations

import dataclasses
from typing import Any

import photonjax as pj
from experiments.harness import settings
from experiments.harness.cores import change_core, make_core
from experiments.harness.errors import UserError
from experiments.harness.schema import setting, shown


@dataclasses.dataclass
class Product:
    """Shapes of single products: tokens x K x N."""

    tokens: list[int] = setting(low=1, high=2**17)
    shapes: list[list[int]] = setting(low=1, high=2**15)

    def check(self) -> None:
        for i, shape in enumerate(self.shapes):
            if len(shape) != 2:
                raise UserError(f"product.shapes[{i}]: {shape} is not a pair [K, N]")


@dataclasses.dataclass
class Modes:
    """One product with cores that differ in a field or two; no tokens: leave them out."""

    tokens: int | None = setting(low=1, high=2**17)
    k: int = setting(low=1, high=2**15)
    n: int = setting(low=1, high=2**15)
    cores: dict[str, Any] = setting()


@dataclasses.dataclass
class Prefill:
    """A whole prefill of this many tokens; none: the model is left out."""

    tokens: int | None = setting(low=1, high=2**20)


@dataclasses.dataclass
class Benchmark(settings.Experiment):
    """Speed, as ratios within one process."""

    repeats: int = setting(low=1, high=settings.MOST_ROUNDS)
    imports: bool = setting()
    model: settings.Model = setting()
    core: dict[str, Any] = setting(empty=True)
    product: Product = setting()
    modes: Modes = setting()
    prefill: Prefill = setting()

    def check(self) -> None:
        bits = make_core(self.core).array.bits
        if bits is None or bits > 8:
            raise UserError(
                f"core.array.bits: {shown(bits)} is not 8 or fewer, and products of such weights are compared"
            )
        self.mode_cores()

    def mode_cores(self) -> dict[str, pj.OpticalCore]:
        """The cores of the modes, by name."""
        core, cores = make_core(self.core), {}
        for name, fields in self.modes.cores.items():
            where = f"modes.cores.{name}"
            if not isinstance(fields, dict):
                raise UserError(f"{where}: {shown(fields)} is not a mapping of OpticalCore fields")
            cores[name] = change_core(core, fields, where)
        return cores
