"""Settings of the photon study, with their types and ranges; values are in ``configs/photons.yaml``."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import photonjax as pj
from experiments.evaluate.config import DIGITAL as DIGITAL
from experiments.evaluate.config import rung_cores
from experiments.harness import settings
from experiments.harness.errors import UserError
from experiments.harness.schema import setting
from photonjax.core.encoding import Kind


@dataclasses.dataclass
class Solver:
    """How the light for a loss is sought."""

    start: float = setting(low=1e-3, high=1e15)
    tolerance: float = setting(low=1e-6, high=1)
    most: int = setting(low=1, high=1000)


@dataclasses.dataclass
class Controls:
    """Single products, cut to their first K rows."""

    snr_db: float = setting(low=-50, high=150)
    terms: list[int] = setting(low=1, high=2**20)
    tokens: int = setting(low=1, high=2**20)
    columns: int = setting(low=1, high=2**16)
    layers: int = setting(low=1, high=1000)
    orders: int = setting(low=1, high=1000)
    encodings: list[str] = setting(choices=list(typing.get_args(Kind)))


@dataclasses.dataclass
class Photons(settings.Experiment):
    """The light that a language model needs, rung by rung."""

    seed: int = setting(low=0, high=2**32 - 1)
    noise_seeds: int = setting(low=1, high=1000)
    dies: int = setting(low=1, high=100)
    windows: int = setting(low=1, high=settings.MOST_WINDOWS)
    measure_windows: int = setting(low=1, high=settings.MOST_WINDOWS)
    calibration: settings.Calibration = setting()
    model: settings.Model = setting()
    data: settings.Data = setting()
    core: dict[str, Any] = setting(empty=True)
    ladder: dict[str, Any] = setting()
    targets_percent: list[float] = setting(low=0.01, high=1000)
    solver: Solver = setting()
    controls: Controls = setting()

    def check(self) -> None:
        for name, value, limit, most in (
            ("measure_windows", self.measure_windows, "windows", self.windows),
            ("controls.tokens", self.controls.tokens, "data.length", self.data.length),
        ):
            if value > most:
                raise UserError(
                    f"{name}: {value} is more than {limit} = {most}; lower the one or raise the other"
                )
        for name, fields in self.ladder.items():
            if isinstance(fields, dict) and not isinstance(fields.get("equal_snr", False), bool):
                raise UserError(
                    f"ladder.{name}.equal_snr: {fields['equal_snr']!r} is not true or false"
                )
        for name, core in self.cores().items():
            if core.photons != 1.0 or core.adc.bits is not None:
                raise UserError(
                    f"ladder.{name}: photons must stay 1.0, which the solver scales, and adc.bits null"
                )

            if (
                core.encoding.kind == "quadrature"
                and core.encoding.oscillator_electrons(core) is None
            ):
                raise UserError(
                    f"ladder.{name}: the light of quadrature's local oscillator has to be counted: give "
                    "encoding.oscillator, or receiver.noise_a_per_rthz, whose variance it has ten times"
                )

    def cores(self) -> dict[str, pj.OpticalCore]:
        """The core of every rung, by its name."""
        return rung_cores(self.core, self.ladder, apart=("only", "equal_snr"))
