"""Google TPU v5e: dense rates; its power is not published.

Left out: clocks that fall with the load, and the exchange between several of them.
"""

from __future__ import annotations

from photonjax.machines.floor import with_floor
from photonjax.machines.named import digital_machine
from photonjax.machines.number import Number, assumed
from photonjax.machines.tpu import TRANSCENDENTAL, UTILISATION, vector_lanes

__all__ = ["MACHINES"]

_DOCS = "Google Cloud documentation, TPU v5e"

NUMBERS = with_floor(
    {"bfloat16": Number(197e12, "op/s", _DOCS), "int8": Number(393e12, "op/s", _DOCS)},
    assumed(
        200.0,
        "W",
        "not published; TPU v4, 275 Tflop/s, took 170 W on average (Jouppi et al., ISCA 2023)",
        100.0,
        300.0,
    ),
    {
        "vector_ops_per_s": vector_lanes(1, 1.5e9, "rate over four 128 x 128 units"),
        "transcendental_ops": TRANSCENDENTAL,
        "utilisation": UTILISATION,
        "bandwidth_bytes_per_s": Number(819e9, "B/s", _DOCS),
        "memory_bytes": Number(16e9, "B", _DOCS),
    },
)

MACHINES = (digital_machine("tpu-v5e", NUMBERS),)
