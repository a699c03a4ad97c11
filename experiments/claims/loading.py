"""Claim 6: how many prompt tokens a weight load must serve."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import photonjax as pj
from experiments.claims.config import Claims
from experiments.claims.verdict import FAILS, HOLDS, HOLDS_IF, Row, Verdict, panels, tokens
from photonjax.core import OpticalCore, set_fields
from photonjax.plotting import label_levels
from photonjax.workload import MatmulSite, Workload

STATEMENT = (
    "A prompt is long enough to pay for loading the weights (stated as a question: how many "
    "tokens must one load "
    "serve before loading stops dominating, from kHz displays to MHz modulators?)."
)


def load_fractions(core: OpticalCore, vectors: int) -> tuple[float, float]:
    """Fractions of time waiting for weights and of energy writing them: one array, ``vectors`` a load."""
    site = MatmulSite("array", 1, vectors, core.rows, core.cols, 1, "int8", True)
    cost = pj.cost.estimate(Workload([site], []), core)
    seconds, joules = cost.by_component("seconds"), cost.by_component()
    return float(seconds["load"] / cost.seconds), float(joules["weight write"] / cost.joules)


def break_even(
    core: OpticalCore, what: int, fraction: float = 0.5, most: int = 1 << 34
) -> int | None:
    """Fewest vectors at which the load's fraction of time (0) or energy (1) is this or less.

    None: not up to ``most``.
    """
    counts = range(1, most + 1)
    found = bisect_left(counts, True, key=lambda n: load_fractions(core, n)[what] <= fraction)
    return counts[found] if found < most else None


def audit(config: Claims) -> Verdict:
    """Tokens a load must serve, for each load time, in time and in energy."""
    settings = config.loading
    known = config.core()
    base = known.machine
    assert base.costs is not None
    rows: list[Row] = []
    for name, load_time in settings.load_times_s.items():
        for double in (True, False):
            core = set_fields(
                base, {"costs.load_time_s": float(load_time), "costs.double_buffered": double}
            )
            row: Row = {
                "load": name,
                "load_time_s": float(load_time),
                "double_buffered": double,
                "tokens_half_of_time": break_even(core, 0),
                "tokens_half_of_energy": break_even(core, 1),
                "tokens_all_hidden": break_even(core, 0, 0.0) if double else None,
            }
            for context in config.contexts:
                row[f"waiting_fraction_{context}"] = load_fractions(core, context)[0]
            rows.append(row)
    served = {str(c): float(c / base.symbol_rate_hz) for c in config.contexts}
    verdict, because = judge(rows, list(config.contexts), base.symbol_rate_hz)
    return Verdict(
        number=6,
        name="loading",
        statement=STATEMENT,
        computed=f"cost of one full array of {known.name} at {base.symbol_rate_hz:.3g} vectors "
        "a second: fewest "
        "vectors a load at which waiting for weights is at most half of the time, and writing "
        "them at most half of "
        "the energy; with and without writing the next weights meanwhile",
        verdict=verdict,
        because=because,
        numbers={"rows": rows, "load_time_that_a_prompt_hides_s": served},
        assumptions=[
            "one prompt at a time: prompts read together serve a load together, tokens times batch",
            "weights also cross the weight memory's interface, which takes over from the fastest "
            "loads",
            "several cores divide the loads and the tokens' work alike; weights that stay on "
            "arrays of their own "
            "(resident) load nothing",
            "at the core's clock: a slower clock hides longer loads, and is slower",
            f"energy: {base.costs.load_energy_j:.2g} J a cell (assumed), {base.photons:.2g} photons",
        ],
        rows=rows,
        figure=_figure(config, rows),
        unpublished=["load time and clock of any commercial machine"],
    )


def judge(rows: list[Row], contexts: list[int], rate: float) -> tuple[str, str]:
    """By doubly buffered loads: which of the load times the prompts asked for can pay for."""
    double = [r for r in rows if r["double_buffered"]]
    text = "; ".join(
        f"{r['load']} ({r['load_time_s']:.2g} s): {tokens(r['tokens_half_of_time'])} tokens for "
        "half the time, "
        f"{tokens(r['tokens_all_hidden'])} to hide it"
        for r in double
    )
    short, long = min(contexts), max(contexts)
    needs = [(r["load"], r["tokens_half_of_time"]) for r in double]
    if all(n is not None and n <= short for _, n in needs):
        return HOLDS, text
    paid = [load for load, n in needs if n is not None and n <= long]
    if not paid:
        return FAILS, f"not even {long:,} tokens pay for any of these. {text}"
    return HOLDS_IF, (
        f"if a load takes less than tokens / clock: {2 * short / rate:.2g} s for {short:,} tokens, "
        f"{2 * long / rate:.2g} s for {long:,} (half of the time); of the loads here {long:,} "
        "tokens pay for "
        f"{', '.join(paid)}. {text}"
    )


def _figure(config: Claims, rows: list[Row]) -> Any:
    with panels() as (figure, axes):
        for double, style in ((True, "o-"), (False, "s--")):
            own = sorted(
                (r for r in rows if r["double_buffered"] == double and r["tokens_half_of_time"]),
                key=lambda r: r["load_time_s"],
            )
            label = "next weights written meanwhile" if double else "not"
            axes.plot(
                [r["load_time_s"] for r in own],
                [r["tokens_half_of_time"] for r in own],
                style,
                label=label,
            )
        axes.set_xlabel("load time of an array [s]")
        axes.set_ylabel("tokens a load must serve (loading: half of the time)")
        axes.legend()
        label_levels(axes, {f"{n:,} tokens": n for n in config.contexts})
    return figure
