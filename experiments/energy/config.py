"""Settings of the energy grid, with their types and ranges; values are in ``configs/energy.yaml``."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.harness import settings
from experiments.harness.errors import UserError
from experiments.harness.machines import (
    OPTICAL,
    check_context,
    check_model,
    make_accelerator,
    make_core,
)
from experiments.harness.schema import setting
from photonjax import cost
from photonjax.cost import MOST_SAMPLES
from photonjax.machines.accelerator import DTYPE_BITS

MOST = 2**31 - 1  # of tokens and prompts


@dataclasses.dataclass
class Energy(settings.Experiment):
    """What a prefill costs: models, contexts, cores and accelerators."""

    seed: int = setting(low=0, high=2**32 - 1)
    samples: int = setting(low=1, high=MOST_SAMPLES)
    models: list[str] = setting(empty=False)
    contexts: list[int] = setting(low=1, high=MOST, empty=False)
    batch: int = setting(low=1, high=MOST)
    cores: list[Any] = setting(empty=False)  # each a name or a mapping: harness.machines.make_core
    accelerators: list[str] = setting(empty=False)
    dtypes: list[str] = setting(choices=list(DTYPE_BITS), empty=False)
    attention_dtype: str = setting(choices=list(DTYPE_BITS))
    optical: str = setting(choices=list(OPTICAL))
    html: bool = setting()

    def check(self) -> None:
        for key in ("models", "contexts", "cores", "accelerators", "dtypes"):
            values = getattr(self, key)
            for i, value in enumerate(values):
                if value in values[:i]:
                    raise UserError(f"{key}: {value!r} is there twice; leave one out")
        for i, name in enumerate(self.models):
            check_model(f"models[{i}]", name)
            for context in self.contexts:
                check_context("contexts", name, context)
        self.machines()

    def machines(self) -> tuple[list[cost.UncertainMachine], list[cost.UncertainMachine]]:
        """Cores and accelerators, with the ranges of their numbers."""
        cores = [make_core(f"cores[{i}]", entry) for i, entry in enumerate(self.cores)]
        dtypes = [*self.dtypes, self.attention_dtype]
        accelerators = [
            make_accelerator(f"accelerators[{i}]", name, dtypes)
            for i, name in enumerate(self.accelerators)
        ]
        names = [u.name for u in (*cores, *accelerators)]
        for name in names:
            if names.count(name) > 1:
                raise UserError(
                    f"cores: two are called {name!r}; give one another label: {{label: ...}}"
                )
        return cores, accelerators
