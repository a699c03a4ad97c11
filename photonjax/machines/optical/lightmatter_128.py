"""A processor like Lightmatter's: four cores of 128 x 128 on converters of 10, 7 and 11 bits, with gain.

What its makers published as data (github.com/lightmatter-ai/upaia-paper-2025, figure_data) is fitted by
``experiments.measured``, whose run with ``rows=128`` the errors below come from: readings of 64 outputs, in
codes of the converter (which look like those of 64 inputs; its default). Left out: offsets that follow the
turn of four symbols, and columns whose noise differs. Power is published as a whole, so that nothing is
charged part by part.
"""

from __future__ import annotations

import math

from photonjax.machines.named import optical_machine
from photonjax.machines.number import Number, assumed

__all__ = ["MACHINES"]

_PAPER = "Universal photonic artificial intelligence acceleration, Nature (2025)"
_DATA = "github.com/lightmatter-ai/upaia-paper-2025, figure_data"
_OPS = 2 * 128 * 128 * 4

NUMBERS = {
    "rows": Number(128, "inputs", f"{_PAPER}: 128 x 128 (second-hand)"),
    "cols": Number(128, "outputs", f"{_PAPER}: 128 x 128 (second-hand)"),
    "input.bits": Number(10, "bits", f"{_PAPER}: 10-bit inputs (second-hand)"),
    "array.bits": Number(7, "bits", f"{_PAPER}; {_DATA}: weight codes -63 ... 63"),
    "array.noise": assumed(
        0.06,
        "full scale",
        f"{_DATA}: a fixed error of 0.20 of the weights' root mean square (experiments.measured), which is "
        "taken as 0.3; low: calibrated out; high: uniform weights",
        0.0,
        0.12,
    ),
    "adc.bits": Number(11, "bits", f"{_DATA}: expected codes -1024 ... 1023"),
    "adc.enob": assumed(
        9.1,
        "bits",
        f"{_DATA}: 1.1 codes of noise that changes from symbol to symbol (experiments.measured), if read "
        "at gain 1; low: with fixed errors; high: an ideal converter",
        8.3,
        11.0,
    ),
    "adc.range": Number(
        math.sqrt(128),
        "sqrt(rows)",
        "128 products of full scale are full scale, at gain 1 (derived)",
    ),
    "adc.gain": assumed(
        8.0, "", "adaptive block floating point chooses one for each site; not published", 1.0, 16.0
    ),
    "receiver.gain_error": assumed(
        0.04,
        "",
        f"{_DATA}: gains scatter by 4.4 %, of which fixed errors of the weights explain a part "
        "(experiments.measured); low: calibrated out",
        0.0,
        0.05,
    ),
    "receiver.common_noise": assumed(
        0.026,
        "products of full scale",
        f"{_DATA}: what a symbol's columns share once offsets and weights are accounted for "
        "(experiments.measured), if read at gain 1; low: none; high: twice",
        0.0,
        0.052,
    ),
    "photons": Number(None, "detected/multiply at full scale", "within the ENOB"),
    "symbol_rate_hz": Number(
        65.5e12 / _OPS, "Hz", f"{_PAPER}: 65.5 TOPS of four cores (second-hand; derived)"
    ),
    "costs.load_time_s": assumed(
        1e-6, "s/array", "not published; low: every 100 symbols; high: thermal", 1e-7, 1e-4
    ),
    "costs.static_power_w": Number(
        79.6, "W", f"{_PAPER}: 78 W electrical and 1.6 W optical (second-hand)"
    ),
    "costs.cores": Number(4, "arrays", f"{_PAPER} (second-hand)"),
    "costs.wavelength_m": assumed(1310e-9, "m", "telecom parts; unused", 1310e-9, 1550e-9),
    "costs.quantum_efficiency": Number(1.0, "", "unused: no light is charged by itself"),
    "costs.wall_plug_efficiency": Number(1.0, "", "unused: no light is charged by itself"),
    **{
        f"costs.{name}": Number(0.0, unit, "within the power of the whole, or outside the chip")
        for name, unit in {
            "link_loss_db": "dB",
            "laser_idle_fraction": "",
            "dac_energy_j": "J/sample",
            "modulator_energy_j": "J/symbol",
            "receiver_energy_j": "J/sample",
            "adc_energy_j": "J/sample",
            "load_energy_j": "J/cell",
            "hold_power_w": "W/cell",
            "activation_energy_j_per_byte": "J/B",
            "accumulate_energy_j": "J/add",
            "weight_memory_energy_j_per_byte": "J/B",
        }.items()
    },
}

MACHINES = (
    optical_machine(
        "lightmatter-128",
        NUMBERS,
        {"encoding": "differential", "input.scale": "per_tile", "costs.double_buffered": False},
    ),
)
