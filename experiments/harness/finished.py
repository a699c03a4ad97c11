"""What finished runs left, for experiments that build on others."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from experiments.harness.errors import UserError
from experiments.harness.launch import ROOT
from experiments.harness.paths import user_path


def finished_run(
    experiment: str, run: str | None = None, results_dir: str = "results"
) -> pathlib.Path | None:
    """The directory of a finished run; None where there is none.

    Args:
      experiment: its name.
      run: the run's name, or its directory. None: the newest that has finished.
      results_dir: where runs are, relative to the repository unless absolute.
    """
    runs = ROOT / user_path("results_dir", results_dir) / experiment
    if run is None:
        files = sorted(runs.glob("*/metrics.json"), key=lambda file: file.stat().st_mtime)
        return files[-1].parent if files else None
    for place in (runs / run, ROOT / user_path("run", run)):
        if (place / "metrics.json").exists():
            return place
    return None


def read_metrics(directory: pathlib.Path, needs: Mapping[str, type], setting: str) -> Any:
    """What a finished run's metrics.json holds.

    Args:
      directory: of the run.
      needs: entries that must be there, and what they are (``{"cores": list}``).
      setting: which setting named the run, for the message.

    Raises:
      UserError: it is not such a result.
    """
    try:
        found = json.loads((directory / "metrics.json").read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(found.get(name), kind) for name, kind in needs.items()
    ):
        raise UserError(
            f"{setting}: {directory} does not hold a result with {', '.join(needs)}; name another "
            "run, or null"
        )
    return found
