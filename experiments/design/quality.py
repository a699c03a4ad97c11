"""A surrogate of quality: log-perplexity rises in proportion to the mean relative error of products.

    rise = k (S (1/m + t / m**2) + R (q8 / q)**2 + c**2 / (3 4**enob))

S / m    relative variance of shot noise, mean over sites, at m photons per full-scale multiply; each
         site's SNR is measured by experiments.photons at one light, and shot noise goes as 1/m.
t / m    the receivers' fraction of it: two detectors with sigma electrons each, against the mean of a
         k-tile's ``m u rows`` detected electrons: t = 2 sigma**2 / (u rows), u being used over
         full-scale photons.
R        relative variance of rounding inputs and weights to 8 bits, measured likewise; q is the
         largest level.
c        peak over root mean square of what the ADCs meet: the step is 2 c rms / 2**enob, its
         variance a twelfth of the square. Every k-tile has a range of its own: no rows in it.
k        fitted to one measured point: everything on light, at about one percent.

It is a surrogate: that every site's error weighs alike is not true (``checks`` shows by how much),
proportionality ends where the rise is not small, and laser noise and a die's errors are left out.
``checks`` holds it against everything measured that it was not fitted to.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from experiments.claims.light import need
from experiments.harness import UserError
from experiments.photons.results import read_study

Row = dict[str, Any]
ELECTRON_C = 1.602176634e-19  # SI


@dataclasses.dataclass(frozen=True)
class Surrogate:
    """Constants of the module's formula.

    Attributes:
      sensitivity: k.
      shot: S.
      rounding: R.
      crest: c.
      used: u, photons used over photons at full scale.
      source: where from.

    >>> law = Surrogate(10.0, 2.0, 1e-3, 0.0, 0.01, "")
    >>> round(float(law.rise(1e4, 8, 8.0, 0.0)), 6)
    0.012
    """

    sensitivity: float
    shot: float
    rounding: float
    crest: float
    used: float
    source: str

    def rise(self, photons: Any, bits: int, enob: Any, thermal: Any) -> Any:
        """Rise of log-perplexity; ``thermal`` is t."""
        light = self.shot * (1.0 / photons + thermal / photons**2)
        return self.sensitivity * (light + self.digits(bits, enob))

    def digits(self, bits: int, enob: Any) -> Any:
        """Relative variance of rounding and of the ADC."""
        levels = (2.0 ** (8 - 1) - 1) / (2.0 ** (bits - 1) - 1)
        return self.rounding * levels**2 + self.crest**2 / (3.0 * 4.0**enob)

    def thermal(self, rows: int, noise_a_per_rthz: float, rate_hz: Any) -> Any:
        """t: receiver noise integrated over half the symbol rate, in electrons, two detectors."""
        variance = (noise_a_per_rthz / ELECTRON_C) ** 2 / (2.0 * rate_hz)
        return 2.0 * variance / (self.used * rows)

    def photons(self, rise: float, bits: int, enob: Any, thermal: Any) -> Any:
        """Photons per full-scale multiply for a rise of log-perplexity: the root of a quadratic in 1/m.

        Not finite where rounding and the ADC alone take more.
        """
        left = rise / self.sensitivity - self.digits(bits, enob)
        x = left / self.shot
        # 2x / (1 + sqrt(1 + 4 t x)): the same root, exact where t is small.
        inverse = 2.0 * x / (1.0 + jnp.sqrt(jnp.maximum(1.0 + 4.0 * thermal * x, 0.0)))
        return jnp.where(left > 0, 1.0 / jnp.where(left > 0, inverse, 1.0), jnp.inf)


def load(run: str | None, crest: float) -> tuple[Surrogate, list[Row]]:
    """The surrogate and its checks from a photon study, or from what is published.

    Args:
      run: name or directory of a finished run of experiments.photons. None, or where there is none:
        from what is published.
      crest: c.

    Raises:
      UserError: what is there is not such a study, or has no rung that is needed.
    """
    study = None if run is None else read_study(run, "quality.photons_run")
    if study is None:
        return from_published(crest), []
    results, _ = study
    try:
        law = fit(results, crest, str(run))
        return law, checks(law, results)
    except (KeyError, TypeError, StopIteration) as error:
        raise UserError(
            f"quality.photons_run: the study {run} has not both a rung 'int8' and one with everything on "
            f"light at +1 % ({error!r}); name another, or null"
        ) from None


def from_published(crest: float) -> Surrogate:
    """One percent at the published SNR; rounding by the law of Gaussian operands.

    For Gaussian operands with a peak of C standard deviations shot noise has the relative variance
    ``(2/pi) C**2 / m`` and rounding both operands ``2 C**2 / (12 q**2)``, whose ratio is pi m / (12 q**2).
    """
    light = need(None)
    shot = light.full_scale / light.snr
    rounding = math.pi * shot / (12.0 * 127.0**2)
    used = light.used / light.full_scale
    return Surrogate(math.log(1.01) * light.snr, shot, rounding, crest, used, light.source)


def fit(results: Mapping[str, Any], crest: float, name: str) -> Surrogate:
    """Constants from measured sites; one point of perplexity."""
    lit = first_rung(results)
    sites = rung_sites(results, lit["rung"])
    shot = mean_error(sites, "shot_snr_db") * lit["light"]
    int8 = next(
        r["rung"] for r in results["thresholds"] if r["rung"] == "int8" and r["target_percent"] == 1
    )
    rounded = rung_sites(results, int8)
    rounding = mean_error(rounded, "snr_db") - mean_error(rounded, "shot_snr_db")
    own = [c for c in results["curves"] if c["rung"] == lit["rung"]]
    point = min(own, key=lambda c: abs(math.log(c["light"] / lit["light"])))
    measured = math.log1p(point["perplexity_change_percent"] / 100)
    return Surrogate(
        measured * point["light"] / shot,
        shot,
        rounding,
        crest,
        lit["photons_per_multiply"] / lit["photons_full_scale"],
        f"{name}, fitted to {lit['rung']!r} at {point['light']:.4g} photons "
        f"(+{point['perplexity_change_percent']:.3g} %)",
    )


def checks(law: Surrogate, results: Mapping[str, Any]) -> list[Row]:
    """Measured and predicted rises, in percent, of every rung and light, and of INT8 without noise."""
    total = len(rung_sites(results, first_rung(results)["rung"]))
    rows = []
    for curve in results["curves"]:
        sites = rung_sites(results, curve["rung"])
        solved = [
            r
            for r in results["thresholds"]
            if r["rung"] == curve["rung"] and r["target_percent"] == 1
        ]
        if not sites or not solved or not solved[0]["light"]:
            continue
        error = mean_error(sites, "shot_snr_db") * len(sites) / total
        predicted = law.sensitivity * error * solved[0]["light"] / curve["light"]
        change = curve["perplexity_change_percent"]
        rows.append(_check(curve["rung"], solved[0]["family"], curve["light"], change, predicted))
    free = results["noise_free_perplexity"]
    if "int8" in free:
        change = 100 * (free["int8"] / free["digital"] - 1)
        rise = law.sensitivity * law.rounding
        rows.append(_check("int8, rounding alone", "rounding", None, change, rise))
    return rows


def _check(rung: str, family: str, light: float | None, measured: float, rise: float) -> Row:
    predicted = 100 * math.expm1(min(rise, 50.0))
    return {
        "rung": rung,
        "family": family,
        "light": light,
        "measured_percent": measured,
        "predicted_percent": predicted,
        "predicted_over_measured": predicted / measured if measured > 0 else None,
    }


def first_rung(results: Mapping[str, Any]) -> Row:
    """The solved rung with everything on light and nothing else, at one percent."""
    return next(
        r
        for r in results["thresholds"]
        if r["family"] == "sub-array" and r["target_percent"] == 1 and r["light"]
    )


def rung_sites(results: Mapping[str, Any], rung: str) -> list[Row]:
    """Sites of a rung at one percent."""
    return [r for r in results["sites"] if r["rung"] == rung and r["target_percent"] == 1]


def mean_error(sites: list[Row], name: str) -> float:
    """Mean over sites of noise over signal.

    >>> mean_error([{"snr_db": 10.0}, {"snr_db": 20.0}], "snr_db")
    0.055
    """
    return sum(10 ** (-r[name] / 10) for r in sites) / len(sites)
