"""Interferometer meshes: two rectangular ones around a column of attenuators hold a matrix.

An output is the sum of its inputs' fields, read against a strong local oscillator: encoding
``quadrature``. Weights are not quantized, phases are, and their steps belong to the phase error,
which ``photonjax.machines.meshes`` turns into weight noise. What one number does not say about a
mesh's errors is listed there. Its light and parts cannot be priced from published numbers: no
costs.
"""

from __future__ import annotations

from photonjax.machines.meshes import mesh_weight_noise
from photonjax.machines.named import optical_machine
from photonjax.machines.number import Number, assumed

__all__ = ["MACHINES"]

_LT = "github.com/zhuhanqing/Lightening-Transformer"

NUMBERS = {
    "rows": assumed(
        64,
        "inputs",
        "a chip of today's size; low: 4 by 4 of Shen et al., Nat. Photonics 11, 441 (2017)",
        4,
        256,
    ),
    "cols": assumed(64, "outputs", "square, as its inputs", 4, 256),
    "input.bits": assumed(8, "bits", "as display-1024", 4, 10),
    "array.bits": Number(None, "bits", "phases are quantized, elements are not: see array.noise"),
    "adc.bits": assumed(10, "bits", "as display-1024", 8, 12),
    "adc.enob": assumed(8.5, "bits", "as display-1024", 7.0, 10.0),
    "adc.range": assumed(
        1.0, "sqrt(rows)", "wide enough not to clip; sites are calibrated", 0.1, 4.0
    ),
    "photons": assumed(
        1e3, "photons of a full-scale multiply", "8 bits of a sum of 64; not published", 10.0, 1e5
    ),
    "array.noise": assumed(
        mesh_weight_noise(64, 0.01, 0.01),
        "full scale",
        "mesh_weight_noise(64, 0.01, 0.01): phases and splitters off by 0.01 rad, not corrected; low: phases "
        "of 0.003 alone; high: both 0.02, where Fang et al., Opt. Express 27, 14009 (2019), end their scan "
        "(github.com/mike-fang/imprecise_optical_neural_network, default_params.py)",
        mesh_weight_noise(64, 0.003),
        mesh_weight_noise(64, 0.02, 0.02),
    ),
    "source.rin_db_hz": assumed(-150.0, "dB/Hz", "as display-1024", -160.0, -140.0),
    "symbol_rate_hz": assumed(
        1e9,
        "Hz",
        f"as display-1024; high: {_LT}, hardware_simulator/params/device_params/Bs_mzi_8bit.yaml",
        1e8,
        5e9,
    ),
}

MACHINES = (
    optical_machine(
        "mzi-mesh",
        NUMBERS,
        {
            "encoding": "quadrature",
            "input.curve": "sin2",
            "array.scale": "per_tile",
            "costs": None,
        },
    ),
)
