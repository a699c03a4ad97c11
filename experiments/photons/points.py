"""The losses that a study has evaluated so far, kept on disk so that an interrupted run goes on from them."""

from __future__ import annotations

import collections
import csv
from typing import Any

import numpy as np

from experiments.harness import RunDirectory, UserError


class Points:
    """Losses ``[noise seeds, windows]`` of every rung and light, kept in points.csv as they come."""

    def __init__(self, run: RunDirectory):
        self.run = run
        self.rows: list[dict[str, Any]] = []
        self.rungs: dict[str, RungPoints] = {}
        file = run.path / "points.csv"
        if not file.exists():
            return
        groups: dict[tuple[str, float], dict[tuple[int, int], float]] = {}
        try:
            with open(file, newline="") as lines:
                for r in csv.DictReader(lines):
                    group = groups.setdefault((r["rung"], float(r["light"])), {})
                    group[int(r["noise_seed"]), int(r["window"])] = float(r["loss_nats"])
            for (rung, light), group in groups.items():
                shape = tuple(1 + max(place[i] for place in group) for i in (0, 1))
                losses = np.array([group[place] for place in np.ndindex(shape)]).reshape(shape)
                self.of(rung).data[light] = losses
                self._keep(rung, light, losses)
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"run: {file} is not a table of points any more; delete it, or choose another name "
                "with run=NAME"
            ) from None

    def of(self, rung: str) -> RungPoints:
        """The losses of one rung by light; what is added is written."""
        return self.rungs.setdefault(rung, RungPoints(self, rung))

    def add(self, rung: str, light: float, losses: np.ndarray) -> None:
        """Write one more point."""
        self._keep(rung, light, losses)
        self.run.write_csv("points.csv", self.rows)

    def _keep(self, rung: str, light: float, losses: np.ndarray) -> None:
        self.rows += [
            {"rung": rung, "light": light, "noise_seed": s, "window": w, "loss_nats": float(loss)}
            for (s, w), loss in np.ndenumerate(losses)
        ]


class RungPoints(collections.UserDict[float, np.ndarray]):
    """One rung's part of :class:`Points`."""

    def __init__(self, points: Points, rung: str):
        super().__init__()
        self.points, self.rung = points, rung

    def __setitem__(self, light: float, losses: np.ndarray) -> None:
        super().__setitem__(light, losses)
        self.points.add(self.rung, light, losses)
