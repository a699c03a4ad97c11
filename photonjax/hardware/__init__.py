"""What a machine is: frozen dataclasses."""

from photonjax.hardware.core import OpticalCore
from photonjax.hardware.costs import CoreCosts
from photonjax.hardware.fields import get_field, set_fields

__all__ = ["CoreCosts", "OpticalCore", "get_field", "set_fields"]
