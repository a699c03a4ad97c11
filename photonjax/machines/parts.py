"""Machines as lists of parts: power split, area, and the core whose costs are estimated, from one list."""

from __future__ import annotations

import dataclasses
from typing import Any

from photonjax.core.core import OpticalCore
from photonjax.core.pytree import check_leaves, leaf, register

__all__ = ["Assembly", "Part"]


@register
@dataclasses.dataclass(frozen=True)
class Part:
    """All parts of one kind in a machine.

    Attributes:
      name: of the kind.
      group: under which the power split lists it.
      count: how many there are.
      charged: the field of ``photonjax.core.costs.SharedCosts`` through which
        it is charged. A field in joules gets ``each`` parts' power for one symbol's time, ``static_power_w``
        the power of all. Empty: it is charged through light or memory, or not at all.
      each: how many of them one use involves.
      power_w: of one, while on [W].
      area_m2: of one [m2].
    """

    name: str
    group: str
    count: int
    charged: str = ""
    each: int = 1
    power_w: Any = leaf(0.0, low=0.0)
    area_m2: Any = leaf(0.0, low=0.0)

    def __post_init__(self) -> None:
        check_leaves(self)


@register
@dataclasses.dataclass(frozen=True)
class Assembly:
    """An accelerator: its parts, and how they are put together.

    The power split is a sum over the parts, and the core that ``photonjax.cost.estimate`` takes is
    made from the same parts, so that a power cannot differ between the two.

    Attributes:
      name: as published.
      parts: what there is of each kind.
      bare: array, clock, light, sharing and memory: the core without what ``parts`` charge.

    Example:
      >>> from photonjax.machines.optical.lightening_transformer import lightening_transformer
      >>> machine = lightening_transformer(bits=4)
      >>> {group: round(watts, 3) for group, watts in machine.power_split().items()}["dac"]
      3.214
      >>> machine.core().costs.dac_energy_j == machine.part("dac").power_w / 5e9
      True
    """

    name: str
    parts: tuple[Part, ...] = leaf()
    bare: OpticalCore = leaf()

    def part(self, name: str) -> Part:
        """The kind of parts called ``name``."""
        return next(p for p in self.parts if p.name == name)

    def power_split(self) -> dict[str, Any]:
        """Power of each group with every part on [W]."""
        split: dict[str, Any] = {}
        for p in self.parts:
            split[p.group] = split.get(p.group, 0.0) + p.count * p.power_w
        return split

    @property
    def power_w(self) -> Any:
        """Power with every part on [W]."""
        return sum(self.power_split().values())

    @property
    def area_m2(self) -> Any:
        """Area of all parts [m2]."""
        return sum(p.count * p.area_m2 for p in self.parts)

    def core(self) -> OpticalCore:
        """The core that charges these parts: ``bare`` with their energies and area filled in."""
        assert self.bare.costs is not None
        charged: dict[str, Any] = {}
        for p in self.parts:
            if p.charged:
                each = p.each / self.bare.symbol_rate_hz
                uses = p.count if p.charged == "static_power_w" else each
                charged[p.charged] = charged.get(p.charged, 0.0) + uses * p.power_w
        area = self.area_m2
        if not isinstance(area, (int, float)) or area > 0:  # traced, or published
            charged["area_m2"] = area
        return dataclasses.replace(self.bare, costs=dataclasses.replace(self.bare.costs, **charged))
