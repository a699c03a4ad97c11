"""How a real photonic processor errs, a twin fitted to it, and what a language model loses on the twin.

    python -m experiments.measured readings=PATH            # a directory of the three files; null: fetched
    python -m experiments.measured readings=PATH language_model.run=true
    python -m experiments.measured --help

The machine's readings of 4,096 vectors through one weight matrix are explained by
:func:`photonjax.fit_core`; the statistics of its errors stand beside those of readings simulated by the
fitted model, and of products on the twin, an optical core that has the fields alone. The second stage
prefills text on the twin, and on twins with one error less each: what would have to improve first. ADC
ranges are calibrated for each site, as the machine chooses a gain for each. Writes
``results/measured/<run>/``: statistics.csv, ladder.csv, fields.csv, sweeps.csv, columns.csv, metrics.json,
report.txt, errors.png, ladder.png.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import photonjax as pj
from experiments.harness import RunDirectory, Stages, note, user_errors
from experiments.harness.inputs import check_fit, load_model, load_text
from experiments.measured import inputs, plots
from experiments.measured.config import Measured
from photonjax import evaluation
from photonjax.core.fit import Fit
from photonjax.core.fit_statistics import Estimate, with_intervals
from photonjax.tables import text_table

TITLE = "A real photonic processor, its twin, and a language model on the twin"
IMPROVED = (
    *("array.noise", "adc.enob", "receiver.common_noise", "receiver.gain_error"),
    *("receiver.offset_error", "receiver.relative_noise"),
)


def measured(config: Measured) -> None:
    """The whole experiment."""
    with RunDirectory("measured", config) as run:
        found = inputs.load(config.readings)
        note(f"results: {run.path}")
        with user_errors(ValueError, TypeError, prefix="readings: "):
            twin, fit = pj.fit_core(
                config.core,
                found.expected,
                found.observed,
                unit=config.unit,
                cycle=config.cycle,
                fixed_weight=config.fixed_weight,
                input_rms=config.input_rms,
                components=wanted(config),
                seed=config.seed,
            )
        columns, symbols = found.expected.shape[1], len(found.expected)
        gain = fit.other["gain"].value
        size = float(np.nanstd(found.expected)) / config.unit
        of_twin = products(twin, symbols, columns, size, config)
        machines = {
            "machine": (found.expected, found.observed),
            "fitted model": (found.expected, fit.simulate(config.seed)),
            "twin": (of_twin[0] * config.unit, of_twin[1] * config.unit * gain),
        }
        statistics = {
            name: with_intervals(*pair, cycle=config.cycle, fixed_weight=config.fixed_weight)
            for name, pair in machines.items()
        }
        language = on_twin(config, twin) if config.language_model.run else None
        write(run, fit, statistics, machines, inputs.sweep_rows(found), language)


def wanted(config: Measured) -> list[str]:
    """The components that apply."""
    apply = {"cycle": config.cycle > 1, "fixed_weight": config.fixed_weight}
    return [name for name in config.components if apply.get(name, True)]


def products(
    twin: pj.OpticalCore, symbols: int, columns: int, size: float, config: Measured
) -> tuple[np.ndarray, np.ndarray]:
    """Exact results of random vectors and one weight matrix, and the twin's, in products of full scale.

    Args:
      size: root mean square of the results, which the weights are scaled for.
    """
    rng = np.random.default_rng(config.seed)

    def on_levels(of: np.ndarray, bits: int | None) -> np.ndarray:
        levels = 2 ** ((bits or 16) - 1) - 1
        return np.round(np.clip(of, -1, 1) * levels) / levels

    x = on_levels(config.input_rms * rng.normal(size=(symbols, config.rows)), twin.input.bits)
    rms = size / (config.input_rms * np.sqrt(config.rows))
    w = on_levels(rms * rng.normal(size=(config.rows, columns)), twin.array.bits)
    w[0, 0] = 1.0  # full scale of the matrix
    core = twin.replace(
        input={"scale": "static", "range": 1.0}, array={"scale": "per_tensor"}, costs=None
    )
    y = pj.optical_matmul(
        jnp.asarray(x, jnp.float32),
        jnp.asarray(w, jnp.float32),
        core=core,
        key=jax.random.key(config.seed),
    )
    return x @ w, np.asarray(y, float)


def on_twin(config: Measured, twin: pj.OpticalCore) -> evaluation.Evaluation:
    """A language model's prefill on the twin, and on twins with one error less."""
    model, tokenizer = load_model(config.model)
    about: Any = types.SimpleNamespace(
        data=config.data,
        model=config.model,
        windows=config.language_model.windows,
        calibration=config.calibration,
    )
    text = load_text(about, tokenizer)
    check_fit(about, model, text)
    with Stages() as stages, user_errors(ValueError, prefix="language_model: "):
        return evaluation.evaluate(
            model,
            text.windows,
            rungs(twin),
            calibration=text.calibration,
            margin=config.language_model.margin,
            seed=config.seed,
            measure_windows=0,
            at_once=2,
            watch=stages,
        )


def rungs(twin: pj.OpticalCore) -> dict[str, pj.OpticalCore]:
    """The twin, twins without one of its errors, and one without any; of one structure, so that they share
    their compiled programs.
    """
    present = [name for name in IMPROVED if pj.core.get_field(twin, name) is not None]
    perfect = {name: 0.0 for name in present} | {"adc.enob": float(twin.adc.bits or 24)}
    perfect = {name: perfect[name] for name in present}
    found = {"twin": twin}
    found |= {f"without {name}": twin.replace(**{name: perfect[name]}) for name in present}
    found["converters alone"] = twin.replace(**perfect)
    return found


def write(
    run: RunDirectory,
    fit: Fit,
    statistics: Mapping[str, Mapping[str, Estimate]],
    machines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    sweeps: list[dict[str, Any]],
    language: evaluation.Evaluation | None,
) -> None:
    """All results; metrics.json last, since it marks the run as finished."""
    rows = [
        {"statistic": name, "machine": m.value, "low": m.low, "high": m.high}
        | {
            key: value
            for other in ("fitted model", "twin")
            for key, value in {
                other: statistics[other][name].value,
                f"{other} low": statistics[other][name].low,
                f"{other} high": statistics[other][name].high,
            }.items()
        }
        for name, m in statistics["machine"].items()
    ]
    ladder = [
        {
            "added": rung.added,
            "parameters": rung.parameters,
            "nats a held-out reading": rung.nats,
            "difference": rung.gain.value,
            "standard error": rung.gain.error,
            "kept": rung.kept,
        }
        for rung in fit.ladder
    ]
    fields = [
        {"field": name, "value": e.value, "low": e.low, "high": e.high}
        for name, e in {**fit.fields, **fit.other}.items()
    ]
    columns = [
        {"column": int(n), "gain": g, "gain error": ge, "noise": s, "noise error": se}
        for n, g, ge, s, se in zip(fit.columns, *fit.gain, *fit.noise, strict=True)
    ]
    shown = text_table(
        [
            {"errors": name, **{who: str(of[name]) for who, of in statistics.items()}}
            for name in statistics["machine"]
        ]
    )
    swept = text_table([row | {"value": f"{row['value']:.4g}"} for row in sweeps])
    parts = [str(fit), f"statistics of errors, 95 % intervals\n{shown}", f"sweeps\n{swept}"]
    if language is not None:
        parts.append(f"on the twin\n{language}")
    report = "\n\n".join(parts)
    run.write_csv("statistics.csv", rows)
    run.write_csv("ladder.csv", ladder)
    run.write_csv("fields.csv", fields)
    run.write_csv("sweeps.csv", sweeps)
    run.write_csv("columns.csv", columns)
    run.write_plot("errors.png", plots.errors(machines))
    run.write_plot("ladder.png", plots.ladder(fit.ladder))
    run.write("report.txt", report + "\n")
    metrics: dict[str, Any] = {
        "title": TITLE,
        "statistics": rows,
        "ladder": ladder,
        "fields": fields,
        "sweeps": sweeps,
        "excluded": dataclasses.asdict(fit.excluded),
    }
    if language is not None:
        metrics["language_model"] = [
            {
                "rung": name,
                "perplexity": result.perplexity,
                "change_percent": result.perplexity_change_percent._asdict(),
            }
            for name, result in language.results.items()
        ]
    run.write_json("metrics.json", metrics)
    print(f"\n{report}\n\nwritten to {run.path}")
