"""What an audited claim is, and what all audits share: verdicts, published numbers, panels."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any

from matplotlib.figure import Figure

from experiments.harness import UserError
from photonjax import plotting
from photonjax.machines import Number

Row = dict[str, Any]
HOLDS, HOLDS_IF = "holds", "holds if ..."
FAILS, OPEN = "does not hold", "cannot be decided from published numbers"
SOURCES = pathlib.Path(__file__).with_name("published.toml")


@dataclasses.dataclass
class Verdict:
    """One statement, tested.

    Attributes:
      number: of the claim.
      name: of its files.
      statement: as it is made.
      computed: what was computed, and how.
      verdict: one of the four words, worked out from the numbers.
      because: the numbers that decide it, in a sentence or two; for ``HOLDS_IF`` the condition first.
      numbers: what metrics.json keeps.
      assumptions: those that decide it.
      rows: of its CSV.
      figure: of its PNG.
      unpublished: numbers that decide it and that nobody has published.
    """

    number: int
    name: str
    statement: str
    computed: str
    verdict: str
    because: str
    numbers: dict[str, Any]
    assumptions: list[str]
    rows: list[Row]
    figure: Figure
    unpublished: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.verdict not in (HOLDS, HOLDS_IF, FAILS, OPEN):
            raise ValueError(f"claim {self.number}: {self.verdict!r} is not a verdict")


def by_fractions(fractions: Iterable[float], sure: float) -> str:
    """A verdict from the fraction of draws in which a claim is true, one for each case.

    Every case at least ``sure``: holds. Some: holds if. All at most ``1 - sure``: fails. Otherwise the
    numbers that were varied decide it, and they are not published.

    >>> by_fractions([0.95, 0.5], 0.9), by_fractions([0.0, 0.1], 0.9), by_fractions([0.3], 0.9)
    ('holds if ...', 'does not hold', 'cannot be decided from published numbers')
    """
    values = list(fractions)
    if min(values) >= sure:
        return HOLDS
    if max(values) >= sure:
        return HOLDS_IF
    return FAILS if 1 - max(values) >= sure else OPEN


def published(section: str) -> dict[str, Any]:
    """A section of claims/published.toml: numbers with ranges as ``Number``, other tables as they are.

    >>> published("rack")["air_cooled_w"].low
    15000.0
    """
    table = tomllib.loads(SOURCES.read_text())[section]
    return {name: Number(**row) if "value" in row else row for name, row in table.items()}


def ranged(number: Number) -> Number:
    """A number whose range is needed.

    Raises:
      UserError: it has none.
    """
    if number.low is None or number.high is None:
        raise UserError(f"claims/published.toml: a range is needed for {number.source!r}")
    return number


def quoted(number: Number) -> str:
    """A number as an assumption: value, range, where from.

    >>> quoted(Number(2.0, "W", "a guess", 1.0, 3.0, True))
    '2 W [1 ... 3], assumed: a guess'
    """
    span = "" if number.low is None else f" [{number.low:g} ... {number.high:g}]"
    unit = f" {number.unit}" if number.unit else ""
    return f"{number.value:g}{unit}{span}, {'assumed: ' if number.assumed else ''}{number.source}"


@contextlib.contextmanager
def panels(columns: int = 1, height: float = 4.2) -> Iterator[tuple[Figure, Any]]:
    """A figure with log-log panels side by side."""
    with plotting.figure(columns=columns, size=(5.6 * columns, height)) as (figure, axes):
        for axis in [axes] if columns == 1 else axes:
            axis.set_xscale("log")
            axis.set_yscale("log")
        yield figure, axes


def tokens(value: float | None) -> str:
    """A number of tokens for people.

    >>> tokens(131072.0), tokens(None)
    ('131,072', 'never')
    """
    return "never" if value is None else f"{value:,.0f}"
