"""A reference of arithmetic alone: no rate, no power, only the energy of a multiply-accumulate."""

from __future__ import annotations

from photonjax.machines.named import digital_machine
from photonjax.machines.number import Number

__all__ = ["MACHINES"]


NUMBERS = {
    f"mac_energy_j.{dtype}": Number(0.3e-12, "J/MAC", "Anderson et al., TMLR 2024, abstract")
    for dtype in ("bfloat16", "float32", "float16", "float8", "int8")
}

MACHINES = (digital_machine("300-fJ-per-MAC", NUMBERS),)
