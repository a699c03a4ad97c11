"""Choose a machine for a model: array size, bits, clock, converters and light, for a floor of quality.

    python -m experiments.design                                   # Llama-3 8B at 8k
    python -m experiments.design language_model=llama-3-70b context=32768   # overrides of configs/design.yaml
    python -m experiments.design --help

The discrete numbers are enumerated; for each the continuous ones are found by gradients through the
bill (:mod:`design_search`), for several quality floors and prices of time, and held against a grid
over everything. Quality is a surrogate fitted to a measured small model (:mod:`design_quality`),
checked against what it was not fitted to. Writes ``results/design/<run>/``: front.csv,
grid_front.csv, checks.csv, design.png, report.txt, metrics.json, config and versions.
"""

from __future__ import annotations

import math
import textwrap
import time
from typing import Any

import matplotlib
import numpy as np
from omegaconf import DictConfig, ListConfig

import photonjax as pj
from experiments.design import quality as design_quality
from experiments.design.machine import Choice, Machine
from experiments.design.search import Box, best_of_grid, by_gradient, by_grid, excess, non_dominated
from experiments.harness import RunDirectory, UserError, user_errors
from photonjax.models.shapes import prefill_workload

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from photonjax.tables import text_table

OBJECTIVES = ("joules", "seconds", "rise")


def design(config: DictConfig) -> None:
    """The whole experiment."""
    check(config)
    law, checks = design_quality.load(config.quality.photons_result, config.quality.crest)
    machine = make_machine(config, law)
    choices = [Choice(int(n), int(b)) for n in config.sizes for b in config.bits]
    rises = [math.log1p(p / 100) for p in config.floors_percent]
    low, high = (math.log(v) for v in config.clock_hz)
    box = Box((low, high), (float(config.enob[0]), float(config.enob[1])))
    with RunDirectory("design", config) as run:
        start = time.perf_counter()
        front, gradient_bills = by_gradient(
            machine, choices, rises, list(config.prices), box, config.tolerance
        )
        middle = time.perf_counter()
        points = config.grid
        photons = np.geomspace(float(config.photons[0]), float(config.photons[1]), points.photons)
        grid, grid_bills = by_grid(machine, choices, box, photons, (points.clock, points.enob))
        seconds = {"gradient": middle - start, "grid": time.perf_counter() - middle}
        if not front:
            raise UserError(
                "floors_percent: no design keeps any of these floors; raise one, or add bits"
            )
        results = compare(front, grid, rises, config)
        results["work"] = {
            "bills_by_gradient": gradient_bills,
            "bills_by_grid": grid_bills,
            "ratio": grid_bills / gradient_bills,
            "seconds": seconds,
        }
        results["surrogate"] = vars(law)
        text = report(config, results, checks, law.source)
        run.write_csv("front.csv", results["front"])
        run.write_csv("grid_front.csv", results["grid_front"])
        if checks:
            run.write_csv("checks.csv", checks)
        run.write_plot("design.png", figure(config, results, checks))
        run.write("report.txt", text + "\n")
        run.write_json("metrics.json", {**results, "checks": checks})
        print(f"\n{text}\n\nwritten to {run.path}")


def check(config: DictConfig) -> None:
    """Refuse what cannot work before anything is computed."""
    for key in ("context", "tokens_together", "cells"):
        _whole(key, config[key])
    for key in ("photons", "clock", "enob"):
        _whole(f"grid.{key}", config.grid[key], least=2)
    for key in ("sizes", "bits"):
        values = config[key]
        if not isinstance(values, ListConfig) or not values:
            raise UserError(f"{key}: {values!r} is not a list of whole numbers")
        for value in values:
            _whole(key, value, least=2)
    for key in ("clock_hz", "enob", "photons"):
        pair = config[key]
        if not isinstance(pair, ListConfig) or len(pair) != 2 or not 0 < pair[0] < pair[1]:
            raise UserError(f"{key}: {pair!r} is not [low, high] with 0 < low < high")
    for key, least in (("floors_percent", 0.0), ("prices", -1.0)):
        values = config[key]
        if not isinstance(values, ListConfig) or not values or any(v <= least for v in values):
            raise UserError(f"{key}: {values!r} is not a list of numbers above {least:g}")
    if isinstance(config.quality.crest, (bool, str)) or not 0 <= config.quality.crest < 1e6:
        raise UserError(f"quality.crest: {config.quality.crest!r} is not a number of 0 or more")
    if isinstance(config.corner_hz, (bool, str)) or config.corner_hz <= 0:
        raise UserError(f"corner_hz: {config.corner_hz!r} is not a number above 0")
    if isinstance(config.corner_enob, (bool, str)) or not 0 < config.corner_enob < 24:
        raise UserError(f"corner_enob: {config.corner_enob!r} is not a number between 0 and 24")
    for key in ("tolerance", "same_within", "grid_within"):
        if isinstance(config[key], bool) or not 0 < config[key] < 1:
            raise UserError(f"{key}: {config[key]!r} is not a number between 0 and 1")


def _whole(key: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{key}: {value!r} is not a whole number of {least} or more")


def make_machine(config: DictConfig, law: design_quality.Surrogate) -> Machine:
    """The program and the numbers that stay."""
    with user_errors(ValueError):
        base, beside = pj.machines.optical(config.machine), pj.machines.digital(config.beside)
        batch = max(1, -(-config.tokens_together // config.context))
        inventory = prefill_workload(config.language_model, tokens=config.context, batch=batch)
    if base.costs is None or base.adc.enob is None or base.input.bits is None:
        raise UserError(f"machine: {config.machine!r} lacks costs, ENOB or bits; take display-1024")
    return Machine.of(
        pj.cost.group_sites(inventory),
        batch * config.context,
        base,
        beside,
        law,
        config.cells,
        config.corner_hz,
        config.corner_enob,
    )


def compare(
    front: list[dict[str, Any]], grid: dict[str, np.ndarray], rises: list[float], config: DictConfig
) -> dict[str, Any]:
    """Both searches, floor by floor and price by price, and front against front."""
    rows = []
    for row in front:
        best = best_of_grid(grid, row["floor"], row["price"])
        known = {} if best is None else {f"grid_{k}": best[k] for k in (*row_names(), "objective")}
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


def row_names() -> tuple[str, ...]:
    """Columns of a design."""
    return ("size", "bits", "photons", "clock_hz", "enob", "joules", "seconds", "rise")


def report(
    config: DictConfig, results: dict[str, Any], checks: list[dict[str, Any]], source: str
) -> str:
    """Front, comparison, checks of the surrogate."""
    shown = [
        {
            "floor": f"+{100 * math.expm1(r['floor']):.3g} %",
            "price of time": f"{r['price']:g}",
            "array": r["size"],
            "bits": r["bits"],
            "photons": f"{r['photons']:.3g}",
            "GHz": f"{r['clock_hz'] / 1e9:.3g}",
            "ENOB": f"{r['enob']:.2f}",
            "mJ/token": f"{1e3 * r['joules']:.4g}",
            "tokens/s": f"{1 / r['seconds']:.4g}",
            "grid mJ/token": f"{1e3 * r['grid_joules']:.4g}" if "grid_joules" in r else "-",
        }
        for r in results["front"]
    ]
    work = results["work"]
    worst, best = results["worst_gradient_over_grid"], results["best_gradient_over_grid"]
    lines = [
        text_table(shown),
        "",
        "objective joules x seconds^price; the front is "
        f"{'the same' if results['same_front'] else 'NOT the same'}: "
        f"by gradient {worst:.4f} of the grid's best at worst and {best:.4f} at best (tolerance "
        f"{config.same_within:g} above one; below one the grid's steps, {config.grid_within:g}); same "
        f"array and bits in {results['same_choice_fraction']:.0%}"
        if worst is not None
        else "the grid keeps none of these floors",
        f"no point of the grid's front ({len(results['grid_front'])} points) beats ours by more "
        "than a factor of "
        f"{results['most_a_grid_point_beats_ours_by']:.3f} in joules, seconds and rise alike",
        f"work: {work['bills_by_gradient']:,} bills (a gradient counted as three) against "
        f"{work['bills_by_grid']:,}: {work['ratio']:.1f} times less; compiling included, "
        f"{work['seconds']['gradient']:.0f} s and {work['seconds']['grid']:.0f} s",
        "",
        f"quality is a SURROGATE ({source}): rise of log-perplexity in proportion to the mean "
        "relative error of "
        f"products; of a 135M model, applied to {config.language_model}",
    ]
    if checks:
        lines += _check_lines(checks)
        lines += ["", text_table([_shown_check(c) for c in checks])]
    lines += [
        "",
        f"held: {config.cells:,} cells in all arrays; {config.tokens_together:,} tokens a load; "
        "everything else as "
        f"{config.machine}. Assumed: converters' energy a sample doubles at {config.corner_hz:.3g} "
        f"Hz; an ADC of {config.corner_enob:g} bits takes twice what Walden's law says, and four "
        f"times a bit beyond; peak over rms at the ADC {config.quality.crest:g}",
    ]
    return "\n".join(
        line if "\n" in line or line.startswith("  ") else textwrap.fill(line, 110)
        for line in lines
    )


FAMILIES = {
    "sub-array": "everything on light (one point of these was fitted)",
    "rounding": "rounding to 8 bits alone",
    "variant": "other spreads of light and rounding",
    "site": "one kind of product alone",
}


def _check_lines(checks: list[dict[str, Any]]) -> list[str]:
    """Predicted over measured rise, family by family."""
    lines = ["predicted over measured rise of perplexity:"]
    for family, name in FAMILIES.items():
        own = [c["predicted_over_measured"] for c in checks if c["family"] == family]
        known = [r for r in own if r is not None]
        if known:
            span = f"{min(known):.2f} to {max(known):.2f}, median {np.median(known):.2f}"
            lines.append(f"  {name}: {span} ({len(known)} points)")
    return lines


def _shown_check(c: dict[str, Any]) -> dict[str, str]:
    ratio = c["predicted_over_measured"]
    return {
        "rung": c["rung"],
        "photons at full scale": "-" if c["light"] is None else f"{c['light']:.4g}",
        "measured %": f"{c['measured_percent']:+.3f}",
        "predicted %": f"{c['predicted_percent']:+.3f}",
        "ratio": "-" if ratio is None else f"{ratio:.2f}",
    }


def figure(config: DictConfig, results: dict[str, Any], checks: list[dict[str, Any]]) -> Any:
    """Energy against quality, by price of time, over the grid's front; the surrogate against measurement."""
    plot, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.4), layout="constrained")
    grid = results["grid_front"]
    left.plot(
        [100 * math.expm1(r["rise"]) for r in grid],
        [1e3 * r["joules"] for r in grid],
        ".",
        color="0.75",
        ms=2,
        label="grid's front, any speed",
    )
    for price in config.prices:
        own = sorted((r for r in results["front"] if r["price"] == price), key=lambda r: r["rise"])
        x = [100 * math.expm1(r["rise"]) for r in own]
        left.plot(x, [1e3 * r["joules"] for r in own], "o-", label=f"price of time {price:g}")
        for r, at in zip(own, x, strict=True):
            left.annotate(f"{1 / r['seconds']:.2g}/s", (at, 1e3 * r["joules"]), fontsize=6)
    left.set(xscale="log", yscale="log", xlabel="rise of perplexity [%] (surrogate)")
    left.set_ylabel(f"{config.language_model}: energy [mJ/token], tokens/s beside")
    left.legend(fontsize=7)
    good = [c for c in checks if c["measured_percent"] > 0]
    if good:
        x = [c["measured_percent"] for c in good]
        for family, name in FAMILIES.items():
            own = [c for c in good if c["family"] == family]
            measured = [c["measured_percent"] for c in own]
            right.plot(measured, [c["predicted_percent"] for c in own], "o", ms=3, label=name)
        right.legend(fontsize=6)
        right.plot([min(x), max(x)], [min(x), max(x)], "k-", lw=0.8)
        right.set(xscale="log", yscale="log")
    right.set_xlabel("measured rise of perplexity [%]")
    right.set_ylabel("predicted [%]")
    return plot
