"""Energy and time of a program on a machine: pure functions of an inventory and the hardware."""

from photonjax.cost.bill import Bill, Entry
from photonjax.cost.counts import RAILS, Counts, Rails, count
from photonjax.cost.digital import on_digital
from photonjax.cost.light import on_core

__all__ = ["RAILS", "Bill", "Counts", "Entry", "Rails", "count", "on_core", "on_digital"]
