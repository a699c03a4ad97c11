"""Sections of configs that several experiments share."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.harness.errors import UserError
from experiments.harness.schema import setting


@dataclasses.dataclass
class Experiment:
    """What every experiment has; a schema inherits from it."""

    results_dir: str = setting()
    run: str = setting()  # name of the results directory


@dataclasses.dataclass
class Model:
    """Weights and tokenizer: a packaged model by name, or the user's own by path."""

    label: str = setting()
    artifact: str | None = setting()
    path: str | None = setting()
    scan_layers: bool = setting()

    def check(self) -> None:
        if self.artifact is None and self.path is None:
            raise UserError("model: neither model.artifact nor model.path is set; give one of them")


@dataclasses.dataclass
class Core:
    """An optical core: a named machine, and what differs from it."""

    name: str = setting()
    fields: dict[str, Any] = setting(empty=True)


@dataclasses.dataclass
class Calibration:
    """Windows on which every site's ADC range is set, after the evaluated ones."""

    windows: int = setting(low=1)


@dataclasses.dataclass
class Data:
    """A corpus and how it is cut: windows of ``length`` tokens, spread over so many documents (None: cut
    from all of them as one stream).
    """

    corpus: str = setting()
    length: int = setting(low=2)
    documents: int | None = setting(low=1)


@dataclasses.dataclass
class Digital:
    """A digital accelerator, by name."""

    name: str = setting()
