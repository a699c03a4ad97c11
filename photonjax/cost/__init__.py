"""Energy and time of a program on a machine: pure functions of an inventory and the hardware."""

from photonjax.cost.bill import Bill, Entry
from photonjax.cost.compare import Baseline, Comparison, compare
from photonjax.cost.counts import RAILS, Counts, Rails, arrays, count
from photonjax.cost.digital import model_flop_utilisation, on_digital
from photonjax.cost.groups import group_sites, group_table
from photonjax.cost.light import on_core
from photonjax.cost.plots import plot_bills, plot_tornado
from photonjax.cost.uncertainty import (
    Swing,
    Uncertain,
    elasticities,
    monte_carlo,
    quantiles,
    swings,
)

__all__ = [
    "RAILS",
    "Baseline",
    "Bill",
    "Comparison",
    "Counts",
    "Entry",
    "Rails",
    "Swing",
    "Uncertain",
    "arrays",
    "compare",
    "count",
    "elasticities",
    "group_sites",
    "group_table",
    "model_flop_utilisation",
    "monte_carlo",
    "on_core",
    "on_digital",
    "plot_bills",
    "plot_tornado",
    "quantiles",
    "swings",
]
