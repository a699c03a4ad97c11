"""Choose a machine for a model: array size, bits, clock, converters and light, for a floor of quality.

    python -m experiments.design                                   # Llama-3 8B at 8k
    python -m experiments.design model.name=llama-3-70b context=32768   # overrides of configs/design.yaml
    python -m experiments.design --help

The discrete numbers are enumerated; for each the continuous ones are found by gradients through the
cost (:mod:`experiments.design.search`), for several quality floors and prices of time, and held against
a grid over everything. Quality is a surrogate fitted to a measured small model
(:mod:`experiments.design.quality`), checked against what it was not fitted to. Writes
``results/design/<run>/``: front.csv, grid_front.csv, checks.csv, design.png, report.txt, metrics.json,
config and versions. An interrupted run goes on when started again with the same ``run=NAME``.
"""

from __future__ import annotations

import functools
import math
import time
from typing import Any

import numpy as np

from experiments.design import quality
from experiments.design.config import Design
from experiments.design.machine import Choice, Machine
from experiments.design.plots import draw
from experiments.design.report import report
from experiments.design.search import (
    Box,
    best_designs,
    best_of_grid,
    by_gradient,
    by_grid,
    excess,
    non_dominated,
)
from experiments.harness import Parts, Progress, RunDirectory, UserError
from experiments.harness.machines import make_accelerator
from photonjax import cost
from photonjax.models import prefill_workload

OBJECTIVES = ("joules", "seconds", "rise")


def design(config: Design) -> None:
    """The whole experiment."""
    law, checks = quality.load(config.quality.photons_run, config.quality.crest)
    machine = make_machine(config, law)
    choices = [Choice(n, b) for n in config.sizes for b in config.bits]
    rises = [math.log1p(p / 100) for p in config.floors_percent]
    (slow, fast), (coarse, fine) = config.clock_hz, config.enob
    box = Box((math.log(slow), math.log(fast)), (coarse, fine))
    with RunDirectory("design", config) as run:
        parts = Parts(run)

        def searched(choice: Choice) -> dict[str, Any]:
            start = time.perf_counter()
            rows, estimates = by_gradient(
                machine, choice, rises, config.prices, box, config.tolerance
            )
            return {
                "rows": rows,
                "estimates": estimates,
                "seconds": time.perf_counter() - start,
            }

        with Progress("search by gradient", len(choices), "choices") as progress:
            found = [
                parts.get(f"{c.size} rows, {c.bits} bits", functools.partial(searched, c), progress)
                for c in choices
            ]
        front = best_designs(row for part in found for row in part["rows"])
        gradient_estimates = sum(part["estimates"] for part in found)
        start = time.perf_counter()
        points = config.grid
        photons = np.geomspace(*config.photons, points.photons)
        with Progress("search by grid", len(choices), "choices") as progress:
            axes = points.clock, points.enob
            grid, grid_estimates = by_grid(machine, choices, box, photons, axes, progress.advance)
        seconds = {
            "gradient": sum(part["seconds"] for part in found),
            "grid": time.perf_counter() - start,
        }
        if not front:
            raise UserError(
                "floors_percent: no design keeps any of these floors; raise one, or add bits"
            )
        results = compare(front, grid, rises, config)
        results["work"] = {
            "estimates_by_gradient": gradient_estimates,
            "estimates_by_grid": grid_estimates,
            "ratio": grid_estimates / gradient_estimates,
            "seconds": seconds,
        }
        results["surrogate"] = vars(law)
        text = report(config, results, checks, law.source)
        run.write_csv("front.csv", results["front"])
        run.write_csv("grid_front.csv", results["grid_front"])
        if checks:
            run.write_csv("checks.csv", checks)
        run.write_plot("design.png", draw(config, results, checks))
        run.write("report.txt", text + "\n")
        run.write_json("metrics.json", {**results, "checks": checks})
        print(f"\n{text}\n\nwritten to {run.path}")


def make_machine(config: Design, law: quality.Surrogate) -> Machine:
    """The program and the numbers that stay."""
    base = config.core().machine
    accelerator = make_accelerator("accelerator", config.accelerator, ["bfloat16"]).machine
    batch = max(1, -(-config.tokens_together // config.context))
    workload = prefill_workload(config.model.name, tokens=config.context, batch=batch)
    return Machine.of(
        cost.group_sites(workload),
        batch * config.context,
        base,
        accelerator,
        law,
        config.cells,
        config.corner_hz,
        config.corner_enob,
    )


def compare(
    front: list[dict[str, Any]], grid: dict[str, np.ndarray], rises: list[float], config: Design
) -> dict[str, Any]:
    """Both searches, floor by floor and price by price, and front against front."""
    rows = []
    for row in front:
        best = best_of_grid(grid, row["floor"], row["price"])
        known = {} if best is None else {f"grid_{k}": v for k, v in best.items()}
        # Above one: the grid found something better.
        worse = None if best is None else math.exp(row["objective"] - best["objective"])
        rows.append({**row, "gradient_over_grid": worse, **known})
    ours = np.array([[r[k] for k in OBJECTIVES] for r in rows])
    rows = [r for r, keep in zip(rows, non_dominated(ours), strict=True) if keep]
    ours = np.array([[r[k] for k in OBJECTIVES] for r in rows])
    columns = np.stack([grid[k] for k in OBJECTIVES], axis=1)
    kept = np.flatnonzero((grid["rise"] <= max(rises)) & np.isfinite(columns).all(axis=1))
    theirs = kept[non_dominated(columns[kept])]
    ratios = [r["gradient_over_grid"] for r in rows if r["gradient_over_grid"] is not None]
    same = [
        (r["size"], r["bits"]) == (r["grid_size"], r["grid_bits"]) for r in rows if "grid_size" in r
    ]
    beaten = 1.0 / excess(columns[theirs], ours) if len(theirs) else np.array([0.0])
    return {
        "front": rows,
        "grid_front": [{k: float(v[i]) for k, v in grid.items()} for i in theirs],
        "worst_gradient_over_grid": max(ratios, default=None),
        "best_gradient_over_grid": min(ratios, default=None),
        "same_choice_fraction": float(np.mean(same)) if same else None,
        "most_a_grid_point_beats_ours_by": float(np.max(beaten)),
        "same_front": bool(
            ratios
            and max(ratios) <= 1 + config.same_within
            and 1 / min(ratios) <= 1 + config.grid_within
        ),
    }
