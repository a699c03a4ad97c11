"""What the study of widths says: tables, and what remains unknown, worked out from its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.width.config import Width
from experiments.width.exponents import FAMILY, undecided
from photonjax.tables import text_table

Results = Mapping[str, Any]
SHARED = (
    "At the smallest width standard and µP scaling are one and the same decoder, trained once for both: "
    "their exponents are not independent."
)
OVER_SEEDS = (
    "Intervals are Student's over seeds alone: they cover how training and the noise fall out, not the text, "
    "which all decoders share."
)


def readable(results: Results, config: Width) -> str:
    """The report."""
    parts = [
        results["about"],
        text_table(_models(results)),
        "Loss (nats a token: mean and standard deviation over seeds) and perplexity on the held-out windows "
        "that light is sought on. All are trained on equally many tokens, so wider decoders on fewer a "
        "parameter; passes: how often these go through the text that is trained on.",
        *([SHARED] if len(config.grid.scalings) > 1 else []),
    ]
    if results["exponents"]:
        parts += [
            text_table(_light(results)),
            "Photons per multiply at each rise of perplexity, every product with weights on light: geometric "
            "mean over seeds. LO: of them, at the largest width, the local oscillator's. Exponent of width: "
            f"mean over seeds and its 95 % interval. {OVER_SEEDS}",
            text_table(_needed(results)),
            "The SNR that the loss allows, width by width: geometric mean over sites and seeds.",
            text_table(_parts(results)),
            "Where it comes from: exponents of the signal's own photons, and of that SNR (as a power ratio).",
        ]
    if results["alignment_exponents"]:
        parts += [
            text_table(_alignment(results)),
            "Alignment E[p^2] / E[S]^2 of every kind of product, token by token: geometric mean over tokens, "
            "layers and seeds, and its exponent of width. -1: a random walk's. Of differential detection, "
            "photons per multiply are about SNR / (K x alignment).",
        ]
    lines = [f"- {line}" for line in unknown(results, config)]
    return "\n\n".join([*parts, "\n".join(["What remains unknown", *lines])])


def _models(results: Results) -> list[dict[str, str]]:
    rows = []
    for chosen in results["rates"]:
        names = ("mlp", "scaling", "width")
        own = [m for m in results["models"] if all(m[n] == chosen[n] for n in names)]
        rows.append(
            {
                "decoder": f"{chosen['mlp']} {chosen['scaling']} {chosen['width']}",
                "parameters": f"{own[0]['parameters']:,}",
                "tokens": f"{own[0]['tokens']:,}",
                "passes": f"{own[0]['passes']:.2g}",
                "rate": f"{chosen['rate']:g}" + (" (edge)" if chosen["at_edge"] else ""),
                "tuned at": f"{chosen['tuned_at']}",
                "loss": _spread([m["loss"] for m in own]),
                "perplexity": f"{sum(m['perplexity'] for m in own) / len(own):.2f}",
                "seeds": f"{len(own)}",
            }
        )
    return rows


def _light(results: Results) -> list[dict[str, str]]:
    rows = []
    for r in _of(results, "photons_per_multiply"):
        own = [t for t in results["thresholds"] if all(t[n] == r[n] for n in FAMILY)]
        oscillator = _middle(own, r["widths"][-1], "oscillator_per_multiply")
        rows.append(
            {"on light": _family(r)}
            | _ends(r, own, "photons_per_multiply")
            | {"LO": f"{oscillator:.3g}" if oscillator else ""}
            | {"exponent": f"{r['exponent']:+.3f}", "95 %": _interval(r), "reading": r["reading"]}
        )
    return rows


def _needed(results: Results) -> list[dict[str, str]]:
    rows, widths = [], sorted({t["width"] for t in results["thresholds"]})
    for r in _of(results, "snr"):
        own = [t for t in results["thresholds"] if all(t[n] == r[n] for n in FAMILY)]
        each = {w: _middle(own, w, "snr") for w in widths}
        decibels = {f"{w}, dB": f"{10 * np.log10(v):.1f}" if v else "" for w, v in each.items()}
        rows.append({"on light": _family(r)} | decibels)
    return rows


def _parts(results: Results) -> list[dict[str, str]]:
    signal, snr = (
        {tuple(r[n] for n in FAMILY): r for r in _of(results, name)}
        for name in ("signal_per_multiply", "snr")
    )
    return [
        {
            "on light": _family(r),
            "signal's photons": f"{r['exponent']:+.3f}",
            "95 %": _interval(r),
            "SNR": f"{snr[place]['exponent']:+.3f}",
            "95 % of SNR": _interval(snr[place]),
        }
        for place, r in signal.items()
        if place in snr
    ]


def _alignment(results: Results) -> list[dict[str, str]]:
    rows = []
    for r in results["alignment_exponents"]:
        names = ("mlp", "scaling", "operands", "site")
        own = [a for a in results["alignment"] if all(a[n] == r[n] for n in names)]
        rows.append(
            {"product": f"{r['site']}, {r['mlp']} {r['scaling']} {r['operands']}"}
            | _ends(r, own, "alignment")
            | {"exponent": f"{r['exponent']:+.3f}", "95 %": _interval(r)}
        )
    return rows


def unknown(results: Results, config: Width) -> list[str]:
    """What these numbers do not say."""
    grid = config.grid
    narrow, wide = min(grid.widths), max(grid.widths)
    lines = [
        f"Widths beyond {wide}: exponents are of {narrow} to {wide}, and a line in log-log need not go on.",
        f"One depth ({config.shape.layers}), one size of heads ({config.shape.head_size}), one text and one "
        "length of training: whether an exponent moves with these was not asked.",
        f"Other text: light was sought on {config.windows} windows of {config.text.length} tokens, the same "
        "for all, and no interval says what others would give.",
    ]
    widest = max(results["models"], key=lambda m: m["parameters"])
    per, passes = widest["tokens"] / widest["parameters"], widest["passes"]
    lines.append(
        f"Long training: the largest decoder saw {per:.2g} tokens a parameter (about 20 are usual: Hoffmann "
        f"et al., arXiv 2203.15556), {passes:.2g} passes over the text"
        + (", so that it saw most of it again and again" if passes > 2 else "")
        + ". Channels of outliers, which smoothing and rotation are for, grow with training."
    )
    if open_ones := undecided(results["exponents"]):
        lines.append(f"Undecided within {grid.seeds} seeds: {'; '.join(open_ones)}.")
    for r in results["rates"]:
        if r["at_edge"]:
            lines.append(
                f"The best rate of {r['mlp']} {r['scaling']} at {r['tuned_at']} is at the edge of those "
                f"tried ({r['rate']:g}): a better one may lie beyond."
            )
    if any(r["oscillator_per_multiply"] for r in results["thresholds"]):
        lines.append(
            "The least oscillator: quadrature's is strong enough to make the receiver's noise a tenth of "
            "the vacuum's, at every width, and was not traded against the signal's light."
        )
    missed = [r for r in results["thresholds"] if r["photons_per_multiply"] is None]
    if missed:
        lines.append(f"{len(missed)} of {len(results['thresholds'])} thresholds were not found.")
    lines.append(
        "Attention's own products (scores and values) stay digital. Errors other than shot noise "
        "(converters, static errors, a receiver's noise but quadrature's) move with width in their own way."
    )
    return lines


def _spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _of(results: Results, quantity: str) -> list[Mapping[str, Any]]:
    return [r for r in results["exponents"] if r["quantity"] == quantity]


def _family(r: Mapping[str, Any]) -> str:
    names = " ".join(str(r[n]) for n in FAMILY[:-1])
    return f"{names} +{r['target_percent']:g} %"


def _interval(r: Mapping[str, Any]) -> str:
    return "-" if r["low"] is None else f"{r['low']:+.3f} ... {r['high']:+.3f}"


def _ends(r: Mapping[str, Any], own: list[Mapping[str, Any]], quantity: str) -> dict[str, str]:
    """The quantity at the smallest and the largest width."""
    at = zip(("narrowest", "widest"), (r["widths"][0], r["widths"][-1]), strict=True)
    return {name: f"{w}: {_middle(own, w, quantity):.3g}" for name, w in at}


def _middle(rows: list[Mapping[str, Any]], width: int, quantity: str) -> float:
    """Geometric mean at one width; 0 where any is."""
    values = [r[quantity] for r in rows if r["width"] == width and r[quantity] is not None]
    return float(np.exp(np.mean(np.log(values)))) if values and min(values) > 0 else 0.0
