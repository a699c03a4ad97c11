"""Google TPU v5p: dense rates; its power is not published.

Left out: clocks that fall with the load, and the exchange between several of them.
"""

from __future__ import annotations

from photonjax.machines.floor import with_floor
from photonjax.machines.named import digital_machine
from photonjax.machines.number import Number, assumed
from photonjax.machines.tpu import TRANSCENDENTAL, UTILISATION, vector_lanes

__all__ = ["MACHINES"]

_DOCS = "Google Cloud documentation, TPU v5p"

NUMBERS = with_floor(
    {
        "bfloat16": Number(459e12, "op/s", _DOCS),
        "int8": Number(918e12, "op/s", "twice the bfloat16 rate (second-hand)"),
    },
    assumed(350.0, "W", "not published; TPU v4's 170 W by rate: 284 W", 200.0, 550.0),
    {
        "vector_ops_per_s": vector_lanes(2, 1.75e9, "rate over two cores of four 128 x 128 units"),
        "transcendental_ops": TRANSCENDENTAL,
        "utilisation": UTILISATION,
        "bandwidth_bytes_per_s": Number(2765e9, "B/s", _DOCS),
        "memory_bytes": Number(95e9, "B", _DOCS),
    },
)

MACHINES = (digital_machine("tpu-v5p", NUMBERS),)
