"""Claim 1: prefill is compute-bound, decode is memory-bound."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import photonjax as pj
from experiments.claims.config import Claims
from experiments.claims.verdict import FAILS, HOLDS, HOLDS_IF, Row, Verdict, panels, tokens
from photonjax.evaluation.crossings import crossings
from photonjax.machines import DigitalAccelerator
from photonjax.models import decode_workload, prefill_workload
from photonjax.plotting import label_levels
from photonjax.workload import Workload

STATEMENT = "Prefill is compute-bound and decode memory-bound."
# An accelerator that only moves bytes, one a second: its seconds are the bytes that every estimate charges.
_MOVER = DigitalAccelerator(
    {"bfloat16": 1e30}, {"bfloat16": 1.0}, bandwidth_bytes_per_s=1.0, power_w=1.0
)


def traffic_bytes(workload: Workload) -> float:
    """Bytes that the products move through the memory interface in bfloat16, as cost estimates count them.

    >>> from photonjax.workload import MatmulSite
    >>> traffic_bytes(Workload([MatmulSite("w", 1, 2, 3, 5, 1, "bfloat16", True)], []))
    62.0
    """
    bare = dataclasses.replace(workload, operations=[])
    return float(pj.cost.estimate(bare, _MOVER, dtype="bfloat16").seconds)


@functools.cache
def prefill(model: str, length: int) -> tuple[float, float]:
    """Operations and bytes of reading one prompt."""
    workload = prefill_workload(model, tokens=length)
    return 2.0 * workload.macs, traffic_bytes(workload)


@functools.cache
def decode(model: str, context: int) -> tuple[float, float, float]:
    """Operations for one prompt's token, bytes for all prompts together, bytes for each prompt.

    Weights cross the interface once a step, caches and activations once a prompt: operations are
    proportional to the batch and bytes affine in it, so that two traces give every batch.
    """
    one, two = (decode_workload(model, context=context, batch=b) for b in (1, 2))
    first, second = traffic_bytes(one), traffic_bytes(two)
    return 2.0 * one.macs, 2 * first - second, second - first


def intensity(parts: tuple[float, float, float], batch: float) -> float:
    """Operations per byte of a decode step.

    >>> intensity((4.0, 8.0, 2.0), 1), intensity((4.0, 8.0, 2.0), 4)
    (0.4, 1.0)
    """
    operations, shared, each = parts
    return batch * operations / (shared + batch * each)


def batch_at(parts: tuple[float, float, float], ridge: float) -> float | None:
    """Batch from which decode is compute-bound; None: at no batch, as caches alone keep it below.

    >>> batch_at((4.0, 8.0, 2.0), 1.0), batch_at((4.0, 8.0, 2.0), 2.0)
    (4.0, None)
    """
    operations, shared, each = parts
    left = operations - ridge * each
    return ridge * shared / left if left > 0 else None


def ridge(accelerator: DigitalAccelerator) -> float:
    """Operations per byte at which peak rate and bandwidth take equally long."""
    return float(accelerator.rate("bfloat16") / accelerator.bandwidth_bytes_per_s)


def audit(config: Claims) -> Verdict:
    """Intensities of both phases against every accelerator's ridge point."""
    settings = config.intensity
    ridges = {name: ridge(pj.machines.digital(name)) for name in settings.accelerators}
    reads, steps, starts, ends = [], [], [], []
    for model in config.models:
        for length in settings.prompts:
            operations, size = prefill(model, length)
            reads.append({"model": model, "value": length, "intensity": operations / size})
        own = [r for r in reads if r["model"] == model]
        for accelerator, level in ridges.items():
            start = turn_on(own, level)
            starts.append({"model": model, "accelerator": accelerator, "prompt": start})
            for context in config.contexts:
                parts = decode(model, context)
                point = {
                    "model": model,
                    "accelerator": accelerator,
                    "context": context,
                    "ridge": level,
                }
                steps.append(
                    point
                    | {
                        "decode_intensity_batch_1": intensity(parts, 1),
                        "decode_intensity_limit": parts[0] / parts[2],
                        "prefill_intensity": prefill(model, context)[0]
                        / prefill(model, context)[1],
                    }
                )
                ends.append({**point, "batch": batch_at(parts, level)})
    verdict, because = judge(steps, starts, ends)
    rows = [
        {**step, "decode_compute_bound_from_batch": end["batch"]}
        for step, end in zip(steps, ends, strict=True)
    ]
    return Verdict(
        number=1,
        name="intensity",
        statement=STATEMENT,
        computed="operations over bytes that cross the memory interface (every weight, cached "
        "key and value and "
        "activation once, scores never; bfloat16), from traced programs: prefill of one prompt; "
        "one decode step "
        "put together from the model's own modules. Against each accelerator's peak rate over bandwidth.",
        verdict=verdict,
        because=because,
        numbers={"ridges": ridges, "prefill_from": starts, "decode": rows, "prefill": reads},
        assumptions=[
            "peak rates (at 50 % utilisation prefill is compute-bound from half the prompt on)",
            "bytes are a lower bound, so intensities are upper bounds",
            "int8 weights and products double intensity and ridge alike; int8 weights alone help "
            "decode 2x",
        ],
        rows=rows,
        figure=_figure(config, reads, ridges),
    )


def turn_on(rows: list[Row], level: float) -> float | None:
    """Prompt length at which intensity crosses a ridge for good; the shortest one if it is always above."""
    rows = [r | {"ridge": level} for r in rows]
    if all(r["intensity"] >= level for r in rows):
        return float(rows[0]["value"])
    rising = [c.at for c in crossings(rows, "intensity", "ridge") if c.over == "intensity"]
    return max(rising, default=None)


def judge(steps: list[Row], starts: list[Row], ends: list[Row]) -> tuple[str, str]:
    """Prefill above every ridge at one prompt, decode below at one prompt; up to which batch decode stays."""
    low = min(s["prefill_intensity"] / s["ridge"] for s in steps)
    high = max(s["decode_intensity_batch_1"] / s["ridge"] for s in steps)
    first = max((s["prompt"] for s in starts if s["prompt"]), default=None)
    known = [e for e in ends if e["batch"] is not None]
    # At the smallest batch that turns decode, and whether longer caches never turn.
    never = len(ends) - len(known)
    if low < 1 or high >= 1:
        return FAILS, (
            f"at one prompt: prefill reaches {low:.2g} of a ridge at least, decode {high:.2g} at "
            "most; "
            f"prefill is compute-bound from {tokens(first)} tokens"
        )
    clause = f"one prompt of {tokens(first)} tokens makes every prefill compute-bound"
    if not known:
        return HOLDS, f"{clause}; no batch makes decode so"
    least = min(known, key=lambda e: e["batch"])
    return HOLDS_IF, (
        f"if fewer than {least['batch']:.0f} prompts decode together ({least['model']}, "
        f"{least['accelerator']}, "
        f"{least['context']:,} tokens); {clause}; in {never} of {len(ends)} cases of model, accelerator "
        "and context "
        "decode is memory-bound at any batch, its caches being read for each prompt"
    )


def _figure(config: Claims, reads: list[Row], ridges: dict[str, float]) -> Any:
    with panels(2) as (figure, (left, right)):
        for model in config.models:
            own = [r for r in reads if r["model"] == model]
            left.plot([r["value"] for r in own], [r["intensity"] for r in own], "o-", label=model)
        batches = [2.0**i for i in range(13)]
        for context in config.contexts:
            parts = decode(config.models[0], context)
            values = [intensity(parts, b) for b in batches]
            right.plot(batches, values, label=f"{config.models[0]}, {context:,} cached")
        for axes, x, free in (
            (left, "prefill: tokens in one prompt", "upper left"),
            (right, "decode: prompts together", "lower right"),
        ):
            axes.set_xlabel(x)
            axes.set_ylabel("operations per byte, bfloat16")
            axes.legend(loc=free)
            label_levels(axes, ridges)
    return figure
