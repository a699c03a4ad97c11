"""What is claimed for optical prefill, audited: computed, with verdicts that follow from the numbers.

    python -m experiments.claims                        # all eight
    python -m experiments.claims 'which=[4,8]' seed=1   # some; other draws
    python -m experiments.claims --help

Nothing is measured here but through bills and traced programs; light comes from a run of
experiments.photons and perplexities from one of experiments.evaluate, where the config names them.
Numbers of others are in claims/published.toml, with sources. Writes ``results/claims/<run>/``: report.txt,
verdicts.csv, a CSV and a PNG for each claim, metrics.json, config and versions.
"""

from __future__ import annotations

import importlib
import textwrap
import time
from typing import Any

import matplotlib.pyplot as plt
from omegaconf import DictConfig, ListConfig
from tqdm import tqdm

import photonjax as pj
from experiments.claims.verdict import Verdict
from experiments.harness import RunDirectory, UserError, user_errors
from photonjax.models import shapes
from photonjax.tables import text_table

MODULES = {
    1: "experiments.claims.intensity",
    2: "experiments.claims.context",
    3: "experiments.claims.array",
    4: "experiments.claims.energy",
    5: "experiments.claims.precision",
    6: "experiments.claims.loading",
    7: "experiments.claims.fleet",
    8: "experiments.claims.rack",
}


def claims(config: DictConfig) -> None:
    """The whole audit."""
    check(config)
    with RunDirectory("claims", config) as run:
        verdicts: list[Verdict] = []
        seconds = {}
        for number in tqdm(config.which, desc="claims", unit="claim", disable=None):
            start = time.perf_counter()
            with user_errors(ValueError, prefix=f"claim {number}: "):
                found = importlib.import_module(MODULES[number]).audit(config)
            seconds[found.name] = time.perf_counter() - start
            run.write_csv(f"{number}-{found.name}.csv", found.rows)
            run.write_plot(f"{number}-{found.name}.png", found.figure)
            plt.close(found.figure)
            verdicts.append(found)
        run.write_csv("verdicts.csv", [summary(v) for v in verdicts])
        text = report(verdicts)
        run.write("report.txt", text + "\n")
        kept = {f"{v.number}-{v.name}": {**summary(v), **v.numbers} for v in verdicts}
        run.write_json("metrics.json", {"claims": kept, "seconds": seconds, "seed": config.seed})
        print(f"\n{text}\n\nwritten to {run.path}")


def check(config: DictConfig) -> None:
    """Refuse what cannot work before anything is computed."""
    which = config.which
    if not isinstance(which, ListConfig) or not which or any(n not in MODULES for n in which):
        raise UserError(f"which: {which!r} is not a list of {min(MODULES)} to {max(MODULES)}")
    with user_errors(ValueError, prefix="models: "):
        for model in (*config.models, *config.context.models, config.fleet.model):
            shapes.named(model)
    with user_errors(ValueError, prefix="machine: "):
        core = pj.machines.optical(config.machine)
    if core.costs is None or core.photons is None or core.input.bits is None:
        raise UserError(
            f"machine: {config.machine!r} lacks costs, photons or bits; take display-1024"
        )
    with user_errors(ValueError, prefix="chips: "):
        others = [c for chips in config.energy.chips.values() for c in chips]
        some = (config.context.chip, config.fleet.chip, config.rack.beside)
        for chip in (*config.intensity.chips, *some, *others):
            pj.machines.digital(chip)
    for key in ("energy.samples", "fleet.samples", "rack.samples", "array.vectors"):
        section, name = key.split(".")
        _whole(key, config[section][name])
    for key in ("contexts", "array.sizes", "context.contexts", "rack.cores", "rack.servers"):
        values: Any = config
        for part in key.split("."):
            values = values[part]
        if not isinstance(values, ListConfig) or not values:
            raise UserError(f"{key}: {values!r} is not a list of whole numbers")
        for value in values:
            _whole(key, value)
    for bits in config.energy.bits:
        if f"int{bits}" not in config.energy.chips:
            raise UserError(
                f"energy.bits: {bits!r} has no chips to be held against; add energy.chips.int{bits}"
            )
    _between("sure", config.sure, 0.5, 1.0)
    _between("context.quadratic", config.context.quadratic, 1.0, 2.0)
    for key in ("array.slack", "energy.wanted", "fleet.factor", "precision.strict_percent"):
        section, name = key.split(".")
        _between(key, config[section][name], 0.0, 1e6)
    _between("precision.loose_percent", config.precision.loose_percent, 0.0, 1e6)
    for name, value in config.loading.load_times_s.items():
        _between(f"loading.load_times_s.{name}", value, 0.0, 1e3)


def _whole(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{key}: {value!r} is not a whole number of 1 or more")


def _between(key: str, value: Any, low: float, high: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not low < value < high:
        raise UserError(f"{key}: {value!r} is not a number between {low:g} and {high:g}")


def summary(v: Verdict) -> dict[str, Any]:
    """One line of the table."""
    return {
        "claim": v.number,
        "statement": v.statement,
        "verdict": v.verdict,
        "because": v.because,
        "unpublished": "; ".join(v.unpublished),
    }


def report(verdicts: list[Verdict]) -> str:
    """Each claim in full, and all verdicts in one table."""
    parts = []
    for v in verdicts:
        lines = [
            textwrap.fill(f"{v.number}. {v.statement}", 110, subsequent_indent="   "),
            _wrap("verdict", f"{v.verdict.upper()}: {v.because}"),
        ]
        lines.append(_wrap("computed", v.computed))
        lines += [_wrap("assumed", a) for a in v.assumptions]
        if v.unpublished:
            lines.append(_wrap("not published", "; ".join(v.unpublished)))
        lines.append(f"  see            {v.number}-{v.name}.csv, {v.number}-{v.name}.png")
        parts.append("\n".join(lines))
    rows = [{"claim": f"{v.number} {v.name}", "verdict": v.verdict} for v in verdicts]
    return "\n\n".join([*parts, text_table(rows)])


def _wrap(label: str, text: str) -> str:
    return textwrap.fill(
        text,
        110,
        initial_indent=f"  {label:14} ",
        subsequent_indent=" " * 17,
        break_long_words=False,
    )
