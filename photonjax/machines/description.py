"""What is known of a machine, as text: every number with its unit, range and source."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from photonjax.core.core import OpticalCore
from photonjax.core.custom import name_of
from photonjax.core.pytree import brief
from photonjax.machines.accelerator import DigitalAccelerator
from photonjax.machines.catalogue import either
from photonjax.machines.files import is_file, read_machine
from photonjax.machines.number import Number
from photonjax.tables import text_table

__all__ = ["describe"]


def describe(machine: str | os.PathLike[str] | OpticalCore | DigitalAccelerator) -> str:
    """What is said of a machine, and ``sources`` as a table: value, unit, range, ``assumed`` or not, source.

    Of a file of yours that differs from a named machine, the table is that machine's, with the file as the
    source of what it says. A machine of your own has no sources: its table is every field that is set,
    and the default.

    Args:
      machine: a name, the path of a file (`read_machine`), or a machine.

    Raises:
      ValueError: an unknown name (the error lists the known ones), or a file that holds no machine.
      TypeError: neither a name, a path nor a machine.

    >>> print(describe("ideal").splitlines()[0])
    A core without noise whose inputs and weights have 16 bits, and whose outputs are not converted.
    """
    if isinstance(machine, (OpticalCore, DigitalAccelerator)):
        return _own(machine)
    if isinstance(machine, os.PathLike) or (isinstance(machine, str) and is_file(machine)):
        return _file(pathlib.Path(machine))
    if not isinstance(machine, str):
        raise TypeError(f"describe: {brief(machine)} is neither a machine nor the name of one")
    named = either(machine)
    return f"{named.about}\n\n{_table(named.numbers)}"


def _file(path: pathlib.Path) -> str:
    """A machine out of a file."""
    found = read_machine(path)
    if found.base is None:
        return _own(found.machine)
    named = either(found.base)
    numbers = dict(named.numbers)
    for field, value in found.fields.items():
        unit = numbers[field].unit if field in numbers else ""
        numbers[field] = Number(value, unit, path.name)
    return f"{found.base}, with what {path.name} changes. {named.about}\n\n{_table(numbers)}"


def _table(numbers: Mapping[str, Number]) -> str:
    rows: list[tuple[str, ...]] = [("field", "value", "unit [range]", "source")]
    for field, n in numbers.items():
        span = "" if n.low is None else f" [{n.low:.4g} ... {n.high:.4g}]"
        source = ("assumed: " if n.assumed else "") + n.source
        rows.append((field, _text(n.value), n.unit + span, source))
    return text_table(rows, left=4)


def _own(machine: OpticalCore | DigitalAccelerator) -> str:
    """Every field that is set, and what it would be by default."""
    kind = type(machine)
    fields = {name: value for name, value in _fields(machine).items() if value is not None}
    default = _fields(kind()) if isinstance(machine, OpticalCore) else {}
    rows: list[tuple[str, ...]] = [("field", "value", "default")]
    rows += [(name, _text(value), _text(default.get(name))) for name, value in fields.items()]
    about = f"A machine of your own ({kind.__name__}): its numbers have no sources here."
    return f"{about}\n\n{text_table(rows, left=3)}"


def _fields(machine: Any, prefix: str = "") -> dict[str, Any]:
    """Every field by dotted name."""
    found: dict[str, Any] = {}
    inner = (
        machine
        if isinstance(machine, dict)
        else {f.name: getattr(machine, f.name) for f in dataclasses.fields(machine)}
    )
    for name, value in inner.items():
        nested = isinstance(value, dict) or dataclasses.is_dataclass(value)
        found |= _fields(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return found


def _text(value: Any) -> str:
    if callable(value):
        return name_of(value)
    return "none" if value is None else f"{value:.6g}" if type(value) is float else brief(value)
