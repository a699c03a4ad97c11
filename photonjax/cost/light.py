"""What a program costs on an optical core."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from photonjax.cost.bill import Bill, Entry
from photonjax.cost.digital import maximum, other_entries, other_notes, product_entry
from photonjax.hardware.core import OpticalCore
from photonjax.hardware.digital import DigitalAccelerator
from photonjax.inventory import Inventory, MatmulSite

__all__ = ["RAILS", "RESULT_BYTES", "Rails", "on_core"]

PHOTON_J_M = 6.62607015e-34 * 299792458.0
"""Planck's constant times the speed of light [J m]: a photon's energy times its wavelength (exact, SI)."""

RESULT_BYTES = 2
"""Bytes in which a finished output number is written back (16-bit activations)."""


@dataclasses.dataclass(frozen=True)
class Rails:
    """How many physical parts an encoding needs for one number.

    Attributes:
      inputs: modulators, each with its DAC, per input.
      cells: cells of the array per weight.
      lit: optical paths per multiply that the laser must light so that any of them can deliver full
        scale, in units of ``photons``.
    """

    inputs: int
    cells: int
    lit: int


RAILS = {
    "differential": Rails(inputs=2, cells=4, lit=4),
    "offset": Rails(inputs=1, cells=1, lit=1),
    "homodyne": Rails(inputs=1, cells=1, lit=1),
}
"""Parts by encoding; in each, one receiver (a detector or a balanced pair, one amplifier) and one ADC
per output.

``differential``: an input is lit on its plus or its minus rail, and each rail meets a plus and a minus
cell of the weight (++ and -- lead to one detector of the pair, +- and -+ to the other), so four paths
are lit for the one that carries light: modulators absorb, and dark rails waste what the laser gave
them. Steering light between rails instead of absorbing it would save up to 4x.
``offset``: one modulator, one cell, one detector.
``homodyne``: the fields of input and weight each carry half of the ``photons`` at full scale."""


def on_core(
    inventory: Inventory,
    core: OpticalCore,
    *,
    where: Callable[[MatmulSite], bool] | None = None,
    digital: DigitalAccelerator | None = None,
    dtype: str | None = None,
) -> Bill:
    """The bill of a program whose products run on light, as far as ``where`` says so.

    A site of ``c = count batch`` products [T, K] x [K, N] (T = M) covers kt = ceil(K / rows) by
    nt = ceil(N / cols) tiles; a half-empty tile costs what a full one does. With r = :data:`RAILS`
    of the encoding, P cores, and the fields of ``core.costs`` by their names:

        loads   = c kt nt      every execution writes its tiles anew, weights or computed operands
        symbols = loads T
        compute = symbols / (symbol_rate P)                                              [s]
        loading = max(loads load_time / P, weight bytes / weight_memory_bytes_per_s)     [s]
        load    = max(loading - compute, 0) if double buffered, else loading             [s]
        seconds = compute + load

        laser          E symbols + E symbol_rate P laser_idle_fraction load, where one symbol takes
                       E = rows cols r.lit photons (h c / wavelength) / quantum_efficiency
                           10**(link_loss_db / 10) / wall_plug_efficiency
        dac, modulator symbols rows r.inputs, each
        receiver, adc  symbols cols, each
        weight write   loads rows cols r.cells load_energy
        weight hold    rows cols r.cells P hold_power seconds
        activations    c T K nt bits_in / 8 read, c T N 2 bytes written, and computed operands
                       c K N bits_weight / 8 read for loading; times activation_energy_j_per_byte
        partial sums   c T N (kt - 1) accumulate; ``offset``: c T (N kt + K) more to take offsets off
        weight memory  c K N bits_weight / 8 weight_memory_energy_j_per_byte, for parameters
        static         static_power seconds, over the digital part's seconds too

    Derivation: each line is a number of parts used times what one use takes; E is the definition of
    ``photons`` (detected, per multiply, at full scale) carried back through detector, link and plug.
    Neglected: a site's first load, which nothing overlaps. ``photons=None`` charges no laser,
    ``bits_in=None`` no DAC, ``bits_out=None`` no ADC; numbers without bits travel as 32-bit ones.

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
    costs, rails = core.costs, RAILS[core.encoding]
    assert costs is not None
    executions, T, K, N = site.count * site.batch, site.M, site.K, site.N
    kt, nt = -(-K // core.rows), -(-N // core.cols)
    # floats: traced integers would overflow at 2**31
    cells = float(core.rows * core.cols)
    loads = float(executions * kt * nt)
    symbols = loads * T
    weight_bytes = float(executions * K * N) * _bytes(core.bits_weight)

    compute = symbols / (core.symbol_rate_hz * costs.cores)
    loading = loads * costs.load_time_s / costs.cores
    if site.stationary and costs.weight_memory_bytes_per_s is not None:
        loading = maximum(loading, weight_bytes / costs.weight_memory_bytes_per_s)
    load = maximum(loading - compute, 0.0) if costs.double_buffered else loading
    seconds = compute + load

    joules: dict[str, Any] = {}
    if core.photons is not None:
        light = (
            cells
            * rails.lit
            * core.photons
            * (PHOTON_J_M / costs.wavelength_m)
            / costs.quantum_efficiency
        )
        symbol_j = light * 10.0 ** (costs.link_loss_db / 10.0) / costs.wall_plug_efficiency
        waiting = core.symbol_rate_hz * costs.cores * costs.laser_idle_fraction * load
        joules["laser"] = symbol_j * (symbols + waiting)
    if core.bits_in is not None:
        joules["dac"] = symbols * core.rows * rails.inputs * costs.dac_energy_j
    joules["modulator"] = symbols * core.rows * rails.inputs * costs.modulator_energy_j
    joules["receiver"] = symbols * core.cols * costs.receiver_energy_j
    if core.bits_out is not None:
        joules["adc"] = symbols * core.cols * costs.adc_energy_j
    joules["weight write"] = loads * cells * rails.cells * costs.load_energy_j
    joules["weight hold"] = cells * rails.cells * costs.cores * costs.hold_power_w * seconds
    moved = float(executions * T) * (K * nt * _bytes(core.bits_in) + N * RESULT_BYTES)
    moved += 0.0 if site.stationary else weight_bytes
    joules["activations"] = moved * costs.activation_energy_j_per_byte
    offsets = N * kt + K if core.encoding == "offset" else 0
    joules["partial sums"] = (
        float(executions * T * (N * (kt - 1) + offsets)) * costs.accumulate_energy_j
    )
    if site.stationary:
        joules["weight memory"] = weight_bytes * costs.weight_memory_energy_j_per_byte
    return _with_static(
        Entry(site.path, "light", joules, {"compute": compute, "load": load}), costs.static_power_w
    )


def _with_static(entry: Entry, power_w: Any) -> Entry:
    joules = {**entry.joules, "static": power_w * sum(entry.seconds.values())}
    return dataclasses.replace(entry, joules=joules)


def _bytes(bits: int | None) -> float:
    return 4.0 if bits is None else bits / 8.0
