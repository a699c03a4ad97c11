"""The figure of the photon study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from experiments.photons import exponents
from photonjax.plotting import GREY, MARKERS, PALETTE, colors, figure, label_levels, label_points


def draw(results: Mapping[str, Any]) -> Figure:
    """Loss against light, the light needed against K in the model, and the same for control products."""
    with figure(columns=3, size=(16, 4.8)) as (drawn, (loss, model, controls)):
        _loss(loss, results)
        _model(model, results)
        _controls(controls, results)
    return drawn


def _loss(axes: Axes, results: Mapping[str, Any]) -> None:
    rungs: dict[str, list[tuple[float, float]]] = {}
    first = exponents.first_rung(results)
    for r in results["curves"]:
        if r["family"] == "site" or r["rung"] == first:
            point = (r["photons_per_multiply"], r["perplexity_change_percent"])
            rungs.setdefault(r["rung"], []).append(point)
    sites = iter(zip(colors(len(rungs) + 1), MARKERS * len(rungs), strict=False))
    for rung, points in rungs.items():
        shown = sorted(p for p in points if 1e-2 < p[1] < 1e3)
        if shown:
            color, mark = ("black", "o") if rung == first else next(sites)
            width = 2.4 if rung == first else 1.2
            label = rung.removesuffix("_proj")
            axes.plot(*zip(*shown, strict=True), marker=mark, label=label, color=color, lw=width)
    _logarithmic(axes, "detected photons per multiply", "rise of perplexity [%]")
    percents = sorted({r["target_percent"] for r in results["thresholds"]})
    label_levels(axes, {f"+{p:g} %": p for p in percents}, ls=":")
    axes.set_title("One kind of product on light at a time")


def _model(axes: Axes, results: Mapping[str, Any]) -> None:
    solved = [r for r in results["thresholds"] if r["photons_per_multiply"]]
    names: list[tuple[tuple[float, float], str]] = []
    for i, percent in enumerate(dict.fromkeys(r["target_percent"] for r in solved)):
        color = PALETTE[i % len(PALETTE)]
        rows = [r for r in solved if r["target_percent"] == percent]
        arrays = sorted(_point(r, "terms_per_sample") for r in rows if r["family"] == "sub-array")
        if arrays:
            k, n, error = zip(*arrays, strict=True)
            label = f"all sites, sub-arrays, +{percent:g} %"
            axes.errorbar(k, n, error, fmt="o-", color=color, label=label)
            if i == 0:
                _guides(axes, np.array([min(k), max(k)]), n[0])
        sites = [r for r in rows if r["family"] == "site"]
        if sites:
            k, n, error = zip(*(_point(r, "terms_per_output") for r in sites), strict=True)
            label = f"one kind of site alone, +{percent:g} %"
            axes.errorbar(k, n, error, fmt="x", color=color, label=label)
            if i == 0:
                kinds = [r["rung"].removesuffix("_proj") for r in sites]
                names += zip(zip(k, n, strict=True), kinds, strict=True)
    _logarithmic(axes, "products per detector sample, K", "photons per multiply needed")
    if names:
        label_points(axes, *map(list, zip(*names, strict=True)))
    axes.set_title("What the model needs (bars: standard errors)")


def _point(row: Mapping[str, Any], k: str) -> tuple[float, float, float]:
    return row[k], row["photons_per_multiply"], row["plus_minus"] or 0.0


def _controls(axes: Axes, results: Mapping[str, Any]) -> None:
    series: dict[str, dict[int, list[float]]] = {}
    for r in results["controls"]:
        if r["series"].endswith("random signs") or r["series"].startswith("random, non-negative,"):
            continue  # in the report
        at = series.setdefault(r["series"], {}).setdefault(r["terms"], [])
        at.append(r["photons_per_multiply"])
    for (name, points), mark in zip(series.items(), MARKERS, strict=False):
        k = sorted(points)
        logs = [np.log(points[x]) for x in k]
        middle = np.exp([y.mean() for y in logs])
        low, high = (middle - np.exp([f(y) for y in logs]) for f in (np.min, np.max))
        label = name if name.startswith("random") else f"{name}, first K rows"
        axes.errorbar(k, middle, (low, -high), fmt=f"{mark}-", label=label)
    _logarithmic(axes, "K", f"photons per multiply at {results['control_snr_db']:g} dB")
    axes.set_title("Single products (bars: layers and row orders)")


def _guides(axes: Axes, k: np.ndarray, start: float) -> None:
    axes.plot(k, start * k[0] / k, "--", color=GREY, lw=1, label="1/K")
    axes.plot(k, [start, start], ":", color=GREY, lw=1, label="independent of K")


def _logarithmic(axes: Axes, x: str, y: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):  # names for few minor ticks, and none that run together
        axis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(1.0, 0.2)))
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
