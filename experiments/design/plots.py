"""The figure of the design."""

from __future__ import annotations

import math
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from experiments.design.config import Design
from experiments.design.report import FAMILIES


def figure(config: Design, results: dict[str, Any], checks: list[dict[str, Any]]) -> Any:
    """Energy against quality, by price of time, over the grid's front; the surrogate against measurement."""
    plot, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.4), layout="constrained")
    grid = results["grid_front"]
    left.plot(
        [100 * math.expm1(r["rise"]) for r in grid],
        [1e3 * r["joules"] for r in grid],
        ".",
        color="0.75",
        ms=2,
        label="grid's front, any speed",
    )
    for price in config.prices:
        own = sorted((r for r in results["front"] if r["price"] == price), key=lambda r: r["rise"])
        x = [100 * math.expm1(r["rise"]) for r in own]
        left.plot(x, [1e3 * r["joules"] for r in own], "o-", label=f"price of time {price:g}")
        for r, at in zip(own, x, strict=True):
            left.annotate(f"{1 / r['seconds']:.2g}/s", (at, 1e3 * r["joules"]), fontsize=6)
    left.set(xscale="log", yscale="log", xlabel="rise of perplexity [%] (surrogate)")
    left.set_ylabel(f"{config.language_model}: energy [mJ/token], tokens/s beside")
    left.legend(fontsize=7)
    good = [c for c in checks if c["measured_percent"] > 0]
    if good:
        x = [c["measured_percent"] for c in good]
        for family, name in FAMILIES.items():
            own = [c for c in good if c["family"] == family]
            measured = [c["measured_percent"] for c in own]
            right.plot(measured, [c["predicted_percent"] for c in own], "o", ms=3, label=name)
        right.legend(fontsize=6)
        right.plot([min(x), max(x)], [min(x), max(x)], "k-", lw=0.8)
        right.set(xscale="log", yscale="log")
    right.set_xlabel("measured rise of perplexity [%]")
    right.set_ylabel("predicted [%]")
    return plot
