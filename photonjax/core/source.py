"""What emits the light: one laser behind modulators, or an emitter for each input, modulated by its current.

Over the detection bandwidth ``B = 1/(2 tau)`` of an integrate-and-dump receiver, relative intensity noise
RIN [1/Hz] makes ``delta ~ N(0, RIN B)`` of a symbol, which multiplies all its light, the offsets of
``offset`` included, and is the same for all columns of a tile. (What the fluctuation adds to shot noise
is of second order and left out.)

Where every input has a laser line or an emitter of its own, each input's light fluctuates by itself: a
relative error of the inputs (:mod:`photonjax.core.modulator`), the same for all columns and independent
between inputs: the variance of ``p`` is ``RIN B sum a**2 b**2``, where the common laser's is ``RIN B p**2``.
(RIN is taken as the same at every level; close to its threshold a real emitter is noisier.) In
``homodyne`` both fields of a product come from the same line, so that their product goes with its intensity.

Emitters modulated by their current (``threshold_fraction`` is set; intensities only, as the light of free
emitters does not interfere) give ``P = eta (I - I_th)`` beyond their threshold and nothing below (Coldren,
Corzine and Masanovic, Diode Lasers and Photonic Integrated Circuits, 2nd ed. 2012, ch. 2 and 5). With
t = I_th / I_max and v the light of a rail in full scales:

* Threshold: the driver sends ``I / I_max = t + (1 - t) v``: no error, but current that gives no light. At
  constant voltage an emitter draws ``t + (1 - t) v`` of what it draws at full scale
  (:mod:`photonjax.cost.optical`).
* Its spread: where a rail's emitter has another threshold than the driver's, ``t + (1 - t) s``, v becomes
  ``max(v - s, 0)``, ``s = threshold_error u``, u a standard normal of each rail of each input of a die, the
  same for all weights. A rail that sends 0 is off and stays dark. Where no light is cut off, ``p`` is off by
  ``-sum sign(a) s b``: over dies of covariance ``threshold_error**2 sum b_kn b_km`` of the inputs that are
  not zero, and (``offset``, whose value is twice its light) four times that of ``1 + b``.
* Roll-off: light follows the current as a resonance, ``v'' + 2 zeta w v' + w**2 v = w**2 drive``. Of the
  maximally flat one, ``zeta = 1/sqrt(2)``, w is 2 pi times the 3 dB bandwidth B, and a step is still to come
  by ``exp(-z) (cos z + sin z)``, ``z = w t / sqrt(2)``. Its mean over a symbol tau, which an integrating
  detector sees, is ``r = (1 - exp(-x) cos x) / x``, ``x = sqrt(2) pi B tau``: symbols mix,
  ``(1 - r) v_t + r v_(t-1)``; what stays the same is not attenuated, what alternates is, by ``1 - 2 r``.
  As of modulators, the first symbol follows a = 0, and the memory of memories is left out (``x >> 1``).
  Linear in light, hence the same for a difference of rails; the light counted for it is taken as that of
  the mixed value.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.pytree import Scalar, leaf, stage
from photonjax.core.rounding import no_fma

if TYPE_CHECKING:
    from photonjax.core.core import OpticalCore


@stage
class Source:
    """The laser, or the emitters.

    Attributes:
      rin_db_hz: relative intensity noise of the laser, common to all columns [dB/Hz].
      channel_rin_db_hz: the same of each input's own laser line or emitter, independent between inputs
        [dB/Hz].
      threshold_fraction: of the full-scale current of directly modulated emitters, what gives no light yet.
        ``None``: a continuous laser behind modulators, which is charged for full scale at every symbol.
      threshold_error: standard deviation of an emitter's threshold on a die, in units of the current from
        threshold to full scale.
      bandwidth_hz: emitters follow their current with this 3 dB bandwidth [Hz].

    >>> round(float(Source(rin_db_hz=-150.0).variance(-150.0, 1e9)) * 1e6, 3)  # 1e-15 / Hz * 0.5 GHz
    0.5
    """

    rin_db_hz: Scalar = leaf(None, drawn="symbol", low=-250.0, high=-50.0)
    channel_rin_db_hz: Scalar = leaf(None, drawn="input", low=-250.0, high=-50.0)
    threshold_fraction: Scalar = leaf(None, low=0.0, high=0.99)
    threshold_error: Scalar = leaf(None, low=0.0, high=0.5)
    bandwidth_hz: Scalar = leaf(None, above=0.0)

    def __post_init__(self) -> None:
        for name in ("threshold_error", "bandwidth_hz"):
            if getattr(self, name) is not None and self.threshold_fraction is None:
                raise ValueError(
                    f"OpticalCore.source.{name} is set but source.threshold_fraction is None: it is of "
                    "emitters modulated by their current; set their threshold too (0 for none)"
                )

    @staticmethod
    def variance(rin_db_hz: Scalar, symbol_rate_hz: Scalar) -> jax.Array:
        """Relative variance of a symbol's intensity: ``RIN * symbol_rate / 2``."""
        return 10 ** (rin_db_hz / 10) * symbol_rate_hz / 2

    @property
    def off_grid(self) -> bool:
        """Whether inputs leave their emitters between the levels of their converter, noise aside."""
        return self.threshold_error is not None or self.bandwidth_hz is not None

    def drawn_power(self, mean: Any) -> Any:
        """What emitters of mean light ``mean`` draw, the laser too, as a fraction of full scale."""
        t = self.threshold_fraction
        return 1.0 if t is None else t + (1 - t) * mean

    def emit(self, core: OpticalCore, a: jax.Array, unit: int) -> jax.Array:
        """What the emitters make of inputs ``[T, K]`` in levels, ``unit`` to a full scale."""
        if self.threshold_error is not None:
            a = self._beyond_threshold(core, a, unit)
        if self.bandwidth_hz is not None:
            x = jnp.sqrt(2.0) * jnp.pi * self.bandwidth_hz / core.symbol_rate_hz
            # 1 - exp(-x) cos x, without the loss of digits at small x
            to_come = -jnp.expm1(-x) + 2 * jnp.exp(-x) * jnp.sin(x / 2) ** 2
            a = remembered(a, to_come / x)
        return a

    def _beyond_threshold(self, core: OpticalCore, a: jax.Array, unit: int) -> jax.Array:
        key = jax.random.fold_in(random.new_key(core.chip_seed), zlib.crc32(b"source.threshold"))
        terms = a.shape[1]
        drawn = random.mixed_normal(key, 2, min(core.rows, terms))[0]
        drawn = jnp.tile(drawn, (1, -(-terms // core.rows)))[:, :terms]
        shift = no_fma(self.threshold_error * unit * drawn)
        if core.encoding.kind == "offset":
            twice = a + unit - 2 * shift[0]
            return jnp.where(twice > 0, a - 2 * shift[0], -unit)
        own = jnp.where(a < 0, shift[1], shift[0])
        return jnp.where(jnp.abs(a) > own, a - jnp.sign(a) * own, 0.0)

    def draw(
        self, core: OpticalCore, key: jax.Array, rows: int, cols: int, tiles: int
    ) -> list[jax.Array] | None:
        """Relative intensity error of each k-tile: ``[rows, column tiles]``."""
        if self.rin_db_hz is None:
            return None
        sigma = jnp.sqrt(self.variance(self.rin_db_hz, core.symbol_rate_hz))
        own = random.stream(key, "source")
        words = random.draws(core.sampler, own, rows, -(-cols // core.cols), tiles)
        return [no_fma(sigma * random.deviates(draw)) for draw in words]

    def fluctuation(self, core: OpticalCore, drawn: jax.Array, cols: int) -> jax.Array:
        """One tile's draw over its columns: something that broadcasts to ``[rows, cols]``."""
        return over_columns(core.cols, drawn, cols)

    def fluctuate(
        self, core: OpticalCore, seen: jax.Array, fluctuation: Any, terms: int
    ) -> jax.Array:
        """The detectors' signal with the intensity that a symbol really had."""
        if fluctuation is None:
            return seen
        return seen + no_fma((seen + core.encoding.constant(core, terms)) * fluctuation)


def remembered(a: jax.Array, memory: Any) -> jax.Array:
    """Symbols ``[T, K]``, each with a fraction ``memory`` of the one before; the first follows 0."""
    before = jnp.concatenate([jnp.zeros_like(a[:1]), a[:-1]])
    return a + no_fma(memory * (before - a))


def over_columns(width: int, of_tiles: jax.Array, cols: int) -> jax.Array:
    """Spread ``[rows, column tiles]`` over the columns of each tile of ``width``."""
    rows, tiles = of_tiles.shape
    if tiles == 1:
        return of_tiles
    wide = jnp.broadcast_to(of_tiles[:, :, None], (rows, tiles, width))
    return wide.reshape(rows, -1)[:, :cols]
