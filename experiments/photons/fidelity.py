"""What others published about photons per multiply, beside what the photons experiment gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.photons import exponents
from experiments.photons import report as photon_report
from experiments.photons.controls import random_controls
from experiments.photons.results import read_study

Row = dict[str, Any]
ANDERSON = "Anderson et al., TMLR 2024, abstract: optical energy per MAC falls as 1/d"
SNR_LAW = "one personal repository, SmolLM2-135M, W8A8, every linear (second-hand)"
POISSON = "derived: power SNR = detected photons per output; 43 dB"
VERDICTS = {exponents.INVERSE: "reproduced", "undecided": "not reproduced"}


def photon_rows(results: Mapping[str, Any] | None = None) -> list[Row]:
    """Lines for a table of published against own values.

    Args:
      results: what a run of the photons experiment left in metrics.json. ``None``: the newest finished run
        in ``results/photons``; without one, random operands only, which take seconds.
    """
    origin = "experiments.photons"
    if results is None:
        results, run = _newest()
        origin += f", run {run}" if run else ", random operands only: no finished run was found"
    rows = [_exponent_row(s, origin) for s in results["slopes"]]
    if results.get("sites"):
        rows.append(_poisson_row(results, origin))
    return rows + [_snr_row(r, origin) for r in photon_report.equal_snr_rows(results)]


def _newest() -> tuple[Mapping[str, Any], str | None]:
    study = read_study(None)
    if study is not None:
        return study[0], study[1].name
    rows = random_controls((64, 256, 1024), tokens=64, columns=128, repeats=3, snr_db=30.0, seed=0)
    bare = {"thresholds": [], "sites": [], "controls": rows, "control_snr_db": 30.0}
    return {"slopes": exponents.slopes(bare)}, None


def _exponent_row(slope: Row, origin: str) -> Row:
    error = slope["error"]
    spread = f"standard error {error:.2g}" if error is not None else "no error known"
    return {
        "name": f"photons per multiply against K: {slope['study']}",
        "published": -1.0,
        "ours": slope["exponent"],
        "unit": "exponent of K",
        "deviation": slope["exponent"] / -1.0 - 1,
        "verdict": VERDICTS.get(slope["reading"], "differs"),
        "source": ANDERSON,
        "note": f"{slope['reading']}; {spread}; d is a model's width, our K varies within one model; "
        f"{origin}",
    }


def _poisson_row(results: Mapping[str, Any], origin: str) -> Row:
    published = 2e4  # electrons an output, as quoted for 43 dB
    sites = photon_report.light_per_signal(results)
    count = sum(n for *_, n in sites)
    ratio = photon_report.geometric_mean([ratio for _, ratio, n in sites for _ in range(n)])
    ours = ratio * 10 ** (photon_report.PUBLISHED_SNR_DB / 10)
    return {
        "name": "detected photons per output at 43 dB, the model's sites",
        "published": published,
        "ours": ours,
        "unit": "photons/output",
        "deviation": ours / published - 1,
        "verdict": "differs" if abs(ours / published - 1) > 0.05 else "reproduced",
        "source": POISSON,
        "note": f"geometric mean of {count} sites; the law is for sums of one sign, these are signed and "
        f"detected in balance; {origin}",
    }


def _snr_row(row: Row, origin: str) -> Row:
    low, high = photon_report.PUBLISHED_SNR_SPAN_DB
    snr, error = row["shot_snr_db"], photon_report.snr_error_db(row)
    spread = "" if error is None else f" +- {error:.1f} dB"
    return {
        "name": f"per-product SNR for +1 % perplexity ({row['rung']})",
        "published": photon_report.PUBLISHED_SNR_DB,
        "ours": snr,
        "unit": "dB",
        "deviation": snr / photon_report.PUBLISHED_SNR_DB - 1,
        "verdict": "reproduced" if low <= snr <= high else "differs",
        "source": f"{SNR_LAW}; {low:g} to {high:g} dB count as reproduced",
        "note": f"the same output SNR{spread} at every linear product, shot noise alone, against the same "
        f"core without noise; {origin}",
    }
