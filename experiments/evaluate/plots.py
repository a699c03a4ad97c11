"""Figures of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

GREY = "0.45"


def perplexity(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Perplexity against mean detected photons per multiply; cores without shot noise as lines."""
    figure, axes = plt.subplots(figsize=(7, 4.5))
    lit = sorted(
        (r for r in rows if r["photons_per_multiply"]), key=lambda r: r["photons_per_multiply"]
    )
    dark = [r for r in rows if not r["photons_per_multiply"] and r["perplexity"] < 1e3]
    axes.plot(
        [r["photons_per_multiply"] for r in lit],
        [r["perplexity"] for r in lit],
        "o-",
        color="tab:orange",
    )
    for row in lit:
        axes.annotate(
            row["core"],
            (row["photons_per_multiply"], row["perplexity"]),
            textcoords="offset points",
            xytext=(6, 6),
            fontsize=8,
        )
    styles = ("-", "--", ":", "-.")
    for i, row in enumerate(dark):
        label = f"{row['core']}: {row['perplexity']:.2f}"
        axes.axhline(row["perplexity"], ls=styles[i % 4], lw=1, color=f"C{i}", label=label)
    if lit:
        axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(x=0.2, y=0.12)
    axes.set_xlabel("mean detected photons per multiply, as used")
    axes.set_ylabel("perplexity")
    axes.set_title("Perplexity against light")
    axes.grid(True, which="both", alpha=0.25)
    if dark:
        axes.legend(fontsize=8)
    return figure


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
