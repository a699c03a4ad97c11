"""What a program costs on an optical core.

What a site of products [T, K] x [K, N] uses of each kind of part is counted by
``photonjax.cost.counts.count``, whose names stand here for those numbers. With r =
``RAILS`` of the encoding, P cores, and the fields of ``core.costs`` by their names:

    compute = max(steps / symbol_rate,
                  (activation bytes + 8 additions) / activation_bytes_per_s)         [s]
    loading = max(writes load_time, parameter bytes / weight_memory_bytes_per_s)     [s]
    load    = max(loading - compute, 0) if double buffered, else loading             [s]
    seconds = compute + load

    laser          E symbols + E laser_idle_fraction (symbol_rate P seconds - symbols), where one
                   symbol takes
                   E = cols vectors (rows r.lit photons + oscillator) (h c / wavelength)
                       / quantum_efficiency 10**(link_loss_db / 10) / wall_plug_efficiency
                   with the oscillator of encoding.oscillator_electrons (``quadrature`` alone).
                   A laser behind absorbing modulators pays for that whatever is sent. Emitters modulated by
                   their current (``source.threshold_fraction`` = t) pay, as component ``emitters``,
                   t + (1 - t) mean_input_fraction / r.inputs of it: both rails are kept at threshold,
                   one shines; and t while they wait (:mod:`photonjax.core.source`)
    dac, modulator (inputs + weights) r.inputs, each
    receiver       detections receiver_energy
    amplifier, adc conversions, each
    weight write   loads rows cols r.cells load_energy
    weight hold    rows cols r.cells P hold_power seconds
    activations    activation bytes, of fetched_inputs and results and of computed operands written
                   or any weights streamed; times activation_energy_j_per_byte
    memory: name   the sum over kinds of numbers of count, bytes and accesses, times
                   energy_j_per_byte
    partial sums   additions accumulate_energy
    weight memory  parameter bytes weight_memory_energy_j_per_byte
    recalibration  n times the laser, dac, modulator, receiver, amplifier, adc, weight write and hold, and
                   activations of V vectors and L loads of all P cores, n = seconds / interval over the
                   digital part's seconds too, in n (V / (vectors symbol_rate) + L load_time) [s]; V, L and
                   the interval are those of ``recalibration_...``
    static         static_power seconds, over the digital part's and recalibration's seconds too

Derivation: each line is a number of parts used times what one use takes; E is the definition of
``photons`` (detected, per multiply, at full scale) carried back through detector, link and plug.
Streamed weights are neither written nor held, and take no load time; resident ones are held, and
were written before. A partial sum of 4 bytes is read and written in the activation memory for each
addition: its time counts here, its energy is in accumulate_energy. Neglected: a site's first load,
which nothing overlaps; what the digital side draws while light works, and laser and cells while it
does not (gating over whole products). ``photons=None`` charges no laser, ``input.bits=None`` no DAC,
``adc.bits=None`` no ADC; numbers without bits travel as 32-bit ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from photonjax.core.core import OpticalCore
from photonjax.core.fields import get_field
from photonjax.cost.breakdown import CostBreakdown, CostEntry
from photonjax.cost.counts import Counts, arrays, count, number_bytes
from photonjax.cost.digital import Precision, digital_entries, maximum, other_notes, total
from photonjax.cost.optical_parts import activation_bytes, electronics, memories, optics
from photonjax.cost.recalibration import recalibrated
from photonjax.machines.accelerator import DigitalAccelerator
from photonjax.workload import MatmulSite, Workload

__all__ = ["optical_cost", "optical_entry"]


def optical_cost(
    workload: Workload,
    core: OpticalCore,
    *,
    where: Callable[[MatmulSite], bool] | None = None,
    digital: DigitalAccelerator | None = None,
    dtype: Precision = None,
) -> CostBreakdown:
    """A program whose products run on light, as far as ``where`` says so.

    The arguments are those of ``photonjax.cost.estimate``.
    """
    if core.costs is None:
        raise ValueError(
            "OpticalCore.costs is None: give the core a CoreCosts, or take one of machines.optical_names()"
        )
    if digital is not None and (digital.power_w is None or not digital.ops_per_s):
        raise ValueError(
            "digital: has no power_w or ops_per_s, so it cannot be charged; give one that has both"
        )
    chosen = where or (lambda site: site.stationary)
    light = [s for s in workload.matmuls if chosen(s) and not s.complex]
    rest = [s for s in workload.matmuls if s.complex or not chosen(s)]
    _check_resident(light, core)
    notes = [*(f"not counted: {u}" for u in workload.unsupported), *workload.notes]
    for field, part in (("photons", "laser"), ("input.bits", "DAC"), ("adc.bits", "ADC")):
        if get_field(core, field) is None:
            notes.append(f"{part} not charged: OpticalCore.{field} is None")
    kept = dict.fromkeys(s.path for s in rest if s.complex and chosen(s))
    if kept:
        notes.append(f"complex, and light carries real numbers; left digital: {', '.join(kept)}")
    written = [s for s in light if not s.stationary]
    if written and not core.costs.streamed:
        rows = min(s.M for s in written)
        notes.append(
            "computed operands are written to the array again for every execution that was traced, the "
            f"smallest of {rows} rows"
        )
    named: dict[tuple[str, bool], list[MatmulSite]] = {}
    for site in light:
        named.setdefault((site.path, site.stationary), []).append(site)
    entries = [optical_entry(sites, core) for sites in named.values()]
    if digital is None:
        if rest:
            macs = sum(s.macs for s in rest)
            notes.append(
                f"not charged, no digital side given: {len(rest)} products of {macs:.4g} MACs"
            )
        if workload.operations:
            kinds = ", ".join(dict.fromkeys(o.kind for o in workload.operations))
            notes.append(f"not charged, no digital side given: other operations ({kinds})")
    else:
        others = digital_entries(rest, workload, digital, dtype)
        entries += [_with_others(e, core) for e in others]
        notes += other_notes(workload, digital)
    return CostBreakdown("optical core", tuple(notes), tuple(entries))


def _check_resident(light: list[MatmulSite], core: OpticalCore) -> None:
    """Every weight tile needs an array of its own; computed operands cannot have one."""
    costs = core.costs
    assert costs is not None
    if not costs.resident:
        return
    for site in light:
        if not site.stationary:
            raise ValueError(
                f"OpticalCore.costs.resident = True: {site.path} has two computed operands, and nothing "
                "to keep; leave it to the digital side (where=), or set resident=False"
            )
    needed = sum(site.count * arrays(site, core) for site in light)
    if needed > costs.cores:
        raise ValueError(
            f"OpticalCore.costs.resident = True: the weights fill {needed} arrays, cores = {costs.cores}; "
            f"give cores={needed} or more, or set resident=False"
        )


def optical_entry(sites: Sequence[MatmulSite], core: OpticalCore) -> CostEntry:
    """Products of one name on light; the formulas are those of the module's docstring.

    All but the waiting for weights is proportional to the counts, which may therefore be added first.
    """
    costs = core.costs
    assert costs is not None
    path, stationary = sites[0].path, sites[0].stationary
    each = [count(site, core) for site in sites]
    steps, writes, numbers = np.array([(u.steps, u.writes, u.parameters) for u in each]).T
    uses = Counts(*map(sum, zip(*map(dataclasses.astuple, each), strict=True)))
    compute = steps / core.symbol_rate_hz
    if costs.activation_bytes_per_s is not None:
        moved = [activation_bytes(u, core, stationary) + 8.0 * u.additions for u in each]
        compute = maximum(compute, np.array(moved) / costs.activation_bytes_per_s)
    loading = writes * costs.load_time_s
    if stationary and costs.weight_memory_bytes_per_s is not None:
        size = numbers * number_bytes(core.array.bits)
        loading = maximum(loading, size / costs.weight_memory_bytes_per_s)
    waiting = maximum(loading - compute, 0.0) if costs.double_buffered else loading
    seconds = {"compute": total(compute), "load": total(waiting)}
    joules = {
        **optics(uses, core, sum(seconds.values())),
        **electronics(uses, core),
        "activations": activation_bytes(uses, core, stationary)
        * costs.activation_energy_j_per_byte,
        **memories(uses, core),
    }
    if stationary:
        parameter_bytes = uses.parameters * number_bytes(core.array.bits)
        joules["weight memory"] = parameter_bytes * costs.weight_memory_energy_j_per_byte
    return _with_others(CostEntry(path, "light", joules, seconds), core)


def _with_others(entry: CostEntry, core: OpticalCore) -> CostEntry:
    """What goes with time: recalibration, and the machine's static power."""
    assert core.costs is not None
    entry = recalibrated(entry, core)
    static = core.costs.static_power_w * sum(entry.seconds.values())
    return dataclasses.replace(entry, joules={**entry.joules, "static": static})
