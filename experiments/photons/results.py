"""What finished photon studies found, for experiments that build on it.

A study's metrics.json holds, row by row:

* ``thresholds``: for each rung and loss of perplexity (``target_percent``) the ``light`` found,
  ``photons_full_scale`` and ``photons_per_multiply`` (really detected) with its standard error
  ``plus_minus``, mean, lowest and highest SNR of the sites (``shot_snr_db``: of shot noise alone), and
  ``family``: ``sub-array`` (everything on light), ``site`` (one kind of product alone) or ``variant``.
  What was not found is null.
* ``sites``: the same for every site of a rung, with its electrons, multiplies and outputs.
* ``curves``: ``perplexity_change_percent`` at every ``light`` that was evaluated.
* ``fixed_light``: the change of perplexity of other sub-arrays at the light of the first.
* ``controls``: photons per multiply against K of single products, at ``control_snr_db``.
* ``slopes``: ``exponent`` of K with its standard ``error``, and what it says, study by study.
* ``noise_free_perplexity``: by rung, ``digital`` among them.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from experiments.harness import UserError
from experiments.harness.finished import finished_run, read_metrics

LISTS = ("thresholds", "sites", "curves", "fixed_light", "controls", "slopes")


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


def read_study(
    run: str | None, setting: str = "photons_run"
) -> tuple[Mapping[str, Any], pathlib.Path] | None:
    """The results of a finished study and its directory; None where there is none.

    Args:
      run: its name or directory; None: the newest that has finished.
      setting: which setting named it, for the message.

    Raises:
      UserError: what is there is not such a result.
    """
    place = finished_run("photons", run)
    if place is None:
        return None
    needs = {name: list for name in LISTS} | {"noise_free_perplexity": dict}
    return read_metrics(place, needs, setting), place


def needed_photons(run: str, setting: str = "photons_run") -> Need | None:
    """The light at which every product on light raises perplexity by one percent, and its exponent of K.

    Args:
      run: name or directory of a study.
      setting: which setting named it, for the message.

    Returns:
      None: there is no such study.

    Raises:
      UserError: what is there is not a study, or it found no such light.
    """
    found = read_study(run, setting)
    if found is None:
        return None
    try:
        return need_of(found[0], run)
    except (KeyError, TypeError, StopIteration) as error:
        raise UserError(
            f"{setting}: the study {run} has no rung with everything on light that was solved at +1 % "
            f"({error!r}); name another, or null"
        ) from None


def need_of(results: Mapping[str, Any], name: str) -> Need:
    """:func:`needed_photons` of these results."""
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
        f"SNR; exponent of K over sub-arrays {exponent:+.3f}",
    )
