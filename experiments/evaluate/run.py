"""What light does to a language model: perplexity, time and energy of its prefill, rung by rung.

    python -m experiments.evaluate                          # the default model, text and ladder
    python -m experiments.evaluate windows=32 run=long      # overrides of configs/evaluate.yaml
    python -m experiments.evaluate --help

Windows of text are prefilled by the digital model and, with the same tokens, by the model on every
optical core of the ladder (:func:`photonjax.evaluation.evaluate`). Writes ``results/evaluate/<run>/``:
metrics.json, cores.csv, sites.csv, windows.json, report.txt, plots, the resolved config and versions. An
interrupted run goes on when started again with the same ``run=NAME``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import photonjax as pj
from experiments.evaluate import plots, report
from experiments.evaluate.config import DIGITAL, Evaluate
from experiments.evaluate.costs import Costs
from experiments.harness import (
    RunDirectory,
    Stages,
    UserError,
    note,
    peak_memory_bytes,
    track,
    user_errors,
)
from experiments.harness.cores import dotted, fields_of
from experiments.harness.inputs import check_fit, load_model, load_text, make_rules
from photonjax import evaluation
from photonjax.core import Measurement, arithmetic
from photonjax.evaluation import Evaluation, Window
from photonjax.machines import DigitalAccelerator


def evaluate(config: Evaluate) -> None:
    """The whole experiment."""
    with user_errors(ValueError, TypeError):
        arithmetic()  # measured once; or refuses what the environment asks for
        with user_errors(ValueError, prefix="digital.name: "):
            accelerator = pj.machines.digital(config.digital.name)
        cores = config.cores()
        rules = {
            name: make_rules(config.rules, config.ladder[name].get("only"), core)
            for name, core in cores.items()
        }
    with RunDirectory("evaluate", config) as run:
        note(f"results: {run.path}")
        climb(config, cores, rules, accelerator, run)


def climb(
    config: Evaluate,
    cores: Mapping[str, pj.OpticalCore],
    rules: Mapping[str, list[pj.Rule]],
    accelerator: DigitalAccelerator,
    run: RunDirectory,
) -> None:
    """Load, evaluate and cost every rung, and write what came of it."""
    note(f"model: {config.model.label}")
    model, tokenizer = load_model(config.model)
    text = load_text(config, tokenizer)
    note(f"text: {text.description}")
    check_fit(config, model, text)
    with user_errors(ValueError, prefix=f"digital {config.digital.name}: "):
        costs = Costs(config, model, text.windows.shape, accelerator)
        costs.check(cores.values())

    kept = Kept(run, len(text.windows))
    with Stages() as stages, user_errors(ValueError, prefix="ladder."):
        found = evaluation.evaluate(
            model,
            text.windows,
            rules,
            calibration=text.calibration if len(text.calibration) else None,
            margin=config.calibration.margin,
            measure_windows=config.measure_windows,
            seed=config.seed,
            dies=config.dies,
            draws=config.draws,
            at_once=config.at_once,
            known=kept.windows,
            keep=kept,
            watch=stages,
        )
    joules = {}
    for name in track(list(cores), "cost", "cores"):
        conversion = found[name].report
        assert conversion is not None
        with user_errors(ValueError, prefix=f"digital {config.digital.name}: "):
            chosen = dotted(fields_of(config.core)) | dotted(config.ladder[name])
            joules[name] = costs.of(cores[name], conversion, fields=set(chosen))
    write(run, config, text.description, found, costs, joules)


class Kept:
    """What every window gave so far, on disk as it comes: windows.json, and measured.json for the sites.

    Args:
      run: the directory.
      count: how many windows there are.
    """

    def __init__(self, run: RunDirectory, count: int):
        self.run = run
        rows = run.read_json("windows.json") or {}
        sites = run.read_json("measured.json") or {}
        try:
            self.windows = [
                {
                    name: Window(**row, sites=_measurements(sites.get(str(i), {}).get(name)))
                    for name, row in rows.get(str(i), {}).items()
                }
                for i in range(count)
            ]
        except (AttributeError, TypeError, ValueError):
            raise UserError(
                f"run: {run.path / 'windows.json'} and measured.json do not hold windows any more; delete "
                "both to start again, or choose another name with run=NAME"
            ) from None

    def __call__(self, number: int, rows: Mapping[str, Window]) -> None:
        """Keep one window."""
        self.windows[number] = dict(rows)
        sites: dict[str, Any] = {}
        for i, found in enumerate(self.windows):
            measured = {name: w.sites for name, w in found.items() if w.sites is not None}
            if measured:
                sites[str(i)] = measured
        self.run.write_json("measured.json", sites)
        self.run.write_json(
            "windows.json",
            {
                str(i): {
                    name: {k: v for k, v in vars(w).items() if k != "sites"}
                    for name, w in found.items()
                }
                for i, found in enumerate(self.windows)
                if found
            },
        )


def _measurements(rows: Mapping[str, Any] | None) -> dict[str, Measurement] | None:
    if rows is None:
        return None
    return {site: Measurement(*map(np.float32, values)) for site, values in rows.items()}


def write(
    run: RunDirectory,
    config: Evaluate,
    text: str,
    found: Evaluation,
    costs: Costs,
    joules: Mapping[str, Mapping[str, float | None]],
) -> None:
    """All results; metrics.json last, since it marks the run as finished."""
    rows = [report.row(result, joules.get(name)) for name, result in found.results.items()]
    sites = [line for result in found.results.values() for line in report.site_rows(result)]
    first = next(result for name, result in found.results.items() if name != DIGITAL)
    run.write("conversion.txt", f"{first.report}\n")
    names = list(rows[-1])
    run.write_csv("cores.csv", [{n: row.get(n) for n in names} for row in rows])
    run.write_csv("sites.csv", sites)
    run.write_plot("perplexity.png", plots.perplexity(rows))
    if sites:
        run.write_plot("site_snr.png", plots.site_snr(sites))
    about = f"model: {config.model.label}\ntext: {text}"
    page = (
        f"{report.table(found, rows)}\n\n{report.intervals(first)}\n{costs.describe()}\n\n{about}"
    )
    run.write("report.txt", page + "\n")
    run.write_json(
        "metrics.json",
        {
            "cores": rows,
            "baseline": costs.baseline,
            "text": text,
            "seed": config.seed,
            "exact_arithmetic": arithmetic(),
            "peak_memory_bytes": peak_memory_bytes(),
        },
    )
    print(f"\n{page}\n\nwritten to {run.path}")
