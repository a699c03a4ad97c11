"""The array that holds the weights."""

from __future__ import annotations

from typing import Literal

from photonjax.core.levels import Curve, check_converter
from photonjax.core.pytree import Scalar, leaf, stage, static

WeightScale = Literal["per_column", "per_tensor", "per_tile"]


@stage
class Array:
    """The cells that hold the weights of a die.

    Attributes:
      bits: weight resolution; ``None`` leaves weights continuous (float32).
      slices: bit slicing: weights of ``bits`` are held as this many digits of ``ceil(bits / slices)``
        bits, each in an array of its own, read in passes with noise and ADC of their own, and put
        together digitally.
      scale: what full scale means: the largest magnitude of each output column, of the whole matrix,
        or of each column within a k-tile.
      power_of_two_scale: round scales found in the operand up to powers of two; the scales of a
        quantized array stay as they are.
      curve, lookup, resonance_detuning: of the cells, as of :class:`~photonjax.core.modulator.Input`.
      noise: standard deviation of the static programming error of each cell, in full scales.
      seconds_since_programming: time at which the weights are used; the next three need it [s].
      drift_exponent, drift_spread: mean and standard deviation (cell to cell) of the exponent ``nu``
        of ``b (t / 20 s)**-nu``.
      flicker_noise: 1/f noise of the held value, relative, per square root of a unit of ``ln t``.
      dead_fraction: of cells that transmit nothing. stuck_fraction: of cells stuck at +1 or -1.
      crosstalk_rows, crosstalk_cols: fraction of a cell's light that lands in each neighbour along the
        inputs, along the outputs.
    """

    bits: int | None = static(8, low=2, high=16)
    slices: int = static(1, low=1, high=8)
    scale: WeightScale = static("per_column")
    power_of_two_scale: bool = static(False)
    curve: Curve = static("linear")
    lookup: bool = static(True)
    resonance_detuning: Scalar | None = leaf(None, low=0.1, high=1e3)
    noise: Scalar | None = leaf(None, low=0.0, high=0.5)
    seconds_since_programming: Scalar | None = leaf(None, low=0.0)
    drift_exponent: Scalar | None = leaf(None, low=0.0, high=1.0)
    drift_spread: Scalar | None = leaf(None, low=0.0, high=1.0)
    flicker_noise: Scalar | None = leaf(None, low=0.0, high=0.5)
    dead_fraction: Scalar | None = leaf(None, low=0.0, high=1.0)
    stuck_fraction: Scalar | None = leaf(None, low=0.0, high=1.0)
    crosstalk_rows: Scalar | None = leaf(None, low=0.0, high=0.5)
    crosstalk_cols: Scalar | None = leaf(None, low=0.0, high=0.5)

    def __post_init__(self) -> None:
        check_converter(self)
        if self.seconds_since_programming is None:
            for name, why in (
                ("drift_exponent", "weights drift with time; say how much"),
                ("drift_spread", "weights drift with time; say how much"),
                ("flicker_noise", "flicker grows with time; say how much"),
            ):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"OpticalCore.array.{name} is set but array.seconds_since_programming is "
                        f"None: {why}"
                    )

    @property
    def levels(self) -> int | None:
        """Largest weight level."""
        return None if self.bits is None else 2 ** (self.bits - 1) - 1
