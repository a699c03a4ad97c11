"""What it takes to keep a machine calibrated: vectors sent and arrays written again, every so often.

A machine whose gains, phases or emitters drift is measured again after ``recalibration_interval_s``
(``pj.characterize`` is such a measurement): each core gets ``recalibration_vectors`` vectors, whose
results are read, and ``recalibration_loads`` loads of its array, before and between them. Nothing else runs
meanwhile. In ``seconds`` of work that happens ``seconds / interval`` times, a fraction where it is less than
once; it takes ``V / (vectors symbol_rate) + L load_time``, and of every part what as many symbols and loads
of whole arrays take in a product. What the digital side does with the readings is left out.
"""

from __future__ import annotations

import dataclasses

from photonjax.core.core import OpticalCore
from photonjax.cost.breakdown import CostEntry
from photonjax.cost.counts import Counts
from photonjax.cost.optical_parts import activation_bytes, electronics, optics

__all__ = ["recalibrated"]


def recalibrated(entry: CostEntry, core: OpticalCore) -> CostEntry:
    """An entry with the recalibrations that its time needs, as a component of joules and of seconds."""
    costs = core.costs
    assert costs is not None
    if costs.recalibration_interval_s is None:
        return entry
    vectors = 0.0 if costs.recalibration_vectors is None else costs.recalibration_vectors
    loads = 0.0 if costs.recalibration_loads is None else costs.recalibration_loads
    written = 0.0 if costs.streamed else loads
    symbols = vectors / costs.vectors
    seconds = symbols / core.symbol_rate_hz + written * costs.load_time_s
    inputs = costs.cores * vectors * core.rows / costs.input_sharing
    outputs = costs.cores * vectors * core.cols
    uses = Counts(
        loads=costs.cores * written,
        symbols=costs.cores * symbols,
        inputs=inputs,
        weights=costs.cores * symbols * core.rows * core.cols if costs.streamed else 0.0,
        detections=outputs,
        conversions=outputs,
        additions=0.0,
        fetched_inputs=inputs,
        fetched_weights=0.0,
        results=outputs,
        parameters=0.0,
        steps=symbols,
        writes=written,
    )
    joules = sum(optics(uses, core, seconds).values()) + sum(electronics(uses, core).values())
    joules = joules + activation_bytes(uses, core, True) * costs.activation_energy_j_per_byte
    times = sum(entry.seconds.values()) / costs.recalibration_interval_s
    return dataclasses.replace(
        entry,
        joules={**entry.joules, "recalibration": times * joules},
        seconds={**entry.seconds, "recalibration": times * seconds},
    )
