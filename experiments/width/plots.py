"""The figure of the study of widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from photonjax.plotting import GREY, MARKERS, colors, figure

Row = Mapping[str, Any]
LINES = {"plain": "-", "smoothed": "--", "hadamard": ":"}


def draw(results: Mapping[str, Any]) -> Figure:
    """Photons against width, encoding by encoding, and the alignment of plain products."""
    percent = min(r["target_percent"] for r in results["thresholds"])
    rows = [r for r in results["thresholds"] if r["target_percent"] == percent]
    encodings = list(dict.fromkeys(r["encoding"] for r in rows))
    count = len(encodings) + 1
    with figure(columns=count, size=(4.6 * count, 4.4), squeeze=False) as (drawn, grid):
        axes = grid.reshape(-1)
        for place, encoding in zip(axes, encodings, strict=False):
            _light(place, [r for r in rows if r["encoding"] == encoding])
            place.set_title(f"{encoding}: light for +{percent:g} % perplexity")
        _alignment(axes[-1], results["alignment"])
    return drawn


def _light(axes: Axes, rows: Sequence[Row]) -> None:
    families = list(dict.fromkeys((r["mlp"], r["scaling"]) for r in rows))
    for family, color in zip(families, colors(len(families)), strict=True):
        for operands, line in LINES.items():
            own = [
                r for r in rows if (r["mlp"], r["scaling"], r["operands"]) == (*family, operands)
            ]
            label = f"{' '.join(family)}, {operands}"
            _series(
                axes, own, "photons_per_multiply", ls=line, color=color, marker="o", label=label
            )
    _finish(axes, rows, "detected photons per multiply")


def _alignment(axes: Axes, rows: Sequence[Row]) -> None:
    plain = [r for r in rows if r["operands"] == "plain"] or list(rows)
    sites = list(dict.fromkeys(r["site"] for r in plain))
    for site, color, mark in zip(sites, colors(len(sites)), MARKERS * 2, strict=False):
        own = [r for r in plain if r["site"] == site]
        _series(axes, own, "alignment", color=color, marker=mark, label=site.removesuffix("_proj"))
    widths = np.array(sorted({r["width"] for r in plain}), float)
    if len(widths):
        start = max(r["alignment"] for r in plain)
        axes.plot(widths, start * widths[0] / widths, "--", color=GREY, lw=1, label="1/width")
    _finish(axes, plain, "alignment E[p²]/E[S²]")
    axes.set_title("How much of the light is signal")


def _series(axes: Axes, rows: Sequence[Row], quantity: str, **style: Any) -> None:
    """Geometric mean at each width, bars from the lowest to the highest."""
    at: dict[int, list[float]] = {}
    for r in rows:
        if r[quantity]:
            at.setdefault(r["width"], []).append(r[quantity])
    if at:
        widths = sorted(at)
        middle = np.exp([np.mean(np.log(at[w])) for w in widths])
        low, high = (np.abs([f(at[w]) for w in widths] - middle) for f in (min, max))
        axes.errorbar(widths, middle, (low, high), **style)


def _finish(axes: Axes, rows: Sequence[Row], what: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    widths = sorted({r["width"] for r in rows})
    axes.set_xticks(widths, [str(w) for w in widths])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("width (bars: lowest and highest)")
    axes.set_ylabel(what)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
