"""The array that holds the weights: levels, and what the cells of one die make of them.

Static errors are drawn from ``core.chip_seed`` and a site's number, the same at every call. With ``b`` a
cell's level, in full scales, in the order in which they come about:

* Floor (``input.extinction`` other than ``balanced``): as for inputs (:mod:`photonjax.core.modulator`),
  the signs of dithered cells fixed at programming.
* Programming: ``b + noise eps``.
* Drift: ``b (t / t_c)**-nu`` with ``nu ~ N(drift_exponent, drift_spread**2)`` for each cell and
  ``t_c = 20 s``, from ``t_c`` on; flicker: ``b (1 + q sqrt(ln((t + t_r) / (2 t_r))) eps)`` with
  ``t_r = 250 ns``. The forms, ``t_c`` and ``t_r`` are those published for phase-change cells (Joshi et al.,
  Nat. Commun. 11, 2473 (2020); Nandakumar et al., ICECS 2019), which photonic memories share.
* Dead cells transmit nothing (0; -1 for ``offset``), stuck ones +1 or -1, each with its probability.
  (The fractions are thresholds of draws: derivatives with respect to them are 0.)
* Vignetting: the light of a cell falls with the square of its distance from the middle of its array, to
  ``1 - vignetting`` at the corners (``cos**4`` of the angle, to second order); a field by its root.
* Misalignment by the fraction d of a pitch: light meant for cell k meets ``(1 - d) b_k + d b_(k+1)``
  (as crosstalk does: of ``1 + b``, of the field, on each rail), at an array's far edge nothing.
* A point-spread function lets light land on cells around its own, by its taps (``point_spread``;
  :mod:`photonjax.core.spread`). Misalignment and crosstalk are two small ones:
* Crosstalk: of a cell's light the fraction x lands on each neighbour,
  ``b_k (1 - 2x) + x (b_(k-1) + b_(k+1))`` (of ``1 + b`` for ``offset``, of the field for ``homodyne`` and
  ``quadrature``), along the inputs (``crosstalk_rows``) and the outputs (``crosstalk_cols``); at an
  array's edge the light is lost. Two such kernels commute. ``differential`` has two rails,
  ``b+- = max(+-b, 0)``, and light adds up on each: kept apart, their difference mixes as signed numbers do,
  their sum as ``|b|`` does, so that neighbours of opposite sign cancel in ``p`` and not in ``S``.
  ``interleaved`` along the outputs (b+ of output n, b- of n, b+ of n + 1 ...) a cell's light lands on the
  other rail: ``b_n (1 - 3x) + x (b-_(n-1) - b+_(n+1))``, and ``|b_n| (1 - x) + x (b-_(n-1) + b+_(n+1))``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.levels import Curve, check_converter, largest, scale_of
from photonjax.core.pytree import Scalar, leaf, present, stage, static, taps
from photonjax.core.rounding import no_fma, safe_sqrt
from photonjax.core.spread import check_taps, mix, neighbours, shifted

if TYPE_CHECKING:
    from photonjax.core.core import OpticalCore

WeightScale = Literal["per_column", "per_tensor", "per_tile"]

DRIFT_START_S = 20.0
FLICKER_READ_S = 250e-9

_SLOPES, _FLICKER, _DEFECTS, _SIGNS, _DITHER = range(1, 6)  # streams of a site's key


@stage
class Array:
    """The cells that hold the weights of a die.

    Attributes:
      bits: weight resolution; ``None`` leaves weights continuous (float32).
      slices: bit slicing: weights of ``bits`` are held as this many digits of ``ceil(bits / slices)``
        bits, each in an array of its own, read in passes with noise, ADC and calibrated range of their
        own, and put together digitally. Digits of b bits have ``2**b`` levels.
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
      vignetting: fraction of the light that is lost at an array's corners.
      misalignment_rows, misalignment_cols: of the optics against the cells, along the inputs, along the
        outputs [pitches].
      crosstalk_rows, crosstalk_cols: fraction of a cell's light that lands in each neighbour along the
        inputs, along the outputs.
      point_spread: fractions of a cell's light that land around it, ``[2R+1, 2C+1]`` along the inputs and the
        outputs, its own in the middle (:func:`photonjax.core.spread.gaussian_spot`); what is missing to 1 is
        lost. ``[[0, y, 0], [x, 1 - 2x - 2y, x], [0, y, 0]]`` is crosstalk of y and x, but for ``x y``.
      interleaved: of ``differential``: whether the two rails of an output lie side by side among the outputs,
        so that light moves between rails along them; without, all of one rail lie together.

    >>> Array(bits=4).levels
    7
    """

    bits: int | None = static(8, low=2, high=16)
    slices: int = static(1, low=1, high=8)
    scale: WeightScale = static("per_column")
    power_of_two_scale: bool = static(False)
    curve: Curve = static("linear")
    lookup: bool = static(True)
    resonance_detuning: Scalar = leaf(None, low=0.1, high=1e3)
    noise: Scalar = leaf(None, drawn="die", low=0.0, high=0.5)
    seconds_since_programming: Scalar = leaf(None, drawn="die", low=0.0)
    drift_exponent: Scalar = leaf(None, drawn="die", low=0.0, high=1.0)
    drift_spread: Scalar = leaf(None, drawn="die", low=0.0, high=1.0)
    flicker_noise: Scalar = leaf(None, drawn="die", low=0.0, high=0.5)
    dead_fraction: Scalar = leaf(None, drawn="die", low=0.0, high=1.0)
    stuck_fraction: Scalar = leaf(None, drawn="die", low=0.0, high=1.0)
    vignetting: Scalar = leaf(None, drawn="die", low=0.0, high=1.0)
    misalignment_rows: Scalar = leaf(None, drawn="die", low=0.0, high=1.0)
    misalignment_cols: Scalar = leaf(None, drawn="die", low=0.0, high=1.0)
    crosstalk_rows: Scalar = leaf(None, drawn="die", low=0.0, high=0.5)
    crosstalk_cols: Scalar = leaf(None, drawn="die", low=0.0, high=0.5)
    point_spread: Any = taps(None)
    interleaved: bool = static(False)

    def __post_init__(self) -> None:
        check_converter(self)
        if self.point_spread is not None and self.point_spread is not ...:
            checked = check_taps("OpticalCore.array.point_spread", self.point_spread)
            object.__setattr__(self, "point_spread", checked)
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
        """Largest level: integers of ``-levels ... levels``."""
        return None if self.bits is None else largest(self.bits, self.slices)

    def off_grid(self, core: OpticalCore) -> bool:
        """Whether cells hold values between the levels of their converter."""
        own = core.custom.programmed is not None or self.curve != "linear"
        return present(self, "die") or own or core.input.extinction != "balanced"

    def full_scale(self, core: OpticalCore, matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Full scales ``[1, N]``, ``[1, 1]`` or ``[tiles, 1, N]``, and as they divide the matrix."""
        if self.scale != "per_tile":
            scale = scale_of(self, matrix, (0,) if self.scale == "per_column" else None)
            return scale, scale
        starts = range(0, matrix.shape[0], core.rows)
        tiles = [matrix[k : k + core.rows] for k in starts]
        scales = [scale_of(self, tile, (0,)) for tile in tiles]
        wide = [jnp.broadcast_to(s, tile.shape) for s, tile in zip(scales, tiles, strict=True)]
        return jnp.stack(scales), jnp.concatenate(wide)

    def mixes_rails(self, core: OpticalCore) -> bool:
        """Whether the light of a cell's two rails is more than the magnitude of their difference."""
        return bool(self._spreads()) and core.encoding.kind == "differential"

    def _spreads(self) -> list[Any]:
        """The taps of all that moves light from cell to cell, in order."""
        found = []
        for make, fractions in (
            (shifted, (self.misalignment_rows, self.misalignment_cols)),
            (neighbours, (self.crosstalk_rows, self.crosstalk_cols)),
        ):
            found += [make(f, axis) for axis, f in enumerate(fractions) if f is not None]
        return found if self.point_spread is None else [*found, self.point_spread]

    def cells(
        self, core: OpticalCore, b: jax.Array, unit: int, key: jax.Array
    ) -> tuple[jax.Array, Any]:
        """Levels ``[K, N]`` (in units of ``unit`` to full scale) as the die's cells hold them.

        Second, the light of both rails together; None where it is the magnitude of the first.
        """
        if not self.off_grid(core):
            return b, None

        def draw(stream: int) -> jax.Array:
            return random.mixed_normal(jax.random.fold_in(key, stream), *b.shape)[0]

        def uniform(stream: int) -> jax.Array:
            words = random.mixed_words(jax.random.fold_in(key, stream), *b.shape)[0]
            return random.uniform(words)

        dark = (
            unit if core.encoding.kind == "offset" else 0
        )  # b + dark goes with the light of a cell
        if core.input.extinction != "balanced":
            dithered = core.input.extinction == "dither"
            b = core.input.at_floor(b, unit, uniform(_DITHER) if dithered else None)
        if self.noise is not None:
            b = b + no_fma(unit * self.noise * random.mixed_normal(key, *b.shape)[0])
        if self.seconds_since_programming is not None:
            b = self._aged(b, draw)
        if self.dead_fraction is not None or self.stuck_fraction is not None:
            where = uniform(_DEFECTS)
            dead: Any = 0.0 if self.dead_fraction is None else self.dead_fraction
            stuck: Any = 0.0 if self.stuck_fraction is None else self.stuck_fraction
            end = jnp.where(uniform(_SIGNS) < 0.5, -1.0, 1.0) * unit
            b = jnp.where(where < dead, -dark, jnp.where(where > 1 - stuck, end, b))
        if self.vignetting is not None:
            kept = 1 - no_fma(self.vignetting * _distance_squared(core, b))
            if core.encoding.kind in ("homodyne", "quadrature"):
                kept = safe_sqrt(kept)
            b = no_fma(b * kept) - no_fma(
                dark * (1 - kept)
            )  # (b + dark) kept - dark; exact where all is kept
        lit = jnp.abs(b) if self.mixes_rails(core) else None
        for taps_of_one in self._spreads():
            sizes = core.rows, core.cols
            b, lit = mix(b, dark, lit, taps_of_one, *sizes, interleaved=self.interleaved)
        made = core.custom.apply_to_levels("programmed", core, b, unit, key)
        if lit is not None and core.custom.programmed is not None:
            lit = lit + (jnp.abs(made) - jnp.abs(b))
        return made, lit

    def _aged(self, b: jax.Array, draw: Any) -> jax.Array:
        """Drift and flicker; ``draw(stream)`` gives standard normals of ``b``'s shape."""
        t = jnp.float32(self.seconds_since_programming)
        if self.drift_exponent is not None or self.drift_spread is not None:
            nu: Any = 0.0 if self.drift_exponent is None else self.drift_exponent
            if self.drift_spread is not None:
                nu = nu + no_fma(self.drift_spread * draw(_SLOPES))
            b = no_fma(b * jnp.exp(-nu * jnp.log(jnp.maximum(t / DRIFT_START_S, 1.0))))
        if self.flicker_noise is not None:
            growth = jnp.log((t + FLICKER_READ_S) / (2 * FLICKER_READ_S))
            spread = self.flicker_noise * jnp.sqrt(jnp.maximum(growth, 1e-12))
            b = b + no_fma(b * no_fma(spread * draw(_FLICKER)))
        return b


def _distance_squared(core: OpticalCore, b: jax.Array) -> jax.Array:
    """Of cells ``[K, N]`` from the middle of their array, 1 at its corners; a line of cells counts alone."""
    total: Any = 0.0
    for size, axis in ((core.rows, 0), (core.cols, 1)):
        middle = (size - 1) / 2
        place = (_index(b, axis) % size - middle) / max(middle, 1.0)
        total = total + no_fma(place * place)
    return total * (0.5 if core.rows > 1 and core.cols > 1 else 1.0)


def _index(b: jax.Array, axis: int) -> jax.Array:
    index = jnp.arange(b.shape[axis])
    return index[:, None] if axis == 0 else index[None, :]
