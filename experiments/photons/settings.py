"""What the photons experiment accepts as its config."""

from __future__ import annotations

import functools
from typing import Any

from omegaconf import DictConfig, ListConfig

from experiments.harness import UserError
from experiments.harness.inputs import check_counts

DIGITAL = "digital"


def check(config: DictConfig) -> None:
    """Refuse what cannot work before anything is loaded."""
    integers = {
        "windows": 1,
        "measure_windows": 1,
        "calibration.windows": 1,
        "data.length": 2,
        "noise_seeds": 1,
        "seed": 0,
        "solver.most": 1,
        "controls.tokens": 1,
        "controls.columns": 1,
        "controls.layers": 1,
        "controls.orders": 1,
    }
    check_counts(config, functools.partial(_get, config), integers)
    if config.controls.tokens > config.data.length:
        raise UserError(
            f"controls.tokens: {config.controls.tokens} is more than data.length = "
            f"{config.data.length}; lower the one or raise the other"
        )
    spans = {
        "solver.start": (1e-3, 1e15),
        "solver.tolerance": (1e-6, 1.0),
        "controls.snr_db": (-50.0, 150.0),
    }
    for key, (low, high) in spans.items():
        _check_number(key, _get(config, key), low, high)
    lists = {"targets_percent": (0.01, 1000.0), "controls.terms": (1, 2**20)}
    for key, (low, high) in lists.items():
        values = _get(config, key)
        if not isinstance(values, ListConfig) or not values:
            raise UserError(f"{key}: {values!r} is not a list of numbers")
        for value in values:
            _check_number(key, value, low, high)
    if not all(isinstance(t, int) for t in config.controls.terms):
        raise UserError(f"controls.terms: {list(config.controls.terms)} are not all integers")
    _check_ladder(_get(config, "ladder"))


def _get(config: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(config, DictConfig):
            raise UserError(f"{key.removesuffix('.' + part)}: {config!r} is not a mapping")
        config = config.get(part)
    return config


def _check_number(key: str, value: Any, low: float, high: float) -> None:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not fits or not low <= value <= high:
        raise UserError(f"{key}: {value!r} is not a number of {low:g} ... {high:g}")


def _check_ladder(ladder: Any) -> None:
    if not isinstance(ladder, DictConfig) or not ladder:
        raise UserError("ladder: is empty; name at least one rung, as in 'ladder={all: {}}'")
    if DIGITAL in ladder:
        raise UserError(f"ladder: {DIGITAL!r} is the name of the baseline; choose another")
    for name in map(str, ladder):
        fields = ladder[name]
        if not isinstance(fields, DictConfig):
            raise UserError(f"ladder.{name}: {fields!r} is not a mapping, such as {{rows: 64}}")
        if not isinstance(fields.get("only", "*"), str) or not fields.get("only", "*"):
            raise UserError(
                f"ladder.{name}.only: {fields.only!r} is not a glob over paths, such as '*/q_proj'"
            )
        if not isinstance(fields.get("equal_snr", False), bool):
            raise UserError(f"ladder.{name}.equal_snr: {fields.equal_snr!r} is not true or false")
