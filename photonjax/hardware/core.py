"""An optical core: one array of light modulators that multiplies a vector by a matrix each symbol."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

from photonjax.hardware.costs import CoreCosts
from photonjax.hardware.pytree import check_leaves, leaf, register, static_or_leaf

Encoding = Literal["differential", "offset", "homodyne", "quadrature"]
PhotonStatistics = Literal["gaussian", "poisson"]
ShotEstimate = Literal["rank_one", "exact"]
InputScale = Literal["per_token", "per_tensor", "per_tile", "static"]
WeightScale = Literal["per_column", "per_tensor", "per_tile"]
Curve = Literal["linear", "sin2", "lorentzian"]
Extinction = Literal["balanced", "floor", "dither"]
Sampler = Literal["mixed", "threefry"]

_CHOICES = {
    "encoding": get_args(Encoding),
    "photon_statistics": get_args(PhotonStatistics),
    "shot_estimate": get_args(ShotEstimate),
    "input_scale": get_args(InputScale),
    "weight_scale": get_args(WeightScale),
    "input_curve": get_args(Curve),
    "weight_curve": get_args(Curve),
    "extinction": get_args(Extinction),
    "sampler": get_args(Sampler),
}


# field, field that it needs, why
_NEEDS = (
    ("receiver_noise_a_per_rthz", "photons", "it is measured against the light; set photons too"),
    ("dark_current_a", "photons", "it is measured against the light; set photons too"),
    ("saturation_electrons", "photons", "it is a number of detected electrons; set photons too"),
    ("enob", "bits_out", "there is no ADC; set bits_out too"),
    ("inl_lsb", "bits_out", "there is no ADC; set bits_out too"),
    ("drift_exponent", "seconds_since_programming", "weights drift with time; say how much"),
    ("drift_spread", "seconds_since_programming", "weights drift with time; say how much"),
    ("flicker_noise", "seconds_since_programming", "flicker grows with time; say how much"),
)


@register
@dataclasses.dataclass(frozen=True)
class OpticalCore:
    """What a matrix product meets on its way through light.

    An ``[T, K] x [K, N]`` product is cut into tiles of ``rows`` x ``cols``. Each tile's analog sum
    ``p = sum_k a_k b_kn`` of normalised inputs and weights (``a``, ``b`` in [-1, 1]) is detected and
    digitised on its own; the digitised partial sums are added digitally.

    The object is a pytree. Continuous fields are leaves, so ``jax.grad``, ``jax.vmap`` and
    ``jax.jit`` work over them; the others are static. ``None`` removes a source (or a converter)
    from the traced program, which also makes it free.

    How each field acts, in the order in which light meets it, is derived in
    :mod:`photonjax.ops.modulate` (inputs), :mod:`photonjax.ops.chip` (the die) and
    :mod:`photonjax.ops.noise` (light and detection).

    Attributes:
      rows: inputs of the array: at most this many products are summed in the analog domain.
      cols: outputs of the array; columns of one tile share a symbol, hence its laser fluctuation.
      encoding: how signed numbers become light. ``differential``: intensities, signs on dual rails,
        balanced detectors. ``offset``: ``(1 + a)/2`` and ``(1 + b)/2`` on one rail, offsets
        subtracted digitally. ``homodyne``: interference of two fields on a balanced pair.
        ``quadrature``: fields add up in one waveguide, whose amplitude is read against a strong local
        oscillator.
      bits_in: input converter resolution; ``None`` leaves inputs continuous (float32).
      bits_weight: weight resolution; ``None`` leaves weights continuous (float32).
      bits_out: output ADC resolution; ``None`` means no ADC.
      slices_in, slices_weight: bit slicing: an operand of ``bits`` is sent (or held) as this many
        digits of ``ceil(bits / slices)`` bits, each in passes of its own with noise and ADC of
        their own, and put together digitally.
      averages: every symbol is repeated this often, and its digitised results averaged.
      input_scale: what full scale means for inputs: the largest magnitude of each token, of the
        tensor, of each token within a k-tile (block floating point), or a fixed ``input_range``.
      weight_scale: the same for weights: of each output column, of the whole matrix, or of each
        column within a k-tile.
      scale_exponents: round scales found in the operands up to powers of two (shared exponents, no
        multiplier); a given input range and the scales of a quantized array stay as they are.
      input_curve, weight_curve: modulator's transmission against its drive: ``linear``, ``sin2``
        (Mach-Zehnder), ``lorentzian`` (ring resonance, see ``resonance_detuning``).
      lookup: whether drives are looked up from the inverse curve: then levels are spaced evenly in
        drive, not in value. Without, values are distorted by the curve.
      extinction: what finite ``extinction_db`` does to small values. ``balanced``: every rail leaks,
        the leaks cancel between rails, their shot noise stays. ``floor``: a rail that is on cannot go
        below the floor, the other is shut elsewhere: small magnitudes become the floor. ``dither``:
        those take the floor with a random sign, so that they are right on average.
        The last two for ``differential`` only.
      photon_statistics: ``gaussian`` (the limit of many photons) or ``poisson`` (exact counts).
      shot_estimate: ``differential`` needs ``sum |a||b|``: ``exact`` pays a second product;
        ``rank_one`` uses ``sum |a| * mean |b|``, which is exact on average over inputs that are
        independent of the weights' magnitudes.
      sampler: ``mixed`` (counter-based, cheap) or ``threefry`` (bit-identical to
        ``jax.random.normal``); see :mod:`photonjax.ops.random`.
      chip_seed: which die: static errors are drawn from it and from the site's name. An integer is
        static; an integer array is a leaf of its own, so that dies can be mapped over
        (:func:`photonjax.over_chips`).
      photons: mean *detected* photo-electrons per multiply at full scale (``|a| = |b| = 1``), summed
        over the detectors involved. ``None``: no shot noise, and a receiver without noise.
      receiver_noise_a_per_rthz: input-referred current noise of each detector's receiver
        [A/sqrt(Hz), one-sided]; needs ``photons``.
      dark_current_a: of each detector [A]; its mean is subtracted, its shot noise stays; needs
        ``photons``.
      saturation_electrons: what one detector can hold of a symbol [electrons]; needs ``photons``, and
        (``differential``) pays for the exact ``sum |a||b|``.
      extinction_db: ratio of a modulator's largest to its smallest transmission [dB], inputs and
        weights alike.
      laser_rin_db_hz: relative intensity noise of the laser, common to all columns [dB/Hz].
      channel_rin_db_hz: the same of each input's own laser line, independent between inputs [dB/Hz].
      output_relative_noise: standard deviation of a dynamic error of each output sample, in proportion
        to it.
      input_noise: standard deviation of the dynamic error of each input symbol, in full scales.
      input_relative_noise: the same in proportion to the modulated value.
      modulator_bandwidth_hz: input modulators follow their drive with this 3 dB bandwidth, so that a
        symbol remembers the one before [Hz].
      resonance_detuning: of ``lorentzian`` modulators at zero drive, in half linewidths.
      weight_noise: standard deviation of the static programming error of each cell, in full scales.
      seconds_since_programming: time at which the weights are used; the next three need it [s].
      drift_exponent, drift_spread: mean and standard deviation (cell to cell) of the exponent ``nu``
        of ``b (t / 20 s)**-nu``.
      flicker_noise: 1/f noise of the held value, relative, per square root of a unit of ``ln t``.
      dead_share: share of cells that transmit nothing. stuck_share: of cells stuck at +1 or -1.
      crosstalk_rows, crosstalk_cols: share of a cell's light that lands in each neighbour along the
        inputs, along the outputs.
      gain_error: standard deviation of the relative gain of a column's receiver.
      offset_error: standard deviation of its offset, in units of the ADC's full scale.
      adc_range: ADC full scale in units of ``sqrt(rows used)`` of ``p``, used where a site was not
        given a calibrated range of its own.
      enob: effective number of bits of the ADC; the noise missing between it and ``bits_out`` is
        added. ``None``: an ideal quantizer.
      inl_lsb: largest integral nonlinearity of an ADC [least significant bits].
      input_range: full scale of ``x`` for ``input_scale="static"``; a site may have its own.
      symbol_rate_hz: vector-matrix products per second; the detector integrates for its inverse.
      costs: what the machine takes in energy and time (:class:`~photonjax.hardware.CoreCosts`);
        ``None`` if only accuracy is asked for.

    Raises:
      ValueError, TypeError: on construction, naming the field, its value and what is allowed.

    Example:
      >>> import dataclasses, photonjax as pj
      >>> core = pj.OpticalCore(rows=256, cols=256, bits_in=8, bits_weight=8, photons=100.0)
      >>> dataclasses.replace(core, photons=1e4).photons
      10000.0
      >>> pj.OpticalCore(rows=0)
      Traceback (most recent call last):
      ...
      ValueError: OpticalCore.rows = 0 is outside 1 ... 65536
    """

    rows: int = 1024
    cols: int = 1024
    encoding: Encoding = "differential"
    bits_in: int | None = 8
    bits_weight: int | None = 8
    bits_out: int | None = 8
    slices_in: int = 1
    slices_weight: int = 1
    averages: int = 1
    input_scale: InputScale = "per_token"
    weight_scale: WeightScale = "per_column"
    scale_exponents: bool = False
    input_curve: Curve = "linear"
    weight_curve: Curve = "linear"
    lookup: bool = True
    extinction: Extinction = "balanced"
    photon_statistics: PhotonStatistics = "gaussian"
    shot_estimate: ShotEstimate = "rank_one"
    sampler: Sampler = "mixed"
    chip_seed: Any = static_or_leaf(0)
    photons: Any = leaf(None, above=0.0, optional=True)
    receiver_noise_a_per_rthz: Any = leaf(None, low=0.0, optional=True)
    dark_current_a: Any = leaf(None, low=0.0, optional=True)
    saturation_electrons: Any = leaf(None, above=0.0, optional=True)
    extinction_db: Any = leaf(None, low=1.0, high=100.0, optional=True)
    laser_rin_db_hz: Any = leaf(None, low=-250.0, high=-50.0, optional=True)
    channel_rin_db_hz: Any = leaf(None, low=-250.0, high=-50.0, optional=True)
    output_relative_noise: Any = leaf(None, low=0.0, high=0.5, optional=True)
    input_noise: Any = leaf(None, low=0.0, high=0.5, optional=True)
    input_relative_noise: Any = leaf(None, low=0.0, high=0.5, optional=True)
    modulator_bandwidth_hz: Any = leaf(None, above=0.0, optional=True)
    resonance_detuning: Any = leaf(None, low=0.1, high=1e3, optional=True)
    weight_noise: Any = leaf(None, low=0.0, high=0.5, optional=True)
    seconds_since_programming: Any = leaf(None, low=0.0, optional=True)
    drift_exponent: Any = leaf(None, low=0.0, high=1.0, optional=True)
    drift_spread: Any = leaf(None, low=0.0, high=1.0, optional=True)
    flicker_noise: Any = leaf(None, low=0.0, high=0.5, optional=True)
    dead_share: Any = leaf(None, low=0.0, high=1.0, optional=True)
    stuck_share: Any = leaf(None, low=0.0, high=1.0, optional=True)
    crosstalk_rows: Any = leaf(None, low=0.0, high=0.5, optional=True)
    crosstalk_cols: Any = leaf(None, low=0.0, high=0.5, optional=True)
    gain_error: Any = leaf(None, low=0.0, high=0.5, optional=True)
    offset_error: Any = leaf(None, low=0.0, high=1.0, optional=True)
    adc_range: Any = leaf(1.0, above=0.0)
    enob: Any = leaf(None, above=0.0, high=24.0, optional=True)
    inl_lsb: Any = leaf(None, low=0.0, high=64.0, optional=True)
    input_range: Any = leaf(None, above=0.0, optional=True)
    symbol_rate_hz: Any = leaf(1e9, above=0.0)
    costs: CoreCosts | None = leaf(None, optional=True)

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            _check_int(name, getattr(self, name), 1, 1 << 16)
        for name in ("bits_in", "bits_weight", "bits_out"):
            if getattr(self, name) is not None:
                _check_int(name, getattr(self, name), 2 if name != "bits_out" else 1, 16)
        for name in ("slices_in", "slices_weight"):
            _check_int(name, getattr(self, name), 1, 8)
        _check_int("averages", self.averages, 1, 1 << 12)
        if not hasattr(self.chip_seed, "dtype"):
            _check_int("chip_seed", self.chip_seed, 0, 2**32 - 1)
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(
                    f"OpticalCore.{name} = {value!r}; choose one of {', '.join(choices)}"
                )
        for name in ("scale_exponents", "lookup"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(
                    f"OpticalCore.{name} = {getattr(self, name)!r} is not True or False"
                )
        check_leaves(self)
        if self.costs is not None and not isinstance(self.costs, CoreCosts):
            raise TypeError(f"OpticalCore.costs = {self.costs!r} is not a CoreCosts")
        for name, needed, why in _NEEDS:
            if getattr(self, name) is not None and getattr(self, needed) is None:
                raise ValueError(f"OpticalCore.{name} is set but {needed} is None: {why}")
        if self.photon_statistics == "poisson" and self.photons is None:
            raise ValueError("OpticalCore.photon_statistics = 'poisson' needs photons; it is None")
        if (
            "lorentzian" in (self.input_curve, self.weight_curve)
            and self.resonance_detuning is None
        ):
            raise ValueError(
                "OpticalCore.input_curve or weight_curve = 'lorentzian' needs resonance_detuning; it is None"
            )
        self._check_slices()
        if self.encoding == "quadrature":
            drowned = ("receiver_noise_a_per_rthz", "dark_current_a", "saturation_electrons")
            present = [name for name in drowned if getattr(self, name) is not None]
            if present or self.photon_statistics == "poisson":
                what = present[0] if present else "photon_statistics = 'poisson'"
                raise ValueError(
                    f"OpticalCore.{what} has no meaning with encoding 'quadrature': a strong local "
                    "oscillator drowns the receiver's own noise; leave it out"
                )
        if self.extinction != "balanced" and (
            self.extinction_db is None or self.encoding != "differential"
        ):
            raise ValueError(
                f"OpticalCore.extinction = {self.extinction!r} needs extinction_db and encoding "
                f"'differential'; they are {self.extinction_db!r} and {self.encoding!r}"
            )

    def _check_slices(self) -> None:
        """Digits are digital: they need levels, and levels that are evenly spaced."""
        for side, curve in (("in", self.input_curve), ("weight", self.weight_curve)):
            slices, bits = getattr(self, f"slices_{side}"), getattr(self, f"bits_{side}")
            if slices == 1:
                continue
            if bits is None or slices > bits - 1:
                raise ValueError(
                    f"OpticalCore.slices_{side} = {slices} of bits_{side} = {bits!r}: each slice "
                    "needs a bit at least besides the sign"
                )
            if curve != "linear":
                raise ValueError(
                    f"OpticalCore.slices_{side} = {slices} with a {curve!r} modulator: slices need "
                    "evenly spaced levels (curve 'linear')"
                )

    @property
    def levels_in(self) -> int | None:
        """Largest input level: integers of ``-levels_in ... levels_in``."""
        return None if self.bits_in is None else 2 ** (self.bits_in - 1) - 1

    @property
    def levels_weight(self) -> int | None:
        """Largest weight level."""
        return None if self.bits_weight is None else 2 ** (self.bits_weight - 1) - 1

    @property
    def disturbs_inputs(self) -> bool:
        """Whether inputs get an error of their own at each symbol."""
        sources = (self.input_noise, self.input_relative_noise, self.channel_rin_db_hz)
        return any(s is not None for s in sources) or self.extinction == "dither"

    @property
    def disturbs_weights(self) -> bool:
        """Whether the die moves weights off their levels."""
        sources = (self.weight_noise, self.seconds_since_programming, self.dead_share)
        more = (self.stuck_share, self.crosstalk_rows, self.crosstalk_cols)
        uneven = self.weight_curve != "linear" or self.extinction != "balanced"
        return any(s is not None for s in (*sources, *more)) or uneven

    @property
    def dynamic(self) -> bool:
        """Whether any noise is drawn anew at each call, so that a ``key`` makes a difference."""
        sources = (self.photons, self.laser_rin_db_hz, self.enob, self.output_relative_noise)
        return any(s is not None for s in sources) or self.disturbs_inputs


def _check_int(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"OpticalCore.{name} = {value!r} is not an integer")
    if not low <= value <= high:
        raise ValueError(f"OpticalCore.{name} = {value} is outside {low} ... {high}")
