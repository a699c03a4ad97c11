"""The lines of the fidelity table: a published value, ours, and what their difference says."""

from __future__ import annotations

import functools
import pathlib
import tomllib
from typing import Any

Row = dict[str, Any]
KEYS = ("name", "published", "ours", "unit", "deviation", "verdict", "source", "note")

REPRODUCED = "reproduced"
DIFFERS = "differs"
NOT_REPRODUCED = "not reproduced"
ADOPTED = "adopted"  # an input of ours: equality shows only that it was taken over rightly
STAND_IN = "stand-in"  # ours is of another task: the mechanism is shown, the number is not compared
INSIDE, OUTSIDE = "inside", "outside"


@functools.cache
def published() -> dict[str, dict[str, Any]]:
    """The table of published values, ``published.toml``, by name."""
    file = pathlib.Path(__file__).with_name("published.toml")
    return tomllib.loads(file.read_text())


def row(
    name: str,
    key: str,
    ours: float | None,
    note: str = "",
    *,
    within: float | None = None,
    adopted: bool = False,
) -> Row:
    """A line of the table.

    Args:
      name: what is compared.
      key: of the published value.
      ours: what this project's functions give; None where they cannot, and ``note`` says why.
      note: convention, derivation, reason.
      within: largest relative deviation that counts as reproduced. By default one unit in the last
        digit that was published, which is all that rounding or cutting off explains.
      adopted: the published value is an input of ours.
    """
    known = published()[key]
    value = known["value"]
    if within is None:
        within = known["digit"] / abs(value)
    if ours is None:
        return _row(name, value, None, known["unit"], None, NOT_REPRODUCED, _source(key), note)
    deviation = float(ours) / value - 1
    verdict = DIFFERS if abs(deviation) > within else ADOPTED if adopted else REPRODUCED
    return _row(name, value, float(ours), known["unit"], deviation, verdict, _source(key), note)


def range_row(name: str, low_key: str, high_key: str, ours: float, note: str = "") -> Row:
    """A line whose published side is a range."""
    low, high = (published()[key]["value"] for key in (low_key, high_key))
    verdict = INSIDE if low <= ours <= high else OUTSIDE
    unit, span = published()[low_key]["unit"], f"{low:g} ... {high:g}"
    return _row(name, span, float(ours), unit, None, verdict, _source(low_key), note)


def assumed_row(name: str, key: str, ours: float, low: float, high: float, note: str = "") -> Row:
    """A line where ours rests on an assumed number; ``low`` to ``high`` over that number's range."""
    value, unit = published()[key]["value"], published()[key]["unit"]
    verdict = INSIDE if low <= value <= high else OUTSIDE
    return _row(name, value, float(ours), unit, ours / value - 1, verdict, _source(key), note)


def derived_row(
    name: str, expected: float, ours: float, unit: str, source: str, note: str, *, within: float
) -> Row:
    """A line whose other side is not a publication but a closed form, worked out apart from the product."""
    deviation = float(ours) / float(expected) - 1
    verdict = REPRODUCED if abs(deviation) <= within else DIFFERS
    return _row(name, float(expected), float(ours), unit, deviation, verdict, source, note)


def stand_in_row(name: str, key: str | None, ours: float, note: str) -> Row:
    """A line in percent whose published network is not here; ours is of a smaller one. ``key``: None where
    nothing was published."""
    value, source = (None, "") if key is None else (published()[key]["value"], _source(key))
    return _row(name, value, ours, "%", None, STAND_IN, source, note)


def failed_row(name: str, reason: str) -> Row:
    """The line that stands for what could not be run at all."""
    return _row(name, None, None, "", None, NOT_REPRODUCED, "", reason)


def _row(*values: Any) -> Row:
    return dict(zip(KEYS, values, strict=True))


def _source(key: str) -> str:
    known = published()[key]
    return known["source"] if known["sure"] == "read" else f"{known['source']} ({known['sure']})"
