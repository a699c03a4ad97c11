"""Settings of the scaling study, with their types and ranges; values are in ``configs/scaling.yaml``."""

from __future__ import annotations

import dataclasses
from typing import Any

import photonjax as pj
from experiments.harness import settings
from experiments.harness.errors import UserError, user_errors
from experiments.harness.machines import (
    OPTICAL,
    check_context,
    check_model,
    make_accelerator,
    make_core,
)
from experiments.harness.schema import setting
from photonjax import cost, models
from photonjax.machines.accelerator import DTYPE_BITS

MOST = 2**31 - 1  # of tokens, prompts and sizes: what an array's axis can be


@dataclasses.dataclass
class Matrix:
    """One square matrix of weights."""

    tokens: int = setting(low=1, high=MOST)
    array: list[int] = setting(low=1, high=2**16)  # as an OpticalCore's rows
    fixed: list[int] = setting(low=1, high=MOST)
    photons_exponent: float = setting(low=-4, high=4)


@dataclasses.dataclass
class Sizes:
    """A sweep of a model at one context."""

    sizes: list[int] = setting(low=1, high=MOST)
    context: int = setting(low=1, high=MOST)


@dataclasses.dataclass
class Crossover:
    """Between which contexts attention may overtake the products with weights, and of which models."""

    models: list[str] = setting(empty=True)
    low: int = setting(low=1, high=MOST)
    high: int = setting(low=1, high=MOST)

    def check(self) -> None:
        if self.low >= self.high:
            raise UserError(f"crossover.high: {self.high} is not above crossover.low = {self.low}")


@dataclasses.dataclass
class Scaling(settings.Experiment):
    """How the cost of a prefill grows."""

    model: settings.Shape = setting()
    machine: Any = setting()  # a name or a mapping: harness.machines.make_core
    accelerator: str = setting()
    dtype: str = setting(choices=list(DTYPE_BITS))
    attention_dtype: str = setting(choices=list(DTYPE_BITS))
    optical: str = setting(choices=list(OPTICAL))
    matrix: Matrix = setting()
    width: Sizes = setting()
    context: list[int] = setting(low=1, high=MOST)
    batch: Sizes = setting()
    crossover: Crossover = setting()
    html: bool = setting()

    def check(self) -> None:
        lists = {
            "matrix.array": self.matrix.array,
            "matrix.fixed": self.matrix.fixed,
            "width.sizes": self.width.sizes,
            "context": self.context,
            "batch.sizes": self.batch.sizes,
        }
        for key, values in lists.items():
            if len(set(values)) < max(2, len(values)):
                raise UserError(
                    f"{key}: {values}: an exponent takes two different sizes or more, each once"
                )
            values.sort()
        check_model("model.name", self.model.name)
        for value in self.width.sizes:
            with user_errors(ValueError, prefix="width.sizes: "):
                models.widened(models.named(self.model.name), value)
        for key, lengths in (
            ("context", self.context),
            ("width.context", [self.width.context]),
            ("batch.context", [self.batch.context]),
        ):
            for length in lengths:
                check_context(key, self.model.name, length)
        for i, model in enumerate(self.crossover.models):
            check_model(f"crossover.models[{i}]", model)
            check_context("crossover.high", model, self.crossover.high)
        core = self.core().machine
        make_accelerator("accelerator", self.accelerator, [self.dtype, self.attention_dtype])
        for n in self.matrix.array:
            self.grown(core, n)

    def core(self) -> cost.UncertainMachine:
        """The machine as it stands."""
        return make_core("machine", self.machine)

    def grown(self, core: pj.OpticalCore, n: int) -> pj.OpticalCore:
        """The array n x n; its load time, losses and energies per part stay."""
        photons = core.photons
        if photons is not None:
            photons = photons * (n / core.rows) ** self.matrix.photons_exponent
        with user_errors(ValueError, TypeError, prefix=f"matrix.array: {n}: "):
            return core.replace(rows=n, cols=n, photons=photons)
