"""Optical cores as configs give them: a named machine, and the fields that differ from it.

``{name: display-1024, photons: 1e4, adc: {bits: 10}}``: beside ``name`` stand fields of an
:class:`~photonjax.OpticalCore`, by the paths that its ``replace`` takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import photonjax as pj
from experiments.harness.errors import UserError, in_config, user_errors


def make_core(group: Mapping[str, Any], where: str = "core") -> pj.OpticalCore:
    """The named machine with the group's fields on top.

    Args:
      group: ``name`` and fields.
      where: the group's dotted path in the config, for errors.

    Raises:
      UserError: naming the dotted path, the value and what is allowed.
    """
    if "name" not in group:
        raise UserError(f"{where}: 'name' is missing, of the machine that the fields differ from")
    name = group["name"]
    if not isinstance(name, str):
        raise UserError(
            f"{where}.name: {in_config(repr(name))} is not the name of a machine; choose one of "
            + ", ".join(pj.machines.optical_names())
        )
    with user_errors(ValueError, prefix=f"{where}.name: "):
        machine = pj.machines.optical(name)
    return change_core(machine, fields_of(group), where)


def change_core(core: pj.OpticalCore, fields: Mapping[str, Any], where: str) -> pj.OpticalCore:
    """The core with the fields of a rung; raises as :func:`make_core` does."""
    try:
        return core.replace(**fields)
    except (ValueError, TypeError) as error:
        text = in_config(" ".join(str(error).split()))
        text = re.sub(r"OpticalCore\.(\S+) = ", rf"{where}.\1: ", text, count=1)
        text = re.sub(r"\bOpticalCore\b", where, text)
        raise UserError(text if text.startswith(where) else f"{where}: {text}") from error


def fields_of(group: Mapping[str, Any]) -> dict[str, Any]:
    """What of a core group are fields of the core."""
    return {key: value for key, value in group.items() if key not in ("name", "label")}


def dotted(fields: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested fields by their dotted paths.

    >>> dotted({"photons": 1e4, "adc": {"bits": 10, "enob": None}})
    {'photons': 10000.0, 'adc.bits': 10, 'adc.enob': None}
    """
    found: dict[str, Any] = {}
    for name, value in fields.items():
        inner = isinstance(value, Mapping)
        found |= dotted(value, f"{path}{name}.") if inner else {f"{path}{name}": value}
    return found
