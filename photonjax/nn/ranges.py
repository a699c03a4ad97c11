"""Calibrated ranges as plain data: ``{path: {"adc": full scale, "input": full scale}}``.

Paths are those that static errors follow from, of the weight (of a layer's own, where layers are stacked),
so the ranges found through one front end fit every other; products of two computed operands have the path
of their site. ``adc`` is in units of the analog sum ``p``: where digits take several passes, a list with one
for each, in the order of :attr:`photonjax.OpticalCore.passes`. ``input`` is in units of the inputs and there
only for ``input.scale = "static"``. As JSON they are a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from photonjax.core.pytree import check_number

Ranges = Mapping[str, Mapping[str, float | list[float]]]

KINDS = ("adc", "input")


class UncalibratedWarning(UserWarning):
    """A converter runs on its core's own ``adc.range``, wide for most sites; once for a conversion."""


class Once:
    """Whether a conversion has warned. All are equal: models compare by what they compute."""

    def __init__(self, done: bool = False):
        self.done = done

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Once)

    def __hash__(self) -> int:
        return hash(Once)

    def warn(self, paths: Collection[str], stacklevel: int = 3) -> None:
        """Of uncalibrated sites, the first time."""
        if paths and not self.done:
            self.done = True
            text = (
                f"uncalibrated ADC at {some(paths)}: its full scale is the core's own adc.range x "
                "sqrt(rows used); pj.calibrate finds the range of each site"
            )
            warnings.warn(text, UncalibratedWarning, stacklevel=stacklevel)


def check_ranges(ranges: Ranges, sites: Collection[str] | None = None) -> None:
    """Raise ``ValueError`` for what is no set of ranges, or names none of ``sites``."""
    if not isinstance(ranges, Mapping):
        raise ValueError(f"ranges: {_short(ranges)} is no mapping; give what pj.calibrate returned")
    for path, entry in ranges.items():
        name = f"ranges[{path!r}]"
        if not isinstance(entry, Mapping) or not entry or not set(entry) <= set(KINDS):
            raise ValueError(f"{name} = {_short(entry)} is not {{'adc': ..., 'input': ...}}")
        values = ((k, v) for k, each in entry.items() for v in _each(k, each))
        for kind, value in values:
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not number:
                raise ValueError(f"{name}[{kind!r}] = {_short(value)} is not a number above 0")
            check_number(f"{name}[{kind!r}]", value, above=0.0)
        if sites is not None and path not in sites:
            raise ValueError(f"{name} is no optical product; there are {some(sites)}")


def _each(kind: str, value: Any) -> list[Any]:
    """A converter's ranges pass by pass; anything else as it is."""
    return value if kind == "adc" and isinstance(value, list) and value else [value]


def as_given(kind: str, value: Any, passes: int) -> Any:
    """A range, or None, as a product takes it: a number, or ``[passes, 1]`` of a converter that has several.

    Raises:
      ValueError: a list of another length.
    """
    if value is None or (passes == 1 and not isinstance(value, list)) or kind != "adc":
        return value
    if isinstance(value, list) and len(value) != passes:
        raise ValueError(f"ranges: {len(value)} ranges of a converter that has {passes} passes")
    if passes == 1:
        return value[0]
    return np.broadcast_to(np.asarray(value, np.float32).reshape(-1, 1), (passes, 1))


def some(paths: Collection[str]) -> str:
    """Names, twelve at most."""
    names = list(dict.fromkeys(paths))
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if names[12:] else "")


def _short(value: Any) -> str:
    return f"{value!r:.60}"
