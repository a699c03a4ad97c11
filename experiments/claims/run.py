"""What is claimed for optical prefill, audited: computed, with verdicts that follow from the numbers.

    python -m experiments.claims                        # all eight
    python -m experiments.claims 'which=[4,8]' seed=1   # some; other draws
    python -m experiments.claims --help

Nothing is measured here but through cost estimates and traced programs; light comes from a run of
experiments.photons and perplexities from one of experiments.evaluate, where the config names them.
Numbers of others are in claims/published.toml, with sources. Writes ``results/claims/<run>/``: report.txt,
verdicts.csv, a CSV and a PNG for each claim, metrics.json, config and versions. An
interrupted run goes on when started again with the same ``run=NAME``.
"""

from __future__ import annotations

import functools
import importlib
import textwrap
import time
from typing import Any

from experiments.claims.config import Claims
from experiments.claims.light import need
from experiments.claims.precision import measured_rows
from experiments.harness import Parts, Progress, RunDirectory, user_errors
from photonjax.tables import text_table

Row = dict[str, Any]
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
    if {3, 4} & set(config.which):  # what other runs left is looked at before there is any work
        need(config.photons_run)
    if 5 in config.which:
        measured_rows(config.precision.run, config.precision.rungs)
    with RunDirectory("claims", config) as run:
        parts = Parts(run)
        with Progress("claims", len(config.which), "claims") as progress:
            verdicts = [
                parts.get(
                    f"claim {number}", functools.partial(audit, number, config, run), progress
                )
                for number in config.which
            ]
        run.write_csv("verdicts.csv", [summary(v) for v in verdicts])
        text = report(verdicts)
        run.write("report.txt", text + "\n")
        kept = {_file(v): {**summary(v), **v["numbers"]} for v in verdicts}
        seconds = {v["name"]: v["seconds"] for v in verdicts}
        run.write_json("metrics.json", {"claims": kept, "seconds": seconds, "seed": config.seed})
        print(f"\n{text}\n\nwritten to {run.path}")


def audit(number: int, config: Claims, run: RunDirectory) -> Row:
    """Audit one claim and write its table and its figure; returns the rest of its verdict."""
    start = time.perf_counter()
    with user_errors(ValueError, prefix=f"claim {number}: "):
        found = importlib.import_module(MODULES[number]).audit(config)
    verdict = vars(found) | {"seconds": time.perf_counter() - start}
    run.write_csv(f"{_file(verdict)}.csv", verdict.pop("rows"))
    run.write_plot(f"{_file(verdict)}.png", verdict.pop("figure"))
    return verdict


def summary(verdict: Row) -> Row:
    """One line of the table."""
    kept = {k: verdict[k] for k in ("statement", "verdict", "because")}
    return {
        "claim": verdict["number"],
        **kept,
        "unpublished": "; ".join(verdict["unpublished"]),
    }


def report(verdicts: list[Row]) -> str:
    """All verdicts in one table, then each claim in full."""
    parts = []
    for v in verdicts:
        lines = [
            textwrap.fill(f"{v['number']}. {v['statement']}", 110, subsequent_indent="   "),
            _wrap("verdict", f"{v['verdict'].upper()}: {v['because']}"),
        ]
        lines.append(_wrap("computed", v["computed"]))
        lines += [_wrap("assumed", a) for a in v["assumptions"]]
        if v["unpublished"]:
            lines.append(_wrap("not published", "; ".join(v["unpublished"])))
        lines.append(f"  see            {_file(v)}.csv, {_file(v)}.png")
        parts.append("\n".join(lines))
    rows = [{"claim": f"{v['number']} {v['name']}", "verdict": v["verdict"]} for v in verdicts]
    return "\n\n".join([text_table(rows), *parts])


def _file(verdict: Row) -> str:
    return f"{verdict['number']}-{verdict['name']}"


def _wrap(label: str, text: str) -> str:
    return textwrap.fill(
        text,
        110,
        initial_indent=f"  {label:14} ",
        subsequent_indent=" " * 17,
        break_long_words=False,
    )
