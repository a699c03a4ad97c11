"""Figures of the fidelity table: curves where a single line would hide them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from photonjax.plotting import MARKERS, PALETTE, figure

COLORS = dict(zip(("differential", "homodyne", "offset"), PALETTE, strict=False))


def law(points: Sequence[Mapping[str, Any]]) -> Figure:
    """Measured noise over Hamerly's law against photons per MAC, one panel a kind of operands."""
    kinds = list(dict.fromkeys(p["operands"] for p in points))
    size = (4 * len(kinds), 4.0)
    with figure(1, len(kinds), size=size, squeeze=False) as (drawn, grid):
        for axes, kind in zip(grid[0], kinds, strict=True):
            own = [p for p in points if p["operands"] == kind]
            for i, k in enumerate(dict.fromkeys(p["K"] for p in own)):
                line = [p for p in own if p["K"] == k]
                n_mac = [p["n_mac"] for p in line]
                axes.plot(
                    n_mac, [p["expected"] for p in line], "-", color=PALETTE[i % len(PALETTE)], lw=1
                )
                axes.errorbar(
                    n_mac,
                    [p["std_over_law"] for p in line],
                    [p["std_over_law"] * p["scatter"] for p in line],
                    fmt=MARKERS[i % len(MARKERS)],
                    color=PALETTE[i % len(PALETTE)],
                    ms=5,
                    label=f"K = {k}",
                )
            axes.set_xscale("log")
            axes.set_xlabel("mean detected photons per MAC")
            axes.set_title(kind)
            axes.margins(y=0.3)
        grid[0, 0].set_ylabel("standard deviation / law")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=6)
        drawn.suptitle("Homodyne products, photons counted; lines: derived; bars: sampling error")
    return drawn


def snr(points: Sequence[Mapping[str, Any]]) -> Figure:
    """Photons per MAC that an output SNR takes, against K; lines are the closed form."""
    kinds = list(dict.fromkeys(p["operands"] for p in points))
    targets = list(dict.fromkeys(p["target"] for p in points))
    size = (4 * len(kinds), 4.6)
    with figure(1, len(kinds), size=size, sharey=True, squeeze=False) as (drawn, grid):
        for axes, kind in zip(grid[0], kinds, strict=True):
            for encoding, color in COLORS.items():
                for i, target in enumerate(targets):
                    line = [
                        p
                        for p in points
                        if (p["operands"], p["encoding"], p["target"]) == (kind, encoding, target)
                    ]
                    sizes = [p["K"] for p in line]
                    axes.plot(sizes, [p["closed_form"] for p in line], "-", color=color, lw=1)
                    axes.plot(
                        sizes,
                        [p["photons_per_mac"] for p in line],
                        MARKERS[i % len(MARKERS)],
                        color=color,
                        ms=4,
                        label=f"{encoding}, {target}",
                    )
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xlabel("K")
            axes.set_title(kind)
        grid[0, 0].set_ylabel("mean detected photons per MAC")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=3)
        drawn.suptitle("Light for a wanted output SNR; markers sampled, lines closed form")
    return drawn
