"""One program on a core and on digital baselines: bills side by side, and how sure their ratio is."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from typing import Any

from photonjax import machines
from photonjax.cost.bill import Bill
from photonjax.cost.digital import Precision, model_flop_utilisation, on_digital
from photonjax.cost.groups import group_sites
from photonjax.cost.light import on_core
from photonjax.cost.uncertainty import (
    Swing,
    Uncertain,
    elasticities,
    monte_carlo,
    quantiles,
    swings,
)
from photonjax.hardware.fields import get_field
from photonjax.inventory import Inventory, MatmulSite

__all__ = ["Baseline", "Comparison", "compare"]


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A digital chip and the precision that its products run in.

    Attributes:
      name: of its column.
      chip: with ranges.
      dtype: as :func:`photonjax.cost.on_digital` takes it.
    """

    name: str
    chip: Uncertain
    dtype: Precision = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What :func:`compare` finds.

    A ratio is that of the core to a baseline: below one the core takes less.

    Attributes:
      title: of the program.
      tokens: that one call of it processes.
      inventory: of the program, by groups of sites.
      core: the optical machine.
      baselines: in order of their columns.
      machines: everything with ranges, by name: the core, its digital side, the baselines' chips.
      bills: by name of the core or baseline.
      utilisation: model FLOP utilisation of each baseline that is a whole chip.
      ratios: by baseline, of ``energy``, ``time`` and ``energy to arithmetic floor``: the value as set
        and quantiles over all ranges.
      samples: how many draws those quantiles are of.
      elasticities: d log(energy ratio) / d log(number), against the first baseline, largest first.
      swings: of the same ratio, largest first.
    """

    title: str
    tokens: int
    inventory: Inventory
    core: Uncertain
    baselines: tuple[Baseline, ...]
    machines: dict[str, Uncertain]
    bills: dict[str, Bill]
    utilisation: dict[str, float]
    ratios: dict[str, dict[str, dict[str, float]]]
    samples: int
    elasticities: dict[str, float]
    swings: list[Swing]

    def __str__(self) -> str:
        from photonjax.cost.report import report

        return report(self)

    def area_m2(self, name: str) -> float | None:
        """Area of the core, or of a baseline's chip, where it is published."""
        for base in self.baselines:
            if base.name == name:
                return base.chip.machine.area_m2
        return self.core.machine.costs.area_m2

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: bills, every number with its source and range, versions."""
        return {
            "title": self.title,
            "tokens": self.tokens,
            "macs": self.inventory.macs,
            "sites": [dataclasses.asdict(site) for site in self.inventory.matmuls],
            "bills": {
                name: {
                    **bill.to_dict(),
                    "joules_per_token": float(bill.joules) / self.tokens,
                    "model_flop_utilisation": self.utilisation.get(name),
                    "area_m2": self.area_m2(name),
                }
                for name, bill in self.bills.items()
            },
            "ratios": self.ratios,
            "samples": self.samples,
            "elasticities": {k: v for k, v in self.elasticities.items() if v},
            "swings": [
                {"number": f"{s.machine}/{s.field}", "at_low": s.at_low, "at_high": s.at_high}
                for s in self.swings
            ],
            "numbers": {name: _numbers(u) for name, u in self.machines.items()},
            "versions": versions(),
        }

    def plot(self, figure: Any = None) -> Any:
        """Bills as stacked bars, and the tornado of the energy ratio; returns the Matplotlib figure."""
        from photonjax.cost.plots import plot_bills, plot_tornado, pyplot

        figure = figure or pyplot().figure(figsize=(9, 8), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(1, 2))
        plot_bills(self.bills, above)
        above.set_title(self.title)
        first = self.baselines[0].name
        ratio = self.ratios[first]["energy"]["value"]
        plot_tornado(self.swings, ratio, below, label=f"energy, {self.core.name} over {first}")
        return figure


def compare(
    inventory: Inventory,
    core: Uncertain,
    baselines: Sequence[Baseline],
    *,
    title: str = "program",
    tokens: int = 1,
    digital: Uncertain | None = None,
    where: Callable[[MatmulSite], bool] | None = None,
    dtype: Precision = None,
    samples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Bill a program on a core and on digital chips, with the uncertainty of their ratios.

    A chip that is the core's digital side and a baseline as well is the same one in every draw.

    Args:
      inventory: of the program; bills are by groups of sites.
      core: the optical machine.
      baselines: what it is compared with; elasticities and swings are against the first.
      title, tokens: of the program.
      digital: chip that does what the core does not; without one, that is not charged.
      where: which sites run on light (:func:`photonjax.cost.on_core`).
      dtype: precision of the products left to ``digital``.
      samples, seed: of the Monte Carlo draws.

    Raises:
      ValueError: there is no baseline, or a bill cannot be written.

    Example:
      >>> from photonjax.inventory import Inventory, MatmulSite
      >>> site = MatmulSite("w", 1, 8192, 4096, 4096, 32, "bfloat16", True)
      >>> chip = Uncertain.preset("h100-sxm")
      >>> found = compare(Inventory([site], []), Uncertain.preset("display-1024"), [Baseline("h100", chip)],
      ...                 digital=chip, samples=64)
      >>> ratio = found.ratios["h100"]["energy"]
      >>> ratio["p5"] < ratio["value"] < ratio["p95"]
      True
    """
    if not baselines:
        raise ValueError("compare: baselines is empty; give one at least")
    inventory = group_sites(inventory)
    used = [core, *([digital] if digital else []), *(b.chip for b in baselines)]
    machines = {u.name: u for u in used}
    places = {name: i for i, name in enumerate(machines)}

    def bills(*values: Any) -> dict[str, Bill]:
        side = values[places[digital.name]] if digital else None
        light = on_core(
            inventory, values[places[core.name]], where=where, digital=side, dtype=dtype
        )
        others = {
            b.name: on_digital(inventory, values[places[b.chip.name]], dtype=b.dtype)
            for b in baselines
        }
        return {core.name: light, **others}

    def ratios(*values: Any) -> dict[str, dict[str, Any]]:
        found = bills(*values)
        light = found[core.name]
        return {b.name: _ratios(light, found[b.name], b) for b in baselines}

    def energy(*values: Any) -> Any:
        return ratios(*values)[baselines[0].name]["energy"]

    known = list(machines.values())
    as_set = [u.machine for u in known]
    drawn = monte_carlo(ratios, *known, samples=samples, seed=seed)
    return Comparison(
        title=title,
        tokens=tokens,
        inventory=inventory,
        core=core,
        baselines=tuple(baselines),
        machines=machines,
        bills=bills(*as_set),
        utilisation={
            b.name: float(model_flop_utilisation(inventory, b.chip.machine, dtype=b.dtype))
            for b in baselines
            if b.chip.machine.power_w is not None
        },
        ratios={
            name: {
                what: {"value": float(value), **quantiles(drawn[name][what])}
                for what, value in row.items()
            }
            for name, row in ratios(*as_set).items()
        },
        samples=samples,
        elasticities=elasticities(energy, *known),
        swings=swings(energy, *known),
    )


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    names = ("photonjax", "jax", "jaxlib", "flax", "numpy")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
    }


def _ratios(light: Bill, base: Bill, baseline: Baseline) -> dict[str, Any]:
    found = {"energy": light.joules / base.joules}
    if baseline.chip.machine.power_w is not None:
        assert base.floor is not None
        found["time"] = light.seconds / base.seconds
        found["energy to arithmetic floor"] = light.joules / base.floor.joules
    return found


def _numbers(u: Uncertain) -> dict[str, dict[str, Any]]:
    """Every number of the preset's table; with another value, and no range, where that was set."""
    preset = Uncertain.preset(u.name).machine
    table = {}
    for field, number in machines.sources(u.name).items():
        line = dataclasses.asdict(number)
        try:
            value, as_published = get_field(u.machine, field), get_field(preset, field)
        except ValueError:  # a number of a part
            value = as_published = None
        if value != as_published:
            line |= {"value": value, "source": "set", "low": None, "high": None, "assumed": False}
        table[field] = line
    return table
