"""Claim 7: a thousand times more compute on accelerators of today, and what light could take off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import photonjax as pj
from experiments.claims.config import Claims
from experiments.claims.energy import energies, program, prompts
from experiments.claims.verdict import Row, Verdict, by_fractions, panels, published, quoted, ranged
from photonjax.models.workloads import CACHES, decode_workload
from photonjax.plotting import PALETTE

STATEMENT = (
    "1,000x more effective compute in five years means about 100 trillion dollars and 1,000 GW "
    "on conventional "
    "accelerators."
)


def reconstruct(numbers: Mapping[str, Any], growth: Any, accelerator_w: float) -> dict[str, Any]:
    """Watts and dollars of a fleet ``growth`` times today's, from counts and unit costs.

        watts   = growth base accelerator overhead PUE / gain
        dollars = watts dollars_per_watt

    with ``gain``: effective compute per watt after five years over an H100's today.

    >>> one = {k: 1.0 for k in ("base_h100", "accelerator_overhead", "pue", "gain_per_watt")}
    >>> reconstruct({**one, "dollars_per_watt": 50.0}, 1000.0, 700.0)
    {'watts': 700000.0, 'dollars': 35000000.0}
    """
    watts = (
        growth
        * numbers["base_h100"]
        * accelerator_w
        * numbers["accelerator_overhead"]
        * numbers["pue"]
    ) / numbers["gain_per_watt"]
    return {"watts": watts, "dollars": watts * numbers["dollars_per_watt"]}


def audit(config: Claims) -> Verdict:
    """The fleet from unit costs, and the prefill's fraction of a request's energy."""
    settings = config.fleet
    claim, known = published("claims"), published("fleet")
    accelerator = pj.machines.digital(settings.accelerator)
    drawn = pj.cost.draw(known, settings.samples, config.seed)
    growth = claim["fleet"].value
    fleet = reconstruct(drawn, growth, accelerator.power_w)
    middle = reconstruct({k: n.value for k, n in known.items()}, growth, accelerator.power_w)
    claimed = {"watts": claim["fleet_watts"].value, "dollars": claim["fleet_dollars"].value}
    near = [np.abs(np.log(fleet[k] / claimed[k])) <= np.log(settings.factor) for k in claimed]
    fraction = float(np.mean(near[0] & near[1]))
    implied = {
        "dollars_per_watt": claimed["dollars"] / claimed["watts"],
        "gain_per_watt": {
            str(base): middle["watts"]
            / claimed["watts"]
            * known["gain_per_watt"].value
            * base
            / known["base_h100"].value
            for base in (ranged(known["base_h100"]).low, ranged(known["base_h100"]).high)
        },
    }
    rows = requests(config)
    verdict = by_fractions([fraction], config.sure)
    return Verdict(
        number=7,
        name="fleet",
        statement=STATEMENT,
        computed=f"watts = {growth:g} x today's H100-equivalents x accelerator power x server and site "
        "overhead / gain per "
        f"watt, dollars = watts x dollars per watt; {settings.samples:,} draws. Beside it the "
        "energy of mean requests "
        f"of public traces on {settings.accelerator} ({settings.model}), prefill and decode, and what "
        "light could take off",
        verdict=verdict,
        because=because(fraction, fleet, implied, rows, settings.factor),
        numbers={
            "fraction_within_factor": fraction,
            "watts": pj.cost.quantiles(fleet["watts"]),
            "dollars": pj.cost.quantiles(fleet["dollars"]),
            "as_set": middle,
            "implied_by_the_claim": implied,
            "requests": rows,
        },
        assumptions=[
            *(f"{name}: {quoted(n)}" for name, n in known.items()),
            "effective compute counts by accelerators and watts; what algorithms add is within "
            "gain_per_watt",
            f"requests: weights and their products {settings.dtype}, caches and attention "
            "bfloat16; prompts read "
            f"together so that a load serves {settings.tokens_together:,} tokens, decoded by "
            f"{list(settings.batches)}; no prefix caching (it takes prefill away)",
            "all of the fleet does inference: what trains gains nothing here",
        ],
        rows=rows,
        figure=_figure(fleet, claimed, rows),
        unpublished=[
            "what 'effective compute' is counted from",
            "how much of a fleet's energy is prefill",
        ],
    )


def requests(config: Claims) -> list[Row]:
    """Energy of each trace's mean request, and what optical prefill takes off."""
    settings = config.fleet
    accelerator = pj.machines.digital(settings.accelerator)
    rows: list[Row] = []
    for name, trace in published("requests").items():
        length, answer = round(trace["tokens_in"]), trace["tokens_out"]
        batch = prompts(length, settings.tokens_together)
        workload = program(settings.model, length, settings.tokens_together)
        f = energies({"prefill": workload}, {settings.accelerator: settings.dtype})
        joules = f(config.core().machine, accelerator)["prefill"]
        whole, rest, light = (
            float(joules[settings.accelerator + part]) / batch for part in ("", " rest", " light")
        )
        optical = light + rest
        context = round(length + answer / 2)
        for batch in map(int, settings.batches):
            step = decode_workload(settings.model, context=context, batch=batch)
            cost = pj.cost.estimate(
                step,
                accelerator,
                dtype=lambda s: "bfloat16" if s.path in CACHES else settings.dtype,
            )
            total = whole + answer * float(cost.joules) / batch
            rows.append(
                {
                    "trace": name,
                    "tokens_in": length,
                    "tokens_out": answer,
                    "decode_batch": batch,
                    "prefill_fraction": whole / total,
                    "off_if_light_were_free": (whole - rest) / total,
                    "off_at_ten_times_less": 0.9 * (whole - rest) / total,
                    "off_as_modelled": (whole - optical) / total,
                }
            )
    return rows


def because(fraction: float, fleet: Any, implied: Any, rows: list[Row], factor: float) -> str:
    """What decides it, from the numbers."""
    low, high = (np.quantile(fleet["watts"], q) / 1e9 for q in (0.05, 0.95))
    cheap, dear = (np.quantile(fleet["dollars"], q) / 1e12 for q in (0.05, 0.95))
    gains = list(implied["gain_per_watt"].values())
    least, most = (f(r["off_if_light_were_free"] for r in rows) for f in (min, max))
    modelled = [r["off_as_modelled"] for r in rows]
    return (
        f"{fraction:.0%} of draws come within a factor of {factor:g} of both figures (5 to 95 %: "
        f"{low:,.0f} to "
        f"{high:,.0f} GW, {cheap:,.0f} to {dear:,.0f} trillion dollars). The two figures imply "
        f"{implied['dollars_per_watt']:,.0f} dollars a watt, and {min(gains):.2g} to "
        f"{max(gains):.2g} times an H100's "
        "compute per watt, by what is taken as today's fleet. Optical prefill could take off "
        f"{least:.0%} to {most:.0%} "
        f"of a fleet's inference energy if light were free, and {min(modelled):+.0%} to "
        f"{max(modelled):+.0%} as "
        "modelled (negative: it adds)"
    )


def _figure(fleet: Any, claimed: Any, rows: list[Row]) -> Any:
    with panels(2) as (figure, (left, right)):
        left.plot(fleet["watts"] / 1e9, fleet["dollars"] / 1e12, ".", ms=2, alpha=0.4)
        left.plot(
            [claimed["watts"] / 1e9], [claimed["dollars"] / 1e12], "*", color=PALETTE[1], ms=14
        )
        left.set_xlabel("fleet [GW]; star: claimed")
        left.set_ylabel("trillion dollars")
        right.set_yscale("linear")
        for name in dict.fromkeys(r["trace"] for r in rows):
            own = [r for r in rows if r["trace"] == name]
            x = [r["decode_batch"] for r in own]
            right.plot(
                x, [r["off_if_light_were_free"] for r in own], "o-", label=f"{name}: light free"
            )
        right.set_xlabel("decode: prompts together")
        right.set_ylabel("fraction of a request's energy that light could take off")
        right.legend()
    return figure
