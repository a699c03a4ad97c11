"""Measurements as they are fitted: checked, and what is left out counted."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from photonjax.core.core import OpticalCore, check_core
from photonjax.core.fit_likelihood import Readings
from photonjax.core.pytree import brief

MOST_GAPS = 0.5
LEAST_EXPLAINED = 0.1  # of a column's variance, by what was expected of it
FARTHEST_GAIN = 2.0
# Fields that also draw, or bend: what they make of a symbol would be explained twice.
_TAKEN = (
    *("photons", "source.rin_db_hz", "source.channel_rin_db_hz", "input.noise"),
    *("input.relative_noise", "adc.inl_lsb", "receiver.saturation_electrons"),
    "receiver.imbalance",
)


@dataclasses.dataclass(frozen=True)
class Excluded:
    """What of the measurements was not fitted.

    Attributes:
      readings: gaps (NaN). symbols: without a single reading. columns: numbers of columns whose readings
        never change. count: of all readings given, gaps and dead columns included.
    """

    readings: int
    symbols: int
    columns: tuple[int, ...]
    count: int

    def __str__(self) -> str:
        if not (self.readings or self.columns):
            return "nothing is left out"
        parts = [
            f"{self.readings:,} of {self.count:,} readings are gaps ({self.readings / self.count:.1%})"
        ]
        if self.symbols:
            parts.append(f"{self.symbols:,} symbols have none")
        if self.columns:
            listed = brief(list(self.columns))
            parts.append(f"{len(self.columns)} columns never change ({listed})")
        return "left out: " + "; ".join(parts)


def check_readings(
    core: Any, expected: Any, observed: Any, *, unit: float, cycle: int, fixed_weight: bool
) -> tuple[Readings, np.ndarray, Excluded]:
    """Readings in products of full scale, numbers of their columns, and what was left out.

    Raises:
      TypeError, ValueError: as :func:`photonjax.core.fit.fit_core` says.
    """
    check_core("fit_core", core)
    _check_core(core)
    e, y = _matrix("expected", expected), _matrix("observed", observed)
    if e.shape != y.shape:
        turned = "; transpose one of them" if e.shape == y.shape[::-1] else ""
        raise ValueError(
            f"fit_core: observed {list(y.shape)} is not of the shape of expected {list(e.shape)}, "
            f"[symbols, columns]{turned}"
        )
    if not np.isfinite(unit) or unit <= 0:
        raise ValueError(f"fit_core: unit = {unit!r} is not a number above 0")
    if isinstance(cycle, bool) or not isinstance(cycle, int) or cycle < 1:
        raise ValueError(f"fit_core: cycle = {cycle!r} is not an integer of 1 or more")
    columns = e.shape[1]
    if columns > core.cols:
        raise ValueError(
            f"fit_core: {columns} columns were measured, but core.cols = {core.cols}; columns of one array "
            "share its symbols: set cols, or give one array's columns"
        )
    there = np.isfinite(e) & np.isfinite(y)
    gaps = int((~there).sum())
    if gaps > MOST_GAPS * e.size:
        raise ValueError(
            f"fit_core: {gaps:,} of {e.size:,} readings are gaps (NaN); more than {MOST_GAPS:.0%} are not "
            "fitted: leave out the columns or symbols that were not measured"
        )
    e, y = np.where(there, e, np.nan) / unit, np.where(there, y, np.nan) / unit
    varied, changed = _varies(e), _varies(y)
    if not varied.all():
        raise ValueError(
            f"fit_core: expected never changes in columns {_listed(~varied)}: their gains cannot be told; "
            "leave them out, or measure other inputs"
        )
    kept = np.flatnonzero(changed)
    if len(kept) < max(2, columns // 2):
        raise ValueError(
            f"fit_core: observed never changes in {columns - len(kept)} of {columns} columns: at least half, "
            "and two, have to"
        )
    lost = Excluded(
        gaps, int((~there).all(axis=1).sum()), tuple(np.flatnonzero(~changed).tolist()), e.size
    )
    readings = Readings(e[:, kept], y[:, kept], cycle)
    needed = 10 * (cycle + 1) + (2 * len(kept) if fixed_weight else 0)
    fewest = int(readings.there.sum(axis=0).min())
    if fewest < needed:
        raise ValueError(
            f"fit_core: a column has {fewest:,} readings; {needed} or more are needed for cycle = {cycle}, "
            f"fixed_weight = {fixed_weight}"
        )
    _check_unit(core, readings)
    return readings, kept, lost


def _matrix(name: str, given: Any) -> np.ndarray:
    found = np.asarray(given)
    if found.dtype.kind not in "fiu":
        raise TypeError(f"fit_core: {name} = {brief(given)} is not an array of real numbers")
    if found.ndim != 2 or 0 in found.shape:
        raise ValueError(f"fit_core: {name} {list(found.shape)} is not [symbols, columns]")
    if np.isinf(found).any():
        raise ValueError(
            f"fit_core: {name} holds infinity; mark readings that were not measured by NaN"
        )
    return found.astype(float)


def _check_core(core: OpticalCore) -> None:
    for path in _TAKEN:
        owner: Any = core
        for name in path.split("."):
            owner = getattr(owner, name)
        if owner is not None:
            raise ValueError(
                f"fit_core: core.{path} = {brief(owner)} makes errors of its own, which measurements hold "
                "already; set it to None"
            )
    if core.custom.names:
        raise ValueError(f"fit_core: core.custom holds {core.custom.names}; fit a core without")
    if core.adc.bits is None:
        raise ValueError(
            "fit_core: core.adc.bits = None: independent noise is carried by adc.enob; set adc.bits"
        )
    if core.encoding.kind == "offset":
        raise ValueError(
            "fit_core: core.encoding.kind = 'offset': its readings hold a bias that follows the operands; "
            "take it out, and fit a core of another kind"
        )


def _check_unit(core: OpticalCore, readings: Readings) -> None:
    e, y = readings.expected, readings.observed
    largest = float(np.nanmax(np.abs(e)))
    if largest > core.rows * (1 + 1e-6):
        raise ValueError(
            f"fit_core: expected reaches {largest:.4g} products of full scale, but core.rows = {core.rows} "
            "add up to no more than as many: give unit, what a full-scale product reads"
        )
    de, dy = e - np.nanmean(e, axis=0), y - np.nanmean(y, axis=0)
    both = readings.there
    cross = np.where(both, de * dy, 0).sum(axis=0)
    power = [np.where(both, of * of, 0).sum(axis=0) for of in (de, dy)]
    explained = cross**2 / (power[0] * power[1])
    if np.median(explained) < LEAST_EXPLAINED:
        raise ValueError(
            f"fit_core: expected explains {np.median(explained):.1%} of a column's readings (median), less "
            f"than {LEAST_EXPLAINED:.0%}; are rows and columns in the same order?"
        )
    gain = float(np.median(cross / power[0]))
    if not 1 / FARTHEST_GAIN <= gain <= FARTHEST_GAIN:
        raise ValueError(
            f"fit_core: observed is {gain:.4g} times expected (median gain); within {1 / FARTHEST_GAIN:g} "
            f"... {FARTHEST_GAIN:g} they are taken to be in one unit: multiply expected by {gain:.4g}"
        )


def _varies(of: np.ndarray) -> np.ndarray:
    """Whether a column's values differ by more than rounding."""
    filled = np.isfinite(of).any(axis=0)
    of = np.where(filled, of, 0.0)
    spread = np.nanmax(of, axis=0) - np.nanmin(of, axis=0)
    return spread > 1e-9 * np.nanmax(np.abs(of), axis=0)


def _listed(which: np.ndarray) -> str:
    found = np.flatnonzero(which).tolist()
    return ", ".join(map(str, found[:8])) + (" ..." if len(found) > 8 else "")
