"""What a machine is: frozen dataclasses, and presets with a source for every number."""

from photonjax.hardware.core import OpticalCore
from photonjax.hardware.costs import CoreCosts

__all__ = ["CoreCosts", "OpticalCore"]
