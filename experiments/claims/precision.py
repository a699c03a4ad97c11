"""Claim 5: INT4 and INT8 suffice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.claims.config import Claims
from experiments.claims.verdict import FAILS, HOLDS, HOLDS_IF, OPEN, Row, Verdict, panels, published
from experiments.evaluate.results import perplexity_rises
from photonjax.plotting import GREY, PALETTE

STATEMENT = "INT4 and INT8 suffice."
# Columns of the published table, by precision; of INT4 the best recipe counts, as a user would take it.
PUBLISHED = {"INT8": ("w8a8",), "INT4": ("w4a4_rtn", "w4a4_quarot", "w4a4_spinquant")}


def audit(config: Claims) -> Verdict:
    """Rises of perplexity, measured here and published."""
    settings = config.precision
    rows = published_rows() + measured_rows(settings.run, settings.rungs)
    verdict, because = judge(rows, settings.strict_percent, settings.loose_percent)
    return Verdict(
        number=5,
        name="precision",
        statement=STATEMENT,
        computed=f"rise of perplexity over the unquantized model: {measured_where(settings.run, rows)}; and "
        "published for weights and inputs alike (W8A8, W4A4)",
        verdict=verdict,
        because=because,
        numbers={"rows": rows},
        assumptions=[
            f"suffices: at most {settings.strict_percent:g} %; up to {settings.loose_percent:g} "
            "% is a matter of taste",
            "of INT4 recipes each model's best; plain rounding is in the table",
            "published perplexities are second-hand and on another text than ours",
            "perplexity, not tasks",
        ],
        rows=rows,
        figure=_figure(rows, settings.strict_percent, settings.loose_percent),
        unpublished=[]
        if any(r["measured"] for r in rows)
        else ["nothing was measured in this run"],
    )


def measured_where(run: str | None, rows: list[Row]) -> str:
    """Where the measured rises come from, if from anywhere."""
    if run is None:
        return "not measured in this run (precision.run is null)"
    if not any(r["measured"] for r in rows):
        return f"not measured in this run (there is no finished run {run!r})"
    return f"measured by experiments.evaluate, without noise (run {run})"


def published_rows() -> list[Row]:
    """Rises in percent of the published models."""
    return [
        {
            "model": model,
            "precision": precision,
            "recipe": recipe,
            "rise_percent": 100 * (table[recipe] / table["fp16"] - 1),
            "measured": False,
            "source": table["source"],
        }
        for model, table in published("quantization").items()
        for precision, recipes in PUBLISHED.items()
        for recipe in recipes
    ]


def measured_rows(run: str | None, rungs: Mapping[str, str]) -> list[Row]:
    """Rises of a finished evaluation's rungs; none where there is no such run."""
    found = None if run is None else perplexity_rises(run, dict(rungs), "precision")
    if found is None:
        return []
    model, rises = found
    return [
        {
            "model": model,
            "precision": precision,
            "recipe": f"plain rounding ({rungs[precision]})",
            "rise_percent": rise,
            "measured": True,
            "source": run,
        }
        for precision, rise in rises.items()
    ]


def judge(rows: list[Row], strict: float, loose: float) -> tuple[str, str]:
    """Each precision by its worst model, each model by its best recipe.

    >>> row = lambda p, rise: {"model": "a", "precision": p, "recipe": "r", "rise_percent": rise}
    >>> judge([row("INT8", 0.5), row("INT4", 30.0)], 1.0, 5.0)[0]
    'holds if ...'
    """
    worst: dict[str, tuple[float, str]] = {}
    texts = []
    for precision in ("INT8", "INT4"):
        own = [r for r in rows if r["precision"] == precision]
        if not own:
            return OPEN, f"nothing is known of {precision}"
        best = [
            min((r for r in own if r["model"] == model), key=lambda r: r["rise_percent"])
            for model in dict.fromkeys(r["model"] for r in own)
        ]
        last = max(best, key=lambda r: r["rise_percent"])
        worst[precision] = (last["rise_percent"], last["model"])
        texts.append(
            f"{precision}: "
            + ", ".join(f"{r['model']} {r['rise_percent']:+.3g} % ({r['recipe']})" for r in best)
        )
    text = "; ".join(texts)
    if all(rise <= strict for rise, _ in worst.values()):
        return HOLDS, text
    if all(rise > loose for rise, _ in worst.values()):
        return FAILS, f"neither stays within {loose:g} % for every model. {text}"
    within = [(p, *w) for p, w in worst.items() if w[0] <= loose]
    conditions = [
        f"{p} if a rise of {max(rise, 0.0):.3g} % ({model}) is acceptable"
        for p, rise, model in within
    ]
    over = [p for p, (rise, _) in worst.items() if rise > loose]
    other = (
        f"; not {', '.join(over)}, whose best recipe costs more than {loose:g} %" if over else ""
    )
    return HOLDS_IF, f"{'; '.join(conditions)}{other}. {text}"


def _figure(rows: list[Row], strict: float, loose: float) -> Any:
    with panels(1, 0.3 * len(rows) + 1.6) as (figure, axes):
        axes.set_yscale("linear")
        names = [f"{r['model']}, {r['precision']} {r['recipe']}" for r in rows]
        rises = np.maximum([r["rise_percent"] for r in rows], 0.01)
        axes.barh(names, rises, color=[PALETTE[r["measured"]] for r in rows])
        for level in (strict, loose):
            axes.axvline(level, color=GREY, lw=0.8, ls="--")
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(
            f"rise of perplexity [%]\nred: measured here; dashed: {strict:g} and {loose:g} %"
        )
    return figure
