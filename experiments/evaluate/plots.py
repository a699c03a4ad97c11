"""Figures of the evaluation."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

GREY = "0.45"


def perplexity(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Perplexity against mean detected photons per multiply, with intervals; cores without shot noise, and
    the digital model, as lines.
    """
    figure, axes = plt.subplots(figsize=(7, 4.5))
    lit = sorted(
        (r for r in rows if r["photons_per_multiply"]), key=lambda r: r["photons_per_multiply"]
    )
    digital = rows[0]["perplexity"]
    places = [(r["photons_per_multiply"], r["perplexity"]) for r in lit]
    if lit:
        axes.errorbar(
            *zip(*places, strict=True),
            yerr=list(zip(*(_error(r, digital) for r in lit), strict=True)),
            fmt="o-",
            capsize=3,
            color="tab:orange",
        )
        axes.set_xscale("log")
    styles = itertools.cycle(("-", "--", ":", "-."))
    dark = [r for r in rows if not r["photons_per_multiply"] and r["perplexity"] < 1e3]
    for i, (value, names) in enumerate(together(dark)):
        label = f"{value:.2f}: {', '.join(names)}"
        axes.axhline(value, ls=next(styles), lw=1.2, color=f"C{i if i < 1 else i + 1}", label=label)
    axes.set_yscale("log")
    axes.margins(x=0.1, y=0.15)
    axes.set_xlabel("mean detected photons per multiply, as used")
    axes.set_ylabel("perplexity")
    axes.set_title("Perplexity against light")
    axes.grid(True, which="both", alpha=0.25)
    if dark:
        axes.legend(fontsize=8)
    label_points(axes, places, [r["core"] for r in lit])
    return figure


def _error(row: Mapping[str, Any], digital: float) -> tuple[float, float]:
    """Ends of the interval, as distances from the perplexity; none from a single window."""
    ends = [row.get(f"perplexity_change_percent_{end}") for end in ("low", "high")]
    if None in ends:
        return 0.0, 0.0
    low, high = (digital * (1 + end / 100) for end in ends)
    return max(row["perplexity"] - low, 0.0), max(high - row["perplexity"], 0.0)


def together(
    rows: Sequence[Mapping[str, Any]], within: float = 0.005
) -> list[tuple[float, list[str]]]:
    """Rows in order of perplexity; those that lie on each other as one line with several names."""
    lines: list[tuple[float, list[str]]] = []
    for row in sorted(rows, key=lambda r: r["perplexity"]):
        if lines and row["perplexity"] < (1 + within) * lines[-1][0]:
            lines[-1][1].append(row["core"])
        else:
            lines.append((row["perplexity"], [row["core"]]))
    return lines


def label_points(axes: Axes, places: Sequence[tuple[float, float]], labels: Sequence[str]) -> None:
    """Write labels beside points where they are inside the axes, and neither on each other nor on points."""
    figure = axes.figure
    figure.canvas.draw()
    frame = axes.get_window_extent()
    marks = (
        [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in axes.transData.transform(places)]
        if len(places)
        else []
    )
    taken = list(marks)
    if axes.get_legend() is not None:
        taken.append(axes.get_legend().get_window_extent())
    sides = [
        (dx, dy, {-1: "right", 0: "center", 1: "left"}[x], {-1: "top", 0: "center", 1: "bottom"}[y])
        for step in (1, 2, 4)
        for x, y in ((1, 1), (0, 1), (-1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0))
        for dx, dy in [(7 * step * x, 7 * step * y)]
    ]
    for place, text in zip(places, labels, strict=True):
        for dx, dy, ha, va in sides:
            label = axes.annotate(
                text, place, (dx, dy), textcoords="offset points", ha=ha, va=va, fontsize=8
            )
            box = label.get_window_extent()
            inside = frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1)
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()


def site_snr(sites: Sequence[Mapping[str, Any]]) -> Figure:
    """Output SNR of every product along the depth of the model, one panel a core."""
    cores = list(dict.fromkeys(s["core"] for s in sites))
    columns = min(3, len(cores))
    lines = -(-len(cores) // columns)
    figure, grid = plt.subplots(
        lines, columns, figsize=(4.2 * columns, 3 * lines), sharex=True, sharey=True, squeeze=False
    )
    for axes in grid.flat[len(cores) :]:
        axes.set_visible(False)
    for axes, core in zip(grid.flat, cores, strict=False):
        kinds: dict[str, list[tuple[int, float]]] = {}
        for site in (s for s in sites if s["core"] == core):
            kind, layer = _place(site["site"])
            kinds.setdefault(kind, []).append((layer, site["snr_db"]))
        for i, (kind, points) in enumerate(sorted(kinds.items())):
            points.sort()
            if points[0][0] < 0:
                axes.axhline(points[0][1], color=GREY, ls=":", lw=1.5, label=kind)
            else:
                axes.plot(*zip(*points, strict=True), marker=".", lw=1, color=f"C{i}", label=kind)
        axes.set_title(core, fontsize=9)
        axes.grid(True, alpha=0.25)
    for axes in grid[:, 0]:
        axes.set_ylabel("output SNR [dB]")
    for axes in grid[-1]:
        axes.set_xlabel("layer")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", ncols=8, fontsize=8, bbox_to_anchor=(0.5, -0.05)
    )
    figure.suptitle("Output SNR of every product against floating point")
    figure.tight_layout()
    return figure


def _place(path: str) -> tuple[str, int]:
    """Kind and layer of a site: ``layers/3/mlp/up_proj`` is (up_proj, 3); -1 outside the layers."""
    parts = path.split("/")
    numbers = [int(p) for p in parts if p.isdigit()]
    return parts[-1], numbers[0] if numbers else -1
