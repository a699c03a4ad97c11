"""An optical core: one array of light modulators that multiplies a vector by a matrix each symbol.

What its fields are; :mod:`photonjax.core.passes` takes a product through its stages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import jax.numpy as jnp
import numpy as np

from photonjax.core.adc import ADC
from photonjax.core.array import Array
from photonjax.core.costs import CoreCosts
from photonjax.core.custom import Custom
from photonjax.core.encoding import Encoding
from photonjax.core.fields import set_fields
from photonjax.core.limits import allowed
from photonjax.core.modulator import Input
from photonjax.core.pytree import (
    Scalar,
    brief,
    check_fields,
    child,
    leaf,
    present,
    refuse_unknown,
    register,
    static,
    static_or_leaf,
)
from photonjax.core.receiver import Receiver
from photonjax.core.source import Source

Sampler = Literal["mixed", "threefry"]


@refuse_unknown
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

    Its stages are classes of their own, whose fields are documented there. The constructor takes each as
    itself or as a mapping of its fields; :meth:`replace` takes dotted names too.

    Attributes:
      rows: inputs of the array: at most this many products are summed in the analog domain.
      cols: outputs of the array; columns of one tile share a symbol, hence its laser fluctuation.
      encoding: how signed numbers become light (:class:`~photonjax.core.encoding.Encoding`, or its
        ``kind`` alone).
      source: the laser, or emitters (:class:`~photonjax.core.source.Source`).
      input: input modulators (:class:`~photonjax.core.modulator.Input`).
      array: cells that hold the weights (:class:`~photonjax.core.array.Array`).
      receiver: detectors and amplifiers (:class:`~photonjax.core.receiver.Receiver`).
      adc: converters (:class:`~photonjax.core.adc.ADC`).
      custom: functions of your own (:class:`~photonjax.core.custom.Custom`).
      photons: mean *detected* photo-electrons per multiply at full scale (``|a| = |b| = 1``), summed
        over the detectors involved. ``None``: no shot noise, and a receiver without noise.
      symbol_rate_hz: vector-matrix products per second; the detector integrates for its inverse.
      averages: every symbol is repeated this often, and its digitised results averaged.
      sampler: ``mixed`` (counter-based, cheap) or ``threefry`` (bit-identical to
        ``jax.random.normal``); see :mod:`photonjax.core.random`.
      chip_seed: which die: static errors are drawn from it and from the site's name. An integer is
        static; an integer array is a leaf of its own, so that dies can be mapped over.
      costs: what the machine takes in energy and time (:class:`~photonjax.core.costs.CoreCosts`);
        ``None`` if only accuracy is asked for.

    Raises:
      ValueError, TypeError: on construction, naming the field, its value and what is allowed.

    Example:
      >>> import photonjax as pj
      >>> core = pj.OpticalCore(rows=256, cols=256, encoding="homodyne", photons=100.0, adc={"bits": 6})
      >>> core.replace(photons=1e4, **{"adc.bits": 10}).adc.bits
      10
      >>> pj.OpticalCore(adc={"bits": 99})
      Traceback (most recent call last):
      ...
      ValueError: OpticalCore.adc.bits = 99 is not an integer of 1 ... 16, or None
    """

    rows: int = static(1024, low=1, high=1 << 16)
    cols: int = static(1024, low=1, high=1 << 16)
    encoding: Encoding = child(Encoding)
    source: Source = child(Source)
    input: Input = child(Input)
    array: Array = child(Array)
    receiver: Receiver = child(Receiver)
    adc: ADC = child(ADC)
    custom: Custom = child(Custom)
    photons: Scalar = leaf(None, above=0.0)
    symbol_rate_hz: Scalar = leaf(1e9, above=0.0)
    averages: int = static(1, low=1, high=1 << 12)
    sampler: Sampler = static("mixed")
    chip_seed: Any = static_or_leaf(0)
    costs: CoreCosts | None = leaf(None)

    if TYPE_CHECKING:

        def __init__(
            self,
            rows: int = ...,
            cols: int = ...,
            encoding: Encoding | Mapping[str, Any] | str = ...,
            source: Source | Mapping[str, Any] = ...,
            input: Input | Mapping[str, Any] = ...,
            array: Array | Mapping[str, Any] = ...,
            receiver: Receiver | Mapping[str, Any] = ...,
            adc: ADC | Mapping[str, Any] = ...,
            custom: Custom | Mapping[str, Any] = ...,
            photons: Scalar = ...,
            symbol_rate_hz: Scalar = ...,
            averages: int = ...,
            sampler: Sampler = ...,
            chip_seed: Any = ...,
            costs: CoreCosts | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if "child" in field.metadata:
                made = _made(field.metadata["child"], field.name, getattr(self, field.name))
                object.__setattr__(self, field.name, made)
        check_fields(self)
        seed = self.chip_seed
        if isinstance(seed, np.integer):
            object.__setattr__(self, "chip_seed", seed := int(seed))
        if not jnp.issubdtype(getattr(seed, "dtype", None) or np.bool_, jnp.integer):
            whole = isinstance(seed, int) and not isinstance(seed, bool)
            if not whole or not 0 <= seed < 2**32:
                error = ValueError if whole else TypeError
                raise error(
                    f"OpticalCore.chip_seed = {brief(seed)} is not "
                    f"{allowed('an integer', 0, 2**32 - 1)}, or an array of integers"
                )
        if self.costs is not None and not isinstance(self.costs, CoreCosts):
            raise TypeError(f"OpticalCore.costs = {brief(self.costs)} is not a CoreCosts, or None")
        self._check_light()

    def _check_light(self) -> None:
        """What stages need of each other."""
        lit = {
            "receiver.noise_a_per_rthz": "it is measured against the light",
            "receiver.dark_current_a": "it is measured against the light",
            "receiver.saturation_electrons": "it is a number of detected electrons",
        }
        present = [n for n in lit if getattr(self.receiver, n.partition(".")[2]) is not None]
        for name in present:
            if self.photons is None:
                raise ValueError(
                    f"OpticalCore.{name} is set but photons is None: {lit[name]}; set photons too"
                )
        poisson = self.encoding.photon_statistics == "poisson"
        if poisson and self.photons is None:
            raise ValueError(
                "OpticalCore.encoding.photon_statistics = 'poisson' needs photons; it is None"
            )
        saturates = self.receiver.saturation_electrons is not None
        if self.encoding.kind == "quadrature" and (saturates or poisson):
            what = (
                "receiver.saturation_electrons"
                if saturates
                else "encoding.photon_statistics = 'poisson'"
            )
            raise ValueError(
                f"OpticalCore.{what} has no meaning with encoding.kind 'quadrature': a strong local "
                "oscillator stands in every count; leave it out"
            )
        pairs = present + ["receiver.imbalance"] * (self.receiver.imbalance is not None)
        pairs += ["encoding.photon_statistics = 'poisson'"] * poisson
        if self.encoding.kind == "homodyne" and self.encoding.split == "best" and pairs:
            raise ValueError(
                f"OpticalCore.encoding.split = 'best' is the best for shot noise alone, not with {pairs[0]}; "
                "leave one of them out, or give encoding.input_fraction"
            )
        if self.receiver.imbalance is not None and self.encoding.kind in ("offset", "quadrature"):
            raise ValueError(
                f"OpticalCore.receiver.imbalance has no meaning with encoding.kind {self.encoding.kind!r}: "
                "it is of pairs of detectors that share the signal's light ('differential', 'homodyne'); "
                "leave it out"
            )
        kind = self.encoding.kind
        if self.receiver.dephased and kind in ("differential", "offset"):
            name = "phase_error" if self.receiver.phase_noise is None else "phase_noise"
            raise ValueError(
                f"OpticalCore.receiver.{name} has no meaning with encoding.kind {kind!r}: intensities have "
                "no phase; leave it out, or take 'homodyne' or 'quadrature'"
            )
        if self.source.threshold_fraction is not None and kind in ("homodyne", "quadrature"):
            raise ValueError(
                f"OpticalCore.source.threshold_fraction has no meaning with encoding.kind {kind!r}: "
                "the light of emitters modulated by their current does not interfere; leave it out"
            )
        extinction, db = self.input.extinction, self.input.extinction_db
        if extinction != "balanced" and (db is None or self.encoding.kind != "differential"):
            raise ValueError(
                f"OpticalCore.input.extinction = {extinction!r} needs input.extinction_db and "
                f"encoding.kind 'differential'; they are {db!r} and {self.encoding.kind!r}"
            )

    def replace(self, **changes: Any) -> OpticalCore:
        """The core with other values.

        Args:
          changes: fields by name; those of a stage by dotted name (``**{"adc.bits": 10}``) or as a
            mapping of those that change (``adc={"bits": 10}``).

        Raises:
          ValueError, TypeError: there is no such field, or the value is not allowed.

        Example:
          >>> import photonjax as pj
          >>> pj.OpticalCore().replace(photons=1e3, input={"bits": 6}, **{"adc.enob": 7.5}).input.bits
          6
        """
        if isinstance(changes.get("encoding"), str):
            changes["encoding"] = {"kind": changes["encoding"]}
        return set_fields(self, changes)

    @property
    def passes(self) -> int:
        """How many passes a product takes, repetitions aside: a digit of the inputs through one of the
        weights each, in the order of the weights' digits within that of the inputs', least first."""
        return self.input.slices * self.array.slices

    @property
    def dynamic(self) -> bool:
        """Whether any noise is drawn again at each call, so that a ``key`` makes a difference."""
        stages = (self.source, self.input, self.receiver, self.adc)
        drawn = any(present(stage, "input", "symbol", "output") for stage in stages)
        dithered = self.input.extinction == "dither"
        return drawn or self.photons is not None or dithered or self.custom.dynamic


def check_core(where: str, core: Any) -> None:
    """Raise ``TypeError`` for what is given as a core and is none."""
    if not isinstance(core, OpticalCore):
        raise TypeError(
            f"{where}: core = {brief(core)} is not an OpticalCore; make one by pj.OpticalCore(...) or "
            "pj.machines.optical(NAME)"
        )


def _made(kind: type, name: str, value: Any) -> Any:
    """A stage from itself, a mapping of its fields, or (encoding) its kind."""
    if kind is Encoding and isinstance(value, str):
        return Encoding(value)  # type: ignore[arg-type, call-arg]
    if isinstance(value, Mapping):
        return kind(**{str(key): inner for key, inner in value.items()})
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIO" else "a"
        raise TypeError(
            f"OpticalCore.{name} = {brief(value)}; give {article} {kind.__name__} or a mapping of its fields"
        )
    return value
