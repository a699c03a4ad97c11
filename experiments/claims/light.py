"""How much light a multiply needs at the SNR that a real model needs: measured, or from what is published."""

from __future__ import annotations

import math

from experiments.claims.verdict import published
from experiments.photons.results import Need, needed_photons


def need(run: str | None) -> Need:
    """From a finished run of experiments.photons; without one, from claims/published.toml.

    Signed operands without correlation need ``SNR (2/pi)**2`` photons per multiply, whatever K
    (derived in :mod:`photonjax.evaluation.fan_in`).

    Raises:
      UserError: a run that is not such a study.
    """
    measured = None if run is None else needed_photons(run)
    if measured is not None:
        return measured
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
