"""One program on a core and on digital baselines, side by side, as data, text and picture."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from collections.abc import Callable
from typing import Any

from photonjax.core.fields import get_field
from photonjax.cost.breakdown import CostBreakdown, si
from photonjax.cost.digital import Precision
from photonjax.cost.groups import group_table
from photonjax.cost.plots import plot_breakdowns, plot_tornado
from photonjax.cost.uncertain_machine import UncertainMachine
from photonjax.cost.uncertainty import Swing
from photonjax.plotting import new_axes
from photonjax.tables import text_table
from photonjax.workload import Workload

__all__ = ["Baseline", "Comparison"]


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A digital accelerator and the precision that its products run in.

    Attributes:
      name: of its column.
      accelerator: with ranges.
      dtype: as ``photonjax.cost.estimate`` takes it.
    """

    name: str
    accelerator: UncertainMachine
    dtype: Precision = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What ``compare`` finds.

    A ratio is that of the core to a baseline: below one the core takes less.

    Attributes:
      title: of the program.
      tokens: that one call of it processes.
      workload: of the program, by groups of sites.
      core: the optical machine.
      baselines: in order of their columns.
      machines: everything with ranges, by name: the core, its digital side, the baselines.
      costs: by name of the core or baseline.
      utilisation: model FLOP utilisation of each baseline that is a whole accelerator.
      ratios: by baseline, of ``energy``, ``time`` and ``energy to arithmetic floor``: the value as set
        and quantiles over all ranges.
      samples: how many draws those quantiles are of.
      elasticities: d log(energy ratio) / d log(number), against the first baseline, largest first.
      swings: of the same ratio, largest first.
    """

    title: str
    tokens: int
    workload: Workload
    core: UncertainMachine
    baselines: tuple[Baseline, ...]
    machines: dict[str, UncertainMachine]
    costs: dict[str, CostBreakdown]
    utilisation: dict[str, float]
    ratios: dict[str, dict[str, dict[str, float]]]
    samples: int
    elasticities: dict[str, float]
    swings: list[Swing]

    def __str__(self) -> str:
        """Totals, components and sites side by side; ratios with quantiles; what they depend on most."""
        names = list(self.costs)
        blocks = [
            f"{self.title}: {self.tokens:,} tokens, {self.workload.macs:.4g} multiply-accumulates",
            group_table(self.workload),
            text_table([("", *names), *_totals(self)]),
            text_table([("energy by component", *names), *_fractions(self, "component")]),
            text_table([("energy by site", *names), *_fractions(self, "site")]),
            _ratio_table(self),
            _dependence(self),
            "\n".join(_notes(self)),
        ]
        return "\n\n".join(blocks)

    def area_m2(self, name: str) -> float | None:
        """Area of the core, or of a baseline, where it is published."""
        for base in self.baselines:
            if base.name == name:
                return base.accelerator.machine.area_m2
        return self.core.machine.costs.area_m2

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: costs, every number with its source and range, versions."""
        return {
            "title": self.title,
            "tokens": self.tokens,
            "macs": self.workload.macs,
            "sites": [dataclasses.asdict(site) for site in self.workload.matmuls],
            "costs": {
                name: {
                    **cost.to_dict(),
                    "joules_per_token": float(cost.joules) / self.tokens,
                    "model_flop_utilisation": self.utilisation.get(name),
                    "area_m2": self.area_m2(name),
                }
                for name, cost in self.costs.items()
            },
            "ratios": self.ratios,
            "samples": self.samples,
            "notes": {name: list(u.notes) for name, u in self.machines.items() if u.notes},
            "elasticities": {k: v for k, v in self.elasticities.items() if v},
            "swings": [
                {"number": f"{s.machine}/{s.field}", "at_low": s.at_low, "at_high": s.at_high}
                for s in self.swings
            ],
            "numbers": {name: _numbers(u) for name, u in self.machines.items()},
            "versions": _versions(),
        }

    def plot(self) -> Any:
        """Costs as stacked bars, and the tornado of the energy ratio; returns the Matplotlib figure."""
        above, below = new_axes(2, (9, 8), height_ratios=(1, 2))
        plot_breakdowns(self.costs, above)
        above.set_title(self.title)
        first = self.baselines[0].name
        ratio = self.ratios[first]["energy"]["value"]
        plot_tornado(self.swings, ratio, below, label=f"energy, {self.core.name} over {first}")
        return above.figure


def _totals(found: Comparison) -> list[tuple[str, ...]]:
    costs = list(found.costs.items())
    macs = found.workload.macs

    def row(label: str, make: Callable[[str, CostBreakdown], str]) -> tuple[str, ...]:
        return (label, *(make(name, cost) for name, cost in costs))

    def area(name: str) -> str:
        value = found.area_m2(name)
        return "not published" if value is None else f"{value * 1e6:.4g} mm2"

    def bits(name: str) -> str:
        if name != found.core.name:
            return "-"
        core = found.core.machine
        return ", ".join(
            "none" if b is None else str(b)
            for b in (core.input.bits, core.array.bits, core.adc.bits)
        )

    used = found.utilisation
    return [
        row("bits: inputs, weights, ADC", lambda n, _: bits(n)),
        row("energy", lambda _, b: si(float(b.joules), "J")),
        row("energy per token", lambda _, b: si(float(b.joules) / found.tokens, "J")),
        row("energy per MAC", lambda _, b: si(float(b.joules) / macs, "J")),
        row("arithmetic floor", lambda _, b: si(float(b.floor.joules), "J") if b.floor else "-"),
        row("time", lambda _, b: si(float(b.seconds), "s")),
        row("tokens per second", lambda _, b: _per_second(found.tokens, float(b.seconds))),
        row("mean power", lambda _, b: si(float(b.joules) / float(b.seconds), "W")),
        row("model FLOP utilisation", lambda n, _: f"{used[n]:.2f}" if n in used else "-"),
        row("area", lambda n, _: area(n)),
    ]


def _per_second(tokens: int, seconds: float) -> str:
    return f"{tokens / seconds:,.0f}" if seconds == seconds else "unknown"


def _fractions(found: Comparison, by: str) -> list[tuple[str, ...]]:
    """Energies, and their fractions, of components or sites, largest first as they appear."""
    columns = []
    for cost in found.costs.values():
        if by == "component":
            columns.append({k: float(v) for k, v in cost.by_component().items()})
        else:
            columns.append({k: float(j) for k, (j, _) in cost.by_site().items()})
    totals = [sum(column.values()) for column in columns]
    fractions = [
        {k: v / (total or 1.0) for k, v in column.items()}
        for column, total in zip(columns, totals, strict=True)
    ]
    names = dict.fromkeys(k for column in columns for k in column)
    order = sorted(names, key=lambda k: -max(f.get(k, 0.0) for f in fractions))
    return [
        (
            name,
            *(
                f"{si(column[name], 'J')} {fraction[name]:6.1%}" if column.get(name) else "-"
                for column, fraction in zip(columns, fractions, strict=True)
            ),
        )
        for name in order
        if any(column.get(name) for column in columns)
    ]


def _ratio_table(found: Comparison) -> str:
    rows: list[tuple[str, ...]] = [
        (f"{found.core.name} over", "", "as set", "5 %", "median", "95 %")
    ]
    for name, kinds in found.ratios.items():
        for what, r in kinds.items():
            cells = (f"{r[k]:.3g}" for k in ("value", "p5", "p50", "p95"))
            rows.append((name, what, *cells))
    return text_table(rows, left=2)


def _dependence(found: Comparison, top: int = 8) -> str:
    first = found.baselines[0].name
    lines = [f"what the energy ratio to {first} depends on most"]
    rows: list[tuple[str, ...]] = [("number", "elasticity", "range", "ratio at low ... high")]
    swings = {f"{s.machine}/{s.field}": s for s in found.swings if s.at_low != s.at_high}
    listed = list(swings)[:top]
    listed += [k for k in list(found.elasticities)[:top] if k not in swings]
    for name in listed:
        slope = f"{found.elasticities.get(name, 0.0):+.2f}"
        if name in swings:
            s = swings[name]
            span = f"{s.number.low:.3g} ... {s.number.high:.3g} {s.number.unit}"
            rows.append((name, slope, span, f"{s.at_low:.3g} ... {s.at_high:.3g}"))
        elif abs(found.elasticities[name]) > 0:  # neither zero nor, of a result of zero, nan
            rows.append((name, slope, "-", "-"))
    return "\n".join([*lines, text_table(rows)])


def _notes(found: Comparison) -> list[str]:
    assumed = {
        name: sum(n.assumed for n in u.ranges.values()) for name, u in found.machines.items()
    }
    lines = [
        f"quantiles: {found.samples:,} draws over all ranges, numbers taken to be independent; "
        + ", ".join(f"{count} of {name} are assumed" for name, count in assumed.items())
        + " (photonjax describe NAME)"
    ]
    seen: dict[str, list[str]] = {}
    for name, machine in found.machines.items():
        for note in machine.notes:
            seen.setdefault(note, []).append(name)
    for name, cost in found.costs.items():
        for note in cost.notes:
            seen.setdefault(note, []).append(name)
    lines.append("accuracy is no part of a cost: machines of fewer bits or photons lose some")
    return lines + [f"note ({', '.join(names)}): {note}" for note, names in seen.items()]


def _versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    names = ("photonjax", "jax", "jaxlib", "flax", "numpy")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
    }


def _numbers(u: UncertainMachine) -> dict[str, dict[str, Any]]:
    """Every number of the machine's table; with another value, and no range, where that was set."""
    table = {}
    for field, number in u.table.items():
        line = dataclasses.asdict(u.ranges.get(field, number))
        try:
            value, quoted = get_field(u.machine, field), get_field(u.quoted, field)
        except ValueError:  # a number of a part
            value = quoted = None
        if field in u.ranges:  # carried over to other bits, perhaps
            quoted = line["value"]
        if value != quoted:
            line |= {"value": value, "source": "set", "low": None, "high": None, "assumed": False}
        table[field] = line
    return table
