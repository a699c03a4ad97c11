"""How much light a multiply needs at the SNR that a real model needs: measured, or from what is published."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from experiments.claims.verdict import published
from experiments.harness import ROOT, UserError


@dataclasses.dataclass(frozen=True)
class Need:
    """Light for one multiply.

    Attributes:
      used: photons detected per multiply, on average, of signed operands.
      full_scale: photons per multiply at full scale, as ``OpticalCore.photons``.
      exponent: of K in both, for signed operands.
      snr: power ratio.
      source: where from.
    """

    used: float
    full_scale: float
    exponent: float
    snr: float
    source: str

    def signed(self, terms: float, reference: float = 1024.0) -> float:
        """Full-scale photons per multiply for signed operands."""
        return self.full_scale * (terms / reference) ** self.exponent

    def one_sign(self, terms: float) -> float:
        """The same if operands had one sign: an output's electrons are its SNR, shared by K multiplies."""
        return self.full_scale / self.used * self.snr / terms


def need(path: str | None) -> Need:
    """From a finished run of experiments.photons; without one, from claims/published.toml.

    Signed operands without correlation need ``SNR (2/pi)**2`` photons per multiply, whatever K
    (derived in experiments/photons/fan_in.py).

    Raises:
      UserError: a file that is not such a result.
    """
    if path is not None:
        file = pathlib.Path(path)
        file = file if file.is_absolute() else ROOT / file
        if file.exists():
            try:
                return measured(json.loads(file.read_text()), path)
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"photons_result: {path} is not a result of experiments.photons "
                    f"({error!r}); name "
                    "its metrics.json, or null"
                ) from None
    known = published("light")
    snr = 10 ** (known["snr_db"].value / 10)
    used = snr * (2 / math.pi) ** 2
    missing = "" if path is None else f"; {path} does not exist"
    return Need(
        used,
        used * known["full_scale_over_used"].value,
        0.0,
        snr,
        f"not measured in this run{missing}: {known['snr_db'].value:g} dB (published, "
        "second-hand), closed form",
    )


def measured(results: Mapping[str, Any], name: str) -> Need:
    """The light at which every product on light raised perplexity by one percent, and its exponent of K."""
    solved = [
        r for r in results["thresholds"] if r["target_percent"] == 1 and r["photons_per_multiply"]
    ]
    first = next(r for r in solved if r["family"] == "sub-array")
    slopes = [s for s in results["slopes"] if s["study"].startswith("sub-arrays, all sites, at +1")]
    exponent = slopes[0]["exponent"] if slopes else 0.0
    return Need(
        first["photons_per_multiply"],
        first["photons_full_scale"],
        exponent,
        10 ** (first["shot_snr_db"] / 10),
        f"{name}: rung {first['rung']!r} at +1 % perplexity, {first['shot_snr_db']:.1f} dB mean "
        "SNR; exponent of "
        f"K over sub-arrays {exponent:+.3f}",
    )
