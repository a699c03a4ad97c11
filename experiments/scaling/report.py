"""What the scaling experiment says: exponents, crossovers, and sentences that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.scaling.config import Scaling
from photonjax.evaluation.crossings import crossings
from photonjax.evaluation.exponents import exponent_table as fit_table
from photonjax.evaluation.sweeps import component_columns, overtakings
from photonjax.tables import text_table

Row = dict[str, Any]
ARRAY = "N, array as large"
FIXED = "N, fixed array"
WIDTH = "d, model width"
CONTEXT = "L, context"
BATCH = "B, batch"

# Columns of a row, and what the report calls them.
QUANTITIES = {
    "macs": "multiply-accumulates",
    "weight_macs": "of products with weights",
    "attention_macs": "of attention",
    "symbols": "symbols of an array",
    "conversions": "ADC conversions",
    "samples": "DAC samples",
    "weight_loads": "arrays written",
    "memory_bytes": "bytes of memory traffic",
    "light_j": "light: energy",
    "light_j_no_memory": "light: energy, memory free",
    "light_j_no_loading": "light: energy, loading free",
    "light_j_neither": "light: energy, both free",
    "light_j_optics": "light: energy, converters free too",
    "light_s": "light: time",
    "light_s_no_memory": "light: time, memory free",
    "light_s_no_loading": "light: time, loading free",
    "light_s_neither": "light: time, both free",
    "beside_j": "accelerator beside: energy",
    "optical_j": "light and accelerator beside: energy",
    "optical_s": "light and accelerator beside: time",
    "digital_j": "digital accelerator: energy",
    "digital_s": "digital accelerator: time",
    "floor_j": "digital arithmetic floor: energy",
}
PAIRS = (
    ("optical_j", "digital_j"),
    ("optical_j", "floor_j"),
    ("optical_s", "digital_s"),
    ("loading_j", "light_j_no_loading"),
    ("memory_j", "light_j_no_memory"),
    ("beside_j", "light_j"),
    ("attention_macs", "weight_macs"),
)
WORDS = QUANTITIES | {
    "loading_j": "energy that loading adds",
    "memory_j": "energy that memory adds",
    "light_j_no_loading": "light: all other energy than loading's",
    "light_j_no_memory": "light: all other energy than memory's",
    "weight_macs": "multiply-accumulates with weights",
    "attention_macs": "multiply-accumulates of attention",
}


def all_exponents(rows: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Exponents of every quantity and component over every sweep: exponents.csv."""
    found = []
    for over, each in rows.items():
        fits = fit_table(each, [*QUANTITIES, *component_columns(each)])
        found += [{"over": over, **fit} for fit in fits]
    return found


def all_crossings(rows: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Where one quantity, or component of the light's cost, overtakes another: crossovers.csv."""
    found = []
    for over, each in rows.items():
        places = [c for pair in PAIRS for c in crossings(each, *pair)]
        for at, above, below in [*places, *overtakings(each)]:
            kind = "quantity" if above in WORDS else "component"
            found.append({"sweep": over, "kind": kind, "at": at, "overtakes": above, "what": below})
    return found


def readable(found: Mapping[str, Any], config: Scaling) -> str:
    """The report."""
    rows, fits = found["rows"], found["exponents"]
    lit = "products with weights" if config.optical == "weights" else "all products"
    ranges = "; ".join(f"{k}: {r[0]['value']:,} ... {r[-1]['value']:,}" for k, r in rows.items())
    head = (
        f"{config.model.name} and one matrix, {lit} on {config.core().name}, the rest on the baseline "
        f"{config.accelerator}\n{ranges}"
    )
    legend = (
        "exponent, +- standard error of the fit, [local exponent at the small end ... at the large end]; "
        "'-': zero somewhere"
    )
    parts = [head, "\n".join(sentences(found)), exponent_table(fits, list(rows)), legend]
    parts.append(overtaken(found["attention_overtakes"], config))
    parts.append(
        "which is larger, and from which size on (log-log between sizes)\n" + pair_table(found)
    )
    if components := [c for c in found["crossovers"] if c["kind"] == "component"]:
        parts.append("components of the light's energy\n" + component_table(components))
    parts.append(notes(config))
    return "\n\n".join(parts)


def exponent_table(fits: Sequence[Row], sweeps: Sequence[str]) -> str:
    """A line for each quantity, a column for each sweep."""
    cells = {(f["over"], f["quantity"]): _cell(f) for f in fits}
    lines = []
    for name, words in QUANTITIES.items():
        line = {sweep: cells.get((sweep, name), "-") for sweep in sweeps}
        if any(cell != "-" for cell in line.values()):
            lines.append({"exponents": words, **line})
    return text_table(lines)


def _cell(fit: Row) -> str:
    error = "" if fit["error"] is None else f" +- {_tidy(fit['error'])}"
    ends = f"[{_tidy(fit['first'])} ... {_tidy(fit['last'])}]"
    return f"{_tidy(fit['exponent'])}{error} {ends}"


def _tidy(value: float) -> str:
    return f"{value + 0.0:.2f}".replace("-0.00", "0.00")


def pair_table(found: Mapping[str, Any]) -> str:
    """A line for each pair of quantities, a column for each sweep: above or below, and from where on."""
    lines = []
    for a, b in PAIRS:
        line = {"is": WORDS[a], "above or below": WORDS[b]}
        for sweep, rows in found["rows"].items():
            both = [row for row in rows if row[a] > 0 and row[b] > 0]
            places = [c for c in found["crossovers"] if c["sweep"] == sweep]
            places = [c for c in places if {c["overtakes"], c["what"]} == {a, b}]
            cells = [_side(c["overtakes"] == a) + f" from {_size(c['at'])}" for c in places]
            always = [_side(both[0][a] > both[0][b])] if both else ["-"]
            line[sweep] = ", ".join(cells or always)
        lines.append(line)
    return text_table(lines)


def _size(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _side(above: bool) -> str:
    return "above" if above else "below"


def component_table(components: Sequence[Row]) -> str:
    """A line for each place where a component overtakes another."""
    return text_table(
        [
            {k: c[k] for k in ("sweep", "overtakes", "what")} | {"at": _size(c["at"])}
            for c in components
        ]
    )


def overtaken(contexts: Mapping[str, Row], config: Scaling) -> str:
    """From which context on attention multiplies more than the products with weights, model by model."""
    lines = []
    for model, row in contexts.items():
        shown = "-" if row["context"] is None else f"{row['context']:,.0f}"
        ends = f"{row['at_low']:.3g} ... {row['at_high']:.3g}"
        lines.append({"model": model, "attention overtakes at": shown, "ratio at the ends": ends})
    low, high = config.crossover.low, config.crossover.high
    title = f"multiply-accumulates of attention over those with weights, {low:,} to {high:,} tokens"
    return f"{title}\n{text_table(lines)}"


def sentences(found: Mapping[str, Any]) -> list[str]:
    """The answers, worked out from the fits."""
    fits = {(f["over"], f["quantity"]): f for f in found["exponents"]}
    lines = []
    for over in (ARRAY, CONTEXT):
        compute, light = fits.get((over, "macs")), fits.get((over, "light_j"))
        if not compute or not light:
            continue
        lines.append(
            f"Over {over}: compute goes with the power {_tidy(compute['exponent'])}; the light's energy with "
            f"{_tidy(light['exponent'])}, at the large end {_tidy(light['last'])}"
            + "".join(_without(fits, over, name, words) for name, words in _WITHOUT)
            + f". {_linear(light)}"
        )
    digital = fits.get((CONTEXT, "digital_j"))
    if digital:
        lines.append(
            f"The digital accelerator's energy over {CONTEXT}: {_tidy(digital['exponent'])}, from "
            f"{_tidy(digital['first'])} to {_tidy(digital['last'])}."
        )
    return lines


_WITHOUT = (
    ("light_j_no_memory", "without memory"),
    ("light_j_no_loading", "without loading"),
    ("light_j_neither", "without both"),
    ("light_j_optics", "without converters too"),
)


def _without(fits: Mapping[tuple[str, str], Row], over: str, name: str, words: str) -> str:
    fit = fits.get((over, name))
    return f"; {words} {_tidy(fit['exponent'])} ({_tidy(fit['last'])})" if fit else ""


def _linear(light: Row) -> str:
    """Whether energy grows at most linearly, at both ends and overall."""
    worst = max(light["exponent"], light["first"], light["last"])
    if worst <= 1.005:
        return "Energy grows at most linearly over the whole range."
    if light["last"] > 1.005:
        return "At the large end energy grows faster than linearly."
    return "Energy grows faster than linearly somewhere below the large end."


def notes(config: Scaling) -> str:
    """What the numbers mean and leave out."""
    lines = [
        "note: where the array grows with the matrix its load time, its losses, its buffers and the energies "
        "of its parts stay as set; photons per multiply go with N to the power "
        f"{config.matrix.photons_exponent:g}",
        "note: 'loading free' writes weights in no time and for nothing, and fetches them so; 'memory free' "
        "does so with activations, partial sums and the weight memory",
        "note: attention is counted as it is executed: in blocks, without the future but with the masked "
        "corners of the blocks",
    ]
    return "\n".join(lines)
