"""Figures of the fidelity table: curves where a single line would hide them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

COLOURS = {"differential": "C0", "homodyne": "C1", "offset": "C2"}
MARKERS = "ov^sD*"


def law(points: Sequence[Mapping[str, Any]]) -> Figure:
    """Measured noise over Hamerly's law against photons per MAC, one panel a kind of operands."""
    kinds = list(dict.fromkeys(p["operands"] for p in points))
    figure, grid = plt.subplots(1, len(kinds), figsize=(4 * len(kinds), 3.6), squeeze=False)
    for axes, kind in zip(grid[0], kinds, strict=True):
        own = [p for p in points if p["operands"] == kind]
        for i, k in enumerate(dict.fromkeys(p["K"] for p in own)):
            line = [p for p in own if p["K"] == k]
            n_mac = [p["n_mac"] for p in line]
            axes.plot(n_mac, [p["expected"] for p in line], "-", color=f"C{i}", lw=1)
            axes.errorbar(
                n_mac,
                [p["std_over_law"] for p in line],
                [p["std_over_law"] * p["scatter"] for p in line],
                fmt=MARKERS[i % 6],
                color=f"C{i}",
                ms=5,
                capsize=2,
                label=f"K = {k}",
            )
        axes.set_xscale("log")
        axes.set_xlabel("mean detected photons per MAC")
        axes.set_title(kind)
        axes.grid(True, alpha=0.25)
        axes.margins(y=0.3)
    grid[0, 0].set_ylabel("standard deviation / law")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", ncols=6, fontsize=8, bbox_to_anchor=(0.5, -0.06)
    )
    figure.suptitle("Homodyne products, photons counted; lines: derived; bars: sampling error")
    figure.tight_layout()
    return figure


def snr(points: Sequence[Mapping[str, Any]]) -> Figure:
    """Photons per MAC that an output SNR takes, against K; lines are the closed form."""
    kinds = list(dict.fromkeys(p["operands"] for p in points))
    targets = list(dict.fromkeys(p["target"] for p in points))
    figure, grid = plt.subplots(
        1, len(kinds), figsize=(4 * len(kinds), 4), sharey=True, squeeze=False
    )
    for axes, kind in zip(grid[0], kinds, strict=True):
        for encoding, colour in COLOURS.items():
            for i, target in enumerate(targets):
                line = [
                    p
                    for p in points
                    if (p["operands"], p["encoding"], p["target"]) == (kind, encoding, target)
                ]
                sizes = [p["K"] for p in line]
                axes.plot(sizes, [p["closed_form"] for p in line], "-", color=colour, lw=1)
                axes.plot(
                    sizes,
                    [p["photons_per_mac"] for p in line],
                    MARKERS[i % 6],
                    color=colour,
                    ms=4,
                    label=f"{encoding}, {target}",
                )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("K")
        axes.set_title(kind)
        axes.grid(True, alpha=0.25)
    grid[0, 0].set_ylabel("mean detected photons per MAC")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", ncols=3, fontsize=8, bbox_to_anchor=(0.5, -0.16)
    )
    figure.suptitle("Light for a wanted output SNR; markers sampled, lines closed form")
    figure.tight_layout()
    return figure
