"""How much light a multiply needs at the SNR that a real model needs: measured, or from what is published."""

from __future__ import annotations

import math

from experiments.claims.verdict import published
from experiments.photons.results import REFERENCE, Need, needed_photons

ENCODINGS = ("differential", "homodyne", "offset", "quadrature")


def need(run: str | None, encoding: str = "differential") -> Need:
    """From a finished run of experiments.photons; without one, from claims/published.toml.

    What such a run has not measured of an encoding follows from what ``differential`` needs
    (:func:`derived`).

    Raises:
      UserError: a run that is not such a study.
    """
    measured = None if run is None else needed_photons(run, encoding)
    if measured is not None:
        return measured
    if encoding != "differential":
        return derived(need(run), encoding)
    known = published("light")
    snr = 10 ** (known["snr_db"].value / 10)
    used = snr * (2 / math.pi) ** 2
    missing = "" if run is None else f"; there is no finished run {run!r}"
    return Need(
        used,
        used * known["full_scale_over_used"].value,
        0.0,
        snr,
        f"not measured in this run{missing}: {known['snr_db'].value:g} dB (published, "
        "second-hand), closed form",
    )


def derived(differential: Need, encoding: str) -> Need:
    """What another encoding needs at the SNR of ``differential``, of Gaussian operands without correlation.

    Photons at full scale over those used are ``1 / (E|a| E|b|)`` for ``differential``, hence
    ``v = E[a**2] E[b**2] = (pi/2 used / full_scale)**2``. Then (:mod:`photonjax.evaluation.fan_in`)
    ``homodyne``: SNR used, ``SNR / sqrt(v)`` at full scale; ``offset``: ``SNR / v`` and ``4 SNR / v``;
    ``quadrature``: ``SNR / 4K`` and ``SNR / (4 K v)``, K the number of terms, beside its oscillator.

    >>> light = derived(Need(100.0, 1e4, 0.0, 1e3, "here"), "quadrature")
    >>> round(light.used, 3), light.exponent
    (0.244, -1.0)
    """
    snr = differential.snr
    v = (math.pi / 2 * differential.used / differential.full_scale) ** 2
    used, full_scale, exponent = {
        "homodyne": (snr, snr / math.sqrt(v), 0.0),
        "offset": (snr / v, 4 * snr / v, 0.0),
        "quadrature": (snr / (4 * REFERENCE), snr / (4 * REFERENCE * v), -1.0),
    }[encoding]
    source = f"derived for {encoding} from differential's SNR ({differential.source})"
    return Need(used, full_scale, exponent, snr, source)
