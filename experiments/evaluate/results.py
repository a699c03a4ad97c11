"""What finished evaluations found, for experiments that build on it.

An evaluation's metrics.json holds ``cores``, a row for every rung (the digital model among them), with
its ``core`` (the rung's name), ``perplexity``, ``perplexity_change_percent``, ``kl_nats`` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from experiments.harness import UserError
from experiments.harness.finished import finished_run, read_metrics


def perplexity_rises(
    run: str, rungs: Mapping[str, str], setting: str
) -> tuple[str, dict[str, float]] | None:
    """The model of a finished evaluation, and how far its perplexity rose, in percent, on some rungs.

    Args:
      run: name or directory of the evaluation.
      rungs: which rung stands for what.
      setting: the section that holds ``run`` and ``rungs``, for messages.

    Returns:
      None: there is no such evaluation.

    Raises:
      UserError: what is there is not an evaluation, or has no such rung.
    """
    place = finished_run("evaluate", run)
    if place is None:
        return None
    metrics = read_metrics(place, {"cores": list}, f"{setting}.run")
    cores: dict[str, Any] = {row["core"]: row for row in metrics["cores"]}
    for name, rung in rungs.items():
        if rung not in cores:
            raise UserError(
                f"{setting}.rungs.{name}: {run} has no rung {rung!r}; it has {', '.join(cores)}"
            )
    model = OmegaConf.load(place / "config.yaml").model.label
    return model, {name: cores[rung]["perplexity_change_percent"] for name, rung in rungs.items()}
