"""Machines and programs of the cost experiments, made from their configs and checked before any work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import photonjax as pj
from experiments.harness import cores
from experiments.harness.errors import UserError, in_config, user_errors
from photonjax import cost, models
from photonjax.workload import MatmulSite

OPTICAL: dict[str, Callable[[MatmulSite], bool] | None] = {
    "weights": None,  # stationary products, the default of cost.estimate
    "all": lambda site: True,
}


def check_text(key: str, value: Any) -> None:
    """Refuse what is not a name."""
    if not isinstance(value, str):
        raise UserError(f"{key}: {in_config(repr(value))} is not a name")


def check_model(key: str, name: Any) -> None:
    """Refuse a model that is not known by name."""
    check_text(key, name)
    with user_errors(ValueError, prefix=f"{key}: "):
        models.named(name)


def check_context(key: str, model: str, context: int) -> None:
    """Refuse a context that a model with learned positions cannot have."""
    most = models.named(model).max_length
    if isinstance(models.named(model), models.GPT2Config) and context > most:
        raise UserError(f"{key}: {model} has positions for {most} tokens, not {context}")


def make_core(key: str, entry: Any) -> cost.UncertainMachine:
    """A core with the ranges of its numbers: a machine's name, or ``{name, label}`` and fields.

    Fields that are set are not varied any more.
    """
    if isinstance(entry, str):
        with user_errors(ValueError, prefix=f"{key}: "):
            pj.machines.optical(entry)
        entry = {"name": entry}
    if not isinstance(entry, Mapping):
        raise UserError(
            f"{key}: {in_config(repr(entry))} is not a machine's name, or a mapping of its name and "
            "fields: {name: display-1024, label: LABEL, photons: 1e4}"
        )
    core, name = cores.make_core(entry, key), entry["name"]
    label = entry.get("label", name)
    check_text(f"{key}.label", label)
    if core.costs is None:
        priced = [
            n for n in pj.machines.optical_names() if pj.machines.optical(n).costs is not None
        ]
        raise UserError(
            f"{key}: {name!r} has no published costs; choose one of {', '.join(priced)}"
        )
    fixed = cores.dotted(cores.fields_of(entry))
    return dataclasses.replace(cost.UncertainMachine.named(name, core, fixed=fixed), name=label)


def make_accelerator(key: str, name: Any, dtypes: Sequence[str]) -> cost.UncertainMachine:
    """A whole accelerator that has all the precisions asked for, with the ranges of its numbers."""
    check_text(key, name)
    with user_errors(ValueError, prefix=f"{key}: "):
        accelerator = cost.UncertainMachine.named(name, pj.machines.digital(name))
    if accelerator.machine.power_w is None or not accelerator.machine.ops_per_s:
        raise UserError(
            f"{key}: {name!r} is an energy per multiply-accumulate only; choose a whole one, as h100-sxm "
            "(its arithmetic floor is reported beside)"
        )
    for dtype in dtypes:
        if dtype not in accelerator.machine.ops_per_s:
            raise UserError(
                f"{key}: {name} has no {dtype}; it has {', '.join(accelerator.machine.ops_per_s)}"
            )
    return accelerator


def precision(dtype: str, attention_dtype: str) -> Callable[[MatmulSite], str]:
    """Precision by site: of products with weights, and of two computed operands."""
    return lambda site: dtype if site.stationary else attention_dtype
