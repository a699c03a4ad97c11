"""Two ways to a Pareto front: by gradient in the continuous numbers, and by a grid over everything."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from experiments.design.machine import Choice, Machine

Row = dict[str, Any]
Slope = Callable[[float], float]
GRADIENT = 3  # estimates that one reverse-mode gradient is worth; at most 4 or 5 (Griewank and Walther, 2008)


@dataclasses.dataclass
class Box:
    """Bounds of the continuous numbers: natural logarithm of the clock [Hz], and ENOB."""

    log_clock: tuple[float, float]
    enob: tuple[float, float]


def descend(slope: Slope, start: float, low: float, high: float, tolerance: float) -> float:
    """Where a function with one minimum in ``[low, high]`` turns from falling to rising.

    From the start outwards until the slope changes sign, then Brent's method: a kink will do.

    >>> round(descend(lambda x: 2 * (x - 0.3), 0.0, -1.0, 1.0, 1e-6), 5)
    0.3
    >>> round(descend(lambda x: -1.0 if x < 0.7 else 5.0, 0.0, -1.0, 1.0, 1e-6), 5)  # a kink
    0.7
    """
    slope = functools.cache(slope)
    start, step = min(max(start, low), high), 8 * tolerance
    rising = slope(start) > 0
    near = far = start
    while True:
        far = max(near - step, low) if rising else min(near + step, high)
        if far == near:
            return near  # at a bound
        if (slope(far) > 0) != rising:
            break
        near, step = far, 2 * step
    return brentq(slope, near, far, xtol=tolerance)


class ByGradient:
    """The best continuous numbers of one choice for a quality floor and a price of time.

    Minimises ``log(joules) + price log(seconds)`` per token. The floor fixes the light, given clock and
    ENOB; those two are descended in turn, by the gradient through the cost.
    """

    def __init__(self, machine: Machine, choice: Choice, box: Box, tolerance: float):
        self.machine, self.choice, self.box, self.tolerance = machine, choice, box, tolerance
        self.estimates = 0
        self.last: tuple[float, float] | None = None
        self._gradient = jax.jit(jax.grad(self._objective, (0, 1)))
        self._point = jax.jit(self._figures)

    def _figures(self, log_clock: Any, enob: Any, rise: Any) -> tuple[Any, Any, Any]:
        photons = self.machine.photons(self.choice, log_clock, enob, rise)
        return (*self.machine.cost(self.choice, log_clock, enob, photons), photons)

    def _objective(self, log_clock: Any, enob: Any, rise: Any, price: Any) -> Any:
        joules, seconds, _ = self._figures(log_clock, enob, rise)
        return jnp.log(joules) + price * jnp.log(seconds)

    def least_enob(self, rise: float) -> float:
        """ENOB below which the ADC alone takes more than the floor allows; infinite if rounding does."""
        law = self.machine.law
        left = rise / law.sensitivity - float(law.digits(self.choice.bits, math.inf))
        if left <= 0:
            return math.inf
        return 0.5 * math.log2(law.crest**2 / (3 * left)) if law.crest else -math.inf

    def _slope(self, axis: int, at: tuple[float, float], rise: float, price: float) -> Slope:
        """The objective's derivative along one of clock and ENOB, as a function of that one."""

        def slope(value: float) -> float:
            self.estimates += GRADIENT
            point = (value, at[1]) if axis == 0 else (at[0], value)
            return float(self._gradient(*point, rise, price)[axis])

        return slope

    def solve(self, rise: float, price: float) -> Row | None:
        """The best design, or None if no light will do."""
        low = max(self.box.enob[0], self.least_enob(rise) + 0.01)
        if low >= self.box.enob[1]:
            return None
        clock, enob = self.last or (sum(self.box.log_clock) / 2, self.box.enob[1] - 1)
        enob = min(max(enob, low), self.box.enob[1])

        while True:
            before = clock, enob
            along_enob = self._slope(1, (clock, enob), rise, price)
            enob = descend(along_enob, enob, low, self.box.enob[1], self.tolerance)
            along_clock = self._slope(0, (clock, enob), rise, price)
            clock = descend(along_clock, clock, *self.box.log_clock, self.tolerance)
            if math.dist(before, (clock, enob)) <= 2 * self.tolerance:
                break
        self.last = clock, enob
        self.estimates += 1
        joules, seconds, photons = (float(v) for v in self._point(clock, enob, rise))
        return {
            "size": self.choice.size,
            "bits": self.choice.bits,
            "photons": photons,
            "clock_hz": math.exp(clock),
            "enob": enob,
            "joules": joules,
            "seconds": seconds,
            "rise": rise,
            "objective": math.log(joules) + price * math.log(seconds),
        }


def by_gradient(
    machine: Machine,
    choice: Choice,
    rises: Sequence[float],
    prices: Sequence[float],
    box: Box,
    tolerance: float,
) -> tuple[list[Row], int]:
    """The best design of one choice for each floor and price, and how many cost estimates that took."""
    search = ByGradient(machine, choice, box, tolerance)
    rows = []
    for rise, price in itertools.product(sorted(rises, reverse=True), prices):
        row = search.solve(rise, price)
        if row is not None:
            rows.append({"floor": rise, "price": price, **row})
    return rows, search.estimates


def best_designs(rows: Iterable[Row]) -> list[Row]:
    """The best row for each floor and price."""
    best: dict[tuple[float, float], Row] = {}
    for row in rows:
        known = best.setdefault((row["floor"], row["price"]), row)
        if row["objective"] < known["objective"]:
            best[row["floor"], row["price"]] = row
    return list(best.values())


def by_grid(
    machine: Machine,
    choices: Iterable[Choice],
    box: Box,
    photons: np.ndarray,
    points: tuple[int, int],
    done: Callable[[], Any] = lambda: None,
) -> tuple[dict[str, np.ndarray], int]:
    """Every choice at every clock, ENOB and light: columns of costs and rises, and how many cost estimates.

    ``done`` is called after every choice.
    """
    clocks = np.linspace(*box.log_clock, points[0])
    enobs = np.linspace(*box.enob, points[1])
    mesh = [a.ravel() for a in np.meshgrid(clocks, enobs, np.log(photons), indexing="ij")]
    columns: dict[str, list[np.ndarray]] = {}
    for choice in choices:

        def one(clock: Any, enob: Any, light: Any, choice: Choice = choice) -> Any:
            m = jnp.exp(light)
            joules, seconds = machine.cost(choice, clock, enob, m)
            return joules, seconds, machine.rise(choice, clock, enob, m)

        found = jax.jit(jax.vmap(one))(*(jnp.asarray(a, jnp.float32) for a in mesh))
        same = [np.full(mesh[0].size, v) for v in choice]
        rows = [*same, np.exp(mesh[2]), np.exp(mesh[0]), mesh[1], *(np.asarray(v) for v in found)]
        names = ("size", "bits", "photons", "clock_hz", "enob", "joules", "seconds", "rise")
        for name, values in zip(names, rows, strict=True):
            columns.setdefault(name, []).append(values)
        done()
    table = {name: np.concatenate(values) for name, values in columns.items()}
    return table, table["joules"].size


def best_of_grid(grid: dict[str, np.ndarray], rise: float, price: float) -> Row | None:
    """The grid's best design for a floor and a price; None if no point keeps the floor."""
    kept = grid["rise"] <= rise
    if not kept.any():
        return None
    objective = np.log(grid["joules"]) + price * np.log(grid["seconds"])
    i = int(np.argmin(np.where(kept, objective, np.inf)))
    return {name: float(values[i]) for name, values in grid.items()} | {
        "objective": float(objective[i])
    }


def non_dominated(points: np.ndarray) -> np.ndarray:
    """Which rows of ``[n, objectives]`` no other row beats in one objective without being worse in another.

    >>> non_dominated(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [3.0, 1.0]])).tolist()
    [True, True, False, True]
    """
    order = np.lexsort(points.T[::-1])
    kept: list[int] = []
    for i in order:  # what dominates a row comes before it
        front = points[kept]
        beaten = np.any(np.all(front <= points[i], axis=1) & np.any(front < points[i], axis=1))
        if not beaten:
            kept.append(int(i))
    mask = np.zeros(len(points), bool)
    mask[kept] = True
    return mask


def excess(front: np.ndarray, others: np.ndarray) -> np.ndarray:
    """By what factor each row of ``others`` must be worsened until some row of ``front`` is as good in all.

    Below or at one: it is covered. ``[n, objectives]``, all above zero.

    >>> excess(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0], [2.0, 4.0]])).tolist()
    [2.0, 0.5]
    """
    return np.array([np.min(np.max(front / row, axis=1)) for row in others])
