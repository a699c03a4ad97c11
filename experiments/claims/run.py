"""What is claimed for optical prefill, audited: computed, with verdicts that follow from the numbers.

    python -m experiments.claims                        # all eight
    python -m experiments.claims 'which=[4,8]' seed=1   # some; other draws
    python -m experiments.claims --help

Nothing is measured here but through cost estimates and traced programs; light comes from a run of
experiments.photons and perplexities from one of experiments.evaluate, where the config names them.
Numbers of others are in claims/published.toml, with sources. Writes ``results/claims/<run>/``: report.txt,
verdicts.csv, a CSV and a PNG for each claim, metrics.json, config and versions.
"""

from __future__ import annotations

import importlib
import textwrap
import time
from typing import Any

from tqdm import tqdm

from experiments.claims.config import Claims
from experiments.claims.verdict import Verdict
from experiments.harness import RunDirectory, user_errors
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


def claims(config: Claims) -> None:
    """The whole audit."""
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
            verdicts.append(found)
        run.write_csv("verdicts.csv", [summary(v) for v in verdicts])
        text = report(verdicts)
        run.write("report.txt", text + "\n")
        kept = {f"{v.number}-{v.name}": {**summary(v), **v.numbers} for v in verdicts}
        run.write_json("metrics.json", {"claims": kept, "seconds": seconds, "seed": config.seed})
        print(f"\n{text}\n\nwritten to {run.path}")


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
