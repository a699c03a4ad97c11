"""An optical core: one array of light modulators that multiplies a vector by a matrix each symbol."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

from photonjax.hardware.costs import CoreCosts
from photonjax.hardware.pytree import check_leaves, leaf, register

Encoding = Literal["differential", "offset", "homodyne"]
PhotonStatistics = Literal["gaussian", "poisson"]
ShotEstimate = Literal["rank_one", "exact"]
InputScale = Literal["per_token", "per_tensor"]
WeightScale = Literal["per_column", "per_tensor"]
Sampler = Literal["mixed", "threefry"]

_CHOICES = {
    "encoding": get_args(Encoding),
    "photon_statistics": get_args(PhotonStatistics),
    "shot_estimate": get_args(ShotEstimate),
    "input_scale": get_args(InputScale),
    "weight_scale": get_args(WeightScale),
    "sampler": get_args(Sampler),
}


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

    Attributes:
      rows: inputs of the array: at most this many products are summed in the analog domain.
      cols: outputs of the array; columns of one tile share a symbol, hence its laser fluctuation.
      encoding: how signed numbers become light. ``differential``: intensities, signs on dual rails,
        balanced detectors. ``offset``: ``(1 + a)/2`` and ``(1 + b)/2`` on one rail, offsets
        subtracted digitally. ``homodyne``: interference of two fields on a balanced pair.
      bits_in: input converter resolution; ``None`` leaves inputs continuous (float32).
      bits_weight: weight resolution; ``None`` leaves weights continuous (float32).
      bits_out: output ADC resolution; ``None`` means no ADC.
      input_scale: what full scale means for inputs: each token's, or the tensor's, largest magnitude.
      weight_scale: the same for weights: each output column's, or the whole matrix's.
      photon_statistics: ``gaussian`` (the limit of many photons) or ``poisson`` (exact counts).
      shot_estimate: ``differential`` needs ``sum |a||b|``: ``exact`` pays a second product;
        ``rank_one`` uses ``sum |a| * mean |b|``, which is exact on average over inputs that are
        independent of the weights' magnitudes.
      sampler: ``mixed`` (counter-based, cheap) or ``threefry`` (bit-identical to
        ``jax.random.normal``); see :mod:`photonjax.ops.random`.
      chip_seed: which die: static errors are drawn from it and from the site's name.
      photons: mean *detected* photo-electrons per multiply at full scale (``|a| = |b| = 1``), summed
        over the detectors involved. ``None``: no shot noise, and a receiver without noise.
      receiver_noise_a_per_rthz: input-referred current noise of each detector's receiver
        [A/sqrt(Hz), one-sided]; needs ``photons``.
      laser_rin_db_hz: relative intensity noise of the laser, common to all columns [dB/Hz].
      input_noise: standard deviation of the dynamic error of each input symbol, in full scales.
      weight_noise: standard deviation of the static programming error of each cell, in full scales.
      adc_range: ADC full scale in units of ``sqrt(rows used)`` of ``p``, used where a site was not
        given a calibrated range of its own.
      enob: effective number of bits of the ADC; the noise missing between it and ``bits_out`` is
        added. ``None``: an ideal quantizer.
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
    input_scale: InputScale = "per_token"
    weight_scale: WeightScale = "per_column"
    photon_statistics: PhotonStatistics = "gaussian"
    shot_estimate: ShotEstimate = "rank_one"
    sampler: Sampler = "mixed"
    chip_seed: int = 0
    photons: Any = leaf(None, above=0.0, optional=True)
    receiver_noise_a_per_rthz: Any = leaf(None, low=0.0, optional=True)
    laser_rin_db_hz: Any = leaf(None, low=-250.0, high=-50.0, optional=True)
    input_noise: Any = leaf(None, low=0.0, high=0.5, optional=True)
    weight_noise: Any = leaf(None, low=0.0, high=0.5, optional=True)
    adc_range: Any = leaf(1.0, above=0.0)
    enob: Any = leaf(None, above=0.0, high=24.0, optional=True)
    symbol_rate_hz: Any = leaf(1e9, above=0.0)
    costs: CoreCosts | None = leaf(None, optional=True)

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            _check_int(name, getattr(self, name), 1, 1 << 16)
        for name in ("bits_in", "bits_weight", "bits_out"):
            if getattr(self, name) is not None:
                _check_int(name, getattr(self, name), 2 if name != "bits_out" else 1, 16)
        _check_int("chip_seed", self.chip_seed, 0, 2**32 - 1)
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(
                    f"OpticalCore.{name} = {value!r}; choose one of {', '.join(choices)}"
                )
        check_leaves(self)
        if self.costs is not None and not isinstance(self.costs, CoreCosts):
            raise TypeError(f"OpticalCore.costs = {self.costs!r} is not a CoreCosts")
        if self.receiver_noise_a_per_rthz is not None and self.photons is None:
            raise ValueError(
                "OpticalCore.receiver_noise_a_per_rthz is set but photons is None: receiver noise is "
                "measured against the detected light; set photons too"
            )
        if self.photon_statistics == "poisson" and self.photons is None:
            raise ValueError("OpticalCore.photon_statistics = 'poisson' needs photons; it is None")
        if self.enob is not None and self.bits_out is None:
            raise ValueError(
                "OpticalCore.enob is set but bits_out is None (no ADC); set bits_out too"
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
    def dynamic(self) -> bool:
        """Whether any noise is drawn anew at each call, so that a ``key`` makes a difference."""
        sources = (self.photons, self.laser_rin_db_hz, self.input_noise, self.enob)
        return any(s is not None for s in sources)


def _check_int(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"OpticalCore.{name} = {value!r} is not an integer")
    if not low <= value <= high:
        raise ValueError(f"OpticalCore.{name} = {value} is outside {low} ... {high}")
