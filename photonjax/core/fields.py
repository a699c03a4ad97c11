"""Fields of a machine by dotted name: ``photons``, ``adc.bits``, ``ops_per_s.int8``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from photonjax.core.pytree import brief, title_of, unknown_field

__all__ = ["get_field", "leaf_names", "set_fields"]


def get_field(machine: Any, name: str) -> Any:
    """The value of a field, nested dataclasses and dicts included.

    Raises:
      ValueError: there is no such field; the error lists those that are there.

    >>> import photonjax as pj
    >>> get_field(pj.OpticalCore(), "adc.bits")
    8
    """
    value, path = machine, ""
    for part in name.split("."):
        known = _names(value)
        if path and not known:
            raise ValueError(
                f"{title_of(machine)}.{path} = {brief(value)} has no field {part!r}; set {path!r} itself"
            )
        if part not in known:
            where = f"{title_of(machine)}.{path}" if isinstance(value, dict) else title_of(value)
            raise ValueError(unknown_field(value, part, known, where))
        path = f"{path}.{part}" if path else part
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


def set_fields(machine: Any, values: Mapping[str, Any]) -> Any:
    """The machine with other values; checked as on construction where they are plain numbers.

    A mapping changes the fields that it names, as their dotted names do.

    Raises:
      ValueError, TypeError: there is no such field, or the value is not allowed.

    >>> import photonjax as pj
    >>> core = set_fields(pj.machines.optical("display-1024"), {"photons": 1e4, "costs.cores": 8})
    >>> core.photons, core.costs.cores
    (10000.0, 8)
    """
    changes: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        name = str(name)  # in a mapping out of YAML it may be a number
        head, _, rest = name.partition(".")
        current = get_field(machine, name if rest else head)
        if rest:
            nested.setdefault(head, {})[rest] = value
        elif isinstance(value, Mapping) and dataclasses.is_dataclass(current):
            nested.setdefault(head, {}).update(value)
        else:
            changes[head] = value
    for head, inner in nested.items():
        changes[head] = set_fields(changes.get(head, get_field(machine, head)), inner)
    if isinstance(machine, dict):
        return {**machine, **changes}
    return dataclasses.replace(machine, **changes) if changes else machine


def leaf_names(machine: Any) -> list[str]:
    """Dotted names of the leaves that :func:`jax.tree.leaves` gives, in their order.

    >>> import photonjax as pj
    >>> leaf_names(pj.OpticalCore(photons=10.0, array={"noise": 0.01}))
    ['array.noise', 'adc.range', 'photons', 'symbol_rate_hz']
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(machine)
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]


def _names(value: Any) -> list[str]:
    if isinstance(value, dict):
        return list(value)
    return [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
