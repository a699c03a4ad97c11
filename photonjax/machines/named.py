"""A named machine: its numbers, and how it is built from them and from nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from photonjax.core.core import OpticalCore
from photonjax.core.costs import CoreCosts
from photonjax.machines.accelerator import DigitalAccelerator
from photonjax.machines.number import Number

__all__ = ["NamedMachine", "digital_machine", "optical_machine"]


@dataclasses.dataclass(frozen=True)
class NamedMachine:
    """One entry of a machine file's ``MACHINES``.

    Attributes:
      name: under which it is found.
      numbers: every number, with source, by dotted field (``costs.dac_energy_j``, ``ops_per_s.int8``); of a
        machine that is put together from parts, the numbers of its parts.
      build: makes the machine from ``numbers``.
      about: what its file says of it, and of what its fields leave out; filled in when it is found.
    """

    name: str
    numbers: Mapping[str, Number]
    build: Callable[[], Any]
    about: str = ""


def optical_machine(
    name: str, numbers: Mapping[str, Number], settings: Mapping[str, Any] | None = None
) -> NamedMachine:
    """A core whose fields are ``numbers``, and ``settings`` for what is not a number.

    ``{"costs": None}`` among the settings is a core whose costs nobody has published.
    """

    def build() -> OpticalCore:
        fields = _nested({**(settings or {}), **_values(numbers)})
        costs = fields.pop("costs", {})
        return OpticalCore(**fields, costs=None if costs is None else CoreCosts(**costs))

    return NamedMachine(name, numbers, build)


def digital_machine(name: str, numbers: Mapping[str, Number]) -> NamedMachine:
    """An accelerator whose fields are ``numbers``."""

    def build() -> DigitalAccelerator:
        return DigitalAccelerator(**{"ops_per_s": {}, **_nested(_values(numbers))})

    return NamedMachine(name, numbers, build)


def _values(numbers: Mapping[str, Number]) -> dict[str, Any]:
    return {field: number.value for field, number in numbers.items()}


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """``{"costs.cores": 1}`` as ``{"costs": {"cores": 1}}``."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if rest:
            fields.setdefault(head, {})[rest] = value
        else:
            fields[head] = value
    return fields
