"""Numbers of a machine by dotted name: ``photons``, ``costs.dac_energy_j``, ``ops_per_s.int8``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

__all__ = ["get_field", "set_fields"]


def get_field(machine: Any, name: str) -> Any:
    """The value of a field, nested dataclasses and dicts included.

    Raises:
      ValueError: there is no such field; the error lists those that are there.

    >>> from photonjax import machines
    >>> get_field(machines.optical("display-1024"), "costs.load_time_s")
    0.001
    """
    value, seen = machine, ""
    for part in name.split("."):
        known = _names(value)
        if part not in known:
            where = f"{type(machine).__name__}{seen}"
            raise ValueError(
                f"{where} has no field {part!r}; known: {', '.join(known) or 'none'} (of {name!r})"
            )
        value = value[part] if isinstance(value, dict) else getattr(value, part)
        seen += f".{part}"
    return value


def set_fields(machine: Any, values: Mapping[str, Any]) -> Any:
    """The machine with other values; checked as on construction where they are plain numbers.

    Raises:
      ValueError, TypeError: there is no such field, or the value is not allowed.

    >>> from photonjax import machines
    >>> core = set_fields(machines.optical("display-1024"), {"photons": 1e4, "costs.cores": 8})
    >>> core.photons, core.costs.cores
    (10000.0, 8)
    """
    changes: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        get_field(machine, name)
        head, _, rest = name.partition(".")
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            changes[head] = value
    for head, inner in nested.items():
        changes[head] = set_fields(get_field(machine, head), inner)
    if isinstance(machine, dict):
        return {**machine, **changes}
    return dataclasses.replace(machine, **changes) if changes else machine


def _names(value: Any) -> list[str]:
    if isinstance(value, dict):
        return list(value)
    return [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
