"""What light does to a language model: perplexity, time and energy of its prefill, rung by rung.

    python -m experiments.evaluate                          # the default model, text and ladder
    python -m experiments.evaluate windows=32 run=long      # overrides of configs/evaluate.yaml
    python -m experiments.evaluate --help

Windows of text are prefilled by the digital model and, with the same tokens, by the model on every
optical core of the ladder. Writes ``results/evaluate/<run>/``: metrics.json, cores.csv, sites.csv,
windows.json, report.txt, plots, the resolved config and versions. An interrupted run goes on when
started again with the same ``run=NAME``.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import photonjax as pj
from experiments.evaluate import plots
from experiments.evaluate.bills import Bills
from experiments.evaluate.config import DIGITAL, Evaluate
from experiments.harness import (
    Progress,
    RunDirectory,
    UserError,
    note,
    peak_memory_bytes,
    track,
    user_errors,
)
from experiments.harness.inputs import (
    check_fit,
    load_model,
    load_text,
    make_core,
    make_rules,
)
from photonjax.core import Measurement, arithmetic
from photonjax.machines import DigitalAccelerator
from photonjax.tables import text_table


def evaluate(config: Evaluate) -> None:
    """The whole experiment."""
    with user_errors(ValueError, TypeError):
        arithmetic()  # measured once; or refuses what the environment asks for
        accelerator = pj.machines.digital(config.digital.name)
        cores = {
            name: make_core(config.core, fields, f"ladder.{name}")
            for name, fields in config.ladder.items()
        }
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
    """Load, convert, evaluate and measure every rung, and write what came of it."""
    model, tokenizer = load_model(config.model)
    text = load_text(config, tokenizer)
    note(f"text: {text.description}")
    check_fit(config, model, text)
    with user_errors(ValueError, prefix=f"digital {config.digital.name}: "):
        bills = Bills(config, model, text.windows.shape, accelerator)

    reports = {}
    with user_errors(ValueError):
        for name in cores:
            with user_errors(ValueError, prefix=f"ladder.{name}: "):
                reports[name] = pj.convert(model, rules[name])[1]
    with user_errors(ValueError, prefix=f"digital {config.digital.name}: "):
        energies = {
            name: bills.of(core, reports[name], fields=set(config.ladder[name]))
            for name, core in cores.items()
        }
    run.write("conversion.txt", f"{next(iter(reports.values()))}\n")

    sample = jnp.asarray(text.calibration)
    names, measured = list(cores), {}
    for first in range(0, len(names), config.at_once):
        rungs = {DIGITAL: Rung(model)}
        group = names[first : first + config.at_once]
        for name in track(group, "program", "cores"):
            with user_errors(ValueError, prefix=f"ladder.{name}: "):
                optical, _ = pj.convert(model, rules[name])
                if cores[name].adc.bits is not None:
                    pj.calibrate(optical, sample, margin=config.calibration.margin)
                pj.program_weights(optical)
            rungs[name] = Rung(optical)
        windows = evaluate_windows(config, rungs, text.windows, run)
        for name in track(group, "measure sites", "cores"):
            part = text.windows[: config.measure_windows]
            measured[name] = measure(rungs[name], part, config.seed)
    cores_rows = [summarize(DIGITAL, windows, {}, None)]
    cores_rows += [summarize(name, windows, measured[name], energies[name]) for name in cores]
    write(run, config, text, cores_rows, measured, bills, windows)


class Rung:
    """A model, split for jit; models of equal structure share one compiled program."""

    def __init__(self, model: nnx.Module):
        self.model = model
        self.graph, self.state = nnx.split(model)

    def prefill(self, tokens: jax.Array, key: jax.Array) -> tuple[jax.Array, float]:
        """Logits ``[L, V]`` of one window and the seconds that took (compiling aside)."""
        program = _compile(self.graph, _shapes(self.state), tokens.shape[0])
        start = time.perf_counter()
        logits = jax.block_until_ready(program(self.state, tokens, key))
        return logits, time.perf_counter() - start


@functools.cache
def _compile(graph: Any, state: Any, length: int):
    def prefill(state, tokens, key):
        model = nnx.merge(graph, state)
        pj.nnx.set_noise_key(model, key)
        return model(tokens[None])[0]

    leaves, structure = state
    shapes = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(s, d) for s, d in leaves])
    tokens = jax.ShapeDtypeStruct((length,), jnp.int32)
    return jax.jit(prefill).lower(shapes, tokens, jax.random.key(0)).compile()


def _shapes(state: Any) -> tuple[tuple[tuple[tuple[int, ...], Any], ...], Any]:
    leaves, structure = jax.tree.flatten(state)
    return tuple((leaf.shape, leaf.dtype) for leaf in leaves), structure


@jax.jit
def compare(logits: jax.Array, reference: jax.Array, tokens: jax.Array) -> dict[str, jax.Array]:
    """Sums over the predictions of one window: negative log-likelihood, KL to the reference, agreement."""
    ours, theirs = jax.nn.log_softmax(logits[:-1]), jax.nn.log_softmax(reference[:-1])
    p, d = jnp.exp(theirs), ours - theirs
    # p log(p/q) - p + q: the same sum, but no term is negative, whatever the rounding of the others.
    kl = jnp.where(jnp.abs(d) < 1, p * (jnp.expm1(d) - d), jnp.exp(ours) - p - p * d)
    return {
        "nll": -jnp.take_along_axis(ours, tokens[1:, None], 1).sum(),
        "kl": jnp.sum(kl),
        "agree": jnp.sum(logits[:-1].argmax(-1) == reference[:-1].argmax(-1)),
    }


def evaluate_windows(
    config: Evaluate, rungs: dict[str, Rung], windows: np.ndarray, run: RunDirectory
) -> dict[str, list[dict[str, float]]]:
    """Every window through these rungs, in turn, so that a drift of the machine meets all alike.

    Returns the rows of all rungs done so far, by rung and window.
    """
    done: dict[str, dict[str, dict[str, float]]] = run.read_json("windows.json") or {}
    keys = jax.random.split(jax.random.key(config.seed), len(windows))
    total = len(windows) * len(rungs)
    with Progress("prefill", total, "windows") as progress:
        for i, window in enumerate(windows):
            rows = done.setdefault(str(i), {})
            if rungs.keys() <= rows.keys():
                progress.advance(len(rungs), already=True)
                continue
            tokens, reference = jnp.asarray(window, jnp.int32), None
            for name, rung in rungs.items():
                logits, seconds = rung.prefill(tokens, keys[i])
                reference = logits if reference is None else reference
                sums = {k: float(v) for k, v in compare(logits, reference, tokens).items()}
                if not np.isfinite(sums["nll"]):
                    raise UserError(
                        f"{name}: logits of window {i} are not finite; check the weights, or the "
                        "fields of this core"
                    )
                row = sums | {"predictions": len(window) - 1, "seconds": seconds}
                rows.setdefault(name, row)
                progress.advance()
            run.write_json("windows.json", done)
    return {name: [done[str(i)][name] for i in range(len(windows))] for name in done["0"]}


@functools.partial(jax.jit, static_argnums=0)
def _measured(graph: Any, state: nnx.State, tokens: jax.Array) -> nnx.State:
    """The model's state after one window; rungs of equal structure share this program too."""
    model = nnx.merge(graph, state)
    model(tokens[None])
    return nnx.state(model)


def measure(rung: Rung, windows: np.ndarray, seed: int) -> dict[str, Measurement]:
    """Signal, error, light and clipping of every site, pooled over windows."""
    pj.nnx.set_noise_key(rung.model, jax.random.key(seed))
    pj.nnx.start_measuring(rung.model)
    graph, state = nnx.split(rung.model)
    for window in windows:
        state = _measured(graph, state, jnp.asarray(window, jnp.int32))
    nnx.update(rung.model, state)
    return pj.nnx.stop_measuring(rung.model)


def summarize(
    name: str,
    windows: Mapping[str, list[dict[str, float]]],
    sites: Mapping[str, Measurement],
    bill: Mapping[str, float] | None,
) -> dict[str, Any]:
    """One row of numbers for one rung."""

    def total(rung: str, what: str) -> float:
        return sum(row[what] for row in windows[rung])

    predictions = total(name, "predictions")
    perplexity = np.exp(total(name, "nll") / predictions)
    digital = np.exp(total(DIGITAL, "nll") / predictions)
    seconds = np.median([row["seconds"] for row in windows[name]])
    row: dict[str, Any] = {
        "core": name,
        "perplexity": perplexity,
        "perplexity_change_percent": 100 * (perplexity / digital - 1),
        "kl_nats": total(name, "kl") / predictions,
        "argmax_agreement": total(name, "agree") / predictions,
        "prefill_tokens_per_s": (predictions / len(windows[name]) + 1) / seconds,
        "photons_per_multiply": None,
        "worst_site": None,
        "worst_site_snr_db": None,
        "adc_clipped_fraction": None,
    }
    if sites:
        pooled = functools.reduce(Measurement.pool, sites.values())
        worst = min(sites, key=lambda site: float(sites[site].snr_db))
        row |= {
            "photons_per_multiply": float(pooled.photons_per_multiply) or None,
            "worst_site": worst,
            "worst_site_snr_db": float(sites[worst].snr_db),
            "adc_clipped_fraction": float(pooled.clipped_fraction),
        }
    return row | dict(bill or {})


def write(run, config, text, rows, measured, bills, windows) -> None:
    """All results; metrics.json last, since it marks the run as finished."""
    names = list(rows[-1])
    run.write_csv("cores.csv", [{n: row.get(n) for n in names} for row in rows])
    sites = [
        {
            "core": core,
            "site": site,
            "snr_db": float(m.snr_db),
            "photons_per_multiply": float(m.photons_per_multiply),
            "adc_clipped_fraction": float(m.clipped_fraction),
            "adc_input_rms": float(m.raw_rms),
            "adc_input_peak": float(m.raw_peak),
        }
        for core, found in measured.items()
        for site, m in found.items()
    ]
    run.write_csv("sites.csv", sites)
    run.write_plot("perplexity.png", plots.perplexity(rows))
    run.write_plot("site_snr.png", plots.site_snr(sites))
    about = f"model: {config.model.label}\ntext: {text.description}"
    report = f"{readable(rows)}\n\n{bills.describe()}\n\n{about}"
    run.write("report.txt", report + "\n")
    run.write_json(
        "metrics.json",
        {
            "cores": rows,
            "baseline": bills.baseline,
            "text": text.description,
            "seed": config.seed,
            "exact_arithmetic": arithmetic(),
            "peak_memory_bytes": peak_memory_bytes(),
        },
    )
    print(f"\n{report}\n\nwritten to {run.path}")


def readable(rows: list[dict[str, Any]]) -> str:
    """The table that people look at."""

    def show(value: Any, form: str) -> str:
        return "-" if value is None else format(value, form)

    shown = []
    for row in rows:
        ppl = row["perplexity"]
        low, high = row.get("joules_per_token_p10"), row.get("joules_per_token_p90")
        spread = "-" if low is None else f"{1e3 * low:.3g} ... {1e3 * high:.3g}"
        shown.append(
            {
                "core": row["core"],
                "perplexity": f"{ppl:.2f}" if ppl < 1e4 else f"{ppl:.1e}",
                "change %": f"{row['perplexity_change_percent']:+.2f}" if ppl < 1e4 else "-",
                "KL": f"{row['kl_nats']:.4f}",
                "argmax": f"{row['argmax_agreement']:.1%}",
                "photons/mult": show(row["photons_per_multiply"], ".3g"),
                "worst SNR dB": show(row["worst_site_snr_db"], ".1f"),
                "at site": row["worst_site"] or "-",
                "clipped": show(row["adc_clipped_fraction"], ".1e"),
                "tokens/s": f"{row['prefill_tokens_per_s']:.0f}",
                "mJ/token p10-p90": spread,
            }
        )
    return text_table(shown)
