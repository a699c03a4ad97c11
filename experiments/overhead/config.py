"""Settings of this experiment, with their types and ranges; values are in ``configs/overhead.yaml``."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.harness import settings
from experiments.harness.cores import make_core
from experiments.harness.errors import UserError
from experiments.harness.schema import setting


@dataclasses.dataclass
class Stack:
    """The transformer whose products are timed."""

    layers: int = setting(low=1, high=1000)
    width: int = setting(low=1, high=2**15)
    heads: int = setting(low=1, high=2**15)
    tokens: int = setting(low=1, high=2**17)

    def check(self) -> None:
        check_heads(self, "stack")


@dataclasses.dataclass
class Trace:
    """The transformer that is traced; no layers: leave tracing out."""

    layers: int | None = setting(low=1, high=1000)
    width: int = setting(low=1, high=2**15)
    heads: int = setting(low=1, high=2**15)
    tokens: int = setting(low=1, high=2**17)
    repeats: int = setting(low=1, high=settings.MOST_ROUNDS)

    def check(self) -> None:
        check_heads(self, "trace")


def check_heads(part: Stack | Trace, name: str) -> None:
    """Refuse a width that heads cannot share evenly."""
    if part.width % part.heads:
        raise UserError(
            f"{name}.heads: {part.heads} does not divide {name}.width = {part.width}; choose a divisor"
        )


@dataclasses.dataclass
class Overhead(settings.Experiment):
    """Converted models against hand-written optical layers."""

    repeats: int = setting(low=1, high=settings.MOST_ROUNDS)
    core: dict[str, Any] = setting(empty=True)
    stack: Stack = setting()
    trace: Trace = setting()

    def check(self) -> None:
        make_core(self.core)
