"""A program on a core and on digital baselines, and how sure their ratio is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from photonjax.core.pytree import brief
from photonjax.cost.breakdown import CostBreakdown
from photonjax.cost.comparison import Baseline, Comparison
from photonjax.cost.digital import Precision, model_flop_utilisation
from photonjax.cost.estimate import estimate
from photonjax.cost.groups import group_sites
from photonjax.cost.uncertain_machine import UncertainMachine, check_uncertain
from photonjax.cost.uncertainty import (
    elasticities,
    monte_carlo,
    quantiles,
    swings,
)
from photonjax.workload import MatmulSite, Workload

__all__ = ["compare"]


def compare(
    workload: Workload,
    core: UncertainMachine,
    baselines: Sequence[Baseline],
    *,
    title: str = "program",
    tokens: int = 1,
    digital: UncertainMachine | None = None,
    where: Callable[[MatmulSite], bool] | None = None,
    dtype: Precision = None,
    samples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Estimate a program on a core and on baselines, with the uncertainty of their ratios.

    An accelerator that is the core's digital side and a baseline as well is the same one in every draw.

    Args:
      workload: of the program; costs are by groups of sites.
      core: the optical machine.
      baselines: what it is compared with; elasticities and swings are against the first.
      title, tokens: of the program.
      digital: accelerator that does what the core does not; without one, that is not charged.
      where: which sites run on light (``photonjax.cost.estimate``).
      dtype: precision of the products left to ``digital``.
      samples, seed: of the Monte Carlo draws.

    Raises:
      ValueError: there is no baseline, or a cost cannot be estimated.

    Example:
      >>> from photonjax.workload import Workload, MatmulSite
      >>> site = MatmulSite("w", 1, 8192, 4096, 4096, 32, "bfloat16", True)
      >>> h100 = UncertainMachine.named("h100-sxm")
      >>> core = UncertainMachine.named("display-1024")
      >>> load = Workload([site], [])
      >>> found = compare(load, core, [Baseline("h100", h100)], digital=h100, samples=64)
      >>> ratio = found.ratios["h100"]["energy"]
      >>> ratio["p5"] < ratio["value"] < ratio["p95"]
      True
    """
    check_uncertain("compare", core, *([] if digital is None else [digital]))
    for baseline in baselines:
        if not isinstance(baseline, Baseline):
            raise TypeError(
                f"compare: {brief(baseline)} is not a Baseline; give Baseline(NAME, machine)"
            )
    if not baselines:
        raise ValueError("compare: baselines is empty; give one at least")
    workload = group_sites(workload)
    used = [core, *([digital] if digital else []), *(b.accelerator for b in baselines)]
    machines = {u.name: u for u in used}
    places = {name: i for i, name in enumerate(machines)}

    def costs(*values: Any) -> dict[str, CostBreakdown]:
        side = values[places[digital.name]] if digital else None
        light = estimate(
            workload, values[places[core.name]], where=where, digital=side, dtype=dtype
        )
        others = {
            b.name: estimate(workload, values[places[b.accelerator.name]], dtype=b.dtype)
            for b in baselines
        }
        return {core.name: light, **others}

    def ratios(*values: Any) -> dict[str, dict[str, Any]]:
        found = costs(*values)
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
        workload=workload,
        core=core,
        baselines=tuple(baselines),
        machines=machines,
        costs=costs(*as_set),
        utilisation={
            b.name: float(model_flop_utilisation(workload, b.accelerator.machine, dtype=b.dtype))
            for b in baselines
            if b.accelerator.machine.power_w is not None
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


def _ratios(light: CostBreakdown, base: CostBreakdown, baseline: Baseline) -> dict[str, Any]:
    found = {"energy": light.joules / base.joules}
    if baseline.accelerator.machine.power_w is not None:
        assert base.floor is not None
        found["time"] = light.seconds / base.seconds
        found["energy to arithmetic floor"] = light.joules / base.floor.joules
    return found
