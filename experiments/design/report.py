"""What the design says: the front, both searches, and what the surrogate is worth."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np

from experiments.design.config import Design
from photonjax.tables import text_table

FAMILIES = {
    "sub-array": "everything on light (one point of these was fitted)",
    "rounding": "rounding to 8 bits alone",
    "variant": "other spreads of light and rounding",
    "site": "one kind of product alone",
}


def report(
    config: Design, results: dict[str, Any], checks: list[dict[str, Any]], source: str
) -> str:
    """Front, comparison, checks of the surrogate."""
    shown = [
        {
            "floor": f"+{100 * math.expm1(r['floor']):.3g} %",
            "price of time": f"{r['price']:g}",
            "array": r["size"],
            "bits": r["bits"],
            "photons": f"{r['photons']:.3g}",
            "GHz": f"{r['clock_hz'] / 1e9:.3g}",
            "ENOB": f"{r['enob']:.2f}",
            "mJ/token": f"{1e3 * r['joules']:.4g}",
            "tokens/s": f"{1 / r['seconds']:.4g}",
            "grid mJ/token": f"{1e3 * r['grid_joules']:.4g}" if "grid_joules" in r else "-",
        }
        for r in results["front"]
    ]
    work = results["work"]
    worst, best = results["worst_gradient_over_grid"], results["best_gradient_over_grid"]
    lines = [
        text_table(shown),
        "",
        "objective joules x seconds^price; the front is "
        f"{'the same' if results['same_front'] else 'NOT the same'}: "
        f"by gradient {worst:.4f} of the grid's best at worst and {best:.4f} at best (tolerance "
        f"{config.same_within:g} above one; below one the grid's steps, {config.grid_within:g}); same "
        f"array and bits in {results['same_choice_fraction']:.0%}"
        if worst is not None
        else "the grid keeps none of these floors",
        f"no point of the grid's front ({len(results['grid_front'])} points) beats ours by more "
        "than a factor of "
        f"{results['most_a_grid_point_beats_ours_by']:.3f} in joules, seconds and rise alike",
        f"work: {work['estimates_by_gradient']:,} cost estimates (a gradient counted as three) against "
        f"{work['estimates_by_grid']:,}: {work['ratio']:.1f} times less; compiling included, "
        f"{work['seconds']['gradient']:.0f} s and {work['seconds']['grid']:.0f} s",
        "",
        f"quality is a SURROGATE ({source}): rise of log-perplexity in proportion to the mean "
        "relative error of "
        f"products; of a 135M model, applied to {config.model.name}",
    ]
    if checks:
        lines += _check_lines(checks)
        lines += ["", text_table([_shown_check(c) for c in checks])]
    lines += [
        "",
        f"held: {config.cells:,} cells in all arrays; {config.tokens_together:,} tokens a load; "
        "everything else as "
        f"{config.core().name}. Assumed: converters' energy a sample doubles at {config.corner_hz:.3g} "
        f"Hz; an ADC of {config.corner_enob:g} bits takes twice what Walden's law says, and four "
        f"times a bit beyond; peak over rms at the ADC {config.quality.crest:g}",
    ]
    return "\n".join(
        line if "\n" in line or line.startswith("  ") else textwrap.fill(line, 110)
        for line in lines
    )


def _check_lines(checks: list[dict[str, Any]]) -> list[str]:
    """Predicted over measured rise, family by family."""
    lines = ["predicted over measured rise of perplexity:"]
    for family, name in FAMILIES.items():
        own = [c["predicted_over_measured"] for c in checks if c["family"] == family]
        known = [r for r in own if r is not None]
        if known:
            span = f"{min(known):.2f} to {max(known):.2f}, median {np.median(known):.2f}"
            lines.append(f"  {name}: {span} ({len(known)} points)")
    return lines


def _shown_check(c: dict[str, Any]) -> dict[str, str]:
    ratio = c["predicted_over_measured"]
    return {
        "rung": c["rung"],
        "photons at full scale": "-" if c["light"] is None else f"{c['light']:.4g}",
        "measured %": f"{c['measured_percent']:+.3f}",
        "predicted %": f"{c['predicted_percent']:+.3f}",
        "ratio": "-" if ratio is None else f"{ratio:.2f}",
    }
