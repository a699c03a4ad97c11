"""What a program multiplies, and what else it does, read from its jaxpr."""

from photonjax.inventory.sites import Inventory, MatmulSite, Operation
from photonjax.inventory.walk import matmuls, take_inventory

__all__ = ["Inventory", "MatmulSite", "Operation", "matmuls", "take_inventory"]
