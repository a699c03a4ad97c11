"""Lightening-Transformer's core with its published noise: both operands are modulated fields.

Twelve wavelengths meet in each of 12 x 12 balanced pairs; both operands are fields of Mach-Zehnder
modulators, driven again at every symbol. Three symbols are added up before an ADC converts: tiles of
12, with a range that goes with the root of their size, have the same noise in total. Of the
published noise model (software_model/ops) the fields have the operands' magnitude and phase and the
error in proportion to each output. They have no dispersion (couplers off balance by up to 0.009 at
the outer wavelengths), and no errors of weights that change with time. What it costs is told by
``photonjax.machines.optical.lightening_transformer``.
"""

from __future__ import annotations

import math

from photonjax.core.costs import PHOTON_J_M
from photonjax.machines.named import optical_machine
from photonjax.machines.number import Number, assumed

__all__ = ["MACHINES"]

_LT = "github.com/zhuhanqing/Lightening-Transformer"
_LT_DEVICE = f"{_LT}, hardware_simulator/params/device_params/default.yaml"
_LT_BASE = f"{_LT}, hardware_simulator/params/device_params/Dota_B_4bit.yaml"


def _crossbar_photons(bits: int) -> float:
    return 1e-3 * 10**-2.5 * 2**bits / 5e9 / 12 / (PHOTON_J_M / 1550e-9)


NUMBERS = {
    "rows": Number(12, "wavelengths", f"{_LT_BASE}, core.num_wavelength"),
    "cols": Number(12, "outputs", f"{_LT_BASE}, core.width, core.height"),
    "input.bits": Number(4, "bits", f"{_LT_BASE}; high: Dota_B_8bit.yaml", 4, 8),
    "array.bits": Number(4, "bits", f"{_LT_BASE}; high: Dota_B_8bit.yaml", 4, 8),
    "adc.bits": Number(4, "bits", f"{_LT_BASE}, act_bit; high: Dota_B_8bit.yaml", 4, 8),
    "adc.range": assumed(
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
    "receiver.noise_a_per_rthz": assumed(
        1e-11,
        "A/sqrt(Hz)",
        "not in the published model; -25 dBm at a Q of 7 over 2.5 GHz is 9e-12",
        3e-12,
        3e-11,
    ),
    "input.relative_noise": Number(
        math.sqrt(2 * 0.015**2 + math.radians(1) ** 4 / 2),
        "",
        f"{_LT}, software_model/scripts: magnitudes 0.03 and phase 2 degrees, each two standard deviations "
        "(main.py); the phase acts as its cosine; both operands' magnitudes in quadrature, which leaves each "
        "output's variance right (derived); high: 0.08, the end of its scan",
        math.sqrt(2) * 0.015,
        math.sqrt(2) * 0.04,
    ),
    "receiver.relative_noise": Number(
        0.025,
        "",
        f"{_LT}, software_model/ops: 0.05, two standard deviations; theirs comes after all tiles",
    ),
    "symbol_rate_hz": Number(5e9, "Hz", f"{_LT_BASE}, core.work_freq"),
}

MACHINES = (
    optical_machine(
        "coherent-crossbar",
        NUMBERS,
        {"encoding": "homodyne", "input.curve": "sin2", "array.curve": "sin2", "costs": None},
    ),
)
