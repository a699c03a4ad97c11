"""Optical versions of one model, converted, calibrated and programmed, with all that they can share.

``photons`` scales the light and decides how strong the noise is, and nothing that is fixed before a
model runs: neither ADC ranges, which are set without noise, nor programmed weights. (A receiver that
saturates is the exception.) So rungs that differ in photons alone are one converted model with other
values of that field, and share its calibration, its programmed weights, and its compiled programs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import photonjax.nn.nnx as optics
from photonjax.core import OpticalCore
from photonjax.evaluation.programs import Watch
from photonjax.nn.calibrate import calibrate
from photonjax.nn.convert import convert, program_weights
from photonjax.rules import ConversionReport, Rule

Rung = OpticalCore | Sequence[Rule]


@dataclasses.dataclass(frozen=True)
class Converted:
    """A model on light and the report of its conversion."""

    model: nnx.Module
    report: ConversionReport


def rules_of(rung: Rung) -> list[Rule]:
    """A core stands for all products with weights on it."""
    return [Rule("*", rung)] if isinstance(rung, OpticalCore) else list(rung)


def prepare(
    model: nnx.Module,
    rungs: Mapping[str, Rung],
    calibration: jax.Array | None,
    *,
    margin: float = 1.1,
    watch: Watch | None = None,
) -> dict[str, Converted]:
    """Convert a model for every rung, set ADC ranges on sample tokens, and program the weights.

    Args:
      model: the digital model; it stays as it is.
      rungs: a core for all products with weights, or rules, by name.
      calibration: tokens ``[batch, length]``; None leaves the cores' own ranges.
      margin: of the ranges, see :func:`photonjax.calibrate`.
      watch: told of the progress.

    Raises:
      ValueError: rules that do not fit the model; the message begins with the rung's name.
    """
    first: dict[str, Converted] = {}
    found = {}
    for i, (name, rung) in enumerate(rungs.items()):
        if watch is not None:
            watch("convert, calibrate and program", i, len(rungs))
        rules = rules_of(rung)
        key, photons = _apart_from_photons(rules)
        if key not in first:
            optical, report = _convert(model, name, rules)
            if calibration is not None and any(_has_ranges(r.core) for r in rules):
                calibrate(optical, jnp.asarray(calibration, jnp.int32), margin=margin)
            program_weights(optical)
            first[key] = Converted(optical, report)
        shared = first[key]
        if photons is not None:
            other = nnx.clone(shared.model)
            optics.set_hardware(other, photons=photons)
            shared = Converted(other, shared.report)
        found[name] = shared
    return found


def report_of(model: nnx.Module, name: str, rung: Rung) -> ConversionReport:
    """Which products of a rung are on light, without preparing it; raises as :func:`prepare`."""
    return _convert(model, name, rules_of(rung))[1]


def _convert(
    model: nnx.Module, name: str, rules: Sequence[Rule]
) -> tuple[nnx.Module, ConversionReport]:
    try:
        return convert(model, rules)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _has_ranges(core: OpticalCore | None) -> bool:
    return core is not None and (core.adc.bits is not None or core.input.scale == "static")


def _apart_from_photons(rules: Sequence[Rule]) -> tuple[Any, float | None]:
    """What a conversion depends on but for the photons, and these, where one value suffices."""
    cores = [rule.core for rule in rules if rule.core is not None]
    photons = {core.photons for core in cores}
    alone = len(photons) == 1 and None not in photons
    if not alone or any(core.receiver.saturation_electrons is not None for core in cores):
        return tuple(_identity(rule) for rule in rules), None
    same = [
        rule
        if rule.core is None
        else dataclasses.replace(rule, core=rule.core.replace(photons=1.0))
        for rule in rules
    ]
    return tuple(_identity(rule) for rule in same), photons.pop()


def _identity(rule: Rule) -> Any:
    """Equal for rules that do the same; arrays in a core are told apart by which they are."""
    leaves, structure = jax.tree.flatten(rule.core)
    values = tuple(leaf if isinstance(leaf, (int, float)) else id(leaf) for leaf in leaves)
    return rule.pattern, rule.dynamic, rule.where, structure, values
