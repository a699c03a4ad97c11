"""Claim 2: prefill cost grows quadratically with context."""

from __future__ import annotations

from typing import Any

import photonjax as pj
from experiments.claims.config import Claims
from experiments.claims.verdict import FAILS, HOLDS, HOLDS_IF, Row, Verdict, panels, tokens
from photonjax.evaluation.crossings import crossings
from photonjax.evaluation.exponents import fit_exponent, local_exponents
from photonjax.models import prefill_workload
from photonjax.plotting import PALETTE

STATEMENT = "Prefill cost grows quadratically with context."


def audit(config: Claims) -> Verdict:
    """Exponents of multiplications and of time on a GPU, and where attention overtakes the linears."""
    settings = config.context
    accelerator = pj.machines.digital(settings.accelerator)
    rows: list[Row] = []
    for model in settings.models:
        for context in settings.contexts:
            workload = prefill_workload(model, tokens=context)
            linears = sum(s.macs for s in workload.matmuls if s.stationary)
            cost = pj.cost.estimate(
                workload,
                accelerator,
                dtype=lambda s: settings.dtype if s.stationary else "bfloat16",
            )
            rows.append(
                {
                    "model": model,
                    "value": context,
                    "linear_macs": float(linears),
                    "attention_macs": float(workload.macs - linears),
                    "macs": float(workload.macs),
                    "seconds": float(cost.seconds),
                }
            )
    found = [
        summary(rows, model, list(config.contexts), settings.quadratic) for model in settings.models
    ]
    verdict, because = judge(found, max(config.contexts), settings.quadratic)
    return Verdict(
        number=2,
        name="context",
        statement=STATEMENT,
        computed="multiply-accumulates of traced prefills, weights' products and attention's "
        "apart, and their "
        f"roofline time on {settings.accelerator} ({settings.dtype} weights, bfloat16 attention); "
        "exponents are slopes in "
        f"log-log over {min(config.contexts):,} to {max(config.contexts):,} tokens",
        verdict=verdict,
        because=because,
        numbers={"models": found},
        assumptions=[
            "one prompt; attention as executed: the future skipped, masked corners of blocks "
            "computed",
            f"called quadratic from an exponent of {settings.quadratic:g}: attention is then "
            f"{ratio_at(settings.quadratic):.3g} times the linears",
            "grouped-query heads do not change attention's multiplications, sliding windows would",
        ],
        rows=rows,
        figure=_figure(rows, found),
    )


def ratio_at(exponent: float) -> float:
    """Attention over linears at which the local exponent of ``a L + b L**2`` is this.

    (a L + 2 b L**2) / (a L + b L**2) = (1 + 2 r) / (1 + r) for r = b L / a.

    >>> ratio_at(1.5), round(ratio_at(1.9), 9)
    (1.0, 9.0)
    """
    return (exponent - 1.0) / (2.0 - exponent)


def summary(rows: list[Row], model: str, contexts: list[int], quadratic: float) -> Row:
    """Of one model: exponents over the contexts asked for, crossover, and where it has become quadratic."""
    own = sorted((r for r in rows if r["model"] == model), key=lambda r: r["value"])
    asked = [r for r in own if min(contexts) <= r["value"] <= max(contexts)]
    x = [r["value"] for r in asked]
    over = [c.at for c in crossings(own, "attention_macs", "linear_macs")]
    at = over[0] if over else None
    return {
        "model": model,
        "exponent_macs": fit_exponent(x, [r["macs"] for r in asked]).value,
        "exponent_seconds": fit_exponent(x, [r["seconds"] for r in asked]).value,
        "local_exponent_at_most": max(local_exponents(x, [r["macs"] for r in asked])),
        "attention_overtakes_at": at,
        # Attention over linears grows in proportion to the context.
        "quadratic_from": None if at is None else at * ratio_at(quadratic),
    }


def judge(found: list[Row], longest: float, quadratic: float) -> tuple[str, str]:
    """Quadratic over the whole range, only from some context within it on, or not within it."""
    text = "; ".join(
        f"{f['model']}: exponent {f['exponent_macs']:.2f}, at most "
        f"{f['local_exponent_at_most']:.2f}; attention "
        f"overtakes at {tokens(f['attention_overtakes_at'])}, quadratic from "
        f"{tokens(f['quadratic_from'])}"
        for f in found
    )
    if all(f["exponent_macs"] >= quadratic for f in found):
        return HOLDS, text
    inside = [
        f for f in found if f["quadratic_from"] is not None and f["quadratic_from"] <= longest
    ]
    if inside:
        names = ", ".join(f"{f['model']} from {tokens(f['quadratic_from'])} tokens" for f in inside)
        return HOLDS_IF, f"if the context is long enough, among these {names}. {text}"
    return FAILS, f"up to {longest:,} tokens no model here gets there. {text}"


def _figure(rows: list[Row], found: list[Row]) -> Any:
    with panels() as (figure, axes):
        for i, f in enumerate(found):
            own = sorted((r for r in rows if r["model"] == f["model"]), key=lambda r: r["value"])
            x = [r["value"] for r in own]
            axes.plot(
                x,
                [r["macs"] / r["value"] for r in own],
                "o-",
                color=PALETTE[i % 7],
                label=f["model"],
            )
            axes.plot(x, [r["attention_macs"] / r["value"] for r in own], ":", color=PALETTE[i % 7])
        axes.set_xlabel("context [tokens]")
        axes.set_ylabel("multiply-accumulates per token (dotted: attention)")
        axes.legend()
    return figure
