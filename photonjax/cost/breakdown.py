"""What a program costs: joules and seconds, by component and by site."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import Any

import jax

from photonjax.core.pytree import leaf, register

__all__ = ["CostBreakdown", "CostEntry", "si"]


@register
@dataclasses.dataclass(frozen=True)
class CostEntry:
    """What the sites of one name cost.

    Attributes:
      path: of the site, or the kind of the operations.
      where: ``light``, or ``digital``.
      joules: energy by component [J].
      seconds: time by component [s]; the sum is the time they take, overlaps taken off.
    """

    path: str
    where: str
    joules: dict[str, Any] = leaf()
    seconds: dict[str, Any] = leaf()


@register
@dataclasses.dataclass(frozen=True)
class CostBreakdown:
    """Joules and seconds of one call of a program, site by site.

    A pytree: its numbers are floats, or JAX values where the hardware was traced, so that
    ``jax.grad`` of ``joules`` with respect to a core gives sensitivities. Breakdowns add and scale
    (``cost * (1 / tokens)`` is that of a token).

    Attributes:
      title: what it is of.
      notes: what was assumed or left out.
      entries: one for each name of sites, in program order.
      floor: of a digital baseline, the same program at the bare energy of its arithmetic.

    Example:
      >>> entry = CostEntry("a", "light", {"dac": 2.0, "adc": 1.0}, {"compute": 4.0})
      >>> cost = CostBreakdown("x", (), (entry,))
      >>> (cost * 2 + cost).joules, cost.by_component(), cost.by_site()["a"]
      (9.0, {'dac': 2.0, 'adc': 1.0}, (3.0, 4.0))
      >>> print(sum([cost, cost]).to_csv().splitlines()[1])
      a,light,joules,dac,2.0
    """

    title: str
    notes: tuple[str, ...]
    entries: tuple[CostEntry, ...] = leaf()
    floor: CostBreakdown | None = leaf(None)

    @property
    def joules(self) -> Any:
        """Energy of everything [J]."""
        return sum(sum(e.joules.values()) for e in self.entries)

    @property
    def seconds(self) -> Any:
        """Time of everything, one site after the other [s]; nan where it is not known."""
        return sum(sum(e.seconds.values()) for e in self.entries)

    def by_component(self, what: str = "joules") -> dict[str, Any]:
        """Energy [J], or with ``what="seconds"`` time [s], of each component over all sites."""
        totals: dict[str, Any] = {}
        for entry in self.entries:
            for name, value in getattr(entry, what).items():
                totals[name] = totals.get(name, 0.0) + value
        return totals

    def by_site(self) -> dict[str, tuple[Any, Any]]:
        """Energy [J] and time [s] of each path; sites of one path are added."""
        totals: dict[str, tuple[Any, Any]] = {}
        for e in self.entries:
            joules, seconds = totals.get(e.path, (0.0, 0.0))
            totals[e.path] = (joules + sum(e.joules.values()), seconds + sum(e.seconds.values()))
        return totals

    def __add__(self, other: CostBreakdown) -> CostBreakdown:
        if not isinstance(other, CostBreakdown):
            return NotImplemented
        floor = None if self.floor is None or other.floor is None else self.floor + other.floor
        title = self.title if self.title == other.title else f"{self.title} + {other.title}"
        notes = tuple(dict.fromkeys(self.notes + other.notes))
        return CostBreakdown(title, notes, self.entries + other.entries, floor)

    def __radd__(self, other: Any) -> CostBreakdown:
        """So that ``sum`` adds them: it starts from zero."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __mul__(self, factor: Any) -> CostBreakdown:
        return jax.tree_util.tree_map(lambda x: x * factor, self)

    __rmul__ = __mul__

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON; a time that is not known (nan) becomes ``None``."""
        return {
            "title": self.title,
            "joules": _number(self.joules),
            "seconds": _number(self.seconds),
            "joules_by_component": {k: _number(v) for k, v in self.by_component().items()},
            "seconds_by_component": {
                k: _number(v) for k, v in self.by_component("seconds").items()
            },
            "sites": [
                {
                    "path": e.path,
                    "where": e.where,
                    "joules": {k: _number(v) for k, v in e.joules.items()},
                    "seconds": {k: _number(v) for k, v in e.seconds.items()},
                }
                for e in self.entries
            ],
            "notes": list(self.notes),
            "floor": None if self.floor is None else self.floor.to_dict(),
        }

    def to_json(self) -> str:
        """``to_dict`` as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    def to_csv(self) -> str:
        """A line for each number: path, where, joules or seconds, component, value; then the notes.

        A time that is not known (nan) is left empty. A note stands under component, its quantity is
        ``note``.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "where", "quantity", "component", "value"])
        for e in self.entries:
            for quantity, numbers in (("joules", e.joules), ("seconds", e.seconds)):
                for name, value in numbers.items():
                    writer.writerow([e.path, e.where, quantity, name, _number(value)])
        writer.writerows(["", "", "note", note, ""] for note in self.notes)
        return text.getvalue()

    def __str__(self) -> str:
        """A table: components by energy, the ten most expensive sites, the floor, the notes."""
        joules = {k: float(v) for k, v in self.by_component().items()}
        total = float(self.joules)
        lines = [f"{self.title}: {si(total, 'J')}, {si(float(self.seconds), 's')}"]
        for name, value in sorted(joules.items(), key=lambda item: -item[1]):
            if value:
                lines.append(f"  {name:18} {si(value, 'J'):>10} {value / total:7.1%}")
        for name, value in self.by_component("seconds").items():
            if float(value):
                lines.append(f"  {name + ' time':18} {si(float(value), 's'):>10}")
        sites = sorted(self.by_site().items(), key=lambda item: -float(item[1][0]))
        width = max([len(path) for path, _ in sites[:10]] + [0])
        lines += [
            f"  {path:{width}}  {si(float(j), 'J'):>10} {si(float(s), 's'):>10}"
            for path, (j, s) in sites[:10]
        ]
        if len(sites) > 10:
            rest = sum(float(j) for _, (j, _) in sites[10:])
            lines.append(f"  {f'and {len(sites) - 10} more':{width}}  {si(rest, 'J'):>10}")
        if self.floor is not None:
            lines.append(f"  {self.floor.title}: {si(float(self.floor.joules), 'J')}")
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])


def _number(value: Any) -> float | None:
    number = float(value)
    return None if number != number else number


def si(value: float, unit: str) -> str:
    """A number with its unit: four digits and a prefix.

    >>> si(0.00123, "J"), si(float("nan"), "s")
    ('1.23 mJ', 'unknown s')
    """
    if value != value:
        return f"unknown {unit}"
    for scale, prefix in (
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1, ""),
        (1e-3, "m"),
        (1e-6, "u"),
        (1e-9, "n"),
    ):
        if abs(value) >= scale:
            return f"{value / scale:.4g} {prefix}{unit}"
    return f"{value / 1e-12:.4g} p{unit}"
