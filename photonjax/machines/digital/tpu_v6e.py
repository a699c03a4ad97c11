"""Google TPU v6e: dense rates; its power is not published.

Left out: clocks that fall with the load, and the exchange between several of them.
"""

from __future__ import annotations

from photonjax.machines.floor import with_floor
from photonjax.machines.named import digital_machine
from photonjax.machines.number import Number, assumed
from photonjax.machines.tpu import TRANSCENDENTAL, UTILISATION, vector_lanes

__all__ = ["MACHINES"]

_DOCS = "Google Cloud documentation, TPU v6e"

NUMBERS = with_floor(
    {"bfloat16": Number(918e12, "op/s", _DOCS), "int8": Number(1836e12, "op/s", _DOCS)},
    assumed(
        400.0,
        "W",
        "not published; Google: 67 % more energy-efficient than v5e (second-hand), so by rate 2.8 times "
        "its power: 280 W to 840 W",
        250.0,
        840.0,
    ),
    {
        "vector_ops_per_s": vector_lanes(1, 1.75e9, "as v5p"),
        "transcendental_ops": TRANSCENDENTAL,
        "utilisation": UTILISATION,
        "bandwidth_bytes_per_s": Number(1638e9, "B/s", _DOCS),
        "memory_bytes": Number(32e9, "B", _DOCS),
    },
)

MACHINES = (digital_machine("tpu-v6e", NUMBERS),)
