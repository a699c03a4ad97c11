"""Settings of the benchmark, with their types and ranges; values are in ``configs/benchmark.yaml``."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.harness import settings
from experiments.harness.errors import UserError
from experiments.harness.schema import setting


@dataclasses.dataclass
class Product:
    """Shapes of single products: tokens x K x N."""

    tokens: list[int] = setting(low=1)
    shapes: list[list[int]] = setting(low=1)

    def check(self) -> None:
        if any(len(shape) != 2 for shape in self.shapes):
            raise UserError(f"product.shapes: {self.shapes} is not a list of pairs [K, N]")


@dataclasses.dataclass
class Modes:
    """One product with cores that differ in a field or two; no tokens: leave them out."""

    tokens: int | None = setting(low=1)
    k: int = setting(low=1)
    n: int = setting(low=1)
    cores: dict[str, Any] = setting()


@dataclasses.dataclass
class Prefill:
    """A whole prefill of this many tokens; none: the model is left out."""

    tokens: int | None = setting(low=1)


@dataclasses.dataclass
class Benchmark(settings.Experiment):
    """Speed, as ratios within one process."""

    repeats: int = setting(low=1)
    imports: bool = setting()
    model: settings.Model = setting()
    core: dict[str, Any] = setting(empty=True)
    product: Product = setting()
    modes: Modes = setting()
    prefill: Prefill = setting()
