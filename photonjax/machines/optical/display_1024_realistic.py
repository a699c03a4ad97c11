"""The free-space server ``display-1024`` with the errors that its makers do not publish.

Every further number is assumed, with the range within which such parts are found; none is a measurement of
this machine. Its inputs are emitters modulated by their current. Gains and offsets of the receivers are what
is left after calibration. The light that crosstalk, misalignment and vignetting take from a cell is missing
in its sums, until ``pj.characterize`` has found it. The rails lie side by side on the display. Left out: how
pixels settle, and how errors move with temperature.
"""

from __future__ import annotations

from photonjax.machines.named import optical_machine
from photonjax.machines.number import Number, assumed
from photonjax.machines.optical.display_1024 import NUMBERS as IDEAL

__all__ = ["MACHINES", "NUMBERS"]

_PANEL = "after the panel's look-up table"

NUMBERS: dict[str, Number] = IDEAL | {
    "source.channel_rin_db_hz": assumed(
        -145.0, "dB/Hz", "emitters of their own are noisier than one laser", -155.0, -130.0
    ),
    "source.threshold_fraction": assumed(
        0.1, "of full-scale current", "VCSELs: a tenth of where they roll over", 0.05, 0.3
    ),
    "source.threshold_error": assumed(
        0.002, "full scales", "after calibration; drifts with temperature", 0.0005, 0.02
    ),
    "source.bandwidth_hz": assumed(5e9, "Hz", "five times the symbol rate", 2e9, 2e10),
    "costs.mean_input_fraction": assumed(
        0.2, "full scales", "normal values scaled by the largest of a token", 0.05, 0.5
    ),
    "costs.recalibration_interval_s": assumed(
        600.0, "s", "temperature moves gains within minutes to hours", 10.0, 36000.0
    ),
    "costs.recalibration_vectors": assumed(1e5, "vectors", "a hundred for each input", 1e3, 1e7),
    "costs.recalibration_loads": assumed(10.0, "loads", "a few patterns", 1.0, 100.0),
    "input.extinction_db": assumed(
        20.0, "dB", "contrast 100:1; panels 100:1 to 1000:1", 17.0, 30.0
    ),
    "input.enob": assumed(7.0, "bits", "a good 8-bit converter at 1 GS/s", 6.0, 7.8),
    "input.inl_lsb": assumed(0.5, "levels", "data sheets: half a step", 0.1, 2.0),
    "array.noise": assumed(0.005, "full scales", f"{_PANEL}: one level of 8 bits", 0.002, 0.02),
    "array.dead_fraction": assumed(1e-5, "of cells", "a few pixels of a million", 1e-7, 1e-3),
    "array.stuck_fraction": assumed(1e-6, "of cells", "rarer than dead ones", 1e-8, 1e-4),
    "array.vignetting": assumed(
        0.02, "of the light at a corner", f"{_PANEL}: what is left", 0.0, 0.2
    ),
    "array.misalignment_rows": assumed(0.01, "pitches", "50 nm of a 5 um pixel", 0.0, 0.2),
    "array.misalignment_cols": assumed(0.01, "pitches", "as the rows", 0.0, 0.2),
    "array.crosstalk_rows": assumed(
        0.01, "of the light", "spot in the pixel's aperture", 0.001, 0.05
    ),
    "array.crosstalk_cols": assumed(0.005, "of the light", "as the rows", 0.001, 0.05),
    "receiver.dark_current_a": assumed(1e-9, "A", "InGaAs at room temperature", 1e-11, 1e-8),
    "receiver.imbalance": assumed(0.002, "", "pairs trimmed to 0.2 %; untrimmed 1 %", 0.0005, 0.02),
    "receiver.gain_error": assumed(
        0.005, "", "after calibration; drifts with temperature", 0.001, 0.02
    ),
    "receiver.offset_error": assumed(0.001, "full scale", "after calibration", 0.0, 0.01),
    "receiver.common_noise": assumed(
        0.02, "products of full scale", "a supply that all amplifiers hang on", 0.0, 0.5
    ),
    "receiver.relative_noise": assumed(0.002, "", "of each sample's timing", 0.0, 0.01),
    "receiver.outlier_fraction": assumed(
        0.01, "of samples", "tails as measured machines have", 0.0, 0.05
    ),
    "receiver.outlier_ratio": assumed(3.0, "", "as the fraction", 1.0, 10.0),
    "adc.inl_lsb": assumed(1.0, "LSB", "data sheets of 10 bits", 0.3, 3.0),
}

MACHINES = (
    optical_machine(
        "display-1024-realistic",
        NUMBERS,
        {
            "encoding": {"kind": "differential", "shot_estimate": "exact"},
            "array.interleaved": True,
            "costs.double_buffered": True,
        },
    ),
)
