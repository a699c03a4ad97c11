"""The converter: what an analog sum becomes when it is digitised.

An ideal b-bit quantizer over ``[-r, r]`` has noise ``(2r)**2 4**-b / 12``; effective bits e below b add
``(2r)**2 (4**-e - 4**-b) / 12`` before it. Its integral nonlinearity bends code c of
``-2**(b-1) ... 2**(b-1)`` to ``c +- inl_lsb sin(pi c / 2**(b-1))``, the sign fixed for each column of a die:
zero at both ends and in the middle, ``inl_lsb`` at its worst.

A gain G in front of it, divided out again digitally, makes ``ADC(G p) / G``: in units of ``p`` a
converter over ``[-r / G, r / G]``, whose step, noise and nonlinearity are 1/G of what they were, so that
each doubling is worth 6.02 dB to sums that it does not clip. Noise and offsets that come before are
amplified with the signal. This is how adaptive block floating point makes few bits do (Basumallik et
al., arXiv 2205.06287, where r is the largest sum that a tile can have, its rows: ``range = sqrt(rows)``).
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.pytree import Scalar, leaf, stage, static
from photonjax.core.rounding import no_fma, round_straight_through


@stage
class ADC:
    """The converter of an output.

    Attributes:
      bits: resolution; ``None`` means no ADC.
      range: full scale in units of ``sqrt(rows used)`` of ``p``, used where a site was not given a
        calibrated range of its own.
      gain: of the amplifier before the converter, divided out digitally: sums beyond ``1 / gain`` of full
        scale saturate, of a calibrated one too. ``None``: 1.
      enob: effective number of bits; the noise missing between it and ``bits`` is added. ``None``: an
        ideal quantizer.
      inl_lsb: largest integral nonlinearity [least significant bits].

    >>> out, step = ADC(bits=2).digitise(jnp.array([0.3, -9.0, 9.0]), 1.0, None)
    >>> (out * step).tolist()
    [0.5, -1.0, 0.5]
    """

    bits: int | None = static(8, low=1, high=16)
    range: Scalar = leaf(1.0, above=0.0)
    gain: Scalar = leaf(None, above=0.0, high=1e6)
    enob: Scalar = leaf(None, drawn="output", above=0.0, high=24.0)
    inl_lsb: Scalar = leaf(None, drawn="die", low=0.0, high=64.0)

    def __post_init__(self) -> None:
        for name in ("gain", "enob", "inl_lsb"):
            if getattr(self, name) is not None and self.bits is None:
                raise ValueError(
                    f"OpticalCore.adc.{name} is set but adc.bits is None: there is no ADC; set "
                    "adc.bits too"
                )

    def full_scale(self, terms: int, given: Any = None) -> Any:
        """Of a tile that sums ``terms`` products: the range given, or the core's own (also for NaN)."""
        own = self.range * math.sqrt(terms)
        return own if given is None else jnp.where(jnp.isnan(given), own, given)

    def reach(self, full: Any) -> Any:
        """Largest sum, in units of ``p``, that the amplifier does not push out of the range ``full``."""
        return full if self.gain is None else full / self.gain

    def variance(self, full: Any) -> jax.Array | float:
        """Noise that a converter of ``enob`` adds beyond its own quantization (0 if none is missing)."""
        if self.enob is None or self.bits is None:
            return 0.0
        missing = jnp.maximum(4.0**-self.enob - 4.0**-self.bits, 0.0)
        return no_fma((2 * self.reach(full)) ** 2 * missing / 12)

    def fabricate(self, key: jax.Array, cols: int) -> jax.Array | None:
        """The sign of each column's nonlinearity on one die ``[1, cols]``."""
        if self.inl_lsb is None:
            return None
        bend = random.mixed_normal(key, 3, cols)[0][2]  # the first two are the receivers'
        return jnp.where(bend < 0, -1.0, 1.0)[None]

    def digitise(
        self, raw: jax.Array, full: Any, bend: jax.Array | None
    ) -> tuple[jax.Array, jax.Array | float]:
        """Mid-tread quantizer over ``[-full, full)``, after the gain; saturates; straight-through inside.

        Args:
          raw: ``[M, N]``. bend: from :meth:`fabricate`.

        Returns:
          codes, and the size of a step (``raw`` and 1 without a converter).
        """
        if self.bits is None:
            return raw, 1.0
        half, full = 2 ** (self.bits - 1), self.reach(full)
        code = raw * (half / full)
        if self.inl_lsb is not None:
            code = no_fma(code)
            inside = jnp.clip(code, -half, half)
            code = code + no_fma(self.inl_lsb * bend * jnp.sin(inside * (jnp.pi / half)))
        return round_straight_through(jnp.clip(code, -half, half - 1)), full / half
