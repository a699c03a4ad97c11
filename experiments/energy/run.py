"""What a prefill costs on light and on digital accelerators: a grid of models, contexts, cores and baselines.

    python -m experiments.energy                                   # configs/energy.yaml
    python -m experiments.energy models=[qwen3-8b] contexts=[8192] accelerators=[tpu-v6e]
    python -m experiments.energy 'cores=[{name: display-1024, label: fast display,
                                          costs: {load_time_s: 1e-5}}]'
    python -m experiments.energy --help

Models are traced from their shapes: no weights are needed. Against each accelerator the core works beside it,
and it does what the core does not. Every ratio is the core's energy (or time) over the baseline's:
below one, light takes less. It is given as set, and as p10, p50 and p90 over the ranges of all numbers
that have one, drawn as a Latin hypercube. Writes ``results/energy/<run>/``: energy.csv, components.csv,
metrics.json, report.txt, energy.png, components.png, report.html, config and versions. An interrupted run
goes on when started again with the same ``run=NAME``.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from experiments.energy import plots as energy_plots
from experiments.energy import report as energy_report
from experiments.energy.config import Energy
from experiments.harness import Parts, Progress, RunDirectory, user_errors
from experiments.harness.machines import OPTICAL, precision
from experiments.report import run as html_report
from photonjax import cost, models
from photonjax.workload import Workload

Row = dict[str, Any]
QUANTILES = (0.1, 0.5, 0.9)
MOST_SWINGS = 5
TITLE = "Energy of a prefill on light and on digital accelerators"


def energy(config: Energy) -> None:
    """The whole experiment."""
    cores, accelerators = config.machines()
    with RunDirectory("energy", config) as run:
        parts = Parts(run)
        grid = [
            (model, context, core)
            for model in config.models
            for context in config.contexts
            for core in cores
        ]
        with Progress("grid", len(grid), "points") as progress:
            points = [
                parts.get(
                    f"{model}, {context}, {core.name}",
                    functools.partial(point, config, model, context, core, accelerators),
                    progress,
                )
                for model, context, core in grid
            ]
        write(run, config, points)


def point(
    config: Energy,
    model: str,
    context: int,
    core: cost.UncertainMachine,
    accelerators: list[cost.UncertainMachine],
) -> Row:
    """One model and context on one core, against every baseline, with the spread of the ratios."""
    workload = cost.group_sites(models.prefill_workload(model, tokens=context, batch=config.batch))
    tokens = context * config.batch

    def of(core: Any, *values: Any) -> dict[str, dict[str, jax.Array]]:
        return ratios(config, workload, core, dict(zip(names, values, strict=True)))

    names = [accelerator.name for accelerator in accelerators]
    with user_errors(ValueError, prefix=f"{model}, {context} tokens, {core.name}: "):
        drawn = cost.monte_carlo(of, core, *accelerators, samples=config.samples, seed=config.seed)
        as_set = of(core.machine, *(accelerator.machine for accelerator in accelerators))
        charged = {
            accelerator.name: on_light(config, workload, core.machine, accelerator.machine)
            for accelerator in accelerators
        }
    first = charged[names[0]]
    baselines, notes = [], dict.fromkeys(first.notes)
    for name, found in as_set.items():
        accelerator, dtype = name.split(" ")
        light = charged[accelerator]
        known = next(u.machine for u in accelerators if u.name == accelerator)
        base = cost.estimate(workload, known, dtype=precision(dtype, config.attention_dtype))
        notes |= {f"{model} on {name}: {n}": None for n in base.notes if n not in first.notes}
        line: Row = {"baseline": name, "accelerator": accelerator, "dtype": dtype}
        line |= {"optical_j_per_token": float(light.joules) / tokens}
        line |= {"optical_tokens_per_s": tokens / float(light.seconds)}
        line |= {f"{k}_per_token": float(found[k]) / tokens for k in ("digital_j", "floor_j")}
        line |= {"digital_tokens_per_s": tokens / float(found["digital_s"])}
        for ratio in ("energy", "floor", "time"):
            line[f"{ratio}_ratio"] = float(found[ratio])
            spread = cost.quantiles(drawn[name][ratio], QUANTILES)
            line |= {f"{ratio}_ratio_{q}": value for q, value in spread.items()}
        samples = np.asarray(drawn[name]["energy"])
        line["fraction_of_draws_below_1"] = float(np.mean(samples < 1))
        line["fraction_of_draws_at_most_0.1"] = float(np.mean(samples <= 0.1))
        baselines.append(line)
    return {
        "model": model,
        "context": context,
        "core": core.name,
        "core_ranges": len(core.ranges),
        "core_assumed": sum(number.assumed for number in core.ranges.values()),
        "tokens": tokens,
        "macs": workload.macs,
        "beside": names[0],
        "swings": swings(config, workload, core, accelerators[0]),
        "components_j": split(first, "joules"),
        "components_s": split(first, "seconds"),
        "baselines": baselines,
        "notes": list(notes),
    }


def ratios(
    config: Energy, workload: Workload, core: Any, accelerators: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """By baseline: its joules and seconds, and the core's over them."""
    found = {}
    for name, accelerator in accelerators.items():
        light = on_light(config, workload, core, accelerator)
        for dtype in config.dtypes:
            base = cost.estimate(
                workload, accelerator, dtype=precision(dtype, config.attention_dtype)
            )
            assert base.floor is not None
            found[f"{name} {dtype}"] = {
                "digital_j": base.joules,
                "digital_s": base.seconds,
                "floor_j": base.floor.joules,
                "energy": light.joules / base.joules,
                "floor": light.joules / base.floor.joules,
                "time": light.seconds / base.seconds,
            }
    return found


def swings(
    config: Energy,
    workload: Workload,
    core: cost.UncertainMachine,
    accelerator: cost.UncertainMachine,
) -> list[Row]:
    """The numbers that move the energy ratio to the first baseline most, one at a time over its range."""

    name = f"{accelerator.name} {config.dtypes[0]}"

    def ratio(light: Any, base: Any) -> Any:
        return ratios(config, workload, light, {accelerator.name: base})[name]["energy"]

    found = cost.swings(ratio, core, accelerator)[:MOST_SWINGS]
    return [
        {"number": f"{s.machine}: {s.field}", "at_low": s.at_low, "at_high": s.at_high}
        for s in found
        if s.at_low != s.at_high
    ]


def on_light(config: Energy, workload: Workload, core: Any, accelerator: Any) -> cost.CostBreakdown:
    """The cost of the core with the accelerator beside it."""
    return cost.estimate(
        workload,
        core,
        where=OPTICAL[config.optical],
        digital=accelerator,
        dtype=config.attention_dtype,
    )


def split(of: cost.CostBreakdown, what: str) -> dict[str, float]:
    """Components of a cost; what the accelerator beside the core takes as ``beside: name``."""
    parts: dict[str, float] = {}
    for entry in of.entries:
        for name, value in getattr(entry, what).items():
            own = entry.where == "light" or name == "static"
            name = name if own else f"beside: {name}"
            parts[name] = parts.get(name, 0.0) + float(value)
    return parts


def write(run: RunDirectory, config: Energy, points: list[Row]) -> None:
    """All results; metrics.json before the page that shows them, as it marks the run as finished."""
    rows = energy_report.grid_rows(points)
    report = energy_report.readable(points, config)
    run.write_csv("energy.csv", rows)
    run.write_csv("components.csv", energy_report.component_rows(points))
    run.write_plot("energy.png", energy_plots.heat_map(points))
    run.write_plot("components.png", energy_plots.components(points))
    run.write("report.txt", report + "\n")
    run.write_json("metrics.json", {"title": TITLE, "rows": rows, "points": points})
    if config.html:
        html_report.write(run.path)
    print(f"\n{report}\n\nwritten to {run.path}")
