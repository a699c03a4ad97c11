"""Settings of this experiment, with their types and ranges; values are in ``configs/measured.yaml``."""

from __future__ import annotations

import dataclasses

import photonjax as pj
from experiments.harness import settings
from experiments.harness.errors import UserError
from experiments.harness.paths import user_path
from experiments.harness.schema import setting


@dataclasses.dataclass
class LanguageModel:
    """The second stage: a prefill on the twin, and on twins with one error less each."""

    run: bool = setting()
    windows: int = setting(low=1, high=settings.MOST_WINDOWS)
    margin: float = setting(low=1, high=1000)


@dataclasses.dataclass
class Measured(settings.Experiment):
    """A machine that was measured, and its twin."""

    seed: int = setting(low=0, high=2**32 - 1)
    readings: str | None = setting()
    rows: int = setting(low=1, high=1 << 16)
    adc_bits: int = setting(low=2, high=16)
    cycle: int = setting(low=1, high=1024)
    fixed_weight: bool = setting()
    input_rms: float = setting(above=0, high=1)
    components: list[str] = setting()
    language_model: LanguageModel = setting()
    model: settings.Model = setting()
    data: settings.Data = setting()
    calibration: settings.Calibration = setting()

    def check(self) -> None:
        if self.readings is not None and not user_path("readings", self.readings).is_dir():
            raise UserError(
                f"readings: {self.readings!r} is not a directory; give the one that holds error_dists.npz, "
                "vector_sweeps.npz and weight_sweeps.npy, or null to fetch them"
            )
        for i, name in enumerate(self.components):
            if name not in COMPONENTS:
                raise UserError(f"components[{i}]: {name!r} is not one of {', '.join(COMPONENTS)}")

    @property
    def core(self) -> pj.OpticalCore:
        """The machine without errors; sums of ``rows`` products of full scale fill its converter."""
        return pj.OpticalCore(
            rows=self.rows,
            cols=self.rows,
            input={"bits": 10, "scale": "per_tile"},
            array={"bits": 7},
            adc={"bits": self.adc_bits, "range": self.rows**0.5},
        )

    @property
    def unit(self) -> float:
        """Codes of the converter to one product of full scale."""
        return 2 ** (self.adc_bits - 1) / self.rows


COMPONENTS = (
    *("gains", "cycle", "fixed_weight", "column_noise"),
    *("bend", "common", "relative", "tails"),
)
