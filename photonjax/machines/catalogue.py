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
from photonjax.machines.accelerator import DigitalAccelerator
from photonjax.machines.named import NamedMachine
from photonjax.machines.number import Number

__all__ = ["digital", "digital_names", "either", "optical", "optical_names", "sources"]


def optical_names() -> list[str]:
    """Names that ``optical`` knows.

    >>> optical_names()
    ['albireo', 'coherent-crossbar', 'display-1024', 'display-1024-realistic', 'homodyne-256',
     'homodyne-8', 'ideal', 'lightening-transformer', 'lightening-transformer-8bit', 'lightmatter-128',
     'microring-bank', 'mzi-mesh', 'pace-like-64']
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
    return dict(either(name).numbers)


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


def either(name: str) -> NamedMachine:
    """The machine of either folder called ``name``; ``ValueError`` lists the known ones."""
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
