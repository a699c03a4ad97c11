"""Claim 4: about ten times less energy per inference than silicon."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import photonjax as pj
from experiments.claims.config import Claims
from experiments.claims.light import need
from experiments.claims.verdict import Row, Verdict, by_fractions, panels
from photonjax.core import set_fields
from photonjax.machines import Number
from photonjax.models import prefill_workload
from photonjax.plotting import PALETTE
from photonjax.workload import MatmulSite, Workload

STATEMENT = "About 10x less energy per inference than silicon on billion-parameter models."
SNR_DB_PER_BIT = 6.02


def prompts(context: int, together: int) -> int:
    """Prompts read together so that one weight load serves about this many tokens, one prompt at least.

    >>> prompts(2048, 1), prompts(2048, 1_000_000)
    (1, 489)
    """
    return max(1, -(-together // context))


def program(model: str, context: int, together: int) -> Workload:
    """What reading them multiplies."""
    batch = prompts(context, together)
    return pj.cost.group_sites(prefill_workload(model, tokens=context, batch=batch))


def split(workload: Workload) -> tuple[Workload, Workload]:
    """What runs on light (products with weights), and the rest."""
    light = [s for s in workload.matmuls if s.stationary]
    rest = [s for s in workload.matmuls if not s.stationary]
    return Workload(light, []), dataclasses.replace(workload, matmuls=rest)


def at_bits(known: pj.cost.UncertainMachine, bits: int) -> pj.cost.UncertainMachine:
    """The core at a precision, ranges included.

    From the machine's 8 bits to fewer, read in favour of the claim: light for as many 6.02 dB less as
    bits are left out, and converters by their laws (:mod:`photonjax.cost.resolution`), the ADC with as
    many bits less. Whether a model puts up with that is claim 5.

    >>> core = at_bits(pj.cost.UncertainMachine.named("display-1024"), 4).machine
    >>> core.input.bits, round(core.photons)
    (4, 391)
    """
    less = known.machine.input.bits - bits
    if less == 0:
        return known
    core, darker = known.machine, 10 ** (-SNR_DB_PER_BIT * less / 10)
    changes = {
        "photons": core.photons * darker,
        "input.bits": bits,
        "array.bits": bits,
        "adc.bits": core.adc.bits - less,
        "adc.enob": None if core.adc.enob is None else core.adc.enob - less,
    }
    ranges = {field: number for field, number in known.ranges.items() if field != "adc.enob"}
    if "photons" in ranges:
        ranges["photons"] = _scaled(ranges["photons"], darker)
    fewer = dataclasses.replace(known, machine=set_fields(core, changes), ranges=ranges)
    return dataclasses.replace(fewer.at_its_bits(core), name=f"{known.name} at {bits} bits")


def _scaled(number: Number, by: float) -> Number:
    low, high = float(number.low or 0.0), float(number.high or 0.0)
    return dataclasses.replace(number, value=number.value * by, low=low * by, high=high * by)


def weights_in(dtype: str) -> Callable[[MatmulSite], str]:
    """Precision of each product: this one with weights, bfloat16 otherwise."""
    return lambda site: dtype if site.stationary else "bfloat16"


def energies(programs: Mapping[str, Workload], accelerators: Mapping[str, str]) -> Any:
    """A function of (core, *accelerators) that gives each program's joules on light, the rest, on each.

    ``light`` and ``rest`` add up to ``cost.estimate`` with that accelerator as its digital side.
    """
    parts = {name: split(workload) for name, workload in programs.items()}

    def joules(core: Any, *machines: Any) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, (light, rest) in parts.items():
            row: dict[str, Any] = {}
            optics = pj.cost.estimate(light, core).joules
            for (against, dtype), accelerator in zip(accelerators.items(), machines, strict=True):
                left = pj.cost.estimate(rest, accelerator, dtype="bfloat16")
                whole = pj.cost.estimate(programs[name], accelerator, dtype=weights_in(dtype))
                assert left.floor is not None and whole.floor is not None
                row[against] = whole.joules
                row[f"{against} floor"] = whole.floor.joules
                row[f"{against} rest"] = left.joules
                row[f"{against} rest floor"] = left.floor.joules
                # The optical machine's static power goes on while the accelerator works.
                row[f"{against} light"] = optics + core.costs.static_power_w * left.seconds
            found[name] = row
        return found

    return joules


def ratios(row: Mapping[str, Any], against: str) -> dict[str, Any]:
    """Digital over optical energy: above one, light takes less. Ceiling: as if light took nothing."""
    return {
        "advantage": row[against] / (row[f"{against} light"] + row[f"{against} rest"]),
        "ceiling": row[against] / row[f"{against} rest"],
        "advantage_over_floor": row[f"{against} floor"]
        / (row[f"{against} light"] + row[f"{against} rest floor"]),
    }


def audit(config: Claims) -> Verdict:
    """Distributions of the ratio, its ceiling, and how much less light would have to take."""
    settings = config.energy
    light_needed = need(config.photons_run)
    programs = {
        name: program(model, context, together)
        for model in config.models
        for context in config.contexts
        for together in settings.tokens_together
        for name in [f"{model}, {prompts(context, together)} x {context:,}"]
    }
    rows: list[Row] = []
    draws: dict[str, np.ndarray] = {}
    for bits in settings.bits:
        core = at_bits(config.core(), bits)
        accelerators = dict(settings.accelerators[f"int{bits}"])
        known = [core, *(pj.cost.UncertainMachine.named(name) for name in accelerators)]
        f = energies(programs, accelerators)
        drawn = pj.cost.monte_carlo(f, *known, samples=settings.samples, seed=config.seed)
        as_set = f(*(u.machine for u in known))
        best = f(most_favourable(core, f, known), *(u.machine for u in known[1:]))
        for name in programs:
            for against, dtype in accelerators.items():
                case: Row = {"program": name, "bits": bits, "against": f"{against} {dtype}"}
                rows.append(
                    case | _numbers(as_set[name], best[name], drawn[name], against, settings.wanted)
                )
                draws[f"{name}, INT{bits}, {against}"] = np.asarray(
                    ratios(drawn[name], against)["advantage"]
                )
    verdict = by_fractions([r["fraction_of_draws"] for r in rows], config.sure)
    likely = max(rows, key=lambda r: r["fraction_of_draws"])
    moved = decisive(programs[likely["program"]], likely, config.core())
    return Verdict(
        number=4,
        name="energy",
        statement=STATEMENT,
        computed="energy of prefill alone: products with weights on light, the rest on the accelerator "
        "it is compared with; "
        f"{settings.samples:,} draws of every assumed number of both machines; the ratio is "
        "digital over optical",
        verdict=verdict,
        because=because(rows, moved, settings.wanted, config.sure),
        numbers={"cases": rows, "likeliest_case": likely, "swings_in_it": moved},
        assumptions=[
            "attention and all other operations stay on the digital accelerator, at bfloat16: they set "
            "the ceiling",
            "INT4: light and ADC energy fall by 6.02 dB a bit, the most favourable reading; H100 "
            "has no INT4, so its "
            "INT8 rate counts; B200 counts at FP4",
            "decode is left out, which favours light (claim 7 has it)",
            "one prompt at a time, and as many together that a load serves "
            f"{max(settings.tokens_together):,} tokens",
            "assumed numbers are independent and log-uniform in their ranges: photons too, whose "
            "favourable end is far below "
            f"what was measured to be needed ({light_needed.full_scale:.3g} at full scale; "
            f"{light_needed.source})",
        ],
        rows=rows,
        figure=_figure(draws, rows, settings.wanted),
        unpublished=[
            "light, loss, clock, load time and static power of the machines that the claim is about"
        ],
    )


def most_favourable(core: Any, f: Any, known: list[Any]) -> Any:
    """The core with each ranged number at the end that takes less energy on light, one at a time."""
    accelerators = [u.machine for u in known[1:]]

    def light(machine: Any) -> float:
        rows = f(machine, *accelerators).values()
        return sum(float(v) for row in rows for name, v in row.items() if name.endswith(" light"))

    ends = {}
    for field, number in core.ranges.items():
        low, high = (light(set_fields(core.machine, {field: e})) for e in (number.low, number.high))
        ends[field] = number.low if low <= high else number.high
    return set_fields(core.machine, ends)


def _numbers(row: Any, best: Any, drawn: Any, against: str, wanted: float) -> Row:
    advantage = np.asarray(ratios(drawn, against)["advantage"])
    floor = np.asarray(ratios(drawn, against)["advantage_over_floor"])
    allowed = row[against] / wanted - row[f"{against} rest"]  # joules left for light
    found = {k: float(v) for k, v in ratios(row, against).items()}
    spread = pj.cost.quantiles(advantage)
    return {
        "advantage": found["advantage"],
        **{f"advantage_{k}": v for k, v in spread.items()},
        "fraction_of_draws": float(np.mean(advantage >= wanted)),
        "ceiling": found["ceiling"],
        "best_ends": float(ratios(best, against)["advantage"]),
        "light_must_take": float(allowed / row[f"{against} light"]) if allowed > 0 else None,
        "advantage_over_floor": found["advantage_over_floor"],
        "fraction_over_floor": float(np.mean(floor >= wanted)),
    }


def decisive(
    workload: Workload, case: Row, core: pj.cost.UncertainMachine, most: int = 6
) -> list[Row]:
    """The numbers that move a case's advantage most, from end to end of their ranges, one at a time."""
    against, dtype = case["against"].split()
    f = energies({"it": workload}, {against: dtype})
    found = pj.cost.swings(
        lambda core, accelerator: ratios(f(core, accelerator)["it"], against)["advantage"],
        at_bits(core, case["bits"]),
        pj.cost.UncertainMachine.named(against),
    )
    return [
        {"number": f"{s.machine}: {s.field}", "at_low": s.at_low, "at_high": s.at_high}
        for s in found[:most]
    ]


def because(rows: list[Row], moved: list[Row], wanted: float, sure: float) -> str:
    """What decides it, from the rows; ``moved``: of the likeliest case, what moves it most."""
    likely = max(rows, key=lambda r: r["fraction_of_draws"])
    blocked = [r for r in rows if r["ceiling"] < wanted]
    certain = [r for r in rows if r["fraction_of_draws"] >= sure]
    lost = [r for r in rows if 1 - r["fraction_of_draws"] >= sure]
    best = max(rows, key=lambda r: r["best_ends"])
    needed = [r for r in rows if r["light_must_take"] is not None]
    parts = []
    if certain:
        parts.append(
            "if it is among: "
            + "; ".join(f"{r['program']}, INT{r['bits']}, {r['against']}" for r in certain)
        )
    parts += [
        f"P(ratio >= {wanted:g}) is at most {likely['fraction_of_draws']:.1%} ({likely['program']} "
        "tokens, "
        f"INT{likely['bits']}, against {likely['against']})",
        f"it fails in {len(lost)} of {len(rows)} cases (P at most {1 - sure:.0%}) and is open in "
        f"{len(rows) - len(lost) - len(certain)}; in {len(blocked)} not even light for nothing "
        "would do: what stays on the accelerator takes "
        f"more than 1/{wanted:g}",
    ]
    if needed:
        low, high = (g(r["light_must_take"] for r in needed) for g in (min, max))
        parts.append(
            f"in the others the light side must take at most {low:.2g} to {high:.2g} times what it "
            "takes as set, by case"
        )
    parts += [
        "with every assumed number at its most favourable end the best case reaches "
        f"{best['best_ends']:.3g} "
        f"({best['program']}, INT{best['bits']}, {best['against']})",
        "in the likeliest case the ratio is moved most, over each number's range, by "
        + ", ".join(
            f"{m['number'].split(': ')[1]} ({m['at_low']:.3g} to {m['at_high']:.3g})"
            for m in moved[:4]
        ),
        "against the bare arithmetic floor P is at most "
        f"{max(r['fraction_over_floor'] for r in rows):.1%}",
    ]
    return "; ".join(parts)


def _figure(draws: dict[str, np.ndarray], rows: list[Row], wanted: float) -> Any:
    with panels(1, 0.2 * len(draws) + 1.8) as (figure, axes):
        axes.set_yscale("linear")
        axes.set_ylim(-1, len(draws))
        for i, (values, row) in enumerate(zip(draws.values(), rows, strict=True)):
            low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
            axes.plot([low, high], [i, i], color=PALETTE[0])
            axes.plot([middle], [i], "o", color=PALETTE[0], ms=3)
            axes.plot([row["ceiling"]], [i], "|", mew=1.5, color=PALETTE[1])
        axes.set_yticks(range(len(draws)), list(draws), fontsize=7)
        axes.axvline(wanted, color="black", lw=0.8)
        axes.set_xlabel(
            "digital over optical energy: 5, 50, 95 % of draws\n"
            f"red: light for nothing; line: {wanted:g}, as claimed"
        )
    return figure
