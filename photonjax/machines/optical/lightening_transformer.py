"""Lightening-Transformer Base, put together from its parts: power, area and costs follow from one list.

Noise beyond the light's own is in ``photonjax.machines.optical.coherent_crossbar``, the same
core as a user of its accuracy sees it.
"""

from __future__ import annotations

import functools
import math

from photonjax.core.core import OpticalCore
from photonjax.core.costs import PHOTON_J_M, Memory, SharedCosts
from photonjax.core.limits import allowed
from photonjax.machines.converters import adc_linear_w, dac_exponential_w
from photonjax.machines.named import NamedMachine
from photonjax.machines.number import Number
from photonjax.machines.parts import Assembly, Part

__all__ = ["MACHINES", "NUMBERS", "lightening_transformer"]

_LT = "github.com/zhuhanqing/Lightening-Transformer, hardware_simulator"
_DEVICE = f"{_LT}/params/device_params/default.yaml, device"
_BASE = f"{_LT}/params/device_params/Dota_B_4bit.yaml"
_MOVED = f"{_LT}/params/device_params/default.yaml, arch.datamovement, per 2 B"
_PROFILE = f"{_LT}/entry_area_power_profile.py"
_CORE = f"{_LT}/hardware/photonic_crossbar.py"

NUMBERS = {
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
"""Of its devices and their arrangement. Converters: ``photonjax.machines.converters``."""


def lightening_transformer(bits: int = 4) -> Assembly:
    """Lightening-Transformer Base (H. Zhu et al., HPCA 2024): coherent crossbars that modulate both operands.

    In each symbol, at 5 GHz, a core multiplies 12 rows of one operand (``cols``) by 12 columns of the other
    (``vectors``), 12 terms long on as many wavelengths. Four tiles hold two cores each. The column
    operand of a core is modulated once for all tiles; the photocurrents of a tile's two cores meet in
    one amplifier, which adds up three symbols before its ADC converts.

    Powers follow from the devices: a modulator drives its energy per bit at the clock, converters
    follow ``photonjax.machines.converters.adc_linear_w`` and
    ``photonjax.machines.converters.dac_exponential_w``, and a core's laser delivers

        sensitivity 2**bits 144 10**(loss / 10) / wall-plug efficiency        for its 144 nodes,

    loss being that of modulator, two rings (multiplexer and demultiplexer), a splitting tree of
    ceil(log2 12) Y branches, and a node's splitter, phase shifter and coupler. ``photons`` is that
    sensitivity, counted at the detector (quantum efficiency 1), over 12 terms and one symbol.

    Args:
      bits: of both operands and of the ADC.

    Raises:
      ValueError: ``bits`` is not an integer of 2 ... 8, which its converters reach.

    Example:
      >>> machine = lightening_transformer(bits=4)
      >>> round(machine.power_split()["laser"], 3), round(machine.area_m2 * 1e6, 1)
      (0.77, 60.3)
    """
    if bits not in range(2, 9):
        raise ValueError(
            f"lightening_transformer: bits = {bits!r} is not {allowed('an integer', 2, 8)}"
        )
    d = {name: number.value for name, number in NUMBERS.items()}
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
        input={"bits": bits},
        array={"bits": bits},
        adc={"bits": bits},
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
    return Assembly("Lightening-Transformer Base", parts, bare)


def _core(bits: int) -> OpticalCore:
    return lightening_transformer(bits).core()


MACHINES = tuple(
    NamedMachine(name, NUMBERS, functools.partial(_core, bits))
    for name, bits in (("lightening-transformer", 4), ("lightening-transformer-8bit", 8))
)
