"""A core without noise whose inputs and weights have 16 bits, and whose outputs are not converted."""

from __future__ import annotations

from photonjax.machines.named import optical_machine
from photonjax.machines.number import Number, assumed

__all__ = ["MACHINES"]

_EXACT = "an ideal part"

NUMBERS = {
    "rows": assumed(1024, "inputs", "as display-1024", 64, 4096),
    "cols": assumed(1024, "outputs", "as display-1024", 64, 4096),
    "input.bits": Number(16, "bits", _EXACT),
    "array.bits": Number(16, "bits", _EXACT),
    "adc.bits": Number(None, "bits", "no ADC"),
    "adc.range": Number(1.0, "sqrt(rows)", "unused: no ADC"),
    "symbol_rate_hz": Number(1e9, "Hz", "as display-1024; costs nothing here"),
}

MACHINES = (optical_machine("ideal", NUMBERS),)
