"""Named machines, with a source for every number, and the laws that such numbers follow from.

The folders ``optical`` and ``digital`` hold a file for each; ``optical`` and ``digital``
build one by its name. Their files are imported as ``from photonjax.machines.optical.albireo import
albireo``.
"""

from photonjax.machines import converters
from photonjax.machines.accelerator import DigitalAccelerator
from photonjax.machines.catalogue import (
    digital,
    digital_names,
    optical,
    optical_names,
    sources,
)
from photonjax.machines.description import describe
from photonjax.machines.files import MachineFile, read_machine
from photonjax.machines.number import Number

__all__ = [
    "DigitalAccelerator",
    "MachineFile",
    "Number",
    "converters",
    "describe",
    "digital",
    "digital_names",
    "optical",
    "optical_names",
    "read_machine",
    "sources",
]
