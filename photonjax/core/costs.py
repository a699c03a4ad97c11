"""What an optical machine takes in energy and time, component by component."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from photonjax.core.pytree import (
    brief,
    check_fields,
    check_leaves,
    leaf,
    refuse_unknown,
    register,
    static,
)

__all__ = ["PHOTON_J_M", "CoreCosts", "Memory", "SharedCosts"]

PHOTON_J_M = 6.62607015e-34 * 299792458.0
"""Planck's constant times the speed of light [J m]: a photon's energy times its wavelength (exact, SI)."""


@refuse_unknown
@register
@dataclasses.dataclass(frozen=True)
class CoreCosts:
    """Energies [J], times [s] and powers [W] of the parts of an optical machine.

    The fields are the inputs of :func:`photonjax.cost.estimate`, where each formula is written out.
    All but ``cores``, ``double_buffered`` and ``resident`` are pytree leaves: ``jax.grad`` of a cost
    with respect to a core gives its sensitivity to every one of them. The defaults cost nothing: an ideal
    machine.

    Attributes:
      wavelength_m: of the laser [m]; sets the energy of a photon.
      quantum_efficiency: photo-electrons per photon that reaches a detector.
      link_loss_db: optical loss from laser to detector at full transmission [dB]: coupling, fan-out
        excess, modulators' insertion loss.
      wall_plug_efficiency: optical power out of the laser per electrical power into it.
      laser_idle_fraction: fraction of the laser's power that it keeps drawing while an array waits for
        its weights: 1 for a laser that is always on, 0 for one gated off.
      mean_input_fraction: mean magnitude of the inputs in full scales (of ``offset``: mean light, about a
        half; ``None``: full scale), which emitters modulated by their current pay for
        (``source.threshold_fraction``); a laser behind modulators always pays for full scale.
      dac_energy_j: per sample of one input modulator's DAC [J].
      modulator_energy_j: per symbol of one input modulator and its driver [J].
      receiver_energy_j: per output sample, of one output's detectors and amplifier [J].
      adc_energy_j: per sample of one output's ADC [J].
      load_time_s: to write the weights of one whole array, all cells at once [s] (a display's frame
        time; for an array that is written row by row, rows times the row time).
      load_energy_j: to write one cell [J].
      hold_power_w: of one cell while it keeps its value [W].
      static_power_w: of the whole machine while it works, whatever it does [W].
      activation_energy_j_per_byte: of the memory that inputs are read from and outputs written to
        [J/B].
      activation_bytes_per_s: its bandwidth, shared by all cores, for partial sums as well [B/s];
        ``None``: never the limit.
      accumulate_energy_j: of adding one digitised partial sum, its accumulator's read and write
        included [J].
      weight_memory_energy_j_per_byte: of the memory that weights are streamed from (HBM, DRAM)
        [J/B].
      weight_memory_bytes_per_s: its bandwidth, shared by all cores [B/s]; ``None``: never the
        limit.
      recalibration_interval_s: time from one recalibration to the next [s] (symbols between them, divided by
        the symbol rate); ``None``: never. recalibration_vectors: that each core is then sent and reads.
        recalibration_loads: of each core's array, for it, one after the other. ``None``: 0.
      area_m2: of the machine [m2]; ``None`` where nobody has published it. No formula uses it.
      cores: arrays that work at the same time.
      double_buffered: whether an array's next weights are written while it computes, so that the
        longer of the two counts; otherwise they add.
      resident: whether every weight tile has an array of its own, written before the call: nothing is
        loaded, and all tiles of a product work at the same time, but all ``cores`` are held and lit.

    Raises:
      ValueError, TypeError: on construction, naming the field, its value and what is allowed.

    Example:
      >>> from photonjax.core import CoreCosts
      >>> CoreCosts(dac_energy_j=10e-12, cores=4).cores
      4
      >>> CoreCosts(wall_plug_efficiency=1.2)
      Traceback (most recent call last):
      ...
      ValueError: OpticalCore.costs.wall_plug_efficiency = 1.2 is not a number above 0 and up to 1
    """

    wavelength_m: Any = leaf(1550e-9, low=100e-9, high=20e-6)
    quantum_efficiency: Any = leaf(1.0, above=0.0, high=1.0)
    link_loss_db: Any = leaf(0.0, low=0.0, high=100.0)
    wall_plug_efficiency: Any = leaf(1.0, above=0.0, high=1.0)
    laser_idle_fraction: Any = leaf(0.0, low=0.0, high=1.0)
    mean_input_fraction: Any = leaf(None, low=0.0, high=1.0)
    dac_energy_j: Any = leaf(0.0, low=0.0)
    modulator_energy_j: Any = leaf(0.0, low=0.0)
    receiver_energy_j: Any = leaf(0.0, low=0.0)
    adc_energy_j: Any = leaf(0.0, low=0.0)
    load_time_s: Any = leaf(0.0, low=0.0)
    load_energy_j: Any = leaf(0.0, low=0.0)
    hold_power_w: Any = leaf(0.0, low=0.0)
    static_power_w: Any = leaf(0.0, low=0.0)
    activation_energy_j_per_byte: Any = leaf(0.0, low=0.0)
    activation_bytes_per_s: Any = leaf(None, above=0.0)
    accumulate_energy_j: Any = leaf(0.0, low=0.0)
    weight_memory_energy_j_per_byte: Any = leaf(0.0, low=0.0)
    weight_memory_bytes_per_s: Any = leaf(None, above=0.0)
    recalibration_interval_s: Any = leaf(None, above=0.0)
    recalibration_vectors: Any = leaf(None, low=0.0)
    recalibration_loads: Any = leaf(None, low=0.0)
    area_m2: Any = leaf(None, above=0.0)
    cores: int = static(1, low=1, high=1 << 20)
    double_buffered: bool = static(True)
    resident: bool = static(False)

    title = "OpticalCore.costs"  # how errors call it, where the core has it

    # What SharedCosts makes into fields. Without an annotation they are none here: every core has parts
    # of its own, one vector passes at a time, weights are loaded.
    vectors = 1
    input_sharing = 1
    readout_sharing = 1
    accumulation = 1
    streamed = False
    gated = False
    operand_buffer_bytes = cast("int | None", None)
    result_bytes = 2.0
    amplifier_energy_j = 0.0
    memories = cast("tuple[Memory, ...]", ())

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("recalibration_vectors", "recalibration_loads"):
            if getattr(self, name) is not None and self.recalibration_interval_s is None:
                raise ValueError(
                    f"OpticalCore.costs.{name} is set but costs.recalibration_interval_s is None: say how "
                    "often it is needed"
                )


@refuse_unknown
@register
@dataclasses.dataclass(frozen=True)
class Memory:
    """A level of on-chip memory, or the wires to it: how often numbers pass it, and what that takes.

    Every count is a number of accesses, reads and writes alike, for each number of its kind. The
    kinds are counted by :func:`photonjax.cost.counts.count`.

    Attributes:
      name: of the level; its component in a cost is ``memory: name``.
      energy_j_per_byte: of one access [J/B].
      samples: accesses per number that a modulator takes.
      fetches: per operand number brought to the cores: a weight once, an input again for every block of
        output columns, unless cores share it.
      results: per finished output number, and per partial sum that leaves the cores' reach and comes
        back.
      conversions: per number that an ADC delivers.
      weights: per weight number that comes from the weight memory.

    >>> Memory("registers", 1e-12, samples=-1)
    Traceback (most recent call last):
    ...
    ValueError: Memory.samples = -1 is not a number of 0 or more
    """

    name: str
    energy_j_per_byte: Any = leaf(low=0.0)
    samples: Any = leaf(0.0, low=0.0)
    fetches: Any = leaf(0.0, low=0.0)
    results: Any = leaf(0.0, low=0.0)
    conversions: Any = leaf(0.0, low=0.0)
    weights: Any = leaf(0.0, low=0.0)

    def __post_init__(self) -> None:
        check_leaves(self)


@refuse_unknown
@register
@dataclasses.dataclass(frozen=True)
class SharedCosts(CoreCosts):
    """:class:`CoreCosts` of a machine that shares parts, streams both operands, or has a memory hierarchy.

    The defaults of the further fields mean the same machine as a :class:`CoreCosts`.

    Attributes:
      vectors: input vectors that one array multiplies by its weights in one symbol (a crossbar: each has
        ``rows`` input modulators and ``cols`` receivers of its own).
      input_sharing: cores that one set of input modulators lights; they work on different columns.
      readout_sharing: cores whose photocurrents are added before one amplifier and one ADC; they work
        on different k-tiles.
      accumulation: consecutive symbols that a receiver adds up before one conversion.
      streamed: weights are modulated again each symbol, as inputs are, by ``rows * cols`` modulators and
        DACs per core; nothing is loaded or held.
      gated: modulators, DACs, receivers and ADCs of a tile's unused rows, columns and vectors take
        nothing. The laser always lights the whole array.
      operand_buffer_bytes: what a core can keep of its columns' weights, all of K, beside the array [B].
        Where they do not fit, K is worked off in pieces, and partial sums go out and come back in
        between. ``None``: they fit.
      result_bytes: of an output number or a partial sum in memory.
      amplifier_energy_j: per conversion, of an amplifier that works once per conversion [J]; one that
        works each symbol belongs to ``receiver_energy_j``.
      memories: levels of on-chip memory, charged beside ``activation_energy_j_per_byte``.

    Example:
      >>> from photonjax.core.costs import SharedCosts
      >>> SharedCosts(cores=8, vectors=12, input_sharing=4, streamed=True).vectors
      12
      >>> SharedCosts(cores=8, input_sharing=3)
      Traceback (most recent call last):
      ...
      ValueError: OpticalCore.costs.input_sharing = 3 does not divide its 8 cores
    """

    vectors: int = static(1, low=1, high=1 << 20)
    input_sharing: int = static(1, low=1, high=1 << 20)
    readout_sharing: int = static(1, low=1, high=1 << 20)
    accumulation: int = static(1, low=1, high=1 << 20)
    streamed: bool = static(False)
    gated: bool = static(False)
    operand_buffer_bytes: int | None = static(None, low=1, high=1 << 40)
    result_bytes: Any = leaf(2.0, low=0.0)
    amplifier_energy_j: Any = leaf(0.0, low=0.0)
    memories: tuple[Memory, ...] = leaf(())

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("input_sharing", "readout_sharing"):
            if self.cores % getattr(self, name):
                raise ValueError(
                    f"{self.title}.{name} = {getattr(self, name)} does not divide its {self.cores} cores"
                )
        if self.streamed and self.resident:
            raise ValueError(
                "OpticalCore.costs.resident = True: streamed weights stay nowhere; set one of the two"
            )
        if not isinstance(self.memories, tuple) or any(
            not isinstance(m, Memory) for m in self.memories
        ):
            raise TypeError(
                f"{self.title}.memories = {brief(self.memories)} is not a tuple of Memory"
            )
