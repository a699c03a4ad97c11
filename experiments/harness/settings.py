"""Sections of configs that several experiments share."""

from __future__ import annotations

import dataclasses

from experiments.harness.errors import UserError, user_errors
from experiments.harness.paths import user_path
from experiments.harness.schema import setting
from photonjax import data, models

MOST_WINDOWS = 100_000
MOST_ROUNDS = 10_000  # of a measurement of time


@dataclasses.dataclass
class Experiment:
    """What every experiment has; a schema inherits from it."""

    results_dir: str = setting()
    run: str = setting(name=True)  # of the results directory


@dataclasses.dataclass
class Model:
    """Weights and tokenizer: a packaged model by name, or the user's own by path."""

    label: str = setting()
    artifact: str | None = setting()
    path: str | None = setting()
    scan_layers: bool = setting()

    def check(self) -> None:
        if self.path is not None:
            hub = self.path.startswith("hub:")
            if not hub and not user_path("model.path", self.path).exists():
                raise UserError(
                    f"model.path: {self.path!r} does not exist; give a .gguf file, a directory or "
                    "hub:OWNER/REPOSITORY"
                )
        elif self.artifact is None:
            raise UserError("model: neither model.artifact nor model.path is set; give one of them")
        elif self.artifact not in models.packaged_names():
            raise UserError(
                f"model.artifact: {self.artifact!r} is not one of "
                f"{', '.join(models.packaged_names())}; your own go to model.path"
            )


@dataclasses.dataclass
class Shape:
    """A published model's sizes, without weights, by name: ``photonjax cost --list``."""

    name: str = setting()


@dataclasses.dataclass
class Calibration:
    """Windows on which every site's ADC range is set, after the evaluated ones."""

    windows: int = setting(low=1, high=MOST_WINDOWS)


@dataclasses.dataclass
class Data:
    """A corpus and how it is cut: windows of ``length`` tokens, spread over that many documents (None: cut
    from all of them as one stream).
    """

    corpus: str = setting()
    length: int = setting(low=2, high=2**20)
    documents: int | None = setting(low=1, high=10**6)

    def check(self) -> None:
        with user_errors(ValueError, prefix="data.corpus: "):
            data.check_corpus(self.corpus)


@dataclasses.dataclass
class Digital:
    """A digital accelerator, by name."""

    name: str = setting()
