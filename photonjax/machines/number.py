"""A number, and where it comes from."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["Number", "assumed"]


@dataclasses.dataclass(frozen=True)
class Number:
    """A number, its unit, where it comes from, and the range it may have.

    Attributes:
      value: as the machine is built with it; ``None`` where a part is left out.
      unit: SI unit, or what is counted.
      source: publication, derivation, or the reasoning behind an assumption.
      low, high: the range; required of an assumed number.
      assumed: nobody has published it for this machine.

    >>> Number(2.0, "W", "a guess", assumed=True)
    Traceback (most recent call last):
    ...
    ValueError: Number(2.0 W): an assumed number needs low <= value <= high, not None, None
    """

    value: Any
    unit: str
    source: str
    low: float | None = None
    high: float | None = None
    assumed: bool = False

    def __post_init__(self) -> None:
        missing = self.low is None or self.high is None
        if (self.assumed and missing) or (not missing and not self.low <= self.value <= self.high):
            raise ValueError(
                f"Number({self.value} {self.unit}): an assumed number needs low <= value <= high, "
                f"not {self.low}, {self.high}"
            )


def assumed(value: Any, unit: str, why: str, low: float, high: float) -> Number:
    """A number that nobody has published, why it was chosen, and its range."""
    return Number(value, unit, why, low, high, assumed=True)
