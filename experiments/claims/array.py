"""Claim 3: one product a cycle, N**2 multiplications for at most N times the energy."""

from __future__ import annotations

from typing import Any

import photonjax as pj
from experiments.claims.config import Claims
from experiments.claims.light import need
from experiments.claims.verdict import FAILS, HOLDS, HOLDS_IF, Row, Verdict, panels
from experiments.photons.results import Need
from photonjax.core import OpticalCore, set_fields
from photonjax.evaluation.exponents import fit_exponent, local_exponents
from photonjax.workload import MatmulSite, Workload

STATEMENT = (
    "One vector-matrix product per optical cycle; as matrix size grows, compute scales "
    "quadratically and "
    "energy at most linearly."
)
SCOPES = ("light", "with conversions", "with memory", "with loading", "with static power")
JUDGED = "with loading"  # static power does not grow with N: at small N it hides what does
CONVERSIONS = ("dac", "modulator", "receiver", "amplifier", "adc")
MEMORY = ("activations", "partial sums")
_NO_STATIC = {"costs.static_power_w": 0.0}
_NO_LOADS = {
    **_NO_STATIC,
    "costs.load_time_s": 0.0,
    "costs.load_energy_j": 0.0,
    "costs.hold_power_w": 0.0,
    "costs.weight_memory_bytes_per_s": None,
}
_NO_MEMORY = {**_NO_LOADS, "costs.activation_bytes_per_s": None}


def per_cycle(core: OpticalCore, vectors: int) -> dict[str, tuple[float, float]]:
    """Joules and seconds per vector of a matrix that fills the array, by scope.

    Every scope adds to the one before: light; converters, modulators and receivers; the memory of
    activations and its bandwidth; loading and holding weights, and their memory; static power.
    """
    site = MatmulSite("array", 1, vectors, core.rows, core.cols, 1, "int8", True)
    workload = Workload([site], [])

    def charged(changes: dict[str, Any]) -> tuple[dict[str, float], float]:
        found = pj.cost.estimate(workload, set_fields(core, changes))
        energies = {k: float(v) / vectors for k, v in found.by_component().items()}
        return energies, float(found.seconds) / vectors

    bare, cycle = charged(_NO_MEMORY)
    stored, waited = charged(_NO_LOADS)
    written, loaded = charged(_NO_STATIC)
    whole, _ = charged({})
    conversions = sum(bare.get(k, 0.0) for k in CONVERSIONS)
    memory = sum(stored.get(k, 0.0) for k in MEMORY) + stored["laser"] - bare["laser"]
    on_light, converted = bare["laser"], bare["laser"] + conversions
    joules = (on_light, converted, converted + memory, sum(written.values()), sum(whole.values()))
    seconds = (cycle, cycle, waited, loaded, loaded)
    return dict(zip(SCOPES, zip(joules, seconds, strict=True), strict=True))


def linear_until(sizes: list[float], values: list[float], slack: float) -> float | None:
    """The size up to which the local exponent stays within ``1 + slack``; None: not even at the smallest.

    >>> linear_until([1, 2, 4, 8], [1.0, 2.0, 4.0, 16.0], 0.1), linear_until([1, 2], [1.0, 4.0], 0.1)
    (4, None)
    """
    until = None
    for size, exponent in zip(sizes[1:], local_exponents(sizes, values), strict=True):
        if exponent > 1 + slack:
            return until
        until = size
    return until


def audit(config: Claims) -> Verdict:
    """Energy of one cycle against array size, the SNR held, for signed operands and for one sign."""
    settings = config.array
    light = need(config.photons_run)
    known = config.core()
    base = known.machine
    sizes = [int(n) for n in settings.sizes]
    rows: list[Row] = []
    for operands in ("signed", "one sign"):
        for size in sizes:
            photons = light.signed(size) if operands == "signed" else light.one_sign(size)
            core = set_fields(base, {"rows": size, "cols": size, "photons": photons})
            for scope, (joules, seconds) in per_cycle(core, settings.vectors).items():
                rows.append(
                    {
                        "operands": operands,
                        "scope": scope,
                        "value": size,
                        "photons_full_scale": photons,
                        "joules_per_cycle": joules,
                        "seconds_per_cycle": seconds,
                        "macs_per_s": size**2 / seconds,
                    }
                )
    found = [
        _summary(rows, operands, scope, settings.slack)
        for operands in ("signed", "one sign")
        for scope in SCOPES
    ]
    crossing = light_equals_conversions(rows)
    verdict, because = judge(found, max(sizes), settings.of_interest, crossing)
    return Verdict(
        number=3,
        name="array",
        statement=STATEMENT,
        computed=f"cost of one matrix that fills an N x N {known.name}, {settings.vectors:,} "
        "vectors a load, per "
        "vector; photons per multiply held at what a model needs (signed operands), and as if "
        "operands had one "
        "sign; exponents of N, scope by scope",
        verdict=verdict,
        because=because,
        numbers={"light": vars(light), "exponents": found, "light_equals_conversions_at": crossing},
        assumptions=[
            f"light: {light.source}; {light.full_scale:.3g} photons at full scale, "
            f"{light.used:.3g} detected",
            f"called linear up to an exponent of {1 + settings.slack:g}",
            "a converter's energy does not change with N; clock and losses neither (fan-out is "
            "lossless)",
            "signed numbers as intensities on dual rails; interference (homodyne) would need "
            "other light, same exponent",
        ],
        rows=rows,
        figure=_figure(rows, light),
        unpublished=["encoding and photons of any commercial machine", "loss against N"],
    )


def _summary(rows: list[Row], operands: str, scope: str, slack: float) -> Row:
    own = [r for r in rows if (r["operands"], r["scope"]) == (operands, scope)]
    x, y = [r["value"] for r in own], [r["joules_per_cycle"] for r in own]
    rates = [r["macs_per_s"] for r in own]
    return {
        "operands": operands,
        "scope": scope,
        "energy_exponent": fit_exponent(x, y).value,
        "compute_exponent": fit_exponent(x, rates).value,
        "linear_until": linear_until(x, y, slack),
    }


def light_equals_conversions(rows: list[Row]) -> float | None:
    """N at which light for signed operands takes what converting takes, extrapolated from the first N.

    Light goes as N**2 and conversions as N, so the ratio at one size gives it.
    """
    first = min((r for r in rows if r["operands"] == "signed"), key=lambda r: r["value"])["value"]
    own = {r["scope"]: r for r in rows if (r["operands"], r["value"]) == ("signed", first)}
    light = own["light"]["joules_per_cycle"]
    other = own["with conversions"]["joules_per_cycle"] - light
    return first * other / light if light else None


def judge(
    found: list[Row], largest: float, of_interest: float, crossing: float | None
) -> tuple[str, str]:
    """By signed operands and all that grows with N: linear to the largest N, or past the N of interest."""
    by = {(f["operands"], f["scope"]): f for f in found}
    whole = by["signed", JUDGED]
    text = "; ".join(
        f"{operands}: "
        + ", ".join(f"{s} N^{by[operands, s]['energy_exponent']:.2f}" for s in SCOPES)
        for operands in ("signed", "one sign")
    )
    ends = ", ".join(f"{s} {by['signed', s]['linear_until'] or 'nowhere'}" for s in SCOPES)
    text = (
        f"energy a cycle over all N here: {text}. For signed operands it is linear up to N: {ends}. "
        f"Multiplications a second: N^{by['signed', 'light']['compute_exponent']:.2f} by optics, "
        f"N^{whole['compute_exponent']:.2f} with loading. Light overtakes conversions at N = "
        + ("never" if crossing is None else f"{crossing:.3g}, an N that goes as 1 / photons")
    )
    until = whole["linear_until"]
    end = (
        "is not linear even at the smallest N"
        if until is None
        else f"is linear up to N = {until:,}"
    )
    if until is not None and until >= largest:
        return HOLDS, text
    if until is not None and until >= of_interest:
        return HOLDS_IF, f"if N is at most {until:,}. {text}"
    alone = [s for s in SCOPES if by["one sign", s]["linear_until"] == largest]
    other = f"; were operands of one sign it would be for: {', '.join(alone)}" if alone else ""
    return FAILS, f"energy {end}, asked for is {of_interest:,} and more{other}. {text}"


def _figure(rows: list[Row], light: Need) -> Any:
    with panels(2) as (figure, axes):
        for axis, operands in zip(axes, ("signed", "one sign"), strict=True):
            for scope in SCOPES:
                own = [r for r in rows if (r["operands"], r["scope"]) == (operands, scope)]
                x = [r["value"] for r in own]
                axis.plot(
                    x, [r["joules_per_cycle"] / r["value"] ** 2 for r in own], "o-", label=scope
                )
            kind = "signed operands" if operands == "signed" else "operands of one sign"
            axis.set_title(f"{kind}, at a power SNR of {light.snr:,.0f}")
            axis.set_xlabel("array size N")
            axis.set_ylabel("energy per multiply [J]  (linear energy: falls as 1/N)")
            axis.legend()
    return figure
