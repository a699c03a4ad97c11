"""What a machine is: frozen dataclasses, and presets with a source for every number."""

from photonjax.hardware import converters, presets
from photonjax.hardware.core import OpticalCore
from photonjax.hardware.costs import CoreCosts
from photonjax.hardware.digital import DigitalAccelerator
from photonjax.hardware.fields import get_field, set_fields
from photonjax.hardware.presets import Number

__all__ = [
    "CoreCosts",
    "DigitalAccelerator",
    "Number",
    "OpticalCore",
    "converters",
    "get_field",
    "presets",
    "set_fields",
]
