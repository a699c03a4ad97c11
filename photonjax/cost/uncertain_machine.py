"""Machines whose numbers are known within ranges, which follow the bits that they are set to."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from typing import Any

from photonjax.core.core import OpticalCore
from photonjax.core.fields import get_field, set_fields
from photonjax.core.pytree import brief
from photonjax.cost.resolution import converter_factors
from photonjax.machines import Number, digital, optical, optical_names, sources

__all__ = ["UncertainMachine", "check_uncertain"]


@dataclasses.dataclass(frozen=True)
class UncertainMachine:
    """A machine, and the ranges of its numbers.

    Attributes:
      name: stands before the names of its fields in results.
      machine: an OpticalCore or a DigitalAccelerator, as set.
      ranges: numbers with a range, by field.
      notes: what was made of its table's numbers.
      table: every number with its source, by field, or by part of a machine of parts.
      quoted: the machine that the table is of.
    """

    name: str
    machine: Any
    ranges: dict[str, Number]
    notes: tuple[str, ...] = ()
    table: dict[str, Number] = dataclasses.field(default_factory=dict)
    quoted: Any = None

    @classmethod
    def named(cls, name: str, machine: Any = None, fixed: Iterable[str] = ()) -> UncertainMachine:
        """A named machine with the ranges of its table (``photonjax.machines.sources``).

        Only continuous fields vary: array sizes, bits and the number of cores stay as set, and so do
        machines that are put together from parts, whose tables list parts rather than fields. Where bits
        differ from the table's, the energies of converters follow (``photonjax.cost.resolution``), with
        their ranges, and ``notes`` says so.

        Args:
          name: of the machine.
          machine: the same with other values, if any.
          fixed: fields that are known after all; an energy among them stays as it is.

        >>> core = UncertainMachine.named("display-1024", fixed=["photons"])
        >>> "photons" in core.ranges, core.ranges["costs.link_loss_db"].high
        (False, 15.0)
        >>> four = UncertainMachine.named("display-1024", core.machine.replace(**{"input.bits": 4}))
        >>> four.machine.costs.dac_energy_j, four.ranges["costs.dac_energy_j"].high
        (1.25e-12, 2.5e-12)
        """
        published: Any = optical(name) if name in optical_names() else digital(name)
        machine = published if machine is None else machine
        fixed = set(fixed)
        ranges = {
            field: number
            for field, number in sources(name).items()
            if number.low is not None and field not in fixed and _continuous(machine, field)
        }
        found = cls(name, machine, ranges, table=sources(name), quoted=published)
        return found.at_its_bits(published, fixed) if isinstance(machine, OpticalCore) else found

    def at_its_bits(self, published: OpticalCore, fixed: Collection[str] = ()) -> UncertainMachine:
        """With energies of converters that are still the published ones carried to the core's own bits.

        Args:
          published: the core that the energies were quoted for.
          fixed: fields that stay as they are.
        """
        core = self.machine
        if core.costs is None or published.costs is None:
            return self
        own = {f for f in _CONVERTERS if get_field(core, f) != get_field(published, f)}
        factors = converter_factors(core, published, {*fixed, *own})
        scaled = {field: get_field(core, field) * x for field, x in factors.items()}
        notes = [
            f"{field} x {x:.4g}, for other bits than it was quoted at (DAC: 2**bits / bits, ADC: 2**ENOB)"
            for field, x in factors.items()
        ]
        if core.array.bits != published.array.bits and not core.costs.streamed:
            notes.append(
                f"costs.load_energy_j is that of cells of {published.array.bits} bits, whatever array.bits"
            )
        ranges = {f: _times(n, factors.get(f, 1.0)) for f, n in self.ranges.items()}
        return dataclasses.replace(
            self, machine=set_fields(core, scaled), ranges=ranges, notes=tuple(notes)
        )


_CONVERTERS = ("costs.dac_energy_j", "costs.adc_energy_j")


def _times(number: Number, factor: float) -> Number:
    """The number and its range, multiplied."""
    if factor == 1.0:
        return number
    low, high = (None if end is None else end * factor for end in (number.low, number.high))
    return dataclasses.replace(number, value=number.value * factor, low=low, high=high)


def check_uncertain(where: str, *machines: Any) -> None:
    """Raise ``TypeError`` for a machine without ranges."""
    for machine in machines:
        if not isinstance(machine, UncertainMachine):
            raise TypeError(
                f"{where}: {brief(machine)} is not an UncertainMachine; "
                "UncertainMachine.named(NAME, machine) adds the ranges of a named machine's numbers"
            )


def _continuous(machine: Any, field: str) -> bool:
    try:
        return isinstance(get_field(machine, field), float)
    except ValueError:
        return False
