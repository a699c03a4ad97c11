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
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import MISSING

from experiments.harness.errors import UserError, in_config
from photonjax.core.limits import allowed
from photonjax.core.pytree import brief

BOUNDS = ("low", "high", "above", "below")
KINDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "text",
}


def setting(
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[Any] | None = None,
    empty: bool = False,
    name: bool = False,
    default: Any = MISSING,
) -> Any:
    """A field of a schema, its value to come from YAML.

    Args:
      low, high: smallest and largest value; of every element where the field is a list or a mapping.
      above, below: bounds that are not reached.
      choices: all that is allowed.
      empty: a list or mapping may be empty, and so may text.
      name: text that is to name one file or directory: letters, digits, and ``. _ + -`` between them.
      default: for the elements of lists, which no YAML file completes; everything else has none.
    """
    bounds = {"low": low, "high": high, "above": above, "below": below}
    rules = {name: bound for name, bound in bounds.items() if bound is not None}
    return dataclasses.field(
        default=default,
        metadata=rules
        | {
            "choices": None if choices is None else tuple(choices),
            "empty": empty,
            "name": name,
            "default": default,
        },
    )


def check(config: Any, path: str = "") -> None:
    """Refuse values of other types, or outside of what the schema allows; to the depth of all its sections.

    Cross-checks of several fields are the schema's own: a method ``check(self)`` that raises
    :class:`UserError`, called when every field alone is in order.
    """
    for field, kind in _fields(type(config)):
        _check_value(getattr(config, field.name), kind, field.metadata, _join(path, field.name))
    if hasattr(config, "check"):
        config.check()


def check_given(schema: type, path: str, value: Any) -> None:
    """Refuse a plain value for the field at a dotted path, as :func:`check` does once it stands in a config.

    Where there is no such field, nothing is said.
    """
    if found := _at(schema, path):
        _check_value(value, *found, path)


def check_truths(schema: type, path: str, value: Any) -> None:
    """Refuse what is neither true nor false where that is asked for, in a value for the field at a dotted
    path: OmegaConf takes 1 and 2, "yes" and "on" for true.
    """
    kind = (_at(schema, path) or (Any, {}))[0]
    if kind is bool and not isinstance(value, bool):
        raise UserError(f"{path}: {shown(value)} is not true or false")
    if isinstance(value, (list, dict)):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            where = _join(path, name) if isinstance(value, dict) else f"{path}[{name}]"
            check_truths(schema, where, part)


def _check_value(value: Any, kind: Any, rules: Mapping[str, Any], where: str) -> None:
    if kind is Any:  # what an open mapping holds is checked by what it is for
        return
    if value is None and type(None) in typing.get_args(kind):
        return
    kind, whole = _present(kind), kind
    holder = typing.get_origin(kind) or (dict if dataclasses.is_dataclass(kind) else None)
    if holder is None:
        right = isinstance(value, (float, int) if kind is float else kind)
        if not right or (isinstance(value, bool) and kind is not bool) or not _within(value, rules):
            raise UserError(f"{where}: {shown(value)} is not {_what(whole, rules)}")
        if value == "" and not rules.get("empty", True):
            raise UserError(f"{where}: is empty; give some text")
        if rules.get("name") and not re.fullmatch(r"\w([\w.+-]*\w)?", value):
            raise UserError(
                f"{where}: {shown(value)} is not a name; use letters and digits, and . _ + - between them"
            )
        return
    if dataclasses.is_dataclass(kind) and isinstance(value, kind):
        check(value, where)
        return
    if not isinstance(value, holder):
        raise UserError(f"{where}: {shown(value)} is not {_words(whole, rules)}")
    if dataclasses.is_dataclass(kind):
        parts = {field.name: (of, field.metadata) for field, of in _fields(kind)}
        for name, part in value.items():
            if name not in parts:
                raise UserError(
                    f"{where}: there is no key {name!r}; the keys are {', '.join(parts)}"
                )
            _check_value(part, *parts[name], _join(where, name))
        if where.endswith("]"):  # of a list: there is nothing that it could be merged into
            for name in parts:
                if name not in value and parts[name][1]["default"] is MISSING:
                    raise UserError(f"{where}.{name}: is not set; give it too")
        return
    if not value and not rules.get("empty", True):
        raise UserError(f"{where}: is empty; give at least one")
    of = typing.get_args(kind)[-1]
    for name, part in value.items() if holder is dict else enumerate(value):
        if holder is dict and not isinstance(name, str):
            raise UserError(f"{where}: the key {name!r} is not text; quote it")
        _check_value(part, of, rules, _join(where, name) if holder is dict else f"{where}[{name}]")


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


def _what(kind: Any, rules: Mapping[str, Any]) -> str:
    """What a field takes, in words."""
    optional = type(None) in typing.get_args(kind)
    if rules.get("choices") is not None:
        return "one of " + ", ".join(map(str, rules["choices"])) + ", or null" * optional
    bounds = {name: rules[name] for name in BOUNDS if name in rules}
    return in_config(allowed(KINDS[_present(kind)], **bounds, optional=optional))


def describe(schema: type, path: str) -> str | None:
    """What the field at a dotted path takes, in words; None where there is no such field."""
    found = _at(schema, path)
    return found and _words(*found)


def _words(kind: Any, rules: Mapping[str, Any]) -> str:
    if dataclasses.is_dataclass(kind):
        return f"a mapping of {', '.join(f.name for f, _ in _fields(kind))}"
    holder, of = typing.get_origin(_present(kind)), _element(kind)
    if holder in (list, dict):
        name = "a list" if holder is list else "a mapping"
        return name if of is Any else f"{name}, each {_words(of, rules)}"
    return "a value" if kind is Any else _what(kind, rules)


def _at(schema: type, path: str) -> tuple[Any, Mapping[str, Any]] | None:
    """Type and rules of the field at a dotted path."""
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
    return kind, rules


def shown(value: Any) -> str:
    """A value as YAML would have it, on one line."""
    return in_config(brief(value))


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


def _present(kind: Any) -> Any:
    """The type that an optional field has where it is given."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return next(k for k in typing.get_args(kind) if k is not type(None))
    return kind


def _element(kind: Any) -> Any:
    """What a list or mapping holds; Any for everything else."""
    kind = _present(kind)
    return typing.get_args(kind)[-1] if typing.get_origin(kind) in (list, dict) else Any


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
