"""The figure of the design."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from experiments.design.config import Design
from experiments.design.report import FAMILIES
from photonjax.plotting import GREY, MARKERS, figure, label_points


def draw(config: Design, results: dict[str, Any], checks: list[dict[str, Any]]) -> Figure:
    """Energy against quality, by price of time, over the grid's front; the surrogate against measurement."""
    good = [c for c in checks if c["measured_percent"] > 0]
    with figure(columns=2 if good else 1, squeeze=False) as (drawn, axes):
        _front(axes[0, 0], config, results)
        if good:
            _checks(axes[0, 1], good)
    return drawn


def _front(axes: Axes, config: Design, results: dict[str, Any]) -> None:
    def place(row: dict[str, Any]) -> tuple[float, float]:
        return 100 * math.expm1(row["rise"]), 1e3 * row["joules"]

    grid = [place(r) for r in results["grid_front"]]
    if grid:
        # a collection, of which labels need not keep clear
        axes.scatter(*zip(*grid, strict=True), s=2, color="0.75", label="grid's front, any speed")
    for price, marker in zip(config.prices, MARKERS * len(config.prices), strict=False):
        own = sorted((r for r in results["front"] if r["price"] == price), key=lambda r: r["rise"])
        if own:
            points = zip(*map(place, own), strict=True)
            axes.plot(*points, marker=marker, label=f"price of time {price:g}")
    axes.set(xscale="log", yscale="log", xlabel="rise of perplexity [%] (surrogate)")
    axes.set_ylabel(f"{config.model.name}: energy [mJ/token]")
    axes.legend(title="texts: tokens/s")
    speeds = [EngFormatter(places=2)(1 / r["seconds"]) for r in results["front"]]
    label_points(axes, [place(r) for r in results["front"]], speeds)


def _checks(axes: Axes, checks: list[dict[str, Any]]) -> None:
    for (family, name), marker in zip(FAMILIES.items(), MARKERS, strict=False):
        own = [c for c in checks if c["family"] == family]
        measured = [c["measured_percent"] for c in own]
        predicted = [c["predicted_percent"] for c in own]
        axes.plot(measured, predicted, marker, ms=4, label=name)
    ends = [f(c["measured_percent"] for c in checks) for f in (min, max)]
    axes.plot(ends, ends, color=GREY, lw=0.8, label="as measured")
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel("measured rise of perplexity [%]")
    axes.set_ylabel("predicted rise [%]")
    axes.legend()
