"""What an optical machine takes in energy and time, component by component."""

from __future__ import annotations

import dataclasses
from typing import Any

from photonjax.hardware.pytree import check_leaves, leaf, register


@register
@dataclasses.dataclass(frozen=True)
class CoreCosts:
    """Energies [J], times [s] and powers [W] of the parts of an optical machine.

    The fields are the inputs of :func:`photonjax.cost.on_core`, where each formula is written out.
    All but ``cores`` and ``double_buffered`` are pytree leaves: ``jax.grad`` of a bill with respect
    to a core gives its sensitivity to every one of them. The defaults cost nothing: an ideal
    machine.

    Attributes:
      wavelength_m: of the laser [m]; sets the energy of a photon.
      quantum_efficiency: photo-electrons per photon that reaches a detector.
      link_loss_db: optical loss from laser to detector at full transmission [dB]: coupling, fan-out
        excess, modulators' insertion loss.
      wall_plug_efficiency: optical power out of the laser per electrical power into it.
      laser_idle_fraction: share of the laser's power that it keeps drawing while an array waits for
        its weights: 1 for a laser that is always on, 0 for one gated off.
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
      accumulate_energy_j: of adding one digitised partial sum, its accumulator's read and write
        included [J].
      weight_memory_energy_j_per_byte: of the memory that weights are streamed from (HBM, DRAM)
        [J/B].
      weight_memory_bytes_per_s: its bandwidth, shared by all cores [B/s]; ``None``: never the
        limit.
      cores: arrays that work at the same time.
      double_buffered: whether an array's next weights are written while it computes, so that the
        longer of the two counts; otherwise they add.

    Raises:
      ValueError, TypeError: on construction, naming the field, its value and what is allowed.

    Example:
      >>> from photonjax.hardware import CoreCosts
      >>> CoreCosts(dac_energy_j=10e-12, cores=4).cores
      4
      >>> CoreCosts(wall_plug_efficiency=1.2)
      Traceback (most recent call last):
      ...
      ValueError: CoreCosts.wall_plug_efficiency = 1.2 is outside (0.0, 1.0]
    """

    wavelength_m: Any = leaf(1550e-9, low=100e-9, high=20e-6)
    quantum_efficiency: Any = leaf(1.0, above=0.0, high=1.0)
    link_loss_db: Any = leaf(0.0, low=0.0, high=100.0)
    wall_plug_efficiency: Any = leaf(1.0, above=0.0, high=1.0)
    laser_idle_fraction: Any = leaf(0.0, low=0.0, high=1.0)
    dac_energy_j: Any = leaf(0.0, low=0.0)
    modulator_energy_j: Any = leaf(0.0, low=0.0)
    receiver_energy_j: Any = leaf(0.0, low=0.0)
    adc_energy_j: Any = leaf(0.0, low=0.0)
    load_time_s: Any = leaf(0.0, low=0.0)
    load_energy_j: Any = leaf(0.0, low=0.0)
    hold_power_w: Any = leaf(0.0, low=0.0)
    static_power_w: Any = leaf(0.0, low=0.0)
    activation_energy_j_per_byte: Any = leaf(0.0, low=0.0)
    accumulate_energy_j: Any = leaf(0.0, low=0.0)
    weight_memory_energy_j_per_byte: Any = leaf(0.0, low=0.0)
    weight_memory_bytes_per_s: Any = leaf(None, above=0.0, optional=True)
    cores: int = 1
    double_buffered: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.cores, bool) or not isinstance(self.cores, int):
            raise TypeError(f"CoreCosts.cores = {self.cores!r} is not an integer")
        if not 1 <= self.cores <= 1 << 20:
            raise ValueError(f"CoreCosts.cores = {self.cores} is outside 1 ... {1 << 20}")
        if not isinstance(self.double_buffered, bool):
            raise TypeError(
                f"CoreCosts.double_buffered = {self.double_buffered!r} is not True or False"
            )
        check_leaves(self)
