"""What the machines of :mod:`photonjax.hardware.architectures` are made of, number by number."""

from __future__ import annotations

import math

from photonjax.hardware.tables import Number

__all__ = ["ALBIREO", "LIGHTENING_TRANSFORMER"]

_LT = "github.com/zhuhanqing/Lightening-Transformer, hardware_simulator"
_DEVICE = f"{_LT}/params/device_params/default.yaml, device"
_BASE = f"{_LT}/params/device_params/Dota_B_4bit.yaml"
_MOVED = f"{_LT}/params/device_params/default.yaml, arch.datamovement, per 2 B"
_PROFILE = f"{_LT}/entry_area_power_profile.py"
_CORE = f"{_LT}/hardware/photonic_crossbar.py"

LIGHTENING_TRANSFORMER = {
    "clock": Number(5e9, "Hz", f"{_BASE}, core.work_freq"),
    "core": Number(12, "rows and columns", f"{_BASE}, core.width, core.height"),
    "wavelengths": Number(12, "", f"{_BASE}, core.num_wavelength"),
    "tiles": Number(4, "", f"{_BASE}, arch.num_tiles"),
    "cores_per_tile": Number(2, "", f"{_BASE}, arch.num_pe_per_tile"),
    "accumulation": Number(3, "symbols", f"{_BASE}, arch.time_accum_factor"),
    "laser.wavelength": Number(
        1550e-9, "m", "telecom parts; only counts photons, no power follows from it"
    ),
    "laser.wall_plug": Number(0.2, "", f"{_DEVICE}.laser"),
    "laser.area": Number(400e-6 * 300e-6, "m2", f"{_DEVICE}.laser"),
    "comb.side": Number(1184e-6, "m", f"{_DEVICE}.micro_comb"),
    "detector.sensitivity": Number(1e-3 * 10**-2.5, "W", f"{_DEVICE}.photo_detector: -25 dBm"),
    "detector.power": Number(1.1e-3, "W", f"{_DEVICE}.photo_detector"),
    "detector.length": Number(4e-6, "m", f"{_DEVICE}.photo_detector"),
    "detector.width": Number(10e-6, "m", f"{_DEVICE}.photo_detector"),
    "modulator.energy": Number(450e-15, "J/symbol", f"{_DEVICE}.mzi_modulator: per bit"),
    "modulator.loss": Number(1.2, "dB", f"{_DEVICE}.mzi_modulator"),
    "modulator.area": Number(260e-6 * 20e-6, "m2", f"{_DEVICE}.mzi_modulator"),
    "ring.power": Number(0.275e-3, "W", f"{_DEVICE}.mrr_router"),
    "ring.loss": Number(0.93, "dB", f"{_DEVICE}.mrr_router"),
    "ring.side": Number(4.8e-6, "m", f"{_DEVICE}.mrr_router"),
    "branch.loss": Number(0.1, "dB", f"{_DEVICE}.y_branch"),
    "branch.length": Number(1.8e-6, "m", f"{_DEVICE}.y_branch"),
    "branch.width": Number(1.3e-6, "m", f"{_DEVICE}.y_branch"),
    "shifter.loss": Number(0.33, "dB", f"{_DEVICE}.phase_shifter"),
    "shifter.length": Number(100e-6, "m", f"{_DEVICE}.phase_shifter"),
    "shifter.width": Number(45e-6, "m", f"{_DEVICE}.phase_shifter"),
    "coupler.loss": Number(0.33, "dB", f"{_DEVICE}.direction_coupler"),
    "coupler.length": Number(5.25e-6, "m", f"{_DEVICE}.direction_coupler"),
    "coupler.width": Number(2.4e-6, "m", f"{_DEVICE}.direction_coupler"),
    "node.spacing_along": Number(30e-6, "m", f"{_CORE}, cal_core_area"),
    "node.spacing_across": Number(20e-6, "m", f"{_CORE}, cal_core_area"),
    "dac.area": Number(11000e-12, "m2", f"{_LT}/hardware/DAC.py"),
    "adc.area": Number(2850e-12, "m2", f"{_LT}/hardware/ADC.py"),
    "amplifier.power": Number(3e-3, "W", f"{_BASE}, core.interface.TIA"),
    "amplifier.area": Number(50e-12, "m2", f"{_BASE}, core.interface.TIA"),
    "adder.power": Number(0.2e-3 / 4.39, "W", f"{_PROFILE}: 0.2 mW scaled to 14 nm"),
    "adder.area": Number(240e-12 / 2.7, "m2", f"{_PROFILE}: 240 um2 scaled to 14 nm"),
    "global_buffer.power": Number(315.2512e-3, "W", f"{_PROFILE}: 2 MB (CACTI)"),
    "global_buffer.area": Number(14.348352e-6, "m2", f"{_PROFILE}: 2 MB (CACTI)"),
    "local_buffer.power": Number(0.172725e-3, "W", f"{_PROFILE}: 4 kB (CACTI)"),
    "local_buffer.area": Number(0.0683105e-6, "m2", f"{_PROFILE}: 4 kB (CACTI)"),
    "local_buffer.bytes": Number(
        4096, "B", f"{_LT}/params/device_params/default.yaml, arch.memory_size"
    ),
    "operand_buffer.power": Number(0.0154e-3, "W", f"{_PROFILE}: 256 B (CACTI)"),
    "operand_buffer.area": Number(0.000305237e-6, "m2", f"{_PROFILE}: 256 B (CACTI)"),
    "memory.register": Number(0.073e-12 / 2, "J/B", f"{_MOVED}: RF"),
    "memory.network": Number(2.0e-12 / 2, "J/B", f"{_MOVED}: NoC"),
    "memory.local": Number(0.92e-12 / 2, "J/B", f"{_MOVED}: GB1"),
    "memory.global": Number(1.655e-12 / 2, "J/B", f"{_MOVED}: GB2"),
    "memory.dram": Number(62.4e-12 / 2, "J/B", f"{_MOVED}: DRAM"),
    "dram.bandwidth": Number(2.0**40, "B/s", f"{_LT}/hardware/SRAM.py"),
}
"""Lightening-Transformer Base. Converters: :mod:`photonjax.hardware.converters`."""


def _survey_adc_j(bits: int, rate_hz: float, node_nm: float) -> float:
    """Energy of an ADC sample [J]: a regression on the Murmann survey's most efficient fifth.

    A Schreier figure of merit that falls with the rate (and has a ceiling for each resolution, out of
    reach here), corrected for process and resolution: github.com/Accelergy-Project/accelergy-adc-plug-in,
    model.py and adc_data/model.yaml.
    """
    figure_db = 213.78067 - 2.87190304 * math.log(rate_hz)
    sndr_db = 20 * bits * math.log10(2) + 10 * math.log10(1.5)
    correction = (
        26.04962157 + 1.88003692 * math.log(node_nm) - 2.82912561 * math.log(bits) - 1.47020221
    )
    return 1e-12 * 10 ** ((sndr_db - figure_db) / 10) / 2 * math.exp(correction)


_CIMLOOP = "github.com/mit-emze/cimloop, albireo_isca_2021"
_CSV = f"{_CIMLOOP}/albireo_components/7nm_components.csv, conservative"
_FREE = f"{_CIMLOOP}/variables_free.yaml"
_ARCH = f"{_CIMLOOP}/arch.yaml"

ALBIREO = {
    "clock": Number(5e9, "Hz", f"{_FREE}: 0.2 ns a cycle"),
    "bits": Number(8, "bits", f"{_CIMLOOP}/variables_iso.yaml"),
    "groups": Number(9, "", f"{_FREE}, N_PLCG"),
    "units": Number(3, "per group", f"{_FREE}, N_PLCU"),
    "star_groups": Number(3, "per unit", f"{_FREE}, N_STAR_COUPLED_GROUPS_OF_ROWS"),
    "rows": Number(3, "per star-coupled group", f"{_FREE}, N_ROWS"),
    "columns": Number(5, "per unit", f"{_FREE}, N_COLUMNS"),
    "wavelengths": Number(7, "per star-coupled group", f"{_ARCH}: 21 inputs per unit"),
    "vectors": Number(
        2, "", "columns of a unit that share no input: the first and fourth (derived)"
    ),
    "ring.power": Number(3.1e-3, "W", f"{_CSV}, albireo_mrr"),
    "modulator.power": Number(11.3e-3, "W", f"{_CSV}, albireo_mzm"),
    "laser.power": Number(1.94e-3, "W", f"{_CSV}, albireo_laser, per ring pair"),
    "dac.energy": Number(5.2e-12, "J/sample", f"{_CSV}, dac_albireo"),
    "amplifier.energy": Number(
        0.625e-12,
        "J/sample",
        "github.com/Accelergy-Project/hwcomponents-library, albireo.py, conservative; low: 0.6 in the "
        "7nm_components.csv of CiMLoop",
        0.6e-12,
        0.625e-12,
    ),
    "adc.survey_energy": Number(
        _survey_adc_j(8, 5e9, 7.0),
        "J/sample",
        "regression on the Murmann survey at 8 bits, 5 GS/s and 7 nm: github.com/Accelergy-Project/"
        "accelergy-adc-plug-in, adc_data/model.yaml",
    ),
    "adc.process_factor": Number(
        21.4,
        "",
        f"{_CIMLOOP}/variables_iso.yaml, ADC_ENERGY_SCALE: Albireo's ADC is of 28 nm; calibrated to the "
        "published split",
    ),
    "cache.energy_per_byte": Number(
        0.435e-12 / 8, "J/B", f"{_CSV}, albireo_sram: 0.435 pJ per 64 bits of 256 kB"
    ),
}
"""Albireo with conservative devices."""
