"""Energy and time of a program on a machine: pure functions of a workload and the hardware."""

from photonjax.cost.breakdown import CostBreakdown, CostEntry, si
from photonjax.cost.compare import compare
from photonjax.cost.comparison import Baseline, Comparison
from photonjax.cost.counts import RAILS, Counts, Rails, arrays, count
from photonjax.cost.digital import model_flop_utilisation
from photonjax.cost.estimate import estimate
from photonjax.cost.groups import group_sites, group_table
from photonjax.cost.plots import plot_breakdowns, plot_tornado
from photonjax.cost.resolution import rescale_converters
from photonjax.cost.uncertain_machine import UncertainMachine
from photonjax.cost.uncertainty import (
    MOST_SAMPLES,
    Swing,
    draw,
    elasticities,
    monte_carlo,
    quantiles,
    swings,
)

__all__ = [
    "MOST_SAMPLES",
    "RAILS",
    "Baseline",
    "Comparison",
    "CostBreakdown",
    "CostEntry",
    "Counts",
    "Rails",
    "Swing",
    "UncertainMachine",
    "arrays",
    "compare",
    "count",
    "draw",
    "elasticities",
    "estimate",
    "group_sites",
    "group_table",
    "model_flop_utilisation",
    "monte_carlo",
    "plot_breakdowns",
    "plot_tornado",
    "quantiles",
    "rescale_converters",
    "si",
    "swings",
]
