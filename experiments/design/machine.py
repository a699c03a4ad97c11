"""The machine that is designed: what a choice of array, bits, clock, converters and light costs a token.

Cells are held: an array of N x N is built cells / N**2 times. Converters' energies follow their bits by the
laws of ``photonjax.cost.resolution``, that of ADCs with a corner (assumed). One law is this experiment's
own: a converter's energy a sample rises with its rate as ``1 + rate / corner`` (assumed; without it the
fastest clock would always be best).
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp

import photonjax as pj
from experiments.claims.energy import split
from experiments.design.quality import Surrogate
from photonjax.core import OpticalCore, set_fields
from photonjax.cost.resolution import adc_factor, dac_factor
from photonjax.machines import DigitalAccelerator
from photonjax.workload import Workload


class Choice(NamedTuple):
    """The discrete part of a design: array size, and bits of inputs and weights."""

    size: int
    bits: int


@dataclasses.dataclass
class Machine:
    """Costs of one program on any design of a machine.

    Attributes:
      light: what runs on light.
      tokens: that one call of the program reads.
      rest_joules, rest_seconds: per token, of what stays on the accelerator beside.
      base: the core whose other numbers are kept.
      law: of quality.
      cells: of all arrays together.
      corner_hz: rate at which a converter's energy a sample has doubled.
      corner_enob: bits at which an ADC takes twice what Walden's law says.
    """

    light: Workload
    tokens: int
    rest_joules: float
    rest_seconds: float
    base: OpticalCore
    law: Surrogate
    cells: int
    corner_hz: float
    corner_enob: float

    @classmethod
    def of(
        cls,
        workload: Workload,
        tokens: int,
        base: OpticalCore,
        accelerator: DigitalAccelerator,
        law: Surrogate,
        cells: int,
        corner_hz: float,
        corner_enob: float,
    ) -> Machine:
        """With products that have weights on light, the rest on ``accelerator`` at bfloat16."""
        light, rest = split(workload)
        digital_cost = pj.cost.estimate(rest, accelerator, dtype="bfloat16")
        joules, seconds = float(digital_cost.joules) / tokens, float(digital_cost.seconds) / tokens
        return cls(light, tokens, joules, seconds, base, law, cells, corner_hz, corner_enob)

    def core(self, choice: Choice, log_clock: Any, enob: Any, photons: Any) -> OpticalCore:
        """The core of a design."""
        clock, costs = jnp.exp(log_clock), self.base.costs
        assert (
            costs is not None
            and self.base.adc.enob is not None
            and self.base.input.bits is not None
        )
        given = self.base.symbol_rate_hz
        faster = (1.0 + clock / self.corner_hz) / (1.0 + given / self.corner_hz)
        sharper = adc_factor(enob, self.base.adc.enob, self.corner_enob)
        finer = dac_factor(choice.bits, self.base.input.bits)
        return set_fields(
            self.base,
            {
                "rows": choice.size,
                "cols": choice.size,
                "input.bits": choice.bits,
                "array.bits": choice.bits,
                "photons": photons,
                "symbol_rate_hz": clock,
                "costs.cores": max(1, self.cells // choice.size**2),
                "costs.dac_energy_j": costs.dac_energy_j * finer * faster,
                "costs.adc_energy_j": costs.adc_energy_j * sharper * faster,
            },
        )

    def thermal(self, choice: Choice, log_clock: Any) -> Any:
        """Receiver noise over shot noise, times photons."""
        noise = self.base.receiver.noise_a_per_rthz or 0.0
        return self.law.thermal(choice.size, noise, jnp.exp(log_clock))

    def cost(self, choice: Choice, log_clock: Any, enob: Any, photons: Any) -> tuple[Any, Any]:
        """Joules and seconds per token."""
        cost = pj.cost.estimate(self.light, self.core(choice, log_clock, enob, photons))
        assert self.base.costs is not None
        static = self.base.costs.static_power_w * self.rest_seconds
        joules = cost.joules / float(self.tokens) + self.rest_joules + static
        return joules, cost.seconds / float(self.tokens) + self.rest_seconds

    def rise(self, choice: Choice, log_clock: Any, enob: Any, photons: Any) -> Any:
        """Rise of log-perplexity."""
        return self.law.rise(photons, choice.bits, enob, self.thermal(choice, log_clock))

    def photons(self, choice: Choice, log_clock: Any, enob: Any, rise: Any) -> Any:
        """Least light for a quality floor."""
        return self.law.photons(rise, choice.bits, enob, self.thermal(choice, log_clock))
