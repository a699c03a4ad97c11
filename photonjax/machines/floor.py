"""The bare energy of arithmetic: a published reference, and the range about it."""

from __future__ import annotations

from photonjax.machines.number import Number, assumed

__all__ = ["with_floor"]

_FLOOR = "digital reference of Anderson et al., TMLR 2024, 300 fJ/MAC, going with the bits"
_FRACTIONS = {
    "float32": 4.0,
    "bfloat16": 1.0,
    "float16": 1.0,
    "float8": 0.5,
    "int8": 0.5,
    "float4": 0.25,
}


def with_floor(
    rates: dict[str, Number], power: Number, others: dict[str, Number]
) -> dict[str, Number]:
    """Rates, the others, and the energy of arithmetic alone at each precision.

    Its range is from a third of the reference to the whole accelerator at its peak rate.
    """
    table = {f"ops_per_s.{dtype}": rate for dtype, rate in rates.items()}
    for dtype, rate in rates.items():
        fraction = _FRACTIONS[dtype]
        table[f"mac_energy_j.{dtype}"] = assumed(
            0.3e-12 * fraction,
            "J/MAC",
            f"{_FLOOR} ({fraction:g} of it); low: a third; high: whole accelerator at peak rate",
            0.1e-12 * fraction,
            2 * power.value / rate.value,
        )
    return {**table, "power_w": power, **others}
