"""What finished photon studies found, for experiments that build on it.

A study's metrics.json holds, row by row:

* ``thresholds``: for each rung and loss of perplexity (``target_percent``) the ``light`` found,
  ``photons_full_scale`` and ``photons_per_multiply`` (really detected, ``oscillator_per_multiply`` among
  them) with its standard error ``plus_minus`` and 95 % interval (``interval_low``, ``interval_high``), mean,
  lowest and highest SNR of the sites (``shot_snr_db``: of shot noise alone), the ``encoding``, how its
  ``shot_noise`` was worked out (``exact`` or ``rank_one``), and
  ``family``: ``sub-array`` (everything on light), ``site`` (one kind of product alone), ``encoding``
  (everything in another one) or ``variant``. What was not found is null.
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

REFERENCE = 1024.0  # terms of a sum that a need is told for
LISTS = ("thresholds", "sites", "curves", "fixed_light", "controls", "slopes")


@dataclasses.dataclass(frozen=True)
class Need:
    """Light for one multiply.

    Attributes:
      used: photons detected per multiply, on average, of signed operands.
      full_scale: photons per multiply at full scale, as ``OpticalCore.photons``.
      exponent: of K in both, for signed operands at a fixed SNR.
      snr: power ratio.
      source: where from.
    """

    used: float
    full_scale: float
    exponent: float
    snr: float
    source: str

    def signed(self, terms: float, reference: float = REFERENCE) -> float:
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


def needed_photons(
    run: str, encoding: str = "differential", setting: str = "photons_run"
) -> Need | None:
    """The light at which every product on light raises perplexity by one percent, and its exponent of K.

    Args:
      run: name or directory of a study.
      encoding: of all products.
      setting: which setting named it, for the message.

    Returns:
      None: there is no such study, or it has no rung in this encoding, which is not differential.

    Raises:
      UserError: what is there is not a study, or it found no such light.
    """
    found = read_study(run, setting)
    if found is None:
        return None
    try:
        return need_of(found[0], run, encoding)
    except (KeyError, TypeError, StopIteration) as error:
        raise UserError(
            f"{setting}: the study {run} has no rung with everything on light that was solved at +1 % "
            f"({error!r}); name another, or null"
        ) from None


def need_of(results: Mapping[str, Any], name: str, encoding: str = "differential") -> Need | None:
    """:func:`needed_photons` of these results.

    The exponent is that of signed random operands at a fixed SNR. (Sub-arrays of one model at fixed photons
    per multiply have the same noise by construction, and say nothing.) A need is told for 1,024 terms; what
    was measured holds for the terms of the model's own samples.
    """
    solved = [
        r for r in results["thresholds"] if r["target_percent"] == 1 and r["photons_per_multiply"]
    ]
    own = [r for r in solved if r.get("encoding", "differential") == encoding]
    family = "sub-array" if encoding == "differential" else "encoding"
    rows = [r for r in own if r["family"] == family]
    if not rows and encoding != "differential":
        return None
    first = next(iter(rows))
    series = "random, signed" + ("" if encoding == "differential" else f", {encoding}")
    slopes = [s for s in results["slopes"] if s["study"].startswith(f"control {series}, at ")]
    exponent = slopes[0]["exponent"] if slopes else -1.0 if encoding == "quadrature" else 0.0
    scale = (REFERENCE / first["terms_per_sample"]) ** exponent
    return Need(
        (first["photons_per_multiply"] - first.get("oscillator_per_multiply", 0.0)) * scale,
        first["photons_full_scale"] * scale,
        exponent,
        10 ** (first["shot_snr_db"] / 10),
        f"{name}: rung {first['rung']!r} at +1 % perplexity, {first['shot_snr_db']:.1f} dB mean "
        f"SNR; exponent of K for random signs at fixed SNR {exponent:+.3f}",
    )
