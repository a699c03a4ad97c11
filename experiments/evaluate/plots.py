"""Figures of the evaluation."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from photonjax.plotting import GREY, PALETTE, colors, figure, label_points


def perplexity(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Rise of perplexity over the digital model against mean detected photons per multiply, with intervals;
    cores without shot noise as lines.

    Its scale is logarithmic from one percent up, and linear below: small rises stay apart from zero.
    """
    digital = rows[0]["perplexity"]
    lit = sorted(
        (r for r in rows if r["photons_per_multiply"]), key=lambda r: r["photons_per_multiply"]
    )
    places = [(r["photons_per_multiply"], _rise(r, digital)) for r in lit]
    styles = itertools.cycle(("-", "--", ":", "-."))
    dark = together([r for r in rows if not r["photons_per_multiply"] and r["perplexity"] < 1e3])
    with figure(size=(7, 4.5)) as (drawn, axes):
        for color, (value, names) in zip(("black", *PALETTE[2:]), dark, strict=False):
            label = f"{value:.2f}: {', '.join(names)}"
            rise = 100 * (value / digital - 1)
            axes.axhline(rise, ls=next(styles), lw=1.2, color=color, label=label)
        if lit:
            axes.errorbar(
                *zip(*places, strict=True),
                yerr=list(zip(*(_error(r, digital) for r in lit), strict=True)),
                fmt="o-",
                capsize=3,
                color=PALETTE[1],
            )
            axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=1.0)
        axes.margins(x=0.1, y=0.15)
        axes.set_xlabel("mean detected photons per multiply, as used")
        axes.set_ylabel("rise of perplexity over digital [%]")
        axes.set_title(f"Perplexity against light (digital: {digital:.2f})")
        if dark:
            axes.legend(loc="upper right")
        label_points(axes, places, [r["core"] for r in lit])
    return drawn


def _rise(row: Mapping[str, Any], digital: float) -> float:
    return 100 * (row["perplexity"] / digital - 1)


def _error(row: Mapping[str, Any], digital: float) -> tuple[float, float]:
    """Ends of the interval, as distances from the rise; none from a single window."""
    low, high = (row.get(f"perplexity_change_percent_{end}") for end in ("low", "high"))
    if low is None or high is None:
        return 0.0, 0.0
    rise = _rise(row, digital)
    return max(rise - low, 0.0), max(high - rise, 0.0)


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


def site_snr(sites: Sequence[Mapping[str, Any]]) -> Figure:
    """Output SNR of every product along the depth of the model, one panel a core."""
    cores = list(dict.fromkeys(s["core"] for s in sites))
    columns = min(3, len(cores))
    lines = -(-len(cores) // columns)
    size = (max(4.2 * columns, 7.0), 2.8 * lines + 0.8)
    with figure(lines, columns, size=size, sharex=True, sharey=True, squeeze=False) as (
        drawn,
        grid,
    ):
        for axes in grid.flat[len(cores) :]:
            axes.set_visible(False)
        for axes, core in zip(grid.flat, cores, strict=False):
            kinds: dict[str, list[tuple[int, float]]] = {}
            for site in (s for s in sites if s["core"] == core):
                kind, layer = _place(site["site"])
                kinds.setdefault(kind, []).append((layer, site["snr_db"]))
            shades = iter(colors(len(kinds)))
            for kind, points in sorted(kinds.items()):
                points.sort()
                if points[0][0] < 0:
                    axes.axhline(points[0][1], color=GREY, ls=":", lw=1.5, label=kind)
                else:
                    line = {"marker": ".", "lw": 1, "color": next(shades), "label": kind}
                    axes.plot(*zip(*points, strict=True), **line)
            axes.set_title(core)
        for axes in grid[:, 0]:
            axes.set_ylabel("output SNR [dB]")
        for axes in grid.flat[
            max(0, len(cores) - columns) : len(cores)
        ]:  # the lowest of each column
            axes.set_xlabel("layer")
            axes.tick_params(labelbottom=True)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=8)
        drawn.suptitle("Output SNR of every product against floating point")
    return drawn


def _place(path: str) -> tuple[str, int]:
    """Kind and layer of a site: ``layers/3/mlp/up_proj`` is (up_proj, 3); -1 outside the layers."""
    parts = path.split("/")
    numbers = [int(p) for p in parts if p.isdigit()]
    return parts[-1], numbers[0] if numbers else -1
