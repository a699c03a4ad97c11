"""Settings with types and ranges: what a config may hold is declared once, beside the field.

>>> @dataclasses.dataclass
... class Calibration:
...     windows: int = setting(low=1)
...     margin: float = setting(low=1)
>>> check(Calibration(windows=0, margin=1.1), "calibration")
Traceback (most recent call last):
experiments.harness.errors.UserError: calibration.windows: 0 is not an integer of 1 or more

Values are in the YAML files; a schema has none, so that there is one place to look for them.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import MISSING

from experiments.harness.errors import UserError

KINDS = {int: "an integer", float: "a number", bool: "true or false", str: "text"}


def setting(
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[Any] | None = None,
    empty: bool = False,
) -> Any:
    """A field of a schema, its value to come from YAML.

    Args:
      low, high: smallest and largest value; of every element where the field is a list or a mapping.
      above, below: bounds that are not reached.
      choices: all that is allowed.
      empty: a list or mapping may be empty.
    """
    bounds = {"low": low, "high": high, "above": above, "below": below}
    rules = {name: bound for name, bound in bounds.items() if bound is not None}
    return dataclasses.field(
        default=MISSING,
        metadata=rules | {"choices": None if choices is None else tuple(choices), "empty": empty},
    )


def check(config: Any, path: str = "") -> None:
    """Refuse values outside of what the schema allows; to the depth of all its sections.

    Cross-checks of several fields are the schema's own: a method ``check(self)`` that raises
    :class:`UserError`, called when every field alone is in order.
    """
    for field, kind in _fields(type(config)):
        value, where = getattr(config, field.name), _join(path, field.name)
        if dataclasses.is_dataclass(value):
            check(value, where)
        else:
            _check_value(value, kind, field.metadata, where)
    if hasattr(config, "check"):
        config.check()


def _check_value(value: Any, kind: Any, rules: Mapping[str, Any], where: str) -> None:
    if kind is Any:  # what an open mapping holds is checked by what it is for
        return
    if value is None:
        if type(None) not in typing.get_args(kind):
            raise UserError(f"{where}: null is not {allowed(kind, rules)}")
        return
    if isinstance(value, (list, dict)):
        if not value and not rules.get("empty", True):
            raise UserError(f"{where}: is empty; give at least one")
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        of = _element(kind)
        for name, part in parts:
            place = _join(where, name) if isinstance(value, dict) else f"{where}[{name}]"
            if dataclasses.is_dataclass(part):
                check(part, place)
            else:
                _check_value(part, of, rules, place)
        return
    if not _within(value, rules):
        raise UserError(f"{where}: {value!r} is not {allowed(kind, rules)}")


def _within(value: Any, rules: Mapping[str, Any]) -> bool:
    if rules.get("choices") is not None:
        return value in rules["choices"]
    if isinstance(value, (bool, str)):
        return True
    if not math.isfinite(value):
        return False
    tests = {
        "low": lambda bound: value >= bound,
        "high": lambda bound: value <= bound,
        "above": lambda bound: value > bound,
        "below": lambda bound: value < bound,
    }
    return all(test(rules[name]) for name, test in tests.items() if name in rules)


def allowed(kind: Any, rules: Mapping[str, Any]) -> str:
    """What a field takes, in words."""
    if rules.get("choices") is not None:
        return "one of " + ", ".join(str(c) for c in rules["choices"])
    while (of := _element(kind)) is not Any:
        kind = of
    plain = next((k for k in (typing.get_args(kind) or (kind,)) if k in KINDS), None)
    words = KINDS.get(plain, "a mapping") if plain is not None else "a mapping"
    low, high = (rules.get(name) for name in ("low", "high"))
    above, below = (rules.get(name) for name in ("above", "below"))
    parts = []
    if low is not None and high is not None:
        parts.append(f"of {low} ... {high}")
    elif low is not None:
        parts.append(f"of {low} or more")
    elif high is not None:
        parts.append(f"of {high} or less")
    if above is not None:
        parts.append(f"above {above}")
    if below is not None:
        parts.append(f"below {below}")
    optional = ", or null" if type(None) in typing.get_args(kind) else ""
    return " ".join([words, " and ".join(parts)]).strip() + optional


def describe(schema: type, path: str) -> str | None:
    """What the field at a dotted path takes, in words; None where there is no such field."""
    kind: Any = schema
    rules: Mapping[str, Any] = {}
    for name in path.replace("[", ".").replace("]", "").split("."):
        if dataclasses.is_dataclass(kind):
            found = {field.name: (of, field.metadata) for field, of in _fields(kind)}
            if name not in found:
                return None
            kind, rules = found[name]
        elif _element(kind) is not Any:
            kind = _element(kind)
        else:
            return None
    if dataclasses.is_dataclass(kind):
        return f"a mapping of {', '.join(f.name for f, _ in _fields(kind))}"
    if typing.get_origin(kind) is list:
        return f"a list, each {allowed(kind, rules)}"
    return allowed(kind, rules)


def open_mappings(schema: type, path: str = "") -> Iterator[str]:
    """Dotted paths of mappings that have no fixed keys."""
    for field, kind in _fields(schema):
        where = _join(path, field.name)
        if dataclasses.is_dataclass(kind):
            yield from open_mappings(kind, where)
        elif typing.get_origin(kind) is dict:
            yield where


def _fields(schema: type) -> list[tuple[dataclasses.Field[Any], Any]]:
    hints = typing.get_type_hints(schema)
    return [(field, hints[field.name]) for field in dataclasses.fields(schema)]


def _element(kind: Any) -> Any:
    """What a list or mapping holds; Any for everything else."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        inner = [k for k in arguments if typing.get_origin(k) in (list, dict)]
        return _element(inner[0]) if inner else Any
    return arguments[-1] if typing.get_origin(kind) in (list, dict) else Any


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
