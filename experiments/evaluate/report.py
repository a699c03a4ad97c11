"""Rows of numbers, and the table that people look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.evaluate.config import DIGITAL
from photonjax.evaluation import Evaluation, Result, shown
from photonjax.tables import text_table


def row(result: Result, joules: Mapping[str, float | None] | None) -> dict[str, Any]:
    """One row of numbers for one rung; intervals are ``_low`` and ``_high``."""
    found: dict[str, Any] = {"core": result.name, "perplexity": result.perplexity}
    for name in ("perplexity_change_percent", "kl_nats", "argmax_agreement"):
        value, low, high = getattr(result, name)
        if result.name == DIGITAL:
            low = high = None
        found |= {name: value, f"{name}_low": low, f"{name}_high": high}
    worst = result.worst_site
    found |= {
        "dies": result.dies,
        "draws": result.draws,
        "prefill_tokens_per_s": result.tokens_per_s,
        "photons_per_multiply": result.photons_per_multiply,
        "worst_site": worst,
        "worst_site_snr_db": None if worst is None else float(result.sites[worst].snr_db),
        "adc_clipped_fraction": result.adc_clipped_fraction,
    }
    return found | dict(joules or {})


def site_rows(result: Result) -> list[dict[str, Any]]:
    """What was measured at every site of one rung."""
    return [
        {
            "core": result.name,
            "site": site,
            "snr_db": float(m.snr_db),
            "photons_per_multiply": float(m.photons_per_multiply),
            "adc_clipped_fraction": float(m.clipped_fraction),
            "adc_input_rms": float(m.raw_rms),
            "adc_input_peak": float(m.raw_peak),
        }
        for site, m in result.sites.items()
    ]


def table(found: Evaluation, rows: Sequence[Mapping[str, Any]]) -> str:
    """The library's table, with speed and energy beside it."""
    lines = []
    for result, numbers in zip(found.results.values(), rows, strict=True):
        low, high = numbers.get("joules_per_token_p10"), numbers.get("joules_per_token_p90")
        speed = numbers["prefill_tokens_per_s"]
        lines.append(
            shown(result)
            | {
                "tokens/s": "-" if speed is None else f"{speed:.0f}",
                "mJ/token p10-p90": "-"
                if low is None or high is None
                else f"{1e3 * low:.3g} ... {1e3 * high:.3g}",
            }
        )
    return text_table(lines)


def intervals(result: Result) -> str:
    """What the intervals mean, in a line."""
    windows, dies = len(result.digital), result.dies
    if windows < 2 and dies < 2:
        return "intervals: none from a single window on a single die"
    over = [f"{windows} windows paired with the digital model's"] if windows > 1 else []
    over += [f"{dies} dies"] if dies > 1 else []
    cover = ["the choice of text"] if windows > 1 else []
    cover += ["the noise of each window"]
    rest = ["the choice of text"] if windows == 1 else []
    (rest if dies == 1 else cover).extend(["the die", "its calibration"])
    draws = f", {result.draws} draws of noise each" if result.draws > 1 else ""
    return (
        f"intervals: {result.confidence:.0%}, Student's t over {_list(over, 'and')}{draws}; they cover "
        f"{_list(cover, 'and')},\nnot {_list([*rest, 'the corpus'], 'or')}"
    )


def _list(words: Sequence[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
