"""Settings of the evaluation, with their types and ranges; values are in ``configs/evaluate.yaml``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import photonjax as pj
from experiments.harness import settings
from experiments.harness.cores import change_core, make_core
from experiments.harness.errors import UserError, user_errors
from experiments.harness.machines import make_accelerator
from experiments.harness.schema import setting
from photonjax.cost import MOST_SAMPLES
from photonjax.evaluation import DIGITAL
from photonjax.machines.accelerator import DTYPE_BITS


@dataclasses.dataclass
class Calibration(settings.Calibration):
    """On how much text each site's ADC range is set (0: it is the core's own), and with what margin."""

    windows: int = setting(low=0, high=settings.MOST_WINDOWS)
    margin: float = setting(low=1, high=1000)


@dataclasses.dataclass
class Rule:
    """Which products run on light: the first pattern that matches decides."""

    pattern: str = setting()
    optical: bool = setting()
    dynamic: bool = setting(default=False)


@dataclasses.dataclass
class Cost:
    """Of the estimate of energy: precision of the digital products, draws of the assumed numbers."""

    dtype: str = setting(choices=list(DTYPE_BITS))
    samples: int = setting(low=1, high=MOST_SAMPLES)


@dataclasses.dataclass
class Evaluate(settings.Experiment):
    """A language model's prefill on a ladder of optical cores."""

    seed: int = setting(low=0, high=2**32 - 1)
    windows: int = setting(low=1, high=settings.MOST_WINDOWS)
    measure_windows: int = setting(low=1, high=settings.MOST_WINDOWS)
    dies: int = setting(low=1, high=1000)
    draws: int = setting(low=1, high=1000)
    at_once: int = setting(low=1, high=1000)
    model: settings.Model = setting()
    data: settings.Data = setting()
    core: dict[str, Any] = setting(empty=True)
    digital: settings.Digital = setting()
    calibration: Calibration = setting()
    ladder: dict[str, Any] = setting()
    rules: list[Rule] = setting()
    cost: Cost = setting()

    def check(self) -> None:
        if self.measure_windows > self.windows:
            raise UserError(
                f"measure_windows: {self.measure_windows} is more than windows = {self.windows}; "
                "lower the one or raise the other"
            )
        cores = self.cores().values()
        if any(core.photons is not None and core.costs is not None for core in cores):
            make_accelerator("digital.name", self.digital.name, [self.cost.dtype])
        else:
            with user_errors(ValueError, prefix="digital.name: "):
                pj.machines.digital(self.digital.name)
        dark = [name for name, fields in self.ladder.items() if not fields.get("only")]
        if dark and not any(rule.optical for rule in self.rules):
            raise UserError(
                f"rules: none has optical: true, so that ladder.{dark[0]} puts nothing on light; set it "
                "on one, or name products with ladder.NAME.only"
            )

    def cores(self) -> dict[str, pj.OpticalCore]:
        """The core of every rung, by its name."""
        return rung_cores(self.core, self.ladder, apart=("only",))


def rung_cores(
    group: Mapping[str, Any],
    ladder: Mapping[str, Any],
    apart: Sequence[str],
    where: str = "ladder",
) -> dict[str, pj.OpticalCore]:
    """The core of every rung; refuses rungs that are not mappings, or called like the baseline.

    Args:
      group: the core that all start from.
      ladder: in which fields each rung differs.
      apart: keys of a rung that are not fields of its core.
      where: the ladder's name in the config, for errors.
    """
    base, cores = make_core(group), {}
    if DIGITAL in ladder:
        raise UserError(f"{where}: {DIGITAL!r} is the name of the baseline; choose another")
    for name, fields in ladder.items():
        if not isinstance(fields, dict):
            raise UserError(
                f"{where}.{name}: {fields!r} is not a mapping of OpticalCore fields, such as "
                "{photons: 1e4}"
            )
        only = fields.get("only")
        if only is not None and (not isinstance(only, str) or not only):
            raise UserError(
                f"{where}.{name}.only: {only!r} is not a glob over paths, such as '*/q_proj'"
            )
        changes = {key: value for key, value in fields.items() if key not in apart}
        cores[name] = change_core(base, changes, f"{where}.{name}")
    return cores
