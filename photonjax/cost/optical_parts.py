"""What the parts of an optical core take, by the formulas of ``photonjax.cost.optical``."""

from __future__ import annotations

from typing import Any

from photonjax.core.core import OpticalCore
from photonjax.core.costs import PHOTON_J_M
from photonjax.cost.counts import RAILS, Counts, number_bytes

__all__ = ["activation_bytes", "electronics", "memories", "optics"]


def optics(uses: Counts, core: OpticalCore, seconds: Any) -> dict[str, Any]:
    """Laser, and the array's cells."""
    costs, rails = core.costs, RAILS[core.encoding.kind]
    assert costs is not None
    joules: dict[str, Any] = {}
    if core.photons is not None:
        photons = float(core.rows * core.cols * costs.vectors) * rails.lit * core.photons
        oscillator = core.encoding.oscillator_electrons(core)
        if oscillator is not None:
            photons = photons + core.cols * costs.vectors * oscillator
        light = photons * (PHOTON_J_M / costs.wavelength_m) / costs.quantum_efficiency
        symbol_j = light * 10.0 ** (costs.link_loss_db / 10.0) / costs.wall_plug_efficiency
        waited = seconds - uses.steps / core.symbol_rate_hz  # for weights or memory, by all cores
        idle = uses.steps * costs.cores - uses.symbols  # by cores without a tile
        waiting = idle + core.symbol_rate_hz * costs.cores * waited
        emitters = core.source.threshold_fraction is not None
        mean = 1.0 if costs.mean_input_fraction is None else costs.mean_input_fraction
        working = core.source.drawn_power(mean / rails.inputs)
        idling = core.source.drawn_power(0.0) * costs.laser_idle_fraction
        name = "emitters" if emitters else "laser"
        joules[name] = symbol_j * (uses.symbols * working + idling * waiting)
    if not costs.streamed:
        cells = float(core.rows * core.cols) * rails.cells
        joules["weight write"] = uses.loads * cells * costs.load_energy_j
        joules["weight hold"] = cells * costs.cores * costs.hold_power_w * seconds
    return joules


def electronics(uses: Counts, core: OpticalCore) -> dict[str, Any]:
    """Modulators, receivers and converters."""
    costs, rails = core.costs, RAILS[core.encoding.kind]
    assert costs is not None
    driven = 0.0 if core.input.bits is None else uses.inputs
    driven += 0.0 if core.array.bits is None else uses.weights
    joules = {
        "dac": driven * rails.inputs * costs.dac_energy_j,
        "modulator": (uses.inputs + uses.weights) * rails.inputs * costs.modulator_energy_j,
        "receiver": uses.detections * costs.receiver_energy_j,
        "amplifier": uses.conversions * costs.amplifier_energy_j,
        "partial sums": uses.additions * costs.accumulate_energy_j,
    }
    if core.adc.bits is not None:
        joules["adc"] = uses.conversions * costs.adc_energy_j
    return joules


def activation_bytes(uses: Counts, core: OpticalCore, stationary: bool) -> float:
    """What the one memory of inputs and results reads and writes, partial sums aside [B]."""
    costs = core.costs
    assert costs is not None
    moved = uses.fetched_inputs * number_bytes(core.input.bits) + uses.results * costs.result_bytes
    if costs.streamed:
        moved += uses.weights * number_bytes(core.array.bits)
    elif not stationary:
        moved += uses.fetched_weights * number_bytes(core.array.bits)
    return moved


def memories(uses: Counts, core: OpticalCore) -> dict[str, Any]:
    """The levels of a memory hierarchy beside the arrays."""
    costs = core.costs
    assert costs is not None
    input_bytes, weight_bytes = number_bytes(core.input.bits), number_bytes(core.array.bits)
    joules: dict[str, Any] = {}
    for level in costs.memories:
        passed = (
            level.samples * (uses.inputs * input_bytes + uses.weights * weight_bytes)
            + level.fetches
            * (uses.fetched_inputs * input_bytes + uses.fetched_weights * weight_bytes)
            + level.results * uses.results * costs.result_bytes
            + level.conversions * uses.conversions * costs.result_bytes
            + level.weights * uses.parameters * weight_bytes
        )
        joules[f"memory: {level.name}"] = passed * level.energy_j_per_byte
    return joules
