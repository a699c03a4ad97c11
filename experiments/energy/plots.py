"""Figures of the energy experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from photonjax.cost import si
from photonjax.plotting import colors, figure

Row = dict[str, Any]
MOST = 13  # components with a colour of their own
REST = 0.01  # components that never reach this fraction are drawn together


def heat_map(points: Sequence[Row]) -> Figure:
    """Median energy ratio of every cell, with p10 and p90; a panel for each core, one below the other."""
    cores = list(dict.fromkeys(p["core"] for p in points))
    lines = [p for p in points if p["core"] == cores[0]]
    columns = [b["baseline"] for b in lines[0]["baselines"]]
    size = (2.8 + 1.5 * len(columns), 1.4 + (0.9 + 0.5 * len(lines)) * len(cores))
    ratios = {
        core: np.array(
            [[b["energy_ratio_p50"] for b in p["baselines"]] for p in points if p["core"] == core]
        )
        for core in cores
    }
    most = max(1.0, *(np.abs(np.log10(r)).max() for r in ratios.values()))
    with figure(len(cores), size=size, squeeze=False) as (drawn, axes):
        for core, panel in zip(cores, axes[:, 0], strict=True):
            logs = np.log10(ratios[core])
            image = panel.imshow(
                logs, cmap="PuOr_r", norm=TwoSlopeNorm(0, -most, most), aspect="auto"
            )
            own = [p for p in points if p["core"] == core]
            for y, p in enumerate(own):
                for x, b in enumerate(p["baselines"]):
                    low, middle, high = (b[f"energy_ratio_{q}"] for q in ("p10", "p50", "p90"))
                    shade = "white" if abs(logs[y, x]) > 0.62 * most else "black"
                    style = dict(ha="center", color=shade)
                    panel.text(x, y - 0.04, _short(middle), va="bottom", fontsize=10, **style)
                    spread = f"{_short(low)} ... {_short(high)}"
                    panel.text(x, y + 0.04, spread, va="top", fontsize=6.5, **style)
            panel.grid(visible=False)
            panel.set_xticks(
                range(len(columns)), [c.replace(" ", "\n") for c in columns], fontsize=8
            )
            labels = [f"{p['model']}, {_tokens(p['context'])}" for p in own]
            panel.set_yticks(range(len(own)), labels, fontsize=8)
            panel.set_title(f"{core} over", fontsize=10)
        bar = drawn.colorbar(image, ax=list(axes[:, 0]), pad=0.01)
        bar.set_label("log10 of the median energy ratio (below 0: light takes less)", fontsize=8)
        drawn.suptitle("Energy ratio: median, and p10 ... p90", fontsize=11)
    return drawn


def components(points: Sequence[Row]) -> Figure:
    """Fractions of the energy by component, one bar for each model and context, a panel a core."""
    cores = list(dict.fromkeys(p["core"] for p in points))
    most: dict[str, float] = {}
    for p in points:
        total = sum(p["components_j"].values())
        for name, value in p["components_j"].items():
            most[name] = max(most.get(name, 0.0), value / total)
    names = sorted((k for k in most if most[k] >= REST), key=lambda k: -most[k])[:MOST]
    count = max(sum(p["core"] == core for p in points) for core in cores)
    palette = colors(len(names))
    size = (9, (0.9 + 0.33 * count) * len(cores) + 0.8)
    with figure(len(cores), size=size, squeeze=False) as (drawn, axes):
        for core, panel in zip(cores, axes[:, 0], strict=True):
            own = [p for p in points if p["core"] == core]
            labels = [f"{p['model']}, {_tokens(p['context'])}" for p in own]
            starts = np.zeros(len(own))
            totals = np.array([sum(p["components_j"].values()) for p in own])
            shown = {n: np.array([p["components_j"].get(n, 0.0) for p in own]) for n in names}
            shown["smaller ones"] = totals - sum(shown.values())
            for i, (name, values) in enumerate(shown.items()):
                fraction = values / totals
                color = "#DDDDDD" if name == "smaller ones" else palette[i]
                label = name if core == cores[0] else None
                panel.barh(labels, fraction, left=starts, label=label, color=color, height=0.75)
                starts = starts + fraction
            for y, (p, total) in enumerate(zip(own, totals, strict=True)):
                text = f"{si(total / p['tokens'], 'J')}/token"
                panel.annotate(
                    text, (1.0, y), (5, 0), textcoords="offset points", va="center", fontsize=8
                )
            panel.set_xlim(0, 1)
            panel.invert_yaxis()
            panel.tick_params(labelsize=8)
            panel.grid(axis="y", visible=False)
            panel.set_title(f"{core} (beside {own[0]['beside']})", fontsize=10, loc="left")
        axes[-1, 0].set_xlabel("fraction of the energy")
        drawn.legend(loc="outside lower center", ncols=4)
    return drawn


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def _tokens(context: int) -> str:
    return f"{context // 1024}k" if context % 1024 == 0 else f"{context:,}"
