"""How signed numbers become light, and the photons that detectors count for them."""

from __future__ import annotations

from typing import Literal

from photonjax.core.pytree import stage, static

Kind = Literal["differential", "offset", "homodyne", "quadrature"]
PhotonStatistics = Literal["gaussian", "poisson"]
ShotEstimate = Literal["rank_one", "exact"]


@stage
class Encoding:
    """How signed numbers become light.

    Attributes:
      kind: ``differential``: intensities, signs on dual rails, balanced detectors. ``offset``:
        ``(1 + a)/2`` and ``(1 + b)/2`` on one rail, offsets subtracted digitally. ``homodyne``:
        interference of two fields on a balanced pair. ``quadrature``: fields add up in one waveguide,
        whose amplitude is read against a strong local oscillator.
      photon_statistics: ``gaussian`` (the limit of many photons) or ``poisson`` (exact counts).
      shot_estimate: ``differential`` needs ``sum |a||b|``: ``exact`` pays a second product;
        ``rank_one`` uses ``sum |a| * mean |b|``, which is exact on average over inputs that are
        independent of the weights' magnitudes.
    """

    kind: Kind = static("differential")
    photon_statistics: PhotonStatistics = static("gaussian")
    shot_estimate: ShotEstimate = static("rank_one")
