"""What the energy experiment says: rows, tables, and sentences that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.energy.config import Energy
from photonjax.cost import si
from photonjax.tables import text_table

Row = dict[str, Any]
SWINGS = 3  # how many numbers that move the ratio are listed
SHOWN = 0.03  # a component of a smaller fraction is not listed


def grid_rows(points: Sequence[Row]) -> list[Row]:
    """A row for each model, context, core and baseline: energy.csv."""
    place = ("model", "context", "core", "tokens", "macs")
    return [{**{k: p[k] for k in place}, **line} for p in points for line in p["baselines"]]


def component_rows(points: Sequence[Row]) -> list[Row]:
    """A row for each component of each point: components.csv."""
    rows = []
    for p in points:
        total = sum(p["components_j"].values())
        seconds = p["components_s"]
        for name in dict.fromkeys([*p["components_j"], *seconds]):
            joules = p["components_j"].get(name)
            rows.append(
                {k: p[k] for k in ("model", "context", "core", "beside")}
                | {"component": name}
                | {"joules_per_token": None if joules is None else joules / p["tokens"]}
                | {"fraction": None if joules is None else joules / total}
                | {"seconds_per_token": seconds[name] / p["tokens"] if name in seconds else None}
            )
    return rows


def readable(points: Sequence[Row], config: Energy) -> str:
    """The report: energies, ratios core by core, components, what stands out, what is assumed."""
    batch = f", {config.batch} prompts at a time" if config.batch > 1 else ""
    light = "products with weights" if config.optical == "weights" else "all products"
    head = (
        f"Prefill{batch}; {light} on light, the rest on the baseline; {config.samples:,} draws over "
        "the ranges of all numbers that have one\nratio: the core's over the baseline's; below 1 light "
        "takes less; times are of one machine and of one accelerator"
    )
    parts = [head, "\n".join(findings(points))]
    for core in dict.fromkeys(p["core"] for p in points):
        own = [p for p in points if p["core"] == core]
        parts.append(
            f"{core}: energy\n" + text_table([_shown(p, b) for p in own for b in p["baselines"]])
        )
        parts.append(
            f"{core}: time\n" + text_table([_timed(p, b) for p in own for b in p["baselines"]])
        )
        parts.append(f"{core}: where its energy goes\n" + text_table([_split(p) for p in own]))
        if any(p["swings"] for p in own):
            first = own[0]["baselines"][0]["baseline"]
            title = f"{core}: what moves the energy ratio to {first} most (at the low ... high end)"
            parts.append(f"{title}\n" + text_table([_moved(p) for p in own]))
    notes = dict.fromkeys(note for p in points for note in p["notes"])
    notes["accuracy is no part of a cost: machines of fewer bits or photons lose some"] = None
    parts.append("\n".join(f"note: {note}" for note in notes))
    return "\n\n".join(parts)


def _place(p: Row, b: Row) -> dict[str, str]:
    return {"model": p["model"], "tokens": f"{p['context']:,}", "baseline": b["baseline"]}


def _spread(b: Row, ratio: str) -> dict[str, str]:
    return {
        f"{ratio} ratio": _three(b[f"{ratio}_ratio"]),
        "p10": _three(b[f"{ratio}_ratio_p10"]),
        "p50": _three(b[f"{ratio}_ratio_p50"]),
        "p90": _three(b[f"{ratio}_ratio_p90"]),
    }


def _three(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _shown(p: Row, b: Row) -> dict[str, str]:
    per_token = ("optical_j_per_token", "digital_j_per_token", "floor_j_per_token")
    joules = dict(
        zip(("light", "accelerator", "floor"), (si(b[k], "J") for k in per_token), strict=True)
    )
    return {
        **_place(p, b),
        **joules,
        **_spread(b, "energy"),
        "draws < 1": f"{b['fraction_of_draws_below_1']:.0%}",
        "<= 0.1": f"{b['fraction_of_draws_at_most_0.1']:.0%}",
        "to floor p50": _three(b["floor_ratio_p50"]),
    }


def _timed(p: Row, b: Row) -> dict[str, str]:
    return {
        **_place(p, b),
        "light tokens/s": f"{b['optical_tokens_per_s']:,.0f}",
        "accelerator tokens/s": f"{b['digital_tokens_per_s']:,.0f}",
        **_spread(b, "time"),
    }


def _split(p: Row) -> dict[str, str]:
    total = sum(p["components_j"].values())
    fractions = sorted(((v / total, k) for k, v in p["components_j"].items()), reverse=True)
    parts = [f"{name} {fraction:.0%}" for fraction, name in fractions if fraction >= SHOWN]
    return {
        "model": p["model"],
        "tokens": f"{p['context']:,}",
        "beside": p["beside"],
        "J/token": si(total / p["tokens"], "J"),
        f"components of {SHOWN:.0%} and more": ", ".join(parts),
    }


def _moved(p: Row) -> dict[str, str]:
    swings = p["swings"][:SWINGS]
    names = [s["number"].removeprefix(f"{p['core']}: ").removeprefix("costs.") for s in swings]
    ends = [f"{_three(s['at_low'])} ... {_three(s['at_high'])}" for s in swings]
    return {
        "model": p["model"],
        "tokens": f"{p['context']:,}",
        "numbers": "; ".join(f"{n} {e}" for n, e in zip(names, ends, strict=True)),
    }


def findings(points: Sequence[Row]) -> list[str]:
    """What the grid says, in sentences."""
    lines = []
    for core in dict.fromkeys(p["core"] for p in points):
        own = [(p, b) for p in points if p["core"] == core for b in p["baselines"]]
        ordered = sorted(own, key=lambda pair: pair[1]["energy_ratio_p50"])
        best, worst = (_cell(*ordered[i]) for i in (0, -1))
        less = sum(b["energy_ratio_p90"] < 1 for _, b in own)
        more = sum(b["energy_ratio_p10"] > 1 for _, b in own)
        tenth = sum(b["energy_ratio_p50"] <= 0.1 for _, b in own)
        lines.append(
            f"{core}: median energy ratio from {best} to {worst}. Of {len(own)} comparisons light takes less "
            f"at p90 in {less} and more at p10 in {more}; the others are open. A tenth or less at the "
            f"median: {tenth}."
        )
        ranges, assumed = own[0][0]["core_ranges"], own[0][0]["core_assumed"]
        lines.append(
            f"{core}: {ranges} numbers of its own vary, {assumed} of them assumed; and the accelerators'."
            if ranges
            else f"{core}: its own numbers have no ranges; the spread is that of the accelerators."
        )
    return lines


def _cell(p: Row, b: Row) -> str:
    return (
        f"{_three(b['energy_ratio_p50'])} ({p['model']}, {p['context']:,} tokens, {b['baseline']})"
    )
