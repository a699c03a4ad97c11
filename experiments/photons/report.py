"""What the photons experiment says: tables, and a verdict worked out from its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from experiments.photons.exponents import Row, at_snr, first_rung
from photonjax.core import OpticalCore
from photonjax.tables import text_table

# Columns of thresholds.csv that only a solved rung has.
MEASURED = (
    "photons_full_scale",
    "photons_per_multiply",
    "oscillator_per_multiply",
    "interval_low",
    "interval_high",
    "plus_minus",
    "noise_error_percent",
    "text_error_percent",
    "photons_per_output",
    "photons_per_sample",
    "shot_snr_db",
    "shot_snr_db_low",
    "shot_snr_db_high",
    "snr_db",
)

# SmolLM2-135M, W8A8, every linear product: SNR each needs for +1 % perplexity. Second-hand, one repository.
PUBLISHED_SNR_DB, PUBLISHED_SNR_SPAN_DB = 43.0, (40.0, 45.8)


def family(fields: Mapping[str, Any]) -> str:
    """``site`` (one kind of product alone), ``sub-array`` (only their size differs), ``encoding`` (everything
    in another one), or ``variant``."""
    names = set(fields)
    if names == {"only"}:
        return "site"
    if names <= {"rows"}:
        return "sub-array"
    encoding = fields.get("encoding")
    other = "encoding" if names <= {"encoding", "receiver"} else "variant"
    return other if isinstance(encoding, str) or "kind" in (encoding or {}) else "variant"


def shot_noise(core: OpticalCore) -> str:
    """How a core's shot noise is worked out: ``differential``'s may be estimated."""
    return core.encoding.shot_estimate if core.encoding.kind == "differential" else "exact"


def readable(results: Mapping[str, Any]) -> str:
    """The report."""
    parts = [
        text_table([_shown(r) for r in results["thresholds"]]),
        "95 %: interval of photons/mult over dies, noise draws and text (jackknife over windows); -: not "
        "known, since some of these alone do not reach the loss. Shot noise of each output: exact, but where "
        "it says rank one. LO: photons/mult of a local oscillator, among them. SNR: shot noise alone, "
        "mean over sites [lowest ... highest].",
    ]
    if results["fixed_light"]:
        parts.append(text_table([_shown_fixed(r) for r in results["fixed_light"]]))
    if results["slopes"]:
        parts.append(text_table([_shown_slope(r) for r in results["slopes"]]))
    parts += ["\n".join(verdict(results)), results["about"]]
    return "\n\n".join(parts)


def _shown(r: Row) -> dict[str, str]:
    def show(name: str, form: str = ".3g") -> str:
        return "-" if r[name] is None else format(r[name], form)

    solved = r["photons_per_multiply"] is not None
    interval = "-"
    if solved and r["interval_low"] is not None:
        interval = f"{r['interval_low']:.3g} ... {r['interval_high']:.3g}"
    estimate = " (rank one)" if r["shot_noise"] == "rank_one" else ""
    low, high = show("shot_snr_db_low", ".1f"), show("shot_snr_db_high", ".1f")
    return {
        "on light": r["rung"] + estimate,
        "encoding": r["encoding"],
        "K per sample": f"{r['terms_per_sample']:.0f}",
        "ppl %": f"+{r['target_percent']:g}",
        "full-scale m": show("photons_full_scale"),
        "photons/mult": show("photons_per_multiply") if solved else "not found",
        "95 %": interval,
        "LO": show("oscillator_per_multiply") if r["oscillator_per_multiply"] else "",
        "photons/output": show("photons_per_output"),
        "SNR dB": f"{show('shot_snr_db', '.1f')} [{low} ... {high}]" if solved else "-",
    }


def _shown_fixed(r: Row) -> dict[str, str]:
    what = "multiply" if r["same_photons_per"] == "multiply" else "detector sample"
    return {
        "sub-array": r["rung"],
        "K per sample": f"{r['terms_per_sample']:.0f}",
        "same photons per": what,
        "as": f"{r['as_rung']} at +{r['target_percent']:g} %",
        "ppl %": f"{r['perplexity_change_percent']:+.2f}",
    }


def _shown_slope(r: Row) -> dict[str, str]:
    error = "-" if r["error"] is None else f"{r['error']:.3f}"
    return {
        "photons per multiply ~ K^exponent": r["study"],
        "exponent": f"{r['exponent']:+.3f}",
        "+-": error,
        "reading": r["reading"],
    }


def verdict(results: Mapping[str, Any]) -> list[str]:
    """The answer in sentences that follow from the numbers."""
    groups: dict[str, list[str]] = {}
    for r in results["slopes"]:
        groups.setdefault(r["reading"], []).append(f"{r['study']} ({r['exponent']:+.2f})")
    lines = ["Do photons per multiply fall as 1/K? (exponent -1; 0: independent of K)"]
    lines += [f"  {name}: {'; '.join(studies)}" for name, studies in groups.items()]
    if why := light_per_signal(results):
        lines.append(
            "Why: a sum of one sign needs as many electrons an output as its power SNR, whatever K. Here the "
            "sums are signed and most of their light cancels between two detectors, its noise does not:"
        )
        lines += [
            f"  K = {k:,.0f}: {ratio:,.0f} times as many electrons an output ({count} sites, geometric mean; "
            f"a random walk would need {k * (2 / math.pi) ** 2:,.0f} times, Gaussian operands)"
            for k, ratio, count in why
        ]
    lines += sums(results)
    lines += _variants(results)
    lines += _snr(results)
    digital = results["noise_free_perplexity"]["digital"]
    off = [
        f"{name} {100 * (p / digital - 1):+.3f} %"
        for name, p in results["noise_free_perplexity"].items()
        if name != "digital"
    ]
    lines.append(f"Without noise, against digital ({digital:.3f}): {', '.join(off)}")
    return lines


def light_per_signal(results: Mapping[str, Any]) -> list[tuple[float, float, int]]:
    """For each K: electrons an output over power SNR (1 for sums of one sign), and number of sites."""
    groups: dict[float, list[float]] = {}
    for r in at_snr(results):
        electrons = r["photons_per_multiply"] * r["terms"]
        groups.setdefault(r["terms"], []).append(electrons / 10 ** (results["control_snr_db"] / 10))
    return [(k, geometric_mean(v), len(v)) for k, v in sorted(groups.items())]


def _variants(results: Mapping[str, Any]) -> list[str]:
    """Every variant against the reference rung, at the same loss."""
    solved = [r for r in results["thresholds"] if r["photons_per_multiply"]]
    base = {r["target_percent"]: r for r in solved if r["rung"] == first_rung(results)}
    lines = []
    for r in solved:
        if r["family"] in ("variant", "encoding") and (reference := base.get(r["target_percent"])):
            ratio = r["photons_per_multiply"] / reference["photons_per_multiply"]
            lines.append(
                f"{r['rung']} at +{r['target_percent']:g} %: {ratio:.3g} times the photons per multiply of "
                f"{reference['rung']}; shot-noise SNR {r['shot_snr_db']:.1f} dB"
            )
    return lines


def sums(results: Mapping[str, Any]) -> list[str]:
    """Whether what the kinds of site need alone adds up to what all need together."""
    solved = [r for r in results["thresholds"] if r["photons_full_scale"]]
    alone = [r for r in solved if r["family"] == "site"]
    paths: dict[str, set[str]] = {}
    for s in results["sites"]:
        paths.setdefault(s["rung"], set()).add(s["site"])
    lines = []
    for r in (r for r in solved if r["rung"] == first_rung(results)):
        parts = [a for a in alone if a["target_percent"] == r["target_percent"]]
        covered = sorted(path for a in parts for path in paths[a["rung"]])
        if covered == sorted(paths[r["rung"]]):
            ratio = sum(a["photons_full_scale"] for a in parts) / r["photons_full_scale"]
            lines.append(
                f"At +{r['target_percent']:g} % the full-scale photons that the kinds of site need alone add "
                f"up to {ratio:.3f} of what all need together (1: their noise adds, without interplay)"
            )
    return lines


def _snr(results: Mapping[str, Any]) -> list[str]:
    """The SNR that suffices where all sites have the same, beside what was published."""
    low, high = PUBLISHED_SNR_SPAN_DB
    lines = []
    for r in equal_snr_rows(results):
        error = snr_error_db(r)
        spread = "" if error is None else f" +- {error:.1f}"
        lines.append(
            f"{r['rung']}: +1 % needs {r['shot_snr_db']:.1f}{spread} dB at every product; published for W8A8 "
            f"(second-hand): {PUBLISHED_SNR_DB:g} dB, {low:g} to {high:g}"
        )
    return lines


def equal_snr_rows(results: Mapping[str, Any]) -> list[Row]:
    """Thresholds at +1 % of the rungs whose sites all have the same SNR."""
    rows = results.get("thresholds", [])
    return [r for r in rows if r["equal_snr"] and r["target_percent"] == 1 and r["light"]]


def snr_error_db(row: Mapping[str, Any]) -> float | None:
    """A threshold's standard error in dB of SNR (SNR is proportional to light)."""
    if row["plus_minus"] is None:
        return None
    return 10 * math.log10(1 + row["plus_minus"] / row["photons_per_multiply"])


def geometric_mean(values: Iterable[float]) -> float:
    """The exponential of the mean logarithm."""
    return float(np.exp(np.mean(np.log(list(values)))))
