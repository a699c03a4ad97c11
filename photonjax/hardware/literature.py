"""Machines of the literature, each in the fields that an :class:`~photonjax.hardware.OpticalCore` has.

What a machine's physics asks for and the fields do not have is left out and said so at its table; nothing
stands in for it. Machines whose light or parts cannot be priced from published numbers have no costs.
"""

from __future__ import annotations

import math
from typing import Any

from photonjax.hardware.converters import adc_linear_w, dac_exponential_w
from photonjax.hardware.costs import PHOTON_J_M
from photonjax.hardware.meshes import mesh_weight_noise, ring_crosstalk
from photonjax.hardware.tables import CORES, Number, assumed

__all__ = ["LITERATURE"]

_DISPLAY = CORES["display-1024"][1]
_PHOTON_J = PHOTON_J_M / 1550e-9
_LT = "github.com/zhuhanqing/Lightening-Transformer"
_LT_DEVICE = f"{_LT}, hardware_simulator/params/device_params/default.yaml"
_LT_BASE = f"{_LT}, hardware_simulator/params/device_params/Dota_B_4bit.yaml"
_LT_RINGS = f"{_LT}, hardware_simulator/params/device_params/Bs_mrr_bank_8bit.yaml"
_CLIP = "wide enough not to clip; sites are calibrated"

# Two rectangular interferometer meshes around a column of attenuators (photonjax.hardware.meshes). Weights
# are not quantized, phases are: their steps belong to the phase error. An output is the sum of its inputs'
# fields, read against a strong local oscillator: encoding "quadrature".
_MZI_MESH = {
    "rows": assumed(
        64,
        "inputs",
        "a chip of today's size; low: 4 by 4 of Shen et al., Nat. Photonics 11, 441 (2017)",
        4,
        256,
    ),
    "cols": assumed(64, "outputs", "square, as its inputs", 4, 256),
    "bits_in": assumed(8, "bits", "as display-1024", 4, 10),
    "bits_weight": Number(None, "bits", "phases are quantized, elements are not: see weight_noise"),
    "bits_out": assumed(10, "bits", "as display-1024", 8, 12),
    "enob": assumed(8.5, "bits", "as display-1024", 7.0, 10.0),
    "adc_range": assumed(1.0, "sqrt(rows)", _CLIP, 0.1, 4.0),
    "photons": assumed(
        1e3, "photons of a full-scale multiply", "8 bits of a sum of 64; not published", 10.0, 1e5
    ),
    "weight_noise": assumed(
        mesh_weight_noise(64, 0.01, 0.01),
        "full scale",
        "mesh_weight_noise(64, 0.01, 0.01): phases and splitters off by 0.01 rad, not corrected; low: phases "
        "of 0.003 alone; high: both 0.02, where Fang et al., Opt. Express 27, 14009 (2019), end their scan "
        "(github.com/mike-fang/imprecise_optical_neural_network, default_params.py)",
        mesh_weight_noise(64, 0.003),
        mesh_weight_noise(64, 0.02, 0.02),
    ),
    "laser_rin_db_hz": assumed(-150.0, "dB/Hz", "as display-1024", -160.0, -140.0),
    "symbol_rate_hz": assumed(
        1e9,
        "Hz",
        f"as display-1024; high: {_LT}, hardware_simulator/params/device_params/Bs_mzi_8bit.yaml",
        1e8,
        5e9,
    ),
}

_TAIT = "Tait et al., IEEE JSTQE 22, 5900214 (2016) (second-hand)"
_ZHANG = "W. Zhang et al., Microring weight banks control beyond 8.5-bits accuracy (2021), abstract"
_ECHEVERRIA = "J. Garcia Echeverria et al., arXiv 2409.06604, abstract"
_RINGS = 32
_RING_SPACING = 133 / _RINGS  # linewidths: finesse over channels
_RING_HZ = 2e9

# Broadcast and weight: every input on its own wavelength, one ring for each weight, which drops its
# wavelength's light onto the positive or the negative one of two detectors. Where a bank reads both ports of
# each ring instead (weight 2 drop - 1), all light is detected whatever the weight, and shot noise is
# sum |a| / photons rather than sum |a||b| / photons; the fields do not have that.
_MICRORING_BANK = {
    "rows": assumed(
        _RINGS,
        "wavelengths",
        "finesse 133 of a measured bank over 4.16 linewidths, within the 3.41 to 4.61 of a 3 dB penalty, "
        f"{_TAIT}; high: finesse 368, same, over 5.75",
        8,
        64,
    ),
    "cols": assumed(_RINGS, "banks", "square, as its inputs; low: a network of four nodes", 4, 64),
    "bits_in": assumed(8, "bits", "as display-1024", 4, 10),
    "bits_weight": assumed(
        8, "bits", f"of a heater's drive; high: precision of 9.0, {_ZHANG}", 5, 9
    ),
    "bits_out": assumed(10, "bits", "as display-1024", 8, 12),
    "enob": assumed(8.0, "bits", "survey's 7.2-8.2 at 1-12 GS/s", 7.0, 9.0),
    "adc_range": assumed(1.0, "sqrt(rows)", _CLIP, 0.1, 4.0),
    "photons": assumed(
        1e-3 * 0.5 / _RINGS * 0.8 / _RING_HZ / _PHOTON_J,
        "detected/multiply at full scale",
        "1 mW a line, 3 dB lost, the rest shared by all banks, 0.8 electrons per photon",
        5e3,
        5e5,
    ),
    "receiver_noise_a_per_rthz": assumed(5e-12, "A/sqrt(Hz)", "as display-1024", 1e-12, 2e-11),
    "channel_rin_db_hz": assumed(
        -150.0, "dB/Hz", "a quiet semiconductor laser; high: a comb's line", -160.0, -135.0
    ),
    "weight_noise": assumed(
        2 / 2**8.5,
        "full scale",
        f"accuracy of 8.5 bits, {_ZHANG}, taken for the range of 2 over the standard deviation; low: 9.3, "
        f"{_ECHEVERRIA}; high: 5",
        2 / 2**9.3,
        2 / 2**5,
    ),
    "resonance_detuning": assumed(
        _RING_SPACING,
        "half linewidths",
        "a weight of zero is parked half-way to the next channel",
        2.0,
        2 * _RING_SPACING,
    ),
    "extinction_db": assumed(
        10 * math.log10(1 + _RING_SPACING**2),
        "dB",
        "what a ring parked there still drops, 1/(1 + d**2) (derived); inputs taken to be no worse",
        10.0,
        30.0,
    ),
    "crosstalk_rows": assumed(
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
        f"costs.{name}": _DISPLAY[f"costs.{name}"]
        for name in """quantum_efficiency wall_plug_efficiency laser_idle_fraction accumulate_energy_j
        activation_energy_j_per_byte weight_memory_energy_j_per_byte weight_memory_bytes_per_s""".split()
    },
}


def _crossbar_photons(bits: int) -> float:
    return 1e-3 * 10**-2.5 * 2**bits / 5e9 / 12 / _PHOTON_J


# Lightening-Transformer's core: 12 wavelengths meet in each of 12 x 12 balanced pairs; both operands are
# fields of Mach-Zehnder modulators, driven anew at every symbol. Three symbols are added up before an ADC
# converts: tiles of 12, with a range that goes with the root of their size, have the same noise in total. Of
# the published noise model (software_model/ops) the fields have the operands' magnitude and phase and the
# error in proportion to each output. They have no dispersion (couplers off balance by up to 0.009 at the
# outer wavelengths), and no errors of weights that change with time. Its bill is that of
# photonjax.hardware.architectures.lightening_transformer.
_COHERENT_CROSSBAR = {
    "rows": Number(12, "wavelengths", f"{_LT_BASE}, core.num_wavelength"),
    "cols": Number(12, "outputs", f"{_LT_BASE}, core.width, core.height"),
    "bits_in": Number(4, "bits", f"{_LT_BASE}; high: Dota_B_8bit.yaml", 4, 8),
    "bits_weight": Number(4, "bits", f"{_LT_BASE}; high: Dota_B_8bit.yaml", 4, 8),
    "bits_out": Number(4, "bits", f"{_LT_BASE}, act_bit; high: Dota_B_8bit.yaml", 4, 8),
    "adc_range": assumed(
        0.5, "sqrt(rows)", "over three standard deviations of normal operands", 0.1, 4.0
    ),
    "photons": Number(
        _crossbar_photons(4),
        "detected/multiply at full scale",
        f"{_LT_DEVICE}: -25 dBm times 2**bits at each pair, over 12 wavelengths and a symbol (derived); "
        "high: 8 bits",
        _crossbar_photons(4),
        _crossbar_photons(8),
    ),
    "receiver_noise_a_per_rthz": assumed(
        1e-11,
        "A/sqrt(Hz)",
        "not in the published model; -25 dBm at a Q of 7 over 2.5 GHz is 9e-12",
        3e-12,
        3e-11,
    ),
    "input_relative_noise": Number(
        math.sqrt(2 * 0.015**2 + math.radians(1) ** 4 / 2),
        "",
        f"{_LT}, software_model/scripts: magnitudes 0.03 and phase 2 degrees, each two standard deviations "
        "(main.py); the phase acts as its cosine; both operands' magnitudes in quadrature, which leaves each "
        "output's variance right (derived); high: 0.08, the end of its scan",
        math.sqrt(2) * 0.015,
        math.sqrt(2) * 0.04,
    ),
    "output_relative_noise": Number(
        0.025,
        "",
        f"{_LT}, software_model/ops: 0.05, two standard deviations; theirs comes after all tiles",
    ),
    "symbol_rate_hz": Number(5e9, "Hz", f"{_LT_BASE}, core.work_freq"),
}

_PACE = "PACE, An integrated large-scale photonic accelerator with ultralow latency, Nature (2025)"
_PACE_OPS = 2 * 64 * 64 * 1e9

# Incoherent light through 64 vector modulators and 64 x 64 weight modulators onto detectors. How signs are
# carried could not be read. The effective number of bits is that of the whole chain: nothing is added to it.
_PACE_64 = {
    "rows": Number(64, "inputs", f"{_PACE} (second-hand)"),
    "cols": Number(64, "outputs", f"{_PACE} (second-hand)"),
    "bits_in": assumed(8, "bits", "the ENOB, rounded up; low: spins", 2, 8),
    "bits_weight": assumed(8, "bits", "the ENOB, rounded up", 4, 8),
    "bits_out": assumed(
        8, "bits", "the ENOB, rounded up; the machine compares with thresholds", 8, 12
    ),
    "enob": Number(7.61, "bits", f"{_PACE}: of its multiply-accumulate (second-hand)"),
    "adc_range": assumed(
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

LITERATURE: dict[str, tuple[dict[str, Any], dict[str, Number]]] = {
    "mzi-mesh": (
        {
            "encoding": "quadrature",
            "input_curve": "sin2",
            "weight_scale": "per_tile",
            "costs": None,
        },
        _MZI_MESH,
    ),
    "microring-bank": (
        {"encoding": "differential", "weight_curve": "lorentzian", "costs.double_buffered": False},
        _MICRORING_BANK,
    ),
    "coherent-crossbar": (
        {"encoding": "homodyne", "input_curve": "sin2", "weight_curve": "sin2", "costs": None},
        _COHERENT_CROSSBAR,
    ),
    "pace-like-64": (
        {"encoding": "differential", "costs.double_buffered": False},
        _PACE_64,
    ),
}
