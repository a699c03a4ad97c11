"""What others published beside what this twin gives: one table, one line a value.

    python -m experiments.fidelity
    python -m experiments.fidelity 'groups=[receiver,converters]'

Every value on our side comes out of this project's own functions (products, noise, cost, named machines). A
value that cannot be reproduced keeps its line, with the reason. Writes ``results/fidelity/<run>/``:
fidelity.csv, law.csv and snr.csv (the curves) with their plots, metrics.json, report.txt.
"""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable
from typing import Any

from experiments.fidelity import plots
from experiments.fidelity.classifier import classifier_rows
from experiments.fidelity.config import Fidelity
from experiments.fidelity.converters import converter_rows
from experiments.fidelity.digital import digital_rows
from experiments.fidelity.noise import law_rows
from experiments.fidelity.receiver import receiver_rows
from experiments.fidelity.rows import KEYS, Row, failed_row
from experiments.fidelity.snr import snr_rows
from experiments.harness import Parts, RunDirectory, UserError, note
from photonjax.tables import text_table

# Groups whose lines another experiment works out: module and function, imported when asked for.
ELSEWHERE = {
    "architectures": ("experiments.fidelity.architectures", "architecture_rows"),
    "digits": ("experiments.digits.run", "digits_rows"),
    "measured": ("experiments.measured.fidelity", "measured_rows"),
    "photons": ("experiments.photons.fidelity", "photon_rows"),
}

Curves = dict[str, list[dict[str, Any]]]


def fidelity(config: Fidelity) -> None:
    """The whole experiment."""
    with RunDirectory("fidelity", config) as run:
        parts = Parts(run)
        found = {}
        for group in config.groups:
            note(f"group: {group}")
            found[group] = parts.get(group, functools.partial(one_group, group, config))
        rows = [row for part in found.values() for row in part["rows"]]
        curves: Curves = {n: c for part in found.values() for n, c in part["curves"].items()}
        seconds = {group: part["seconds"] for group, part in found.items()}
        run.write_csv("fidelity.csv", rows)
        for name, draw in (("law", plots.law), ("snr", plots.snr)):
            if points := curves.get(name):
                run.write_csv(f"{name}.csv", points)
                run.write_plot(f"{name}.png", draw(points))
        text = report(rows)
        run.write("report.txt", text + "\n")
        run.write_json("metrics.json", {"rows": rows, "curves": curves, "seconds": seconds})
        print(f"\n{text}\n\nwritten to {run.path}")


def one_group(group: str, config: Fidelity) -> dict[str, Any]:
    """Lines and curves of one group, and how long they took."""
    curves: Curves = {}
    start = time.perf_counter()
    rows = [{"group": group, **line} for line in group_rows(group, config, curves)]
    return {"rows": rows, "curves": curves, "seconds": time.perf_counter() - start}


def group_rows(group: str, config: Fidelity, curves: Curves) -> list[Row]:
    """The lines of one group; where it fails, one line with the reason."""
    try:
        if group in ELSEWHERE:
            options = {"quick": not config.train_digits} if group == "digits" else {}
            lines = _elsewhere(group)(**options)
        else:
            lines = _own(group, config, curves)
        return [{key: line.get(key) for key in KEYS} for line in lines]
    except Exception as error:  # one group must not cost the others their lines
        reason = " ".join(str(error).split()) or "no message"
        return [failed_row(group, f"could not be run: {type(error).__name__}: {reason}")]


def _own(group: str, config: Fidelity, curves: Curves) -> list[Row]:
    sampling, seed = config.sampling, config.seed
    if group == "noise":
        law, curves["law"] = law_rows(
            list(config.law.terms),
            list(config.law.photons),
            sampling.tokens,
            sampling.outputs,
            seed,
        )
        snr, curves["snr"] = snr_rows(
            list(config.snr.terms), list(config.snr.bits), sampling.tokens, sampling.outputs, seed
        )
        return [*law, *snr]
    if group == "receiver":
        return receiver_rows(sampling.tokens * sampling.outputs, seed)
    if group == "classifier":
        return classifier_rows(seed, config.classifier_updates)
    return digital_rows() if group == "digital" else converter_rows()


def _elsewhere(group: str) -> Callable[..., list[Row]]:
    module, function = ELSEWHERE[group]
    found = getattr(importlib.import_module(module), function, None)
    if found is None:
        raise UserError(f"{module} has no {function}()")
    return found


def report(rows: list[Row]) -> str:
    """The table, what the verdicts come to, and a source and note for every line."""
    cells = [
        {
            "": f"{i} {line['name']}",
            "published": _number(line["published"]),
            "ours": _number(line["ours"]),
            "unit": line["unit"] or "",
            "deviation": _deviation(line["deviation"]),
            "verdict": line["verdict"],
        }
        for i, line in enumerate(rows, 1)
    ]
    counts: dict[str, int] = {}
    for line in rows:
        counts[line["verdict"]] = counts.get(line["verdict"], 0) + 1
    total = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    notes = [
        f"{i:>3} {'. '.join(part for part in (line['source'], line['note']) if part)}"
        for i, line in enumerate(rows, 1)
    ]
    return "\n".join(
        [text_table(cells), "", f"{len(rows)} lines: {total}", "", "Sources and notes", *notes]
    )


def _deviation(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:+.1%}" if abs(value) < 1 else f"x {value + 1:.3g}"


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.4g}"
