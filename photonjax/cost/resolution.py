"""What converters take at another resolution than their energy was quoted at.

A machine's table quotes ``costs.dac_energy_j`` and ``costs.adc_energy_j`` at its own bits. At b bits
instead of b0

    DAC: energy times 2**(b - b0) b0 / b
    ADC: energy times 2**(e - e0)

The DAC's is the law of Lightening-Transformer's simulator (HPCA 2024,
``photonjax.machines.converters.dac_exponential_w``), b the bits of one pass: ``ceil(input.bits /
input.slices)``, or the weights' where those are more and are streamed too. The ADC's is a constant
energy per conversion step (Walden, IEEE JSAC 17, 539 (1999),
``photonjax.machines.converters.adc_walden_j``), e the effective bits: ``adc.enob``, at most
``adc.bits``. Above some 10 bits thermal noise asks for up to four times per bit, so that the law is a
lower bound there. Nothing else follows the bits by itself: light, modulators and the writing of cells
stay as they are set; memory moves as many bytes as the numbers have.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from photonjax.core.core import OpticalCore
from photonjax.core.fields import get_field, set_fields
from photonjax.machines.converters import adc_walden_j, dac_exponential_w

__all__ = ["adc_factor", "converter_factors", "dac_factor", "rescale_converters"]


def rescale_converters(core: OpticalCore, quoted: OpticalCore) -> OpticalCore:
    """``core`` with its converters' energies carried over from the resolution of ``quoted``.

    Args:
      core: with the energies of ``quoted``, and other bits.
      quoted: the core that the energies were quoted for.

    Raises:
      ValueError: one of them has no costs.

    Example:
      >>> import photonjax as pj
      >>> eight = pj.machines.optical("display-1024")
      >>> four = rescale_converters(eight.replace(**{"input.bits": 4}), eight)
      >>> four.costs.dac_energy_j / eight.costs.dac_energy_j  # 2**-4 * 8 / 4
      0.125
    """
    for name, value in (("core", core), ("quoted", quoted)):
        if value.costs is None:
            raise ValueError(f"{name}.costs is None: it has no converters' energies to carry over")
    factors = converter_factors(core, quoted)
    return set_fields(core, {field: get_field(core, field) * x for field, x in factors.items()})


def dac_factor(bits: Any, quoted: Any) -> Any:
    """By what to multiply a DAC's energy quoted at other bits.

    >>> dac_factor(4, 8)
    0.125
    """
    return dac_exponential_w(bits, 1.0) / dac_exponential_w(quoted, 1.0)


def adc_factor(enob: Any, quoted: Any, corner: Any = None) -> Any:
    """By what to multiply an ADC's energy quoted at other effective bits.

    Args:
      enob: effective bits; may be traced.
      quoted: those of the quoted energy.
      corner: effective bits at which thermal noise has doubled what Walden's law says, and above which
        the energy goes with 4**ENOB: times 1 + 2**(enob - corner). None: Walden's law alone.

    >>> adc_factor(10.0, 8.0), adc_factor(10.0, 8.0, corner=10.0)
    (4.0, 6.4)
    """
    walden = adc_walden_j(enob) / adc_walden_j(quoted)
    if corner is None:
        return walden
    return walden * (1.0 + 2.0 ** (enob - corner)) / (1.0 + 2.0 ** (quoted - corner))


def converter_factors(
    core: OpticalCore, quoted: OpticalCore, known: Collection[str] = ()
) -> dict[str, float]:
    """By what to multiply each energy of ``quoted``'s converters for the bits of ``core``.

    Only those that differ from one, and not the fields in ``known``. A converter that one of the two
    cores lacks has no factor.

    >>> import photonjax as pj
    >>> core = pj.machines.optical("display-1024")
    >>> converter_factors(core.replace(**{"adc.bits": 6}), core)  # 6 bits instead of 8.5 effective ones
    {'costs.adc_energy_j': 0.176...}
    """
    found = {}
    to, of = _dac_bits(core), _dac_bits(quoted)
    if to is not None and of is not None:
        found["costs.dac_energy_j"] = dac_factor(to, of)
    sharp, was = _adc_bits(core), _adc_bits(quoted)
    if sharp is not None and was is not None:
        found["costs.adc_energy_j"] = adc_factor(sharp, was)
    return {field: x for field, x in found.items() if x != 1.0 and field not in known}


def _dac_bits(core: OpticalCore) -> int | None:
    """Of the finest pass that a DAC makes."""
    operands = [(core.input.bits, core.input.slices)]
    if core.costs is not None and core.costs.streamed:
        operands.append((core.array.bits, core.array.slices))
    return max((-(-bits // slices) for bits, slices in operands if bits is not None), default=None)


def _adc_bits(core: OpticalCore) -> float | None:
    bits, enob = core.adc.bits, core.adc.enob
    if bits is None:
        return None
    return float(bits) if enob is None else min(float(enob), float(bits))
