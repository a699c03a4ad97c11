"""Named machines, found in the folders ``optical`` and ``digital``: a file each.

A machine is a table from field to ``Number``; the objects are built from the tables and from
nothing else, so a number without a source cannot get in. What nobody has published is marked
``assumed`` and carries the range within which it was chosen.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from photonjax.core.core import OpticalCore
from photonjax.core.custom import name_of
from photonjax.core.pytree import brief
from photonjax.machines.accelerator import DigitalAccelerator
from photonjax.machines.named import NamedMachine
from photonjax.machines.number import Number
from photonjax.tables import text_table

__all__ = ["describe", "digital", "digital_names", "optical", "optical_names", "sources"]


def optical_names() -> list[str]:
    """Names that ``optical`` knows.

    >>> optical_names()
    ['albireo', 'coherent-crossbar', 'display-1024', 'ideal', 'lightening-transformer',
     'lightening-transformer-8bit', 'microring-bank', 'mzi-mesh', 'pace-like-64']
    """
    return list(machines_of("optical"))


def digital_names() -> list[str]:
    """Names that ``digital`` knows.

    >>> digital_names()
    ['300-fJ-per-MAC', 'b200', 'h100-sxm', 'h200-sxm', 'tpu-v5e', 'tpu-v5p', 'tpu-v6e']
    """
    return list(machines_of("digital"))


def optical(name: str) -> OpticalCore:
    """The optical machine called ``name``.

    Raises:
      ValueError: an unknown name; the error lists the known ones.

    >>> optical("display-1024").rows
    1024
    """
    return _named("optical machine", name, machines_of("optical")).build()


def digital(name: str) -> DigitalAccelerator:
    """The digital machine called ``name``.

    Raises:
      ValueError: an unknown name; the error lists the known ones.

    >>> digital("h100-sxm").power_w
    700.0
    """
    return _named("digital machine", name, machines_of("digital")).build()


def sources(name: str) -> dict[str, Number]:
    """Every number of a machine by field, nested ones as ``costs.dac_energy_j`` or
    ``ops_per_s.int8``; of a machine that is put together from parts, the numbers of its parts.

    Raises:
      ValueError: an unknown name; the error lists the known ones.

    >>> sources("display-1024")["photons"].high
    1000000.0
    """
    return dict(_either(name).numbers)


def describe(machine: str | OpticalCore | DigitalAccelerator) -> str:
    """What is said of a machine, and ``sources`` as a table: value, unit, range, ``assumed`` or not, source.

    A machine of your own has no sources: its table is every field that is set, and the default.

    Raises:
      ValueError: an unknown name; the error lists the known ones. TypeError: neither a name nor a machine.

    >>> print(describe("ideal").splitlines()[0])
    A core without noise whose inputs and weights have 16 bits, and whose outputs are not converted.
    """
    if isinstance(machine, (OpticalCore, DigitalAccelerator)):
        return _own(machine)
    if not isinstance(machine, str):
        raise TypeError(f"describe: {brief(machine)} is neither a machine nor the name of one")
    rows: list[tuple[str, ...]] = [("field", "value", "unit [range]", "source")]
    named = _either(machine)
    for field, n in named.numbers.items():
        span = "" if n.low is None else f" [{n.low:.4g} ... {n.high:.4g}]"
        value = "none" if n.value is None else f"{n.value:.6g}"
        rows.append((field, value, n.unit + span, ("assumed: " if n.assumed else "") + n.source))
    return f"{named.about}\n\n{text_table(rows, left=4)}"


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


@functools.cache
def machines_of(kind: str) -> dict[str, NamedMachine]:
    """What the files of a folder, ``optical`` or ``digital``, list in ``MACHINES``, by name."""
    folder = importlib.import_module(f"photonjax.machines.{kind}")
    files = sorted(file.name for file in pkgutil.iter_modules(folder.__path__))
    modules = [importlib.import_module(f"{folder.__name__}.{file}") for file in files]
    found = {
        machine.name: dataclasses.replace(machine, about=(module.__doc__ or "").strip())
        for module in modules
        for machine in module.MACHINES
    }
    return dict(sorted(found.items()))


def _either(name: str) -> NamedMachine:
    return _named("machine", name, {**machines_of("optical"), **machines_of("digital")})


def _named(kind: str, name: str, machines: Mapping[str, Any]) -> NamedMachine:
    if isinstance(name, str) and name in machines:
        return machines[name]
    close = difflib.get_close_matches(str(name), machines, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ValueError(f"unknown {kind} {name!r}{hint}; known: {', '.join(machines)}")


# A folder that is imported becomes an attribute of its package: before the functions of the same names do.
for _kind in ("optical", "digital"):
    importlib.import_module(f"photonjax.machines.{_kind}")
