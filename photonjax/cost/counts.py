"""How often each kind of part is used by one matrix product: whole numbers, before any energy."""

from __future__ import annotations

import dataclasses

from photonjax.core.core import OpticalCore
from photonjax.workload import MatmulSite

__all__ = ["RAILS", "Counts", "Rails", "arrays", "count", "number_bytes"]


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
    "quadrature": Rails(inputs=1, cells=1, lit=1),
}
"""Parts by encoding; in each, one receiver (a detector or a balanced pair, one amplifier) and one ADC
per output.

``differential``: an input is lit on its plus or its minus rail, and each rail meets a plus and a minus
cell of the weight (++ and -- lead to one detector of the pair, +- and -+ to the other), so four paths
are lit for the one that carries light: modulators absorb, and dark rails waste what the laser gave
them. Steering light between rails instead of absorbing it would save up to 4x.
``offset``: one modulator, one cell, one detector.
``homodyne``: the fields of input and weight each carry half of the ``photons`` at full scale.
``quadrature``: every element could transmit full scale, and every output of a symbol has its share of the
local oscillator beside it. That is a lossless mesh, where light that misses one output leaves by another.
Where couplers join fields instead, an input brings 1/rows of its light to an output, and what cancels leaves
by ports that nobody reads: the signal then takes rows times the light (an output that can read ``p = rows``
sees ``m rows**2`` photons), and what is sent per multiply no longer falls as 1/K."""


@dataclasses.dataclass(frozen=True)
class Counts:
    """Uses of each kind of part, over all executions of a site.

    Floats, since they multiply traced values: a traced integer would overflow at 2**31.

    Attributes:
      loads: arrays written with weights.
      symbols: of one array each.
      inputs: numbers that input modulators take, each set of shared modulators once.
      weights: numbers that weight modulators take; 0 unless weights are streamed.
      detections: outputs of an array, once a symbol.
      conversions: numbers that ADCs deliver.
      additions: of digital numbers to bring partial sums together.
      fetched_inputs, fetched_weights: operand numbers brought to the cores.
      results: output numbers written, and partial sums that leave and come back.
      parameters: weight numbers that come from the weight memory; 0 for a computed operand.
      steps: symbols one after the other, of the core that has most to do.
      writes: loads one after the other, of the core that has most to do.
    """

    loads: float
    symbols: float
    inputs: float
    weights: float
    detections: float
    conversions: float
    additions: float
    fetched_inputs: float
    fetched_weights: float
    results: float
    parameters: float
    steps: float
    writes: float


def arrays(site: MatmulSite, core: OpticalCore) -> int:
    """Arrays that the weights of one execution fill: one for each tile and slice.

    >>> site = MatmulSite("w", batch=1, M=3, K=5, N=9, count=7, dtype="int8", stationary=True)
    >>> arrays(site, OpticalCore(rows=4, cols=8))
    4
    """
    tiles = -(-site.K // core.rows) * -(-site.N // core.cols)
    return site.batch * tiles * core.array.slices


def count(site: MatmulSite, core: OpticalCore) -> Counts:
    """Uses of each kind of part by ``c = count batch`` products [T, K] x [K, N] (T = M).

    With the fields of ``core`` and ``core.costs`` by their names, q = input.slices array.slices averages
    passes for every symbol, and T', K', N' what of T, K, N is powered: as much as there is where the
    machine is ``gated``, else whole tiles (tt vectors, kt rows, nt cols),

        kt = ceil(K / rows), nt = ceil(N / cols), tt = ceil(T / vectors)
        loads       = c kt nt array.slices
        symbols     = c kt nt tt q
        inputs      = c q nt T' K' / input_sharing
        weights     = c q tt K' N'                  if streamed, else 0
        detections  = c q kt T' N'
        conversions = c q r T' N',                  r = ceil(ceil(kt / accumulation) / readout_sharing)
        additions   = c T N (q r - 1);              ``offset``: c T q (N r + K) more to take offsets off
        fetched     = c nt T K / input_sharing inputs, and c K N weights
        results     = c T N (2 p - 1),              p = ceil(cols K weight bytes / operand_buffer_bytes)
        parameters  = c K N                         if the site is stationary, else 0

    and one after the other, with P cores and A = batch kt nt array.slices arrays filled by each of the
    site's executions,

        writes      = count ceil(A / P)
        steps       = writes tt q / array.slices;  symbols / P if streamed

    Every execution writes its tiles again, weights or computed operands; a half-empty tile costs what
    a full one does, unless gated. A tile is on one core: where the last round, or the only one, has
    fewer tiles than cores, the others idle. Streamed symbols spread evenly. ``resident`` tiles each
    have an array: loads = parameters = writes = 0, and A / P counts as one round.

    Raises:
      ValueError: the product is complex.

    Example:
      >>> from photonjax.core import CoreCosts
      >>> site = MatmulSite("w", batch=1, M=3, K=5, N=9, count=1, dtype="int8", stationary=True)
      >>> counts = count(site, OpticalCore(rows=4, cols=8, costs=CoreCosts()))
      >>> counts.loads, counts.symbols, counts.conversions  # 2 x 2 tiles, 3 vectors
      (4.0, 12.0, 96.0)
      >>> counts = count(site, OpticalCore(rows=4, cols=8, costs=CoreCosts(cores=3)))
      >>> counts.steps  # 2 rounds of 3 vectors: in the second, two cores idle
      6.0
    """
    costs = core.costs
    assert costs is not None
    if site.complex:
        raise ValueError(f"{site.path} is {site.dtype}, and light carries real numbers")
    c, T, K, N = site.count * site.batch, site.M, site.K, site.N
    kt, nt, tt = -(-K // core.rows), -(-N // core.cols), -(-T // costs.vectors)
    passes = core.input.slices * core.array.slices * core.averages
    if costs.gated:
        on_t, on_k, on_n = T, K, N
    else:
        on_t, on_k, on_n = tt * costs.vectors, kt * core.rows, nt * core.cols
    runs = -(-kt // costs.accumulation)
    readouts = -(-runs // costs.readout_sharing)
    offsets = passes * (N * readouts + K) if core.encoding.kind == "offset" else 0
    pieces = 1
    if costs.operand_buffer_bytes is not None:
        block = core.cols * K * number_bytes(core.array.bits)
        pieces = max(1, int(-(-block // costs.operand_buffer_bytes)))
    rounds = 1 if costs.resident else -(-arrays(site, core) // costs.cores)
    symbols = float(c * kt * nt * tt * passes)
    steps = float(site.count * rounds * tt * passes // core.array.slices)
    return Counts(
        loads=0.0 if costs.resident else float(c * kt * nt * core.array.slices),
        symbols=symbols,
        inputs=float(c * passes * nt * on_t * on_k) / costs.input_sharing,
        weights=float(c * passes * tt * on_k * on_n) if costs.streamed else 0.0,
        detections=float(c * passes * kt * on_t * on_n),
        conversions=float(c * passes * readouts * on_t * on_n),
        additions=float(c * T * (N * (passes * readouts - 1) + offsets)),
        fetched_inputs=float(c * nt * T * K) / costs.input_sharing,
        fetched_weights=float(c * K * N),
        results=float(c * T * N * (2 * pieces - 1)),
        parameters=float(c * K * N) if site.stationary and not costs.resident else 0.0,
        steps=symbols / costs.cores if costs.streamed else steps,
        writes=0.0 if costs.streamed or costs.resident else float(site.count * rounds),
    )


def number_bytes(bits: int | None) -> float:
    """Bytes of one number; those without bits travel as 32-bit ones."""
    return 4.0 if bits is None else bits / 8.0
