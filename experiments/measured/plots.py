"""Figures of this experiment: how errors are distributed, and what each component explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from photonjax import plotting
from photonjax.core.fit_model import Rung


def errors(machines: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Any:
    """What a gain and an offset for each column leave, as densities; and against what was expected."""
    with plotting.figure(columns=2) as (figure, (left, right)):
        for name, (expected, observed) in machines.items():
            there = np.isfinite(expected) & np.isfinite(observed)
            e, y = np.where(there, expected, np.nan), np.where(there, observed, np.nan)
            de, dy = e - np.nanmean(e, axis=0), y - np.nanmean(y, axis=0)
            rest = dy - de * np.nansum(de * dy, axis=0) / np.nansum(
                np.where(there, de, 0) ** 2, axis=0
            )
            rest, size = rest[there], np.abs(e[there])
            density, edges = np.histogram(rest, bins=61, density=True)
            middle = (edges[1:] + edges[:-1]) / 2
            left.semilogy(middle[density > 0], density[density > 0], label=name)
            cuts = np.quantile(size, np.linspace(0, 1, 9))
            place = np.clip(np.digitize(size, cuts[1:-1]), 0, 7)
            right.plot(
                [size[place == i].mean() for i in range(8)],
                [rest[place == i].std() for i in range(8)],
                marker="o",
                label=name,
            )
        left.set(xlabel="residual [codes]", ylabel="density", title="Errors of all columns")
        right.set(
            xlabel="|expected| [codes]",
            ylabel="standard deviation of residual [codes]",
            title="Size of the errors",
        )
        right.set_ylim(bottom=0)
        left.legend()
    return figure


def ladder(rungs: Sequence[Rung]) -> Any:
    """Log-likelihood of held-out readings, component by component."""
    with plotting.figure() as (figure, axes):
        places = np.arange(len(rungs))
        for kept in (True, False):
            chosen = [i for i, rung in enumerate(rungs) if rung.kept == kept]
            axes.errorbar(
                places[chosen],
                [rungs[i].nats for i in chosen],
                yerr=[1.96 * rungs[i].gain.error for i in chosen],
                fmt="o",
                label="kept" if kept else "left out",
            )
        axes.set_xticks(places, [rung.added for rung in rungs], rotation=30, ha="right")
        axes.set(
            ylabel="held-out log-likelihood [nats a reading]", title="What explains the readings"
        )
        axes.legend()
    return figure
