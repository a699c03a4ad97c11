"""What converters take: energy per sample and power laws, each with its source.

Pure functions of numbers or arrays; ``photonjax.machines`` prices its machines with
them, and a search over resolutions can put them in place of a fixed energy, because they are
differentiable.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "WALDEN_BEST_J",
    "WALDEN_MEDIAN_J",
    "WALDEN_P10_J",
    "adc_linear_w",
    "adc_schreier_j",
    "adc_walden_j",
    "dac_exponential_w",
]

WALDEN_BEST_J = 6.9e-15
"""Walden figure of merit [J per conversion step], best of 22 ADCs with an ENOB of 7.2 to 8.2 at 1
to 12 GS/s published since 2010: Murmann ADC survey, revision 2025-06."""

WALDEN_P10_J = 15.8e-15
"""Same selection, tenth percentile: 3.28 pJ per sample over 2**7.7 steps (derived)."""

WALDEN_MEDIAN_J = 55e-15
"""Same selection, median."""


def adc_walden_j(enob: Any, figure_j: Any = WALDEN_P10_J) -> Any:
    """Energy of one ADC sample [J] = figure of merit times 2**ENOB.

    Args:
      enob: effective number of bits.
      figure_j: Walden figure of merit [J per conversion step].

    Source: Walden, IEEE JSAC 17, 539 (1999). Holds where energy goes with the number of steps
      (below about 10 bits).

    >>> round(adc_walden_j(8.0, 6.9e-15) * 1e12, 2)
    1.77
    """
    return figure_j * 2.0**enob


def adc_schreier_j(enob: Any, figure_db: Any) -> Any:
    """Energy of one Nyquist-rate ADC sample [J] from the Schreier figure of merit.

    FOM = SNDR + 10 log10(bandwidth / power) [dB], with SNDR = 6.02 ENOB + 1.76 dB and bandwidth =
    rate / 2, so that energy = power / rate = 10**((SNDR - FOM) / 10) / 2: four times the energy for
    each further bit, as thermal noise asks.

    Args:
      enob: effective number of bits.
      figure_db: Schreier figure of merit [dB].

    Source: the definition used by the Murmann ADC survey (its ``FOMS`` column).

    >>> round(adc_schreier_j(9.0, 150.0) / adc_schreier_j(8.0, 150.0), 2)
    4.0
    """
    return 0.5 * 10.0 ** ((6.02 * enob + 1.76 - figure_db) / 10.0)


def adc_linear_w(bits: Any, rate_hz: Any) -> Any:
    """Power of an ADC [W]: 14.8 mW at 8 bits and 10 GS/s, proportional to bits and rate.

    Source: device parameters and scaling law of Lightening-Transformer's hardware simulator (HPCA
      2024).

    >>> round(adc_linear_w(4, 5e9) * 1e3, 2)
    3.7
    """
    return 14.8e-3 * (bits / 8.0) * (rate_hz / 10e9)


def dac_exponential_w(bits: Any, rate_hz: Any) -> Any:
    """Power of a DAC [W]: 50 mW at 8 bits and 14 GS/s, proportional to 2**bits / bits and to rate.

    Source: as ``adc_linear_w``.

    >>> round(dac_exponential_w(4, 5e9) * 1e3, 3)
    2.232
    """
    return 50e-3 * (2.0**bits / bits) / (2.0**8 / 8.0) * (rate_hz / 14e9)
