"""Figures of the scaling experiment: a panel a sweep, log-log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from photonjax.evaluation.sweeps import COMPONENT, component_columns

Row = dict[str, Any]
Style = tuple[str, str, str]  # label, colour, line
ENERGY: dict[str, Style] = {
    "optical_j": ("light and accelerator beside", "black", "-"),
    "light_j": ("light", "#4477AA", "-"),
    "light_j_no_memory": ("light, memory free", "#66CCEE", "--"),
    "light_j_no_loading": ("light, loading free", "#228833", "--"),
    "light_j_neither": ("light, both free", "#CCBB44", ":"),
    "light_j_optics": ("light, converters free too", "#AA3377", ":"),
    "digital_j": ("digital accelerator", "#EE6677", "-"),
    "floor_j": ("its arithmetic floor", "#EE6677", "-."),
}
COUNTS: dict[str, Style] = {
    "macs": ("multiply-accumulates", "black", "-"),
    "attention_macs": ("those of attention", "#BBBBBB", "--"),
    "memory_bytes": ("bytes of memory traffic", "#66CCEE", "-"),
    "conversions": ("ADC conversions", "#228833", "-"),
    "symbols": ("symbols", "#4477AA", "-"),
    "weight_loads": ("arrays written", "#AA3377", "-"),
}
TIME: dict[str, Style] = {
    "optical_s": ("light and accelerator beside", "black", "-"),
    "light_s": ("light", "#4477AA", "-"),
    "light_s_no_memory": ("light, memory free", "#66CCEE", "--"),
    "light_s_no_loading": ("light, loading free", "#228833", "--"),
    "light_s_neither": ("light, both free", "#CCBB44", ":"),
    "digital_s": ("digital accelerator", "#EE6677", "-"),
}
# Paul Tol's "bright" and "muted", told apart by readers who see colours differently.
COLORS = (
    *("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB"),
    *("#332288", "#882255", "#999933", "#44AA99", "#CC6677"),
)


def energy(rows: Mapping[str, Sequence[Row]]) -> Figure:
    """Joules against every size."""
    return _panels(rows, ENERGY, "energy [J]")


def counts(rows: Mapping[str, Sequence[Row]]) -> Figure:
    """Counts against every size."""
    return _panels(rows, COUNTS, "how many")


def time(rows: Mapping[str, Sequence[Row]]) -> Figure:
    """Seconds against every size."""
    return _panels(rows, TIME, "time [s]")


def components(rows: Mapping[str, Sequence[Row]]) -> Figure:
    """Joules of the light's components against every size: those whose part is the largest anywhere."""
    names = list(dict.fromkeys(k for each in rows.values() for k in component_columns(each)))
    largest = {k: max(r[k] / r["light_j"] for e in rows.values() for r in e) for k in names}
    names.sort(key=lambda k: -largest[k])
    shown = zip(names, COLORS, strict=False)
    return _panels(rows, {k: (k.removeprefix(COMPONENT), c, "-") for k, c in shown}, "energy [J]")


def _panels(rows: Mapping[str, Sequence[Row]], styles: Mapping[str, Style], label: str) -> Figure:
    lines = -(-(len(rows) + 1) // 3)
    figure, axes = plt.subplots(lines, 3, figsize=(10, 3.2 * lines), layout="constrained")
    panels = list(axes.flat)
    for panel, (over, each) in zip(panels, rows.items(), strict=False):
        for name, (words, color, line) in styles.items():
            points = [(row["value"], row[name]) for row in each if row[name] > 0]
            if points:
                style = dict(color=color, ls=line, marker="o", ms=3, lw=1.5)
                panel.plot(*zip(*points, strict=True), label=words, **style)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xlabel(over)
        panel.grid(True, alpha=0.25)
        panel.tick_params(labelsize=8)
    for panel in axes[:, 0]:
        panel.set_ylabel(label)
    for panel in panels[len(rows) :]:
        panel.set_axis_off()
    shown: dict[str, Any] = {}
    for panel in panels:
        for handle, words in zip(*panel.get_legend_handles_labels(), strict=True):
            shown.setdefault(words, handle)
    panels[-1].legend(shown.values(), shown.keys(), loc="center", fontsize=9, frameon=False)
    return figure
