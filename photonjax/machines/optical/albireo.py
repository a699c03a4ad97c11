"""Albireo with conservative devices, put together from its parts: power and costs follow from one list.

Its noise is not published; the ADC's range is not either, and its sums, with their offsets, want a
calibrated one.
"""

from __future__ import annotations

import math

from photonjax.core.core import OpticalCore
from photonjax.core.costs import Memory, SharedCosts
from photonjax.machines.named import NamedMachine
from photonjax.machines.number import Number
from photonjax.machines.parts import Assembly, Part

__all__ = ["MACHINES", "NUMBERS", "albireo"]


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

NUMBERS = {
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
"""Of its devices and their arrangement."""


def albireo() -> Assembly:
    """Albireo (K. Shiflett et al., ISCA 2021), conservative devices, 5 GHz: broadcast and weight on rings.

    Nine groups of three units; a unit has three star-coupled groups of three rows, and five columns.
    Sixty-three inputs on as many wavelengths reach all nine groups. A row's modulator multiplies seven
    of them by one weight, and in each column a pair of rings picks one of the products. A column's
    currents are added over rows and over the units of a group: 45 outputs, amplified and converted
    each symbol.

    The published split lists the rings of the columns; those that put inputs onto wavelengths are a
    group of their own here. Modulators, rings and lasers draw their power whenever the machine is on.

    As a matrix multiplier it is used less well than by the sliding windows of a convolution, for which
    neighbouring columns share inputs: columns that share none are the first and the fourth, so it takes
    two vectors at a time over 27 terms and 9 outputs, 486 multiplies of 1,215.

    Example:
      >>> split = albireo().power_split()
      >>> round(split["mrr"], 2), round(split["dac"], 2)
      (7.53, 7.96)
    """
    d = {name: number.value for name, number in NUMBERS.items()}
    rate, groups, units, rows = d["clock"], d["groups"], d["units"], d["star_groups"] * d["rows"]
    weights = groups * units * rows
    inputs = units * d["star_groups"] * d["wavelengths"]
    sites = weights * d["columns"]
    outputs = groups * d["columns"]
    # Every symbol all inputs are read and all outputs written; weights stay where they are used.
    cache_w = (inputs + outputs) * rate * d["cache.energy_per_byte"]
    converter = d["adc.survey_energy"] * d["adc.process_factor"]
    parts = (
        Part("ring pair", "mrr", 2 * sites, "static_power_w", power_w=d["ring.power"]),
        Part("input ring", "input mrr", inputs, "static_power_w", power_w=d["ring.power"]),
        Part("modulator", "mzm", inputs + weights, "static_power_w", power_w=d["modulator.power"]),
        Part("laser", "laser", sites, "static_power_w", power_w=d["laser.power"]),
        Part("dac", "dac", inputs + weights, "dac_energy_j", power_w=d["dac.energy"] * rate),
        Part(
            "amplifier",
            "tia",
            outputs,
            "amplifier_energy_j",
            power_w=d["amplifier.energy"] * rate,
        ),
        Part("adc", "adc", outputs, "adc_energy_j", power_w=converter * rate),
        Part("cache", "cache", 1, power_w=cache_w),
    )
    bare = OpticalCore(
        rows=units * rows,
        cols=groups,
        encoding="offset",
        input={"bits": d["bits"]},
        array={"bits": d["bits"]},
        adc={"bits": d["bits"]},
        symbol_rate_hz=rate,
        costs=SharedCosts(
            vectors=d["vectors"],
            streamed=True,
            result_bytes=d["bits"] / 8,
            memories=(Memory("cache", d["cache.energy_per_byte"], fetches=1.0, results=1.0),),
        ),
    )
    return Assembly("Albireo, conservative", parts, bare)


MACHINES = (NamedMachine("albireo", NUMBERS, lambda: albireo().core()),)
