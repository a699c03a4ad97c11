"""Named machines, with a source for every number.

A machine is a table from field to :class:`Number`; the objects are built from the tables and from
nothing else, so a number without a source cannot get in. What nobody has published is marked
``assumed`` and carries the range within which it was chosen. :func:`sources` gives the table,
:func:`describe` prints it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from photonjax.hardware import architectures
from photonjax.hardware.chips import DIGITALS
from photonjax.hardware.core import OpticalCore
from photonjax.hardware.costs import CoreCosts
from photonjax.hardware.digital import DigitalAccelerator
from photonjax.hardware.literature import LITERATURE
from photonjax.hardware.tables import CORES, Number

__all__ = ["Number", "core", "cores", "describe", "digital", "digitals", "sources"]

_CORES = {**CORES, **LITERATURE}
_PARTS: dict[str, Callable[[], architectures.Machine]] = {
    "lightening-transformer": architectures.lightening_transformer,
    "lightening-transformer-8bit": lambda: architectures.lightening_transformer(bits=8),
    "albireo": architectures.albireo,
}


def cores() -> list[str]:
    """Names that :func:`core` knows.

    >>> cores()
    ['ideal', 'display-1024', 'mzi-mesh', 'microring-bank', 'coherent-crossbar', 'pace-like-64',
     'lightening-transformer', 'lightening-transformer-8bit', 'albireo']
    """
    return [*_CORES, *_PARTS]


def digitals() -> list[str]:
    """Names that :func:`digital` knows.

    >>> digitals()
    ['h100-sxm', 'h200-sxm', 'b200', 'tpu-v5e', 'tpu-v5p', 'tpu-v6e', '300-fJ-per-MAC']
    """
    return list(DIGITALS)


def core(name: str) -> OpticalCore:
    """The optical machine called ``name``; those of :mod:`photonjax.hardware.architectures` are put
    together from their parts.

    Raises:
      ValueError: an unknown name; the error lists the known ones.

    >>> core("display-1024").rows
    1024
    """
    if _known("core", name, dict.fromkeys(cores())) in _PARTS:
        return _PARTS[name]().core()
    settings, numbers = _CORES[name]
    fields, costs = _nest({**settings, **{k: n.value for k, n in numbers.items()}}, "costs")
    fields.setdefault("costs", CoreCosts(**costs))
    return OpticalCore(**fields)


def digital(name: str) -> DigitalAccelerator:
    """The digital machine called ``name``.

    Raises:
      ValueError: an unknown name; the error lists the known ones.

    >>> digital("h100-sxm").power_w
    700.0
    """
    values = {k: n.value for k, n in DIGITALS[_known("digital", name, DIGITALS)].items()}
    rest, rates = _nest(values, "ops_per_s")
    rest, energies = _nest(rest, "mac_energy_j")
    return DigitalAccelerator(rates, energies, **rest)


def sources(name: str) -> dict[str, Number]:
    """Every number of a machine by field, nested ones as ``costs.dac_energy_j`` or
    ``ops_per_s.int8``; of a machine that is put together from parts, the numbers of its parts.

    Raises:
      ValueError: an unknown name; the error lists the known ones.

    >>> sources("display-1024")["photons"].high
    1000000.0
    """
    parts = {k: architectures.NUMBERS[k.removesuffix("-8bit")] for k in _PARTS}
    tables = {**{k: numbers for k, (_, numbers) in _CORES.items()}, **parts, **DIGITALS}
    return dict(tables[_known("machine", name, tables)])


def describe(name: str) -> str:
    """The table of :func:`sources` as text: field, value, unit, range, ``assumed`` or not, source.

    >>> print(describe("ideal").splitlines()[2])
    bits_in         16     bits                   an ideal part
    """
    rows = []
    for field, n in sources(name).items():
        span = "" if n.low is None else f" [{n.low:.4g} ... {n.high:.4g}]"
        value = "none" if n.value is None else f"{n.value:.6g}"
        rows.append((field, value, n.unit + span, ("assumed: " if n.assumed else "") + n.source))
    widths = [max(len(r[i]) for r in rows) for i in range(3)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(r, widths, strict=False)), r[3]]) for r in rows
    )


def _nest(values: dict[str, Any], prefix: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Splits ``prefix.name`` entries off."""
    inner = {
        k.removeprefix(f"{prefix}."): v for k, v in values.items() if k.startswith(f"{prefix}.")
    }
    return {k: v for k, v in values.items() if not k.startswith(f"{prefix}.")}, inner


def _known(kind: str, name: str, table: dict[str, Any]) -> str:
    if name in table:
        return name
    close = difflib.get_close_matches(str(name), table, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ValueError(f"unknown {kind} {name!r}{hint}; known: {', '.join(table)}")
