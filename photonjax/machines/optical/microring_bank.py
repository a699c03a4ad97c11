"""A bank of microrings: every input on its own wavelength, one ring for each weight.

A ring drops its wavelength's light onto the positive or the negative one of two detectors. Where a
bank reads both ports of each ring instead (weight 2 drop - 1), all light is detected whatever the
weight, and shot noise is ``sum |a| / photons`` rather than ``sum |a||b| / photons``; the fields do
not have that. Rings' crosstalk is of first neighbours only (``photonjax.machines.rings``).
"""

from __future__ import annotations

import math

from photonjax.core.costs import PHOTON_J_M
from photonjax.machines.converters import adc_linear_w, dac_exponential_w
from photonjax.machines.named import optical_machine
from photonjax.machines.number import Number, assumed
from photonjax.machines.optical.display_1024 import NUMBERS as DISPLAY
from photonjax.machines.rings import ring_crosstalk

__all__ = ["MACHINES"]

_LT = "github.com/zhuhanqing/Lightening-Transformer"
_LT_DEVICE = f"{_LT}, hardware_simulator/params/device_params/default.yaml"
_LT_RINGS = f"{_LT}, hardware_simulator/params/device_params/Bs_mrr_bank_8bit.yaml"
_TAIT = "Tait et al., IEEE JSTQE 22, 5900214 (2016) (second-hand)"
_ZHANG = "W. Zhang et al., Microring weight banks control beyond 8.5-bits accuracy (2021), abstract"
_ECHEVERRIA = "J. Garcia Echeverria et al., arXiv 2409.06604, abstract"
_RINGS = 32
_RING_SPACING = (
    133 / _RINGS
)  # linewidths: finesse over channels  # linewidths: finesse over channels
_RING_HZ = 2e9

NUMBERS = {
    "rows": assumed(
        _RINGS,
        "wavelengths",
        "finesse 133 of a measured bank over 4.16 linewidths, within the 3.41 to 4.61 of a 3 dB penalty, "
        f"{_TAIT}; high: finesse 368, same, over 5.75",
        8,
        64,
    ),
    "cols": assumed(_RINGS, "banks", "square, as its inputs; low: a network of four nodes", 4, 64),
    "input.bits": assumed(8, "bits", "as display-1024", 4, 10),
    "array.bits": assumed(
        8, "bits", f"of a heater's drive; high: precision of 9.0, {_ZHANG}", 5, 9
    ),
    "adc.bits": assumed(10, "bits", "as display-1024", 8, 12),
    "adc.enob": assumed(8.0, "bits", "survey's 7.2-8.2 at 1-12 GS/s", 7.0, 9.0),
    "adc.range": assumed(
        1.0, "sqrt(rows)", "wide enough not to clip; sites are calibrated", 0.1, 4.0
    ),
    "photons": assumed(
        1e-3 * 0.5 / _RINGS * 0.8 / _RING_HZ / (PHOTON_J_M / 1550e-9),
        "detected/multiply at full scale",
        "1 mW a line, 3 dB lost, the rest shared by all banks, 0.8 electrons per photon",
        5e3,
        5e5,
    ),
    "receiver.noise_a_per_rthz": assumed(5e-12, "A/sqrt(Hz)", "as display-1024", 1e-12, 2e-11),
    "source.channel_rin_db_hz": assumed(
        -150.0, "dB/Hz", "a quiet semiconductor laser; high: a comb's line", -160.0, -135.0
    ),
    "array.noise": assumed(
        2 / 2**8.5,
        "full scale",
        f"accuracy of 8.5 bits, {_ZHANG}, taken for the range of 2 over the standard deviation; low: 9.3, "
        f"{_ECHEVERRIA}; high: 5",
        2 / 2**9.3,
        2 / 2**5,
    ),
    "array.resonance_detuning": assumed(
        _RING_SPACING,
        "half linewidths",
        "a weight of zero is parked half-way to the next channel",
        2.0,
        2 * _RING_SPACING,
    ),
    "input.extinction_db": assumed(
        10 * math.log10(1 + _RING_SPACING**2),
        "dB",
        "what a ring parked there still drops, 1/(1 + d**2) (derived); inputs taken to be no worse",
        10.0,
        30.0,
    ),
    "array.crosstalk_rows": assumed(
        ring_crosstalk(_RING_SPACING),
        "",
        f"ring_crosstalk(133/32) (derived); low: finesse 368 over 64 lines; high: 3.41 linewidths, {_TAIT}",
        ring_crosstalk(368 / 64),
        ring_crosstalk(3.41),
    ),
    "symbol_rate_hz": assumed(
        _RING_HZ,
        "Hz",
        f"2 Gb/s inputs, {_ECHEVERRIA}; below the linewidth, 7.5 GHz for a free spectral range of 1 THz",
        1e8,
        5e9,
    ),
    "costs.wavelength_m": assumed(1550e-9, "m", "telecom parts", 1310e-9, 1550e-9),
    "costs.link_loss_db": assumed(
        1.2 + 0.95 + 0.1 * (_RINGS - 1),
        "dB",
        f"{_LT_DEVICE}: input modulator 1.2, ring 0.95, and 0.1 for each other ring on the bus; high: fiber "
        "and splitters as much again",
        2.0,
        11.0,
    ),
    "costs.dac_energy_j": Number(
        dac_exponential_w(8, _RING_HZ) / _RING_HZ,
        "J/sample",
        f"{_LT}: 50 mW at 8 bits and 14 GS/s; high: 10 pJ at 10 GS/s (second-hand)",
        1e-12,
        10e-12,
    ),
    "costs.modulator_energy_j": Number(
        450e-15,
        "J/symbol",
        f"{_LT_DEVICE}: mzi_modulator; low: mrr_modulator",
        42e-15,
        450e-15,
    ),
    "costs.receiver_energy_j": assumed(
        5.2e-3 / _RING_HZ,
        "J/sample",
        f"{_LT_RINGS} and default.yaml: amplifier 3 mW, two detectors of 1.1 mW; low: the same at 5 GHz",
        5.2e-3 / 5e9,
        5.2e-3 / 1e9,
    ),
    "costs.adc_energy_j": Number(
        adc_linear_w(8, _RING_HZ) / _RING_HZ,
        "J/sample",
        f"{_LT}: 14.8 mW at 8 bits and 10 GS/s; high: the survey's median at 8 bits",
        1e-12,
        11.8e-12,
    ),
    "costs.load_time_s": assumed(
        2e-6, "s/array", f"{_LT_DEVICE}: heaters of an mzi settle in 2 us", 1e-7, 1e-4
    ),
    "costs.load_energy_j": assumed(
        2.4e-9, "J/cell", "the holding power for the loading time", 1e-10, 1e-7
    ),
    "costs.hold_power_w": Number(
        1.2e-3,
        "W/cell",
        f"{_LT_RINGS}: mrr_modulator, static; low: mrr_router; high: Albireo's ring, 3.1 mW (CiMLoop)",
        0.275e-3,
        3.1e-3,
    ),
    "costs.static_power_w": assumed(
        1.0, "W", "control of a chip; not published for any bank of this size", 0.1, 10.0
    ),
    "costs.cores": assumed(1, "arrays", "one bank", 1, 64),
    **{
        f"costs.{name}": DISPLAY[f"costs.{name}"]
        for name in """quantum_efficiency wall_plug_efficiency laser_idle_fraction accumulate_energy_j
        activation_energy_j_per_byte weight_memory_energy_j_per_byte weight_memory_bytes_per_s""".split()
    },
}

MACHINES = (
    optical_machine(
        "microring-bank",
        NUMBERS,
        {
            "encoding": "differential",
            "array.curve": "lorentzian",
            "costs.double_buffered": False,
        },
    ),
)
