"""Machines of your own, out of YAML, TOML or JSON files.

```yaml
# my_core.yaml: fields of OpticalCore, by the paths that its replace takes
name: display-1024          # the machine that it differs from; without it, an OpticalCore with free parts
photons: 2.0e4
adc: {bits: 9}
costs.load_time_s: 1.0e-5
```

```toml
# my_gpu.toml: fields of DigitalAccelerator
name = "h100-sxm"           # without it, ops_per_s and mac_energy_j at least
power_w = 400.0
ops_per_s.int8 = 1.2e15
```
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from photonjax.core.core import OpticalCore
from photonjax.core.costs import CoreCosts
from photonjax.core.fields import set_fields
from photonjax.extras import need
from photonjax.machines.accelerator import DigitalAccelerator
from photonjax.machines.catalogue import digital, either, optical, optical_names

__all__ = ["SUFFIXES", "MachineFile", "is_file", "read_machine"]

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
_MOST_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class MachineFile:
    """What a file says.

    Attributes:
      machine: the whole of it.
      base: name of the machine that it differs from; None: it stands by itself.
      fields: what the file sets, by dotted name.
    """

    machine: Any
    base: str | None
    fields: dict[str, Any]


def is_file(name: str) -> bool:
    """Whether it is meant as a path: no named machine has a point or a slash in its name.

    >>> is_file("display-1024"), is_file("my_core.yaml")
    (False, True)
    """
    return "." in name or os.sep in name


def read_machine(path: str | os.PathLike[str], kind: str | None = None) -> MachineFile:
    """A machine out of a file.

    Args:
      path: a .yaml, .yml, .toml or .json file, laid out as the module shows.
      kind: ``optical`` or ``digital``. None: what the machine is that it differs from; without one, an
        accelerator if it has rates or energies of multiply-accumulates, else a core.

    Raises:
      ValueError: the file cannot be read, or what it says is no machine; the message begins with its path.

    >>> import tempfile
    >>> place = pathlib.Path(tempfile.mkdtemp()) / "my_core.json"
    >>> _ = place.write_text('{"name": "display-1024", "adc": {"bits": 9}}')
    >>> found = read_machine(place, "optical")
    >>> found.machine.adc.bits, found.base, found.fields
    (9, 'display-1024', {'adc.bits': 9})
    """
    try:
        content = _content(pathlib.Path(path))
        name = content.pop("name", None)
        if name is not None and not isinstance(name, str):
            raise ValueError(f"name: {name!r} is not the name of a machine")
        fields = _dotted(content)
        if not fields:
            raise ValueError("sets no field; use the name of the machine itself")
        return MachineFile(_machine(kind or _kind(name, fields), name, fields), name, fields)
    except (ValueError, TypeError, OSError, ImportError, RecursionError) as error:
        what = error.strerror if isinstance(error, OSError) else None
        raise ValueError(f"{path}: {' '.join(str(what or error).split())}") from None


def _kind(name: str | None, fields: Mapping[str, Any]) -> str:
    if name is None:
        return "digital" if _tables(fields).keys() & {"ops_per_s", "mac_energy_j"} else "optical"
    either(name)  # else the error lists the names of both kinds
    return "optical" if name in optical_names() else "digital"


def _machine(kind: str, name: str | None, fields: Mapping[str, Any]) -> Any:
    if kind == "optical":
        base: Any = OpticalCore(costs=CoreCosts()) if name is None else optical(name)
        return set_fields(base, fields)
    if name is None:
        rows = _tables(fields)
        for table in ("ops_per_s", "mac_energy_j"):
            if table not in rows:
                raise ValueError(f"{table} is missing; give it for each precision, or a name")
        known = [f.name for f in dataclasses.fields(DigitalAccelerator)]
        strange = [field for field in rows if field not in known]
        if strange:
            raise ValueError(
                f"DigitalAccelerator has no field {strange[0]!r}; it has {', '.join(known)}"
            )
        return DigitalAccelerator(**rows)
    return digital_with(digital(name), _tables(fields))


def digital_with(base: DigitalAccelerator, rows: Mapping[str, Any]) -> DigitalAccelerator:
    """The accelerator with other values; tables may get precisions that it lacked."""
    merged = {
        field: {**getattr(base, field), **value} if isinstance(value, Mapping) else value
        for field, value in rows.items()
        if hasattr(base, field)
    }
    return set_fields(base, dict(rows) | merged)


def _tables(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as one table each: ``ops_per_s.int8``."""
    rows: dict[str, Any] = {}
    for field, value in fields.items():
        head, _, rest = field.partition(".")
        if rest:
            rows.setdefault(head, {})[rest] = value
        else:
            rows[head] = value
    return rows


def _content(path: pathlib.Path) -> dict[str, Any]:
    if path.suffix not in SUFFIXES:
        raise ValueError(f"end the name of the file in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise ValueError("there is no such file")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"has more than {_MOST_BYTES:,} bytes, and is no list of fields")
    try:
        content = _PARSERS[path.suffix](path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError("is not a text in UTF-8") from None
    if not isinstance(content, Mapping) or not content:
        raise ValueError("holds no fields; write a line 'field: value' for each")
    return dict(content)


def _yaml(text: str) -> Any:
    yaml = need("yaml", "experiments")
    try:
        return _numbered(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {error}") from None


def _numbered(value: Any) -> Any:
    """With ``1e4`` a number, which YAML 1.1 takes for a word where it has no point."""
    if isinstance(value, Mapping):
        return {key: _numbered(inner) for key, inner in value.items()}
    if isinstance(value, str) and value[:1] in "+-.0123456789" and value:
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _dotted(fields: Mapping[Any, Any], path: str = "") -> dict[str, Any]:
    """Nested fields by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        where = f"{path}{name}"
        inner = _dotted(value, f"{where}.") if isinstance(value, Mapping) else {where: value}
        for field in inner:
            if field in found:
                raise ValueError(f"{field} stands there twice")
        found |= inner
    return found


_PARSERS: dict[str, Callable[[str], Any]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".toml": tomllib.loads,
    ".json": json.loads,
}
