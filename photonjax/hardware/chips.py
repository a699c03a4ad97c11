"""The numbers that digital accelerators are built from, each with where it comes from.

Rates are dense (without sparsity) peaks. Powers are those of the whole chip with its memory.
"""

from __future__ import annotations

from photonjax.hardware.tables import Number, assumed

__all__ = ["DIGITALS"]

_FLOOR = "digital reference of Anderson et al., TMLR 2024, 300 fJ/MAC, going with the bits"
_SHARES = {
    "float32": 4.0,
    "bfloat16": 1.0,
    "float16": 1.0,
    "float8": 0.5,
    "int8": 0.5,
    "float4": 0.25,
}


def _chip(rates: dict[str, Number], power: Number, others: dict[str, Number]) -> dict[str, Number]:
    """Rates, others, and an arithmetic floor between a third of the reference and the whole chip at peak."""
    table = {f"ops_per_s.{dtype}": rate for dtype, rate in rates.items()}
    for dtype, rate in rates.items():
        share = _SHARES[dtype]
        table[f"mac_energy_j.{dtype}"] = assumed(
            0.3e-12 * share,
            "J/MAC",
            f"{_FLOOR} ({share:g} of it); low: a third; high: whole chip at peak rate",
            0.1e-12 * share,
            2 * power.value / rate.value,
        )
    return {**table, "power_w": power, **others}


_FA3 = "FlashAttention-3 (2024), abstract"
_HOPPER_USE = assumed(
    0.5,
    "",
    f"low: attention on an H100, 0.35 ({_FA3}), and training Llama 3 405B, 0.38 to 0.43 (Meta, The Llama 3 "
    f"Herd of Models; second-hand); high: attention, 0.75 ({_FA3}); 2.0 pJ/MAC measured is 0.71",
    0.35,
    0.75,
)
_SPECIAL = Number(
    8.0,
    "operations",
    "CUDA C++ Programming Guide: 16 special functions a cycle against 128 float32",
)
_H100 = "NVIDIA H100 SXM data sheet, dense"
_HOPPER_RATES = {
    "bfloat16": Number(989e12, "op/s", _H100),
    "float16": Number(989e12, "op/s", _H100),
    "float8": Number(1979e12, "op/s", _H100),
    "int8": Number(1979e12, "op/s", _H100),
    "float32": Number(67e12, "op/s", f"{_H100}, vector units (second-hand)"),
}
_HOPPER = {
    "vector_ops_per_s": Number(
        33.5e12,
        "op/s",
        f"{_H100}: 67 Tflop/s of float32, where a multiply-add is two and any operation takes its slot",
    ),
    "transcendental_ops": _SPECIAL,
    "utilisation": _HOPPER_USE,
    "area_m2": Number(814e-6, "m2", "NVIDIA H100 white paper: GH100 die (second-hand)"),
}
_H200 = "NVIDIA H200 SXM data sheet (second-hand); computing as H100"
_B200 = "NVIDIA HGX B200 data sheet, half of its rates with sparsity (second-hand)"

_V5E, _V5P, _V6E = (f"Google Cloud documentation, TPU {v}" for v in ("v5e", "v5p", "v6e"))
_TPU_USE = assumed(
    0.5,
    "",
    "high: 0.76 MFU in prefill of PaLM 540B on TPU v4, Pope et al., MLSys 2023, abstract; low: as h100-sxm",
    0.35,
    0.76,
)


def _lanes(cores: int, clock_hz: float, clock: str) -> Number:
    """Vector rate of a TPU: 8 x 128 lanes a core, four operations each, at the clock that is implied."""
    rate = cores * 8 * 128 * clock_hz
    return assumed(
        4 * rate,
        "op/s",
        f"{cores} x 8 x 128 lanes ({_V6E}) at {clock_hz / 1e9:.2f} GHz ({clock}), four operations each "
        "(second-hand); low: one; high: eight",
        rate,
        8 * rate,
    )


_SPECIAL_TPU = assumed(
    4.0, "operations", "one a lane and cycle; high: a polynomial of as many terms", 1.0, 16.0
)

DIGITALS: dict[str, dict[str, Number]] = {
    "h100-sxm": _chip(
        _HOPPER_RATES,
        Number(700.0, "W", f"{_H100}, thermal design power"),
        {
            **_HOPPER,
            "bandwidth_bytes_per_s": Number(3.35e12, "B/s", _H100),
            "memory_bytes": Number(80e9, "B", _H100),
        },
    ),
    "h200-sxm": _chip(
        _HOPPER_RATES,
        Number(700.0, "W", f"{_H200}, thermal design power"),
        {
            **_HOPPER,
            "bandwidth_bytes_per_s": Number(4.8e12, "B/s", _H200),
            "memory_bytes": Number(141e9, "B", _H200),
        },
    ),
    "b200": _chip(
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
            "transcendental_ops": _SPECIAL,
            "utilisation": assumed(0.5, "", "as h100-sxm", 0.35, 0.75),
            "bandwidth_bytes_per_s": Number(
                7.7e12, "B/s", "NVIDIA HGX B200 data sheet (second-hand)"
            ),
            "memory_bytes": Number(180e9, "B", "NVIDIA HGX B200 data sheet (second-hand)"),
        },
    ),
    "tpu-v5e": _chip(
        {"bfloat16": Number(197e12, "op/s", _V5E), "int8": Number(393e12, "op/s", _V5E)},
        assumed(
            200.0,
            "W",
            "not published; TPU v4, 275 Tflop/s, took 170 W on average (Jouppi et al., ISCA 2023)",
            100.0,
            300.0,
        ),
        {
            "vector_ops_per_s": _lanes(1, 1.5e9, "rate over four 128 x 128 units"),
            "transcendental_ops": _SPECIAL_TPU,
            "utilisation": _TPU_USE,
            "bandwidth_bytes_per_s": Number(819e9, "B/s", _V5E),
            "memory_bytes": Number(16e9, "B", _V5E),
        },
    ),
    "tpu-v5p": _chip(
        {
            "bfloat16": Number(459e12, "op/s", _V5P),
            "int8": Number(918e12, "op/s", "twice the bfloat16 rate (second-hand)"),
        },
        assumed(350.0, "W", "not published; TPU v4's 170 W by rate: 284 W", 200.0, 550.0),
        {
            "vector_ops_per_s": _lanes(2, 1.75e9, "rate over two cores of four 128 x 128 units"),
            "transcendental_ops": _SPECIAL_TPU,
            "utilisation": _TPU_USE,
            "bandwidth_bytes_per_s": Number(2765e9, "B/s", _V5P),
            "memory_bytes": Number(95e9, "B", _V5P),
        },
    ),
    "tpu-v6e": _chip(
        {"bfloat16": Number(918e12, "op/s", _V6E), "int8": Number(1836e12, "op/s", _V6E)},
        assumed(
            400.0,
            "W",
            "not published; Google: 67 % more energy-efficient than v5e (second-hand), so by rate 2.8 times "
            "its power: 280 W to 840 W",
            250.0,
            840.0,
        ),
        {
            "vector_ops_per_s": _lanes(1, 1.75e9, "as v5p"),
            "transcendental_ops": _SPECIAL_TPU,
            "utilisation": _TPU_USE,
            "bandwidth_bytes_per_s": Number(1638e9, "B/s", _V6E),
            "memory_bytes": Number(32e9, "B", _V6E),
        },
    ),
    "300-fJ-per-MAC": {
        f"mac_energy_j.{dtype}": Number(0.3e-12, "J/MAC", "Anderson et al., TMLR 2024, abstract")
        for dtype in ("bfloat16", "float32", "float16", "float8", "int8")
    },
}
"""Machines by name, as tables from field to number."""
