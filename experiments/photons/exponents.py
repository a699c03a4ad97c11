"""Exponents of fan-in: how photons per multiply move with K, study by study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photonjax.evaluation.exponents import Exponent, fit_exponent
from photonjax.evaluation.fan_in import series_exponents

Row = dict[str, Any]
SLACK = 0.1  # an exponent this close to a law, or within two standard errors of it, agrees with it
UNDECIDED = 0.25  # where two standard errors are more than this, the exponent is left open
CONSTANT, INVERSE = "does not depend on K", "falls as 1/K"


def slopes(results: Mapping[str, Any]) -> list[Row]:
    """Exponents of K that photons per multiply follow, study by study."""
    solved = [r for r in results["thresholds"] if r["photons_per_multiply"]]
    found = []
    for percent in dict.fromkeys(r["target_percent"] for r in solved):
        for kind, label, k in (
            ("sub-array", "sub-arrays, all sites", "terms_per_sample"),
            ("site", "kinds of site, each alone", "terms_per_output"),
        ):
            rows = [r for r in solved if (r["family"], r["target_percent"]) == (kind, percent)]
            found += _slope(f"{label}, at +{percent:g} %", rows, k)
    snr_db = results["control_snr_db"]
    found += _slope(f"every site in turn, at {snr_db:g} dB", at_snr(results), "terms")
    for series, slope in series_exponents(results["controls"]).items():
        kind = "control" if series.startswith("random") else "first K rows of"
        found.append(_slope_row(f"{kind} {series}, at {snr_db:g} dB", slope))
    return found


def at_snr(results: Mapping[str, Any]) -> list[Row]:
    """Sites of the first sub-array rung, their light scaled to the controls' SNR."""
    sites = [r for r in results["sites"] if r["rung"] == first_rung(results)]
    sites = [r for r in sites if r["target_percent"] == sites[0]["target_percent"]]
    gain = 10 ** (results["control_snr_db"] / 10)
    return [
        r
        | {"photons_per_multiply": r["photons_per_multiply"] * gain / 10 ** (r["shot_snr_db"] / 10)}
        for r in sites
    ]


def first_rung(results: Mapping[str, Any]) -> str | None:
    """The rung with everything on light and no other change: the sub-arrays' reference."""
    rows = (r["rung"] for r in results["thresholds"] if r["family"] == "sub-array")
    return next(rows, None)


def _slope(study: str, rows: list[Row], k: str) -> list[Row]:
    if len({r[k] for r in rows}) < 2:
        return []
    fit = fit_exponent((r[k] for r in rows), (r["photons_per_multiply"] for r in rows))
    return [_slope_row(study, fit)]


def _slope_row(study: str, slope: Exponent) -> Row:
    parts = {"exponent": slope.value, "error": slope.error, "points": slope.points}
    return {"study": study, **parts, "reading": reading(slope.value, slope.error)}


def reading(exponent: float, error: float | None) -> str:
    """What an exponent of K says about photons per multiply.

    >>> reading(-0.03, 0.02), reading(-0.97, 0.01), reading(-0.5, 0.1)
    ('does not depend on K', 'falls as 1/K', 'falls, but slower than 1/K')
    """
    if error is None or 2 * error > UNDECIDED:
        return "undecided"
    slack = max(SLACK, 2 * error)
    if abs(exponent) <= slack:
        return CONSTANT
    if abs(exponent + 1) <= slack:
        return INVERSE
    if exponent > 0:
        return "rises with K"
    return "falls, but slower than 1/K" if exponent > -1 else "falls faster than 1/K"


def fan_in_rows(results: Mapping[str, Any]) -> list[Row]:
    """Every point that an exponent rests on, and sub-arrays under fixed light: fan_in.csv."""
    rows = []

    def add(
        study: str, series: str, k: float, photons: Any = None, change: Any = None, **more: Any
    ):
        names = ("layer", "order", "plus_minus", "same_photons_per")
        rows.append(
            {
                "study": study,
                "series": series,
                "terms": k,
                "photons_per_multiply": photons,
                "perplexity_change_percent": change,
                **{name: more.get(name) for name in names},
            }
        )

    for r in results["thresholds"]:
        if r["family"] in ("sub-array", "site") and r["photons_per_multiply"]:
            k = r["terms_per_sample" if r["family"] == "sub-array" else "terms_per_output"]
            change, error = r["target_percent"], {"plus_minus": r["plus_minus"]}
            add(r["family"], r["rung"], k, r["photons_per_multiply"], change, **error)
    for r in results["fixed_light"]:
        what, change = {"same_photons_per": r["same_photons_per"]}, r["perplexity_change_percent"]
        add("fixed light", r["rung"], r["terms_per_sample"], None, change, **what)
    for r in at_snr(results):
        add("site at fixed SNR", r["site"], r["terms"], r["photons_per_multiply"])
    for r in results["controls"]:
        place = {"layer": r["layer"], "order": r["order"]}
        add("first K rows", r["series"], r["terms"], r["photons_per_multiply"], **place)
    return rows
