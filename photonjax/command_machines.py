"""Machines that the command line is asked for: named ones, files of the user's, numbers that are set."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from photonjax import cost, machines
from photonjax.core.fields import get_field, set_fields
from photonjax.machines.files import is_file

__all__ = [
    "Refused",
    "check_names",
    "make_accelerator",
    "make_baselines",
    "make_core",
    "make_digital",
]


class Refused(Exception):
    """A request that cannot be met; the message says why, and what is possible."""


def make_core(name: str, settings: Sequence[str]) -> cost.UncertainMachine:
    """The core of this name, or in this file, with ``FIELD=VALUE`` settings."""
    own = machines.read_machine(name, "optical") if is_file(name) else None
    core = machines.optical(name) if own is None else own.machine
    if core.costs is None:
        priced = [n for n in machines.optical_names() if machines.optical(n).costs is not None]
        raise Refused(f"core {name!r} has no published costs; choose one of {', '.join(priced)}")
    values = dict(_setting(core, text) for text in settings)
    try:
        changed = set_fields(core, values)
    except TypeError as error:
        raise Refused(f"--set: {error}") from None
    if own is None:
        return cost.UncertainMachine.named(name, changed, fixed=values)
    found = _from_file(name, own, changed, values)
    return found if own.base else found.at_its_bits(core, values)


def make_accelerator(name: str) -> cost.UncertainMachine:
    """The accelerator of this name, or in this file."""
    if not is_file(name):
        return cost.UncertainMachine.named(name, machines.digital(name))
    own = machines.read_machine(name, "digital")
    return _from_file(name, own, own.machine)


def _from_file(
    file: str, own: machines.MachineFile, machine: Any, fixed: Iterable[str] = ()
) -> cost.UncertainMachine:
    """A machine of the user's, called like its file; what it says is not varied."""
    name = pathlib.Path(file).stem
    table = {field: machines.Number(value, "", file) for field, value in own.fields.items()}
    if own.base is None:
        return cost.UncertainMachine(name, machine, {}, table=table, quoted=own.machine)
    known = cost.UncertainMachine.named(own.base, machine, fixed={*fixed, *own.fields})
    return dataclasses.replace(known, name=name, table=known.table | table, quoted=own.machine)


def check_names(*found: cost.UncertainMachine) -> None:
    """Columns and ranges go by name: each stands for one machine."""
    known = {**dict.fromkeys(machines.optical_names()), **dict.fromkeys(machines.digital_names())}
    seen: dict[str, cost.UncertainMachine] = {}
    for one in found:
        if seen.setdefault(one.name, one) is not one and seen[one.name] != one:
            raise Refused(f"two machines are called {one.name}; rename a file")
        if one.name in known and one.table != machines.sources(one.name):
            raise Refused(f"{one.name} is a machine's name already (--list); rename the file")


def _setting(core: Any, text: str) -> tuple[str, Any]:
    """A field's name and value; numbers as numbers, true, false and none as such."""
    field, equals, value = text.partition("=")
    if not equals:
        raise Refused(f"--set {text}: write FIELD=VALUE")
    get_field(core, field)  # names the known ones
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return field, words[value.lower()]
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        # A continuous field stays one.
        return field, float(number) if isinstance(get_field(core, field), float) else number
    return field, value


def make_baselines(
    accelerator: cost.UncertainMachine, args: argparse.Namespace
) -> list[cost.Baseline]:
    """A column for each precision that it has; the attention precision stays its own."""
    asked = [d for d in args.dtype.split(",") if d]
    whole = accelerator.machine.power_w is not None
    known = accelerator.machine.ops_per_s if whole else accelerator.machine.mac_energy_j
    if args.attention_dtype not in known:
        raise Refused(
            f"--attention-dtype {args.attention_dtype}: {accelerator.name} has {', '.join(known)}"
        )
    columns = [d for d in asked if d in known]
    if not columns:
        raise Refused(f"--dtype {args.dtype}: {accelerator.name} has {', '.join(known)}")

    def precision(dtype: str) -> Any:
        return lambda site: dtype if site.stationary else args.attention_dtype

    if not whole:  # one energy for all
        return [cost.Baseline(accelerator.name, accelerator, precision(columns[0]))]
    return [cost.Baseline(f"{accelerator.name} {d}", accelerator, precision(d)) for d in columns]


def make_digital(
    name: str | None, accelerators: dict[str, cost.UncertainMachine]
) -> cost.UncertainMachine | None:
    """The core's digital side: the one asked for, or the first baseline that is a whole accelerator."""
    if name == "none":
        return None
    if name is not None:
        return accelerators.get(name) or make_accelerator(name)
    whole = [a for a in accelerators.values() if a.machine.power_w is not None]
    return whole[0] if whole else cost.UncertainMachine.named("h100-sxm")
