"""Published accelerators as lists of parts, from which their power, their area and their bills follow.

Every number is in :data:`NUMBERS`, with its source.
"""

from __future__ import annotations

import math

from photonjax.hardware.converters import adc_linear_w, dac_exponential_w
from photonjax.hardware.core import OpticalCore
from photonjax.hardware.costs import PHOTON_J_M, Memory, SharedCosts
from photonjax.hardware.device_numbers import ALBIREO, LIGHTENING_TRANSFORMER
from photonjax.hardware.parts import Machine, Part
from photonjax.hardware.tables import Number

__all__ = ["NUMBERS", "Machine", "Part", "albireo", "lightening_transformer"]

NUMBERS: dict[str, dict[str, Number]] = {
    "lightening-transformer": LIGHTENING_TRANSFORMER,
    "albireo": ALBIREO,
}
"""What the machines are made of, by machine and device."""


def lightening_transformer(bits: int = 4) -> Machine:
    """Lightening-Transformer Base (H. Zhu et al., HPCA 2024): coherent crossbars that modulate both operands.

    In each symbol, at 5 GHz, a core multiplies 12 rows of one operand (``cols``) by 12 columns of the other
    (``vectors``), 12 terms long on as many wavelengths. Four tiles hold two cores each. The column
    operand of a core is modulated once for all tiles; the photocurrents of a tile's two cores meet in
    one amplifier, which adds up three symbols before its ADC converts.

    Powers follow from the devices: a modulator drives its energy per bit at the clock, converters
    follow :func:`~photonjax.hardware.converters.adc_linear_w` and
    :func:`~photonjax.hardware.converters.dac_exponential_w`, and a core's laser delivers

        sensitivity 2**bits 144 10**(loss / 10) / wall-plug efficiency        for its 144 nodes,

    loss being that of modulator, two rings (multiplexer and demultiplexer), a splitting tree of
    ceil(log2 12) Y branches, and a node's splitter, phase shifter and coupler. ``photons`` is that
    sensitivity, counted at the detector (quantum efficiency 1), over 12 terms and one symbol.

    Args:
      bits: of both operands and of the ADC.

    Raises:
      ValueError: ``bits`` is outside 2 ... 8, which its converters reach.

    Example:
      >>> machine = lightening_transformer(bits=4)
      >>> round(machine.power_split()["laser"], 3), round(machine.area_m2 * 1e6, 1)
      (0.77, 60.3)
    """
    if bits not in range(2, 9):
        raise ValueError(f"lightening_transformer: bits = {bits!r} is outside 2 ... 8")
    d = {name: number.value for name, number in LIGHTENING_TRANSFORMER.items()}
    rate, size, tiles, per_tile = d["clock"], d["core"], d["tiles"], d["cores_per_tile"]
    cores, pairs = tiles * per_tile, size * size
    # Rows: every core has its own. Columns: one set for the cores of the same place in all tiles.
    modulators = size * d["wavelengths"] * (cores + per_tile)
    readouts = pairs * tiles
    branches = math.ceil(math.log2(size))
    loss_db = (
        d["modulator.loss"]
        + 2 * d["ring.loss"]
        + (branches + 1) * d["branch.loss"]
        + d["shifter.loss"]
        + d["coupler.loss"]
    )
    received_w = d["detector.sensitivity"] * 2**bits
    laser_w = received_w * pairs * 10 ** (loss_db / 10) / d["laser.wall_plug"]
    branch_m = d["branch.length"], d["branch.width"]
    tree_m2 = branch_m[0] * (branches + 1) * branch_m[1] * size
    node_m2 = (
        d["branch.length"]
        + d["shifter.length"]
        + d["coupler.length"]
        + d["detector.width"]
        + d["node.spacing_along"]
    ) * (
        d["branch.length"]
        + max(d["shifter.width"], d["coupler.width"], 2 * d["detector.length"])
        + d["node.spacing_across"]
    )
    buffers = 2 * tiles + cores + per_tile
    parts = (
        Part("laser", "laser", cores, power_w=laser_w),
        Part("laser chip", "laser", tiles + per_tile, area_m2=d["laser.area"]),
        Part("comb", "laser", tiles + per_tile, area_m2=d["comb.side"] ** 2),
        Part(
            "dac",
            "dac",
            modulators,
            "dac_energy_j",
            power_w=dac_exponential_w(bits, rate),
            area_m2=d["dac.area"],
        ),
        Part(
            "modulator",
            "mzm",
            modulators,
            "modulator_energy_j",
            power_w=d["modulator.energy"] * rate,
            area_m2=d["modulator.area"],
        ),
        Part(
            "ring",
            "mzm",
            2 * modulators,
            "modulator_energy_j",
            each=2,
            power_w=d["ring.power"],
            area_m2=d["ring.side"] ** 2,
        ),
        Part(
            "detector",
            "photodetector",
            2 * pairs * cores,
            "receiver_energy_j",
            each=2,
            power_w=d["detector.power"],
        ),
        Part(
            "amplifier",
            "tia",
            readouts,
            "amplifier_energy_j",
            power_w=d["amplifier.power"],
            area_m2=d["amplifier.area"],
        ),
        Part(
            "adc",
            "adc",
            readouts,
            "adc_energy_j",
            power_w=adc_linear_w(bits, rate),
            area_m2=d["adc.area"],
        ),
        Part(
            "adder",
            "adder",
            readouts,
            "accumulate_energy_j",
            power_w=d["adder.power"],
            area_m2=d["adder.area"],
        ),
        Part("node", "photonic core", pairs * cores, area_m2=node_m2),
        Part(
            "splitters",
            "photonic core",
            cores,
            area_m2=2 * tree_m2 + branch_m[0] * branch_m[1],
        ),
        Part(
            "global buffer",
            "memory",
            1,
            power_w=d["global_buffer.power"],
            area_m2=d["global_buffer.area"],
        ),
        Part(
            "local buffer",
            "memory",
            tiles + 1,
            power_w=d["local_buffer.power"],
            area_m2=d["local_buffer.area"],
        ),
        Part(
            "operand buffer",
            "memory",
            buffers,
            power_w=d["operand_buffer.power"],
            area_m2=d["operand_buffer.area"],
        ),
    )
    # Who passes which level. Registers are written and read. The local buffer is filled from the global
    # one and read for modulating; results pass both. Parameters are written to the global buffer on
    # their way from DRAM. Operands that were computed are on the chip already.
    memories = (
        Memory("register", d["memory.register"], samples=2.0, conversions=2.0),
        Memory("network", d["memory.network"], conversions=1.0),
        Memory("local buffer", d["memory.local"], samples=1.0, fetches=1.0, results=1.0),
        Memory("global buffer", d["memory.global"], fetches=1.0, results=1.0, weights=1.0),
    )
    photon_j = PHOTON_J_M / d["laser.wavelength"]
    bare = OpticalCore(
        rows=d["wavelengths"],
        cols=size,
        encoding="homodyne",
        bits_in=bits,
        bits_weight=bits,
        bits_out=bits,
        photons=received_w / rate / photon_j / d["wavelengths"],
        symbol_rate_hz=rate,
        costs=SharedCosts(
            wavelength_m=d["laser.wavelength"],
            link_loss_db=loss_db,
            wall_plug_efficiency=d["laser.wall_plug"],
            weight_memory_energy_j_per_byte=d["memory.dram"],
            weight_memory_bytes_per_s=d["dram.bandwidth"],
            cores=cores,
            vectors=size,
            input_sharing=tiles,
            readout_sharing=per_tile,
            accumulation=d["accumulation"],
            streamed=True,
            gated=True,
            operand_buffer_bytes=d["local_buffer.bytes"],
            result_bytes=bits / 8,
            memories=memories,
        ),
    )
    return Machine("Lightening-Transformer Base", parts, bare)


def albireo() -> Machine:
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
    d = {name: number.value for name, number in ALBIREO.items()}
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
        bits_in=d["bits"],
        bits_weight=d["bits"],
        bits_out=d["bits"],
        symbol_rate_hz=rate,
        costs=SharedCosts(
            vectors=d["vectors"],
            streamed=True,
            result_bytes=d["bits"] / 8,
            memories=(Memory("cache", d["cache.energy_per_byte"], fetches=1.0, results=1.0),),
        ),
    )
    return Machine("Albireo, conservative", parts, bare)
