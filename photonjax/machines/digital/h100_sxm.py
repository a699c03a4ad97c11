"""NVIDIA H100 SXM: dense rates, power of the whole board.

Left out: sparsity, clocks that fall with the load, and the exchange between several of them.
"""

from __future__ import annotations

from photonjax.machines.floor import with_floor
from photonjax.machines.named import digital_machine
from photonjax.machines.number import Number, assumed

__all__ = ["HOPPER", "HOPPER_RATES", "MACHINES", "SPECIAL_FUNCTION"]

_FA3 = "FlashAttention-3 (2024), abstract"
_USE = assumed(
    0.5,
    "",
    f"low: attention on an H100, 0.35 ({_FA3}), and training Llama 3 405B, 0.38 to 0.43 (Meta, The Llama 3 "
    f"Herd of Models; second-hand); high: attention, 0.75 ({_FA3}); 2.0 pJ/MAC measured is 0.71",
    0.35,
    0.75,
)
SPECIAL_FUNCTION = Number(
    8.0,
    "operations",
    "CUDA C++ Programming Guide: 16 special functions a cycle against 128 float32",
)
_H100 = "NVIDIA H100 SXM data sheet, dense"
HOPPER_RATES = {
    "bfloat16": Number(989e12, "op/s", _H100),
    "float16": Number(989e12, "op/s", _H100),
    "float8": Number(1979e12, "op/s", _H100),
    "int8": Number(1979e12, "op/s", _H100),
    "float32": Number(67e12, "op/s", f"{_H100}, vector units (second-hand)"),
}
HOPPER = {
    "vector_ops_per_s": Number(
        33.5e12,
        "op/s",
        f"{_H100}: 67 Tflop/s of float32, where a multiply-add is two and any operation takes its slot",
    ),
    "transcendental_ops": SPECIAL_FUNCTION,
    "utilisation": _USE,
    "area_m2": Number(814e-6, "m2", "NVIDIA H100 white paper: GH100 die (second-hand)"),
}

NUMBERS = with_floor(
    HOPPER_RATES,
    Number(700.0, "W", f"{_H100}, thermal design power"),
    {
        **HOPPER,
        "bandwidth_bytes_per_s": Number(3.35e12, "B/s", _H100),
        "memory_bytes": Number(80e9, "B", _H100),
    },
)

MACHINES = (digital_machine("h100-sxm", NUMBERS),)
