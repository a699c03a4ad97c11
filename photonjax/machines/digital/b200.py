"""NVIDIA B200: dense rates, power of the whole board.

Left out: sparsity, clocks that fall with the load, the exchange between several of them, and its area, which
is not published.
"""

from __future__ import annotations

from photonjax.machines.digital.h100_sxm import SPECIAL_FUNCTION
from photonjax.machines.floor import with_floor
from photonjax.machines.named import digital_machine
from photonjax.machines.number import Number, assumed

__all__ = ["MACHINES"]

_B200 = "NVIDIA HGX B200 data sheet, half of its rates with sparsity (second-hand)"

NUMBERS = with_floor(
    {
        "bfloat16": Number(2250e12, "op/s", _B200),
        "float16": Number(2250e12, "op/s", _B200),
        "float8": Number(4500e12, "op/s", _B200),
        "int8": Number(4500e12, "op/s", _B200),
        "float4": Number(9000e12, "op/s", _B200),
        "float32": Number(75e12, "op/s", f"{_B200}, vector units"),
    },
    Number(1000.0, "W", f"{_B200}, thermal design power, configurable up to"),
    {
        "vector_ops_per_s": Number(37.5e12, "op/s", f"{_B200}: half of float32, as h100-sxm"),
        "transcendental_ops": SPECIAL_FUNCTION,
        "utilisation": assumed(0.5, "", "as h100-sxm", 0.35, 0.75),
        "bandwidth_bytes_per_s": Number(7.7e12, "B/s", "NVIDIA HGX B200 data sheet (second-hand)"),
        "memory_bytes": Number(180e9, "B", "NVIDIA HGX B200 data sheet (second-hand)"),
    },
)

MACHINES = (digital_machine("b200", NUMBERS),)
