"""How compute, energy, conversions, memory and time of a prefill grow: exponents and crossovers.

    python -m experiments.scaling                                     # configs/scaling.yaml
    python -m experiments.scaling transformer=qwen3-8b chip=b200 machine=lightening-transformer-8bit
    python -m experiments.scaling 'machine={name: display-1024, fields: {costs.load_time_s: 1e-6}}'
    python -m experiments.scaling --help

Five sweeps of traced programs (no formula of a model, no weights): a matrix on an array as large as itself; a
matrix on a fixed array; a model's width, its context, and its batch. Each size is billed on the core
and on the chip. Every quantity gets its exponent: the least-squares slope in log-log with its standard
error, and the local slopes at both ends, since a sum of powers has no single one. The light's bill is
repeated with memory, with weight loading, with both, and with converters too, for nothing. Crossovers say
where one quantity, or one component of the bill, overtakes another. Writes ``results/scaling/<run>/``:
rows.csv, exponents.csv, crossovers.csv, metrics.json, report.txt, energy.png, components.png,
counts.png, time.png, report.html, config and versions.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

import photonjax as pj
from experiments.energy.machines import (
    LIGHT,
    check_choice,
    check_context,
    check_list,
    check_model,
    check_whole,
    make_chip,
    make_core,
)
from experiments.harness import RunDirectory, UserError, user_errors
from experiments.report import run as html_report
from experiments.scaling import plots as scaling_plots
from experiments.scaling import report as scaling_report
from experiments.scaling.exponents import (
    Machines,
    Row,
    matrix_program,
    model_program,
    solve_crossing,
    sweep,
)
from experiments.scaling.rows import widened
from photonjax import models
from photonjax.machines.accelerator import DTYPE_BITS
from photonjax.workload import Workload

TITLE = "How the cost of a prefill grows"
Sweep = tuple[str, list[int], Callable[[int], Workload], Machines]


def scaling(config: DictConfig) -> None:
    """The whole experiment."""
    sweeps = check(config)
    with RunDirectory("scaling", config) as run:
        rows: dict[str, list[Row]] = {}
        steps = sum(len(values) for _, values, *_ in sweeps) + len(config.crossover.models)
        with tqdm(total=steps, desc="sizes", unit="size", disable=None) as bar:
            for over, values, program, machines in sweeps:
                rows[over] = []
                for value in values:
                    bar.set_postfix_str(f"{over} = {value:,}")
                    with user_errors(ValueError, prefix=f"{over} = {value}: "):
                        rows[over] += sweep(over, [value], program, machines)
                    bar.update()
            contexts = {}
            for model in config.crossover.models:
                bar.set_postfix_str(f"crossover of {model}")
                contexts[model] = attention_overtakes(model, config.crossover)
                bar.update()
        write(run, config, rows, contexts)


def check(config: DictConfig) -> list[Sweep]:
    """The sweeps; refuses what cannot work before anything is traced."""
    check_whole("seed", config.seed, 0)
    check_model("transformer", config.transformer)
    for model in check_list("crossover.models", config.crossover.models):
        check_model("crossover.models", model)
    check_choice("light", config.light, list(LIGHT))
    for name in ("dtype", "attention_dtype"):
        check_choice(name, config[name], list(DTYPE_BITS))
    lists = {
        "matrix.array": config.matrix.array,
        "matrix.fixed": config.matrix.fixed,
        "width.sizes": config.width.sizes,
        "context": config.context,
        "batch.sizes": config.batch.sizes,
    }
    sizes: dict[str, list[int]] = {}
    for key, values in lists.items():
        for value in check_list(key, values, "sizes"):
            check_whole(key, value)
        sizes[key] = sorted(values)
        if len(sizes[key]) < 2:
            raise UserError(f"{key}: {sizes[key]} is one size; an exponent takes two or more")
    for name in ("matrix.tokens", "width.context", "batch.context"):
        group, key = name.split(".")
        check_whole(name, config[group][key])
    for name in ("from", "to"):
        check_whole(f"crossover.{name}", config.crossover[name])
    if config.crossover["from"] >= config.crossover.to:
        raise UserError(
            f"crossover.to: {config.crossover.to} is not above crossover.from = "
            f"{config.crossover['from']}"
        )
    exponent = config.matrix.photons_exponent
    if isinstance(exponent, bool) or not isinstance(exponent, (int, float)) or abs(exponent) > 4:
        raise UserError(f"matrix.photons_exponent: {exponent!r} is not a number from -4 to 4")
    for value in sizes["width.sizes"]:
        with user_errors(ValueError, prefix="width.sizes: "):
            widened(models.named(config.transformer), value)
    for length in (*sizes["context"], config.width.context, config.batch.context):
        check_context("context", config.transformer, length)
    for model in config.crossover.models:
        check_context("crossover.to", model, config.crossover.to)
    return make_sweeps(config, sizes)


def make_sweeps(config: DictConfig, sizes: dict[str, list[int]]) -> list[Sweep]:
    """Name, sizes, program and machines of each sweep."""
    core = make_core("machine", config.machine).machine
    chip = make_chip("chip", config.chip, [config.dtype, config.attention_dtype]).machine
    fixed = Machines(core, chip, config.dtype, config.attention_dtype, LIGHT[config.light])
    matrix = functools.partial(matrix_program, tokens=config.matrix.tokens)

    def grown(n: int) -> pj.OpticalCore:
        """The array n x n; its load time, losses and energies per part stay."""
        photons = core.photons
        if photons is not None:
            photons = photons * (n / core.rows) ** config.matrix.photons_exponent
        return core.replace(rows=n, cols=n, photons=photons)

    for n in sizes["matrix.array"]:
        with user_errors(ValueError, TypeError, prefix="matrix.array: "):
            grown(n)
    growing = dataclasses.replace(fixed, core=grown)
    model = config.transformer
    width = functools.partial(model_program, model, config.width.context, 1)
    return [
        (scaling_report.ARRAY, sizes["matrix.array"], matrix, growing),
        (scaling_report.FIXED, sizes["matrix.fixed"], matrix, fixed),
        (scaling_report.WIDTH, sizes["width.sizes"], width, fixed),
        (scaling_report.CONTEXT, sizes["context"], functools.partial(model_program, model), fixed),
        (
            scaling_report.BATCH,
            sizes["batch.sizes"],
            functools.partial(model_program, model, config.batch.context),
            fixed,
        ),
    ]


def attention_overtakes(model: str, limits: DictConfig) -> Row:
    """The context from which on a model's attention multiplies more than its products with weights."""

    def ratio(context: int) -> float:
        sites = model_program(model, context).matmuls
        attention = sum(site.macs for site in sites if not site.stationary)
        return attention / sum(site.macs for site in sites if site.stationary)

    low, high = limits["from"], limits.to
    found = solve_crossing(ratio, low, high)
    return {"context": found, "from": ratio(low), "to": ratio(high)}


def write(
    run: RunDirectory, config: DictConfig, rows: dict[str, list[Row]], contexts: dict[str, Row]
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
