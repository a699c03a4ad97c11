"""A free-space vector-matrix server: a display holds the weights, detectors add up its columns.

1,024 modulated inputs fan out over the display. The vendor of the machine it is modelled on states
1,024 inputs, INT4 and INT8; encoding, clock and powers are not published. Left out: how a display's
pixels settle, and stray light between them.
"""

from __future__ import annotations

from photonjax.machines.converters import (
    WALDEN_BEST_J,
    WALDEN_MEDIAN_J,
    WALDEN_P10_J,
    adc_walden_j,
    dac_exponential_w,
)
from photonjax.machines.named import optical_machine
from photonjax.machines.number import Number, assumed

__all__ = ["MACHINES", "NUMBERS"]

_LT = "Lightening-Transformer (HPCA 2024), simulator's device parameters"
_SURVEY = "Murmann ADC survey 2025-06, ENOB 7.2-8.2 at 1-12 GS/s"

NUMBERS = {
    "rows": Number(1024, "inputs", "Lumai Iris Nova, vendor's statement (second-hand)"),
    "cols": assumed(
        1024,
        "outputs",
        "square, as its inputs; Matrix Max is 2048 x 2048 (second-hand)",
        1024,
        2048,
    ),
    "input.bits": Number(8, "bits", "Lumai Iris Nova: INT4, INT8 (second-hand)"),
    "array.bits": Number(8, "bits", "Lumai Iris Nova: INT4, INT8 (second-hand)"),
    "adc.bits": assumed(10, "bits", "two more than the ENOB at least", 8, 12),
    "adc.enob": assumed(8.5, "bits", "survey's 7.2-8.2 at 1-12 GS/s, slow end", 7.0, 10.0),
    "adc.range": assumed(
        1.0, "sqrt(rows)", "wide enough not to clip; sites are calibrated", 0.1, 4.0
    ),
    "photons": assumed(
        1e5,
        "detected/multiply at full scale",
        "a 135M model needs 6e4 for +1 % perplexity, shot noise alone (experiments.photons)",
        1e3,
        1e6,
    ),
    "receiver.noise_a_per_rthz": assumed(5e-12, "A/sqrt(Hz)", "a good 1 GHz TIA", 1e-12, 2e-11),
    "source.rin_db_hz": assumed(-150.0, "dB/Hz", "a quiet semiconductor laser", -160.0, -140.0),
    "symbol_rate_hz": assumed(
        1e9, "Hz", "clock not published; PACE runs its data at 1 GHz", 1e8, 1e10
    ),
    "costs.wavelength_m": assumed(
        1550e-9, "m", "telecom parts; displays serve the visible too", 520e-9, 1550e-9
    ),
    "costs.quantum_efficiency": assumed(
        0.8, "", "responsivity 1 A/W at 1550 nm is 0.80", 0.5, 0.95
    ),
    "costs.link_loss_db": assumed(6.0, "dB", "input modulator 3, display and optics 3", 3.0, 15.0),
    "costs.wall_plug_efficiency": Number(
        0.20, "", "semiconductor lasers: typical 0.20, low 0.08", 0.08, 0.20
    ),
    "costs.laser_idle_fraction": assumed(1.0, "", "not gated while weights are written", 0.0, 1.0),
    "costs.dac_energy_j": Number(
        10e-12,
        "J/sample",
        f"10 pJ at 10 GS/s (second-hand), power going with rate; low: {_LT}, 50 mW at 14 GS/s; high: twice",
        dac_exponential_w(8, 1e9) / 1e9,
        20e-12,
    ),
    "costs.modulator_energy_j": assumed(
        0.56e-12,
        "J/symbol",
        f"{_LT}: 2.8 mW at 5 GHz; high: the same power at 1 GHz",
        0.05e-12,
        2.8e-12,
    ),
    "costs.receiver_energy_j": assumed(
        1.04e-12,
        "J/sample",
        f"{_LT}: TIA 3 mW and two detectors of 1.1 mW at 5 GHz; high: the same power at 1 GHz",
        0.1e-12,
        5.2e-12,
    ),
    "costs.adc_energy_j": assumed(
        adc_walden_j(8.5, WALDEN_P10_J),
        "J/sample",
        f"{_SURVEY}: Walden figure of the tenth percentile at ENOB 8.5; low: the best; high: the median",
        adc_walden_j(8.5, WALDEN_BEST_J),
        adc_walden_j(8.5, WALDEN_MEDIAN_J),
    ),
    "costs.load_time_s": assumed(
        1e-3, "s/array", "a 1 kHz display; low: PACE's 10 MHz; high: 60 Hz", 1e-7, 1 / 60
    ),
    "costs.load_energy_j": assumed(
        1e-11, "J/cell", "8 bits over a 1 pJ/bit link and 1 pJ of pixel", 1e-12, 1e-10
    ),
    "costs.hold_power_w": assumed(5e-7, "W/cell", "a panel of 4 M pixels takes 2 W", 1e-8, 5e-6),
    "costs.static_power_w": assumed(
        50.0, "W", "control and digital logic of one server", 10.0, 500.0
    ),
    "costs.activation_energy_j_per_byte": Number(
        0.8275e-12,
        "J/B",
        f"{_LT}: global buffer 1.655 pJ per 2 B; low: its smaller one; high: DRAM",
        0.46e-12,
        31.2e-12,
    ),
    "costs.activation_bytes_per_s": assumed(
        1e13,
        "B/s",
        "an H100's shared memories: 132 of 128 B a cycle at 1.8 GHz are 3e13 (derived); low: its HBM",
        3.35e12,
        3e13,
    ),
    "costs.accumulate_energy_j": assumed(
        0.1e-12 + 8 * 0.8275e-12,
        "J/add",
        "a 32-bit add 0.1 pJ; its sum read and written in the activation memory, as thousands of tokens "
        "pass before the next tile; low: in registers; high: three times",
        0.25e-12,
        20e-12,
    ),
    "costs.weight_memory_energy_j_per_byte": Number(
        31.2e-12, "J/B", f"{_LT}: DRAM 62.4 pJ per 2 B"
    ),
    "costs.weight_memory_bytes_per_s": assumed(3.35e12, "B/s", "as an H100's HBM", 1e11, 8e12),
    "costs.cores": assumed(1, "arrays", "one display", 1, 64),
}

MACHINES = (
    optical_machine(
        "display-1024", NUMBERS, {"encoding": "differential", "costs.double_buffered": True}
    ),
)
