"""Settings of the audit, with their types and ranges; values are in ``configs/claims.yaml``."""

from __future__ import annotations

import dataclasses
from typing import Any

import photonjax as pj
from experiments.harness import settings
from experiments.harness.errors import UserError, user_errors
from experiments.harness.machines import check_context, check_model, make_core
from experiments.harness.schema import setting
from photonjax.cost import MOST_SAMPLES
from photonjax.machines.accelerator import DTYPE_BITS

MOST = 2**31 - 1  # of tokens and prompts


@dataclasses.dataclass
class Intensity:
    """Claim 1: where prefill and decode lie against each accelerator's ridge."""

    accelerators: list[str] = setting(empty=False)
    prompts: list[int] = setting(low=1, high=MOST, empty=False)


@dataclasses.dataclass
class Context:
    """Claim 2: how prefill grows with its context."""

    models: list[str] = setting(empty=False)
    contexts: list[int] = setting(low=1, high=MOST, empty=False)
    accelerator: str = setting()
    dtype: str = setting(choices=list(DTYPE_BITS))
    quadratic: float = setting(above=1, below=2)


@dataclasses.dataclass
class Array:
    """Claim 3: energy of one product against the array's size."""

    sizes: list[int] = setting(low=1, high=2**16, empty=False)  # as an OpticalCore's rows
    of_interest: int = setting(low=1, high=2**16)
    vectors: int = setting(low=1, high=MOST)
    slack: float = setting(above=0, below=1e6)


@dataclasses.dataclass
class Energy:
    """Claim 4: energy of an inference against silicon's."""

    tokens_together: list[int] = setting(low=1, high=MOST, empty=False)
    wanted: float = setting(above=0, below=1e6)
    samples: int = setting(low=1, high=MOST_SAMPLES)
    bits: list[int] = setting(low=1, high=16, empty=False)
    accelerators: dict[str, dict[str, str]] = setting(empty=False)

    def check(self) -> None:
        for bits in self.bits:
            if f"int{bits}" not in self.accelerators:
                raise UserError(
                    f"energy.bits: {bits!r} has no accelerators to be held against; add "
                    f"energy.accelerators.int{bits}"
                )


@dataclasses.dataclass
class Precision:
    """Claim 5: what 8 and 4 bits cost in perplexity."""

    run: str | None = setting()
    rungs: dict[str, str] = setting()
    strict_percent: float = setting(above=0, below=1e6)
    loose_percent: float = setting(above=0, below=1e6)


@dataclasses.dataclass
class Loading:
    """Claim 6: what a prompt must be long for to pay for loading the weights."""

    load_times_s: dict[str, float] = setting(above=0, below=1e3, empty=False)


@dataclasses.dataclass
class Fleet:
    """Claim 7: what prefill on light takes off the world's inference."""

    model: str = setting()
    accelerator: str = setting()
    dtype: str = setting(choices=list(DTYPE_BITS))
    tokens_together: int = setting(low=1, high=MOST)
    batches: list[int] = setting(low=1, high=MOST, empty=False)
    samples: int = setting(low=1, high=MOST_SAMPLES)
    factor: float = setting(above=0, below=1e6)


@dataclasses.dataclass
class Rack:
    """Claim 8: the power of servers against what a rack loses to air."""

    accelerator: str = setting()
    cores: list[int] = setting(low=1, high=2**20, empty=False)  # as OpticalCore.costs.cores
    servers: list[int] = setting(low=1, high=2**20, empty=False)
    samples: int = setting(low=1, high=MOST_SAMPLES)


@dataclasses.dataclass
class Claims(settings.Experiment):
    """Eight statements made for optical prefill."""

    seed: int = setting(low=0, high=2**32 - 1)
    which: list[int] = setting(low=1, high=8, empty=False)
    sure: float = setting(above=0.5, below=1)
    models: list[str] = setting(empty=False)
    contexts: list[int] = setting(low=1, high=MOST, empty=False)
    machine: Any = setting()  # a name or a mapping: harness.machines.make_core
    photons_run: str | None = setting()
    intensity: Intensity = setting()
    context: Context = setting()
    array: Array = setting()
    energy: Energy = setting()
    precision: Precision = setting()
    loading: Loading = setting()
    fleet: Fleet = setting()
    rack: Rack = setting()

    def check(self) -> None:
        asked = {
            ("models", "contexts"): (self.models, self.contexts),
            ("models", "intensity.prompts"): (self.models, self.intensity.prompts),
            ("context.models", "context.contexts"): (self.context.models, self.context.contexts),
            ("fleet.model", ""): ([self.fleet.model], []),
        }
        for (key, lengths_key), (models, lengths) in asked.items():
            for i, model in enumerate(models):
                check_model(key if key == "fleet.model" else f"{key}[{i}]", model)
                for length in lengths:
                    check_context(lengths_key, model, length)
        within = {c for c in self.context.contexts if min(self.contexts) <= c <= max(self.contexts)}
        if 2 in self.which and len(within) < 2:
            raise UserError(
                f"context.contexts: {self.context.contexts} has fewer than two sizes within contexts = "
                f"{self.contexts}, and an exponent takes two; add some"
            )
        if 3 in self.which and len(set(self.array.sizes)) < 2:
            raise UserError(f"array.sizes: {self.array.sizes}: an exponent takes two sizes or more")
        known = self.core()
        core = known.machine
        if None in (core.symbol_rate_hz, core.photons, core.input.bits, core.adc.bits):
            raise UserError(
                f"machine: {known.name!r} lacks symbol_rate_hz, photons, input.bits or adc.bits; take "
                "display-1024"
            )
        names = {
            "intensity.accelerators": self.intensity.accelerators,
            "context.accelerator": [self.context.accelerator],
            "fleet.accelerator": [self.fleet.accelerator],
            "rack.accelerator": [self.rack.accelerator],
            **{
                f"energy.accelerators.{bits}": list(found)
                for bits, found in self.energy.accelerators.items()
            },
        }
        for key, accelerators in names.items():
            with user_errors(ValueError, prefix=f"{key}: "):
                for name in accelerators:
                    pj.machines.digital(name)

    def core(self) -> pj.cost.UncertainMachine:
        """The machine that is audited."""
        return make_core("machine", self.machine)
