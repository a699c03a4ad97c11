"""A machine like PACE: incoherent light through 64 vector modulators and 64 x 64 weight modulators.

How signs are carried could not be read. The effective number of bits is that of the whole chain:
nothing is added to it. Its power is published as a whole, so that nothing is charged part by part.
"""

from __future__ import annotations

from photonjax.machines.named import optical_machine
from photonjax.machines.number import Number, assumed

__all__ = ["MACHINES"]

_PACE = "PACE, An integrated large-scale photonic accelerator with ultralow latency, Nature (2025)"
_PACE_OPS = 2 * 64 * 64 * 1e9
_CLIP = "wide enough not to clip; sites are calibrated"

NUMBERS = {
    "rows": Number(64, "inputs", f"{_PACE} (second-hand)"),
    "cols": Number(64, "outputs", f"{_PACE} (second-hand)"),
    "input.bits": assumed(8, "bits", "the ENOB, rounded up; low: spins", 2, 8),
    "array.bits": assumed(8, "bits", "the ENOB, rounded up", 4, 8),
    "adc.bits": assumed(
        8, "bits", "the ENOB, rounded up; the machine compares with thresholds", 8, 12
    ),
    "adc.enob": Number(7.61, "bits", f"{_PACE}: of its multiply-accumulate (second-hand)"),
    "adc.range": assumed(
        1.0,
        "sqrt(rows)",
        f"{_CLIP}; high: the ENOB counts from the largest possible sum",
        0.1,
        8.0,
    ),
    "photons": Number(None, "detected/multiply at full scale", "within the ENOB"),
    "symbol_rate_hz": Number(1e9, "Hz", f"{_PACE}, abstract"),
    "costs.load_time_s": Number(1e-7, "s/array", f"{_PACE}: weights at 10 MHz (second-hand)"),
    "costs.static_power_w": Number(
        _PACE_OPS / 2.38e12,
        "W",
        f"{_PACE}: 8.19 TOPS at 2.38 TOPS/W, all included (second-hand); low: at 4.21",
        _PACE_OPS / 4.21e12,
        _PACE_OPS / 2.38e12,
    ),
    "costs.cores": Number(1, "arrays", f"{_PACE} (second-hand)"),
    "costs.wavelength_m": assumed(1550e-9, "m", "telecom parts; unused", 1310e-9, 1550e-9),
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
        "pace-like-64", NUMBERS, {"encoding": "differential", "costs.double_buffered": False}
    ),
)
