"""Figures of the scaling study: a panel for each sweep, log-log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from photonjax.evaluation.sweeps import COMPONENT, component_columns
from photonjax.plotting import PALETTE, colors, figure

Row = dict[str, Any]
Style = tuple[str, str, str]  # label, colour, line
BLUE, RED, GREEN, PINK, SKY, ORANGE, BLACK = PALETTE


def _both(unit: str) -> dict[str, Style]:
    return {
        f"optical_{unit}": ("light and accelerator beside", BLACK, "-"),
        f"light_{unit}": ("light", BLUE, "-"),
        f"light_{unit}_no_memory": ("light, memory free", SKY, "--"),
        f"light_{unit}_no_loading": ("light, loading free", GREEN, "-"),
        f"light_{unit}_neither": ("light, both free", ORANGE, "--"),
        f"digital_{unit}": ("digital accelerator", RED, "-"),
    }


ENERGY: dict[str, Style] = {
    **_both("j"),
    "light_j_optics": ("light, converters free too", PINK, ":"),
    "floor_j": ("its arithmetic floor", RED, "-."),
}
COUNTS: dict[str, Style] = {
    "macs": ("multiply-accumulates", BLACK, "-"),
    "attention_macs": ("multiply-accumulates of attention", RED, "--"),
    "memory_bytes": ("bytes of memory traffic", SKY, "-"),
    "conversions": ("ADC conversions", GREEN, "-"),
    "symbols": ("symbols", BLUE, "--"),
    "weight_loads": ("arrays written", PINK, "-"),
}
TIME = _both("s")
MOST_COMPONENTS = 12


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
    names = sorted(names, key=lambda k: -largest[k])[:MOST_COMPONENTS]
    styles = {
        k: (k.removeprefix(COMPONENT), color, "-")
        for k, color in zip(names, colors(len(names)), strict=True)
    }
    return _panels(rows, styles, "energy [J]")


def _panels(rows: Mapping[str, Sequence[Row]], styles: Mapping[str, Style], label: str) -> Figure:
    lines = -(-(len(rows) + 1) // 3)  # one place for the legend
    with figure(lines, 3, size=(10.5, 3.2 * lines), squeeze=False) as (drawn, axes):
        panels = list(axes.flat)
        for panel, (over, each) in zip(panels, rows.items(), strict=False):
            for i, (name, (words, color, line)) in enumerate(styles.items()):
                points = [(row["value"], row[name]) for row in each if row[name] > 0]
                if points:
                    # Curves may coincide: the first two are broad, to show beneath the others.
                    width = max(3.4 - i, 1.4)
                    style = dict(color=color, ls=line, lw=width, marker="o", ms=2.5)
                    panel.plot(*zip(*points, strict=True), label=words, **style)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.xaxis.set_major_locator(LogLocator(base=2, numticks=6))
            panel.set_xlabel(over)
        for panel in axes[:, 0]:
            panel.set_ylabel(label)
        for panel in panels[len(rows) :]:
            panel.set_axis_off()
        shown: dict[str, Any] = {}
        for panel in panels:
            for handle, words in zip(*panel.get_legend_handles_labels(), strict=True):
                shown.setdefault(words, handle)
        panels[-1].legend(shown.values(), shown.keys(), loc="center", fontsize=9)
    return drawn
