"""NVIDIA H200 SXM: an H100 with more and faster memory; what h100-sxm leaves out is left out here."""

from __future__ import annotations

from photonjax.machines.digital.h100_sxm import HOPPER, HOPPER_RATES
from photonjax.machines.floor import with_floor
from photonjax.machines.named import digital_machine
from photonjax.machines.number import Number

__all__ = ["MACHINES"]

_H200 = "NVIDIA H200 SXM data sheet (second-hand); computing as H100"

NUMBERS = with_floor(
    HOPPER_RATES,
    Number(700.0, "W", f"{_H200}, thermal design power"),
    {
        **HOPPER,
        "bandwidth_bytes_per_s": Number(4.8e12, "B/s", _H200),
        "memory_bytes": Number(141e9, "B", _H200),
    },
)

MACHINES = (digital_machine("h200-sxm", NUMBERS),)
