"""The laser, and the fluctuation of its intensity.

Over the detection bandwidth ``B = 1/(2 tau)`` of an integrate-and-dump receiver, relative intensity noise
RIN [1/Hz] makes ``delta ~ N(0, RIN B)`` of a symbol, which multiplies all its light, the offsets of
``offset`` included, and is the same for all columns of a tile. (What the fluctuation adds to shot noise
is of second order and left out.)

Where every input has a laser line of its own, each input's light fluctuates by itself: a relative error
of the inputs (:mod:`photonjax.core.modulator`). In ``homodyne`` both fields of a product come from the
same line, so that their product goes with its intensity.
"""

from __future__ import annotations

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
    """The laser.

    Attributes:
      rin_db_hz: relative intensity noise of the laser, common to all columns [dB/Hz].
      channel_rin_db_hz: the same of each input's own laser line, independent between inputs [dB/Hz].

    >>> round(float(Source(rin_db_hz=-150.0).variance(-150.0, 1e9)) * 1e6, 3)  # 1e-15 / Hz * 0.5 GHz
    0.5
    """

    rin_db_hz: Scalar = leaf(None, drawn="symbol", low=-250.0, high=-50.0)
    channel_rin_db_hz: Scalar = leaf(None, drawn="input", low=-250.0, high=-50.0)

    @staticmethod
    def variance(rin_db_hz: Scalar, symbol_rate_hz: Scalar) -> jax.Array:
        """Relative variance of a symbol's intensity: ``RIN * symbol_rate / 2``."""
        return 10 ** (rin_db_hz / 10) * symbol_rate_hz / 2

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


def over_columns(width: int, of_tiles: jax.Array, cols: int) -> jax.Array:
    """Spread ``[rows, column tiles]`` over the columns of each tile of ``width``."""
    rows, tiles = of_tiles.shape
    if tiles == 1:
        return of_tiles
    wide = jnp.broadcast_to(of_tiles[:, :, None], (rows, tiles, width))
    return wide.reshape(rows, -1)[:, :cols]
