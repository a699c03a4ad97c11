"""Every experiment and every setting that its schema has."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Iterator
from typing import Any

from experiments.harness import ROOT, settings

EXPERIMENTS = [file.parent.name for file in sorted((ROOT / "experiments").glob("*/config.py"))]


def schema_of(experiment: str) -> type:
    module = importlib.import_module(f"experiments.{experiment}.config")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, settings.Experiment)
        and value.__module__ == module.__name__
    )
    return found


def settings_of(schema: type, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted path, type and rules of every setting, of sections and of lists of them as well."""
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        kind, where = hints[field.name], f"{path}.{field.name}" if path else field.name
        yield where, kind, field.metadata
        if dataclasses.is_dataclass(kind):
            yield from settings_of(kind, where)
        elif typing.get_origin(kind) is list and dataclasses.is_dataclass(typing.get_args(kind)[0]):
            yield from settings_of(typing.get_args(kind)[0], f"{where}[0]")
