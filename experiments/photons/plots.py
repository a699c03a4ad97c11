"""The figure of the photons experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.photons import report as photon_report

MARKERS = "os^vDP*Xph"


def figure(results: Mapping[str, Any]) -> Figure:
    """Loss against light, the light needed against K in the model, and the same for control products."""
    drawing, axes = plt.subplots(1, 3, figsize=(16, 5))
    _loss(axes[0], results)
    _model(axes[1], results)
    _controls(axes[2], results)
    for panel in axes:
        panel.grid(True, which="both", alpha=0.2)
    drawing.tight_layout()
    return drawing


def _loss(axes: Axes, results: Mapping[str, Any]) -> None:
    rungs: dict[str, list[tuple[float, float]]] = {}
    first = photon_report.first_rung(results)
    for r in results["curves"]:
        if r["family"] == "site" or r["rung"] == first:
            point = (r["photons_per_multiply"], r["perplexity_change_percent"])
            rungs.setdefault(r["rung"], []).append(point)
    for i, (rung, points) in enumerate(rungs.items()):
        shown = sorted(p for p in points if 1e-2 < p[1] < 1e3)
        if shown:
            light, change = zip(*shown, strict=True)
            color, width = ("black", 2) if rung == first else (f"C{i}", 1)
            mark = MARKERS[i % len(MARKERS)]
            axes.plot(light, change, marker=mark, ms=4, label=rung, color=color, lw=width)
    for percent in {r["target_percent"] for r in results["thresholds"]}:
        axes.axhline(percent, color="0.5", ls=":", lw=1)
    _logarithmic(axes, "detected photons per multiply", "rise of perplexity [%]")
    axes.set_title("One kind of product on light at a time")


def _model(axes: Axes, results: Mapping[str, Any]) -> None:
    solved = [r for r in results["thresholds"] if r["photons_per_multiply"]]
    for i, percent in enumerate(dict.fromkeys(r["target_percent"] for r in solved)):
        rows = [r for r in solved if r["target_percent"] == percent]
        arrays = sorted(
            (r["terms_per_sample"], r["photons_per_multiply"], r["plus_minus"] or 0.0)
            for r in rows
            if r["family"] == "sub-array"
        )
        if arrays:
            k, n, error = zip(*arrays, strict=True)
            label = f"all sites, sub-arrays, +{percent:g} %"
            axes.errorbar(k, n, error, fmt="o-", color=f"C{i}", capsize=2, label=label)
            if i == 0:
                _guides(axes, np.array([min(k), max(k)]), n[0])
        sites = [r for r in rows if r["family"] == "site"]
        axes.plot(
            [r["terms_per_output"] for r in sites],
            [r["photons_per_multiply"] for r in sites],
            "x",
            color=f"C{i}",
            label=f"one kind of site alone, +{percent:g} %" if sites else None,
        )
        for r in sites if i == 0 else []:
            place = (r["terms_per_output"], r["photons_per_multiply"])
            name = r["rung"].removesuffix("_proj")
            axes.annotate(name, place, xytext=(5, -3), textcoords="offset points", fontsize=7)
    _logarithmic(axes, "products per detector sample, K", "photons per multiply needed")
    axes.set_title("What the model needs")


def _controls(axes: Axes, results: Mapping[str, Any]) -> None:
    series: dict[str, dict[int, list[float]]] = {}
    for r in results["controls"]:
        if r["series"].endswith("random signs"):
            continue  # in the report
        at = series.setdefault(r["series"], {}).setdefault(r["terms"], [])
        at.append(r["photons_per_multiply"])
    for i, (name, points) in enumerate(series.items()):
        k = sorted(points)
        logs = [np.log(points[x]) for x in k]
        middle = np.exp([y.mean() for y in logs])
        low, high = (middle - np.exp([f(y) for y in logs]) for f in (np.min, np.max))
        label = name if name.startswith("random") else f"{name}, first K rows"
        axes.errorbar(
            k,
            middle,
            (low, -high),
            fmt=f"{MARKERS[i % len(MARKERS)]}-",
            ms=4,
            capsize=2,
            label=label,
        )
    _logarithmic(axes, "K", f"photons per multiply at {results['control_snr_db']:g} dB")
    axes.set_title("Single products (bars: layers and row orders)")


def _guides(axes: Axes, k: np.ndarray, start: float) -> None:
    axes.plot(k, start * k[0] / k, "--", color="0.5", lw=1, label="1/K")
    axes.plot(k, [start, start], ":", color="0.5", lw=1, label="independent of K")


def _logarithmic(axes: Axes, x: str, y: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
