"""What a program costs on an optical core."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from photonjax.cost.bill import Bill, Entry
from photonjax.cost.counts import RAILS, Counts, count, number_bytes
from photonjax.cost.digital import maximum, other_entries, other_notes, product_entry
from photonjax.hardware.core import OpticalCore
from photonjax.hardware.costs import PHOTON_J_M
from photonjax.hardware.digital import DigitalAccelerator
from photonjax.inventory import Inventory, MatmulSite

__all__ = ["light_entry", "on_core"]


def on_core(
    inventory: Inventory,
    core: OpticalCore,
    *,
    where: Callable[[MatmulSite], bool] | None = None,
    digital: DigitalAccelerator | None = None,
    dtype: str | None = None,
) -> Bill:
    """The bill of a program whose products run on light, as far as ``where`` says so.

    What a site of products [T, K] x [K, N] uses of each kind of part is counted by
    :func:`photonjax.cost.counts.count`, whose names stand here for those numbers. With r =
    :data:`RAILS` of the encoding, P cores, and the fields of ``core.costs`` by their names:

        compute = symbols / (symbol_rate P)                                              [s]
        loading = max(loads load_time / P, parameter bytes / weight_memory_bytes_per_s)  [s]
        load    = max(loading - compute, 0) if double buffered, else loading             [s]
        seconds = compute + load

        laser          E symbols + E symbol_rate P laser_idle_fraction load, where one symbol takes
                       E = rows cols vectors r.lit photons (h c / wavelength) / quantum_efficiency
                           10**(link_loss_db / 10) / wall_plug_efficiency
        dac, modulator (inputs + weights) r.inputs, each
        receiver       detections receiver_energy
        amplifier, adc conversions, each
        weight write   loads rows cols r.cells load_energy
        weight hold    rows cols r.cells P hold_power seconds
        activations    (fetched_inputs + results) bytes, and those of computed operands written or
                       of any weights streamed; times activation_energy_j_per_byte
        memory: name   the sum over kinds of numbers of count, bytes and accesses, times
                       energy_j_per_byte
        partial sums   additions accumulate_energy
        weight memory  parameter bytes weight_memory_energy_j_per_byte
        static         static_power seconds, over the digital part's seconds too

    Derivation: each line is a number of parts used times what one use takes; E is the definition of
    ``photons`` (detected, per multiply, at full scale) carried back through detector, link and plug.
    Streamed weights are neither written nor held, and take no load time. Neglected: a site's first
    load, which nothing overlaps. ``photons=None`` charges no laser, ``bits_in=None`` no DAC,
    ``bits_out=None`` no ADC; numbers without bits travel as 32-bit ones.

    Args:
      inventory: of the program (:func:`photonjax.take_inventory`).
      core: the machine; needs ``costs``.
      where: which sites run on light; by default the stationary ones.
      digital: what computes the rest; without it the rest is not charged, and the bill's notes say
        what it is.
      dtype: precision of products left to ``digital``; by default the one each was traced in.

    Raises:
      ValueError: the core has no costs, or ``digital`` has no rates or power, or none for a
        precision.

    Example:
      >>> from photonjax.cost import on_core
      >>> from photonjax.hardware import presets
      >>> from photonjax.inventory import Inventory, MatmulSite
      >>> site = MatmulSite("w", batch=1, M=2048, K=2048, N=1024, count=3, dtype="bfloat16", stationary=True)
      >>> bill = on_core(Inventory([site], []), presets.core("display-1024"))
      >>> bill.by_component("seconds")["compute"]  # 3 x 2 tiles x 2048 symbols at 1 GHz
      1.2288e-05
    """
    if core.costs is None:
        raise ValueError(
            "OpticalCore.costs is None: give the core a CoreCosts, or take one of presets.cores()"
        )
    if digital is not None and (digital.power_w is None or not digital.ops_per_s):
        raise ValueError(
            "digital: has no power_w or ops_per_s, so it cannot be charged; give one that has both"
        )
    on_light = where or (lambda site: site.stationary)
    light = [s for s in inventory.matmuls if on_light(s)]
    rest = [s for s in inventory.matmuls if not on_light(s)]
    notes = [*(f"not counted: {u}" for u in inventory.unsupported), *inventory.notes]
    for field, part in (("photons", "laser"), ("bits_in", "DAC"), ("bits_out", "ADC")):
        if getattr(core, field) is None:
            notes.append(f"{part} not charged: OpticalCore.{field} is None")
    entries = [light_entry(site, core) for site in light]
    if digital is None:
        if rest:
            macs = sum(s.macs for s in rest)
            notes.append(
                f"not charged, no digital side given: {len(rest)} products of {macs:.4g} MACs"
            )
        if inventory.operations:
            kinds = ", ".join(dict.fromkeys(o.kind for o in inventory.operations))
            notes.append(f"not charged, no digital side given: other operations ({kinds})")
    else:
        others = [product_entry(s, digital, dtype or s.dtype) for s in rest]
        others += other_entries(inventory, digital)
        entries += [_with_static(e, core.costs.static_power_w) for e in others]
        notes += other_notes(inventory, digital)
    return Bill("optical core", tuple(notes), tuple(entries))


def light_entry(site: MatmulSite, core: OpticalCore) -> Entry:
    """One product on light; the formulas are those of :func:`on_core`."""
    costs = core.costs
    assert costs is not None
    uses = count(site, core)
    parameter_bytes = uses.parameters * number_bytes(core.bits_weight)
    compute = uses.symbols / (core.symbol_rate_hz * costs.cores)
    loading = 0.0 if costs.streamed else uses.loads * costs.load_time_s / costs.cores
    if site.stationary and costs.weight_memory_bytes_per_s is not None:
        loading = maximum(loading, parameter_bytes / costs.weight_memory_bytes_per_s)
    load = maximum(loading - compute, 0.0) if costs.double_buffered else loading
    joules = {
        **_optics(uses, core, load, compute + load),
        **_electronics(uses, core),
        **_memory(uses, site, core),
    }
    if site.stationary:
        joules["weight memory"] = parameter_bytes * costs.weight_memory_energy_j_per_byte
    return _with_static(
        Entry(site.path, "light", joules, {"compute": compute, "load": load}), costs.static_power_w
    )


def _optics(uses: Counts, core: OpticalCore, load: Any, seconds: Any) -> dict[str, Any]:
    """Laser, and the array's cells."""
    costs, rails = core.costs, RAILS[core.encoding]
    assert costs is not None
    joules: dict[str, Any] = {}
    if core.photons is not None:
        light = (
            float(core.rows * core.cols * costs.vectors)
            * rails.lit
            * core.photons
            * (PHOTON_J_M / costs.wavelength_m)
            / costs.quantum_efficiency
        )
        symbol_j = light * 10.0 ** (costs.link_loss_db / 10.0) / costs.wall_plug_efficiency
        waiting = core.symbol_rate_hz * costs.cores * costs.laser_idle_fraction * load
        joules["laser"] = symbol_j * (uses.symbols + waiting)
    if not costs.streamed:
        cells = float(core.rows * core.cols) * rails.cells
        joules["weight write"] = uses.loads * cells * costs.load_energy_j
        joules["weight hold"] = cells * costs.cores * costs.hold_power_w * seconds
    return joules


def _electronics(uses: Counts, core: OpticalCore) -> dict[str, Any]:
    """Modulators, receivers and converters."""
    costs, rails = core.costs, RAILS[core.encoding]
    assert costs is not None
    driven = 0.0 if core.bits_in is None else uses.inputs
    driven += 0.0 if core.bits_weight is None else uses.weights
    joules = {
        "dac": driven * rails.inputs * costs.dac_energy_j,
        "modulator": (uses.inputs + uses.weights) * rails.inputs * costs.modulator_energy_j,
        "receiver": uses.detections * costs.receiver_energy_j,
        "amplifier": uses.conversions * costs.amplifier_energy_j,
        "partial sums": uses.additions * costs.accumulate_energy_j,
    }
    if core.bits_out is not None:
        joules["adc"] = uses.conversions * costs.adc_energy_j
    return joules


def _memory(uses: Counts, site: MatmulSite, core: OpticalCore) -> dict[str, Any]:
    """Memory on the chip: one energy per byte for everything that moves, and the levels of a hierarchy."""
    costs = core.costs
    assert costs is not None
    input_bytes, weight_bytes = number_bytes(core.bits_in), number_bytes(core.bits_weight)
    moved = uses.fetched_inputs * input_bytes + uses.results * costs.result_bytes
    if costs.streamed:
        moved += uses.weights * weight_bytes
    elif not site.stationary:
        moved += uses.fetched_weights * weight_bytes
    joules = {"activations": moved * costs.activation_energy_j_per_byte}
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


def _with_static(entry: Entry, power_w: Any) -> Entry:
    joules = {**entry.joules, "static": power_w * sum(entry.seconds.values())}
    return dataclasses.replace(entry, joules=joules)
