"""The published photon-counting curve, and ours beside it: a table and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from experiments.fidelity.rows import REPRODUCED
from photonjax.plotting import GREY, PALETTE, figure
from photonjax.tables import text_table

# Incident photons per multiply: percent of the 10,000 test images, shown once.
PUBLISHED = {
    0.1: 12.82,
    0.398: 32.38,
    1.0: 68.08,
    1.585: 84.80,
    2.0: 89.96,
    2.3: 92.32,
    3.98: 96.36,
    10.0: 98.31,
    100.0: 98.90,
}
SOURCE = (
    "Wang et al., Nat. Commun. 13, 123 (2022), simulation: mcmahon-lab/ONN-QAT-SQL, notebook output"
)
TRANSMISSION = 0.472  # detected / incident, the authors' figure for their three layers
MEASURED = {
    3.1: 99.0,
    0.66: 90.0,
}  # the experiment, same paper, abstract: detected photons, percent
WITHIN = 1.5  # percentage points


def report(levels: Sequence[dict[str, Any]], quiet: float, about: dict[str, str]) -> str:
    """The table that people read, and what stands behind it."""
    cells = [
        {
            "incident": f"{level['incident']:g}",
            "detected": f"{level['detected']:.3g}",
            "published %": f"{level['published']:.2f}",
            "ours %": f"{level['percent']:.2f}",
            "sd of shows": "-" if level["sd_shows"] is None else f"{level['sd_shows']:.2f}",
            "sd of networks": "-"
            if level["sd_networks"] is None
            else f"{level['sd_networks']:.2f}",
            "points": f"{level['points']:+.2f}",
            "verdict": level["verdict"],
        }
        for level in levels
    ]
    agree = sum(level["verdict"] == REPRODUCED for level in levels)
    return "\n".join(
        [
            "photons per multiply and digits recognised",
            "",
            text_table(cells),
            "",
            f"{agree} of {len(levels)} levels within {WITHIN} points; without noise {quiet:.2f} %",
            f"{about['network']}; {about['digits']}",
            *(
                [f"where it differs: {about['reason']}"]
                if about["reason"] and agree < len(levels)
                else []
            ),
            f"published: {SOURCE}; detected there: {TRANSMISSION} x incident",
        ]
    )


def plot(levels: Sequence[dict[str, Any]], about: dict[str, str]) -> Figure:
    """Accuracy against detected photons per multiply: theirs, ours, and the experiment."""
    with figure(size=(7, 4.5)) as (drawn, axes):
        theirs = [level["detected_published"] for level in levels]
        axes.plot(
            theirs,
            [level["published"] for level in levels],
            "s--",
            color=GREY,
            label="simulated by Wang et al.",
        )
        axes.errorbar(
            [level["detected"] for level in levels],
            [level["percent"] for level in levels],
            [level["sd_networks"] or level["sd_shows"] or 0 for level in levels],
            fmt="o-",
            color=PALETTE[1],
            label=f"PhotonJAX, {about['short']}",
        )
        axes.plot(
            list(MEASURED),
            list(MEASURED.values()),
            "*",
            ms=12,
            color=PALETTE[0],
            label="measured by Wang et al.",
        )
        axes.set_xscale("log")
        axes.set_xlabel("mean detected photons per multiply")
        axes.set_ylabel("digits recognised [%]")
        axes.set_ylim(0, 102)
        axes.legend(loc="lower right")
    return drawn
