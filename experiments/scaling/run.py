"""How compute, energy, conversions, memory and time of a prefill grow: exponents and crossovers.

    python -m experiments.scaling                                     # configs/scaling.yaml
    python -m experiments.scaling model.name=qwen3-8b accelerator=b200 machine=lightening-transformer-8bit
    python -m experiments.scaling 'machine={name: display-1024, costs: {load_time_s: 1e-6}}'
    python -m experiments.scaling --help

Five sweeps of traced programs (no formula of a model, no weights): a matrix on an array as large as itself; a
matrix on a fixed array; a model's width, its context, and its batch. Each size is estimated on the core
and on the accelerator. Every quantity gets its exponent: the least-squares slope in log-log with its standard
error, and the local slopes at both ends, since a sum of powers has no single one. The light's cost is
repeated with memory, with weight loading, with both, and with converters too, for nothing. Crossovers say
where one quantity, or one component of the cost, overtakes another. Writes ``results/scaling/<run>/``:
rows.csv, exponents.csv, crossovers.csv, metrics.json, report.txt, energy.png, components.png,
counts.png, time.png, report.html, config and versions. An
interrupted run goes on when started again with the same ``run=NAME``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from experiments.harness import Parts, Progress, RunDirectory, user_errors
from experiments.harness.machines import OPTICAL, make_accelerator
from experiments.report import run as html_report
from experiments.scaling import plots as scaling_plots
from experiments.scaling import report as scaling_report
from experiments.scaling.config import Crossover, Scaling
from photonjax.evaluation.crossings import solve_crossing
from photonjax.evaluation.sweeps import Row, SweepMachines, matrix_workload, model_workload, sweep
from photonjax.workload import Workload

TITLE = "How the cost of a prefill grows"
Sweep = tuple[str, list[int], Callable[[int], Workload], SweepMachines]


def scaling(config: Scaling) -> None:
    """The whole experiment."""
    sweeps = make_sweeps(config)
    with RunDirectory("scaling", config) as run:
        parts = Parts(run)
        rows: dict[str, list[Row]] = {over: [] for over, *_ in sweeps}
        contexts: dict[str, Row] = {}
        steps = sum(len(values) for _, values, *_ in sweeps) + len(config.crossover.models)
        with Progress("trace programs", steps, "sizes") as progress:
            for over, values, program, machines in sweeps:
                for value in values:
                    work = functools.partial(sweep, over, [value], program, machines)
                    with user_errors(ValueError, prefix=f"{over} = {value}: "):
                        rows[over] += parts.get(f"{over} = {value}", work, progress)
            for model in config.crossover.models:
                work = functools.partial(attention_overtakes, model, config.crossover)
                contexts[model] = parts.get(f"attention overtakes: {model}", work, progress)
        write(run, config, rows, contexts)


def make_sweeps(config: Scaling) -> list[Sweep]:
    """Name, sizes, program and machines of each sweep."""
    core = config.core().machine
    dtypes = [config.dtype, config.attention_dtype]
    accelerator = make_accelerator("accelerator", config.accelerator, dtypes).machine
    fixed = SweepMachines(core, accelerator, *dtypes, OPTICAL[config.optical])
    matrix = functools.partial(matrix_workload, tokens=config.matrix.tokens)

    growing = dataclasses.replace(fixed, core=functools.partial(config.grown, core))
    model = functools.partial(model_workload, config.model.name)
    width = functools.partial(model, config.width.context, 1)
    batch = functools.partial(model, config.batch.context)
    return [
        (scaling_report.ARRAY, config.matrix.array, matrix, growing),
        (scaling_report.FIXED, config.matrix.fixed, matrix, fixed),
        (scaling_report.WIDTH, config.width.sizes, width, fixed),
        (scaling_report.CONTEXT, config.context, model, fixed),
        (scaling_report.BATCH, config.batch.sizes, batch, fixed),
    ]


def attention_overtakes(model: str, limits: Crossover) -> Row:
    """The context from which on a model's attention multiplies more than its products with weights."""

    def ratio(context: int) -> float:
        sites = model_workload(model, context).matmuls
        attention = sum(site.macs for site in sites if not site.stationary)
        return attention / sum(site.macs for site in sites if site.stationary)

    found = solve_crossing(ratio, limits.low, limits.high)
    return {"context": found, "at_low": ratio(limits.low), "at_high": ratio(limits.high)}


def write(
    run: RunDirectory, config: Scaling, rows: dict[str, list[Row]], contexts: dict[str, Row]
) -> None:
    """All results; metrics.json before the page that shows them, as it marks the run as finished."""
    found: dict[str, Any] = {
        "title": TITLE,
        "rows": rows,
        "exponents": scaling_report.all_exponents(rows),
        "crossovers": scaling_report.all_crossings(rows),
        "attention_overtakes": contexts,
    }
    report = scaling_report.readable(found, config)
    names = dict.fromkeys(name for each in rows.values() for row in each for name in row)
    run.write_csv(
        "rows.csv", [{n: r.get(n) for n in names} for each in rows.values() for r in each]
    )
    run.write_csv("exponents.csv", found["exponents"])
    if found["crossovers"]:
        run.write_csv("crossovers.csv", found["crossovers"])
    run.write_plot("energy.png", scaling_plots.energy(rows))
    run.write_plot("components.png", scaling_plots.components(rows))
    run.write_plot("counts.png", scaling_plots.counts(rows))
    run.write_plot("time.png", scaling_plots.time(rows))
    run.write("report.txt", report + "\n")
    run.write_json("metrics.json", found)
    if config.html:
        html_report.write(run.path)
    print(f"\n{report}\n\nwritten to {run.path}")
