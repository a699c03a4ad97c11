"""Claim 3: one product a cycle, N**2 multiplications for at most N times the energy; by encoding.

What decides it is how the light of a multiply moves with N at a fixed SNR: not at all where each product
of random sign is detected by itself (differential, homodyne) or on an offset, as 1/N where fields are
summed before they are detected (quadrature; the local oscillator of each output is charged), and as 1/N for
operands of one sign.
"""

from __future__ import annotations

from typing import Any

import photonjax as pj
from experiments.claims.config import Claims
from experiments.claims.light import ENCODINGS, need
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
CASES = (*((encoding, "signed") for encoding in ENCODINGS), ("differential", "one sign"))
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


def in_encoding(core: OpticalCore, encoding: str) -> OpticalCore:
    """The same machine with numbers encoded otherwise; errors that only differential has are left out."""
    if encoding == "differential":
        return core
    meaningless = {"receiver.imbalance": None, "receiver.saturation_electrons": None}
    return set_fields(core, {"encoding.kind": encoding, **meaningless})


def audit(config: Claims) -> Verdict:
    """Energy of one cycle against array size, the SNR held, for each encoding and for one sign."""
    settings = config.array
    needs = {encoding: need(config.photons_run, encoding) for encoding in ENCODINGS}
    light = needs["differential"]
    known = config.core()
    sizes = [int(n) for n in settings.sizes]
    rows: list[Row] = []
    for encoding, operands in CASES:
        base = in_encoding(known.machine, encoding)
        for size in sizes:
            own = needs[encoding]
            photons = own.signed(size) if operands == "signed" else own.one_sign(size)
            core = set_fields(base, {"rows": size, "cols": size, "photons": photons})
            for scope, (joules, seconds) in per_cycle(core, settings.vectors).items():
                rows.append(
                    {
                        "encoding": encoding,
                        "operands": operands,
                        "scope": scope,
                        "value": size,
                        "photons_full_scale": photons,
                        "joules_per_cycle": joules,
                        "seconds_per_cycle": seconds,
                        "macs_per_s": size**2 / seconds,
                    }
                )
    found = [_summary(rows, *case, scope, settings.slack) for case in CASES for scope in SCOPES]
    crossing = light_equals_conversions(rows)
    verdict, because, by_encoding = judge(found, max(sizes), settings.of_interest, crossing)
    return Verdict(
        number=3,
        name="array",
        statement=STATEMENT,
        computed=f"cost of one matrix that fills an N x N {known.name}, {settings.vectors:,} "
        "vectors a load, per "
        "vector; photons per multiply held at what a model needs at a fixed SNR, encoding by encoding for "
        "signed operands, and as if operands had one sign; exponents of N, scope by scope",
        verdict=verdict,
        because=because,
        numbers={
            "light": {encoding: vars(own) for encoding, own in needs.items()},
            "exponents": found,
            "by_encoding": by_encoding,
            "light_equals_conversions_at": crossing,
        },
        assumptions=[
            f"light: {light.source}; {light.full_scale:.3g} photons at full scale, "
            f"{light.used:.3g} detected",
            *(
                f"light of {encoding}: {own.full_scale:.3g} photons at full scale, N = 1,024; {own.source}"
                for encoding, own in needs.items()
                if encoding != "differential"
            ),
            f"called linear up to an exponent of {1 + settings.slack:g}",
            "a converter's energy does not change with N; clock and losses neither (fan-out is "
            "lossless)",
            "quadrature: a lossless mesh, where light that misses one output leaves by another; a local "
            "oscillator of ten times the receiver's variance for each output. Where couplers join the "
            "fields what cancels is lost, and light sent goes as N**2 again",
        ],
        rows=rows,
        figure=_figure(rows, light),
        unpublished=["encoding and photons of any commercial machine", "loss against N"],
    )


def _of(rows: list[Row], encoding: str, operands: str, scope: str) -> list[Row]:
    case = encoding, operands, scope
    return [r for r in rows if (r["encoding"], r["operands"], r["scope"]) == case]


def _summary(rows: list[Row], encoding: str, operands: str, scope: str, slack: float) -> Row:
    own = _of(rows, encoding, operands, scope)
    x, y = [r["value"] for r in own], [r["joules_per_cycle"] for r in own]
    rates = [r["macs_per_s"] for r in own]
    return {
        "encoding": encoding,
        "operands": operands,
        "scope": scope,
        "energy_exponent": fit_exponent(x, y).value,
        "compute_exponent": fit_exponent(x, rates).value,
        "linear_until": linear_until(x, y, slack),
    }


def light_equals_conversions(rows: list[Row]) -> float | None:
    """N at which differential's light for signed operands takes what converting takes, from the first N.

    Light goes as N**2 and conversions as N, so the ratio at one size gives it.
    """
    light, both = (
        min(_of(rows, "differential", "signed", scope), key=lambda r: r["value"])
        for scope in ("light", "with conversions")
    )
    other = both["joules_per_cycle"] - light["joules_per_cycle"]
    return light["value"] * other / light["joules_per_cycle"] if light["joules_per_cycle"] else None


def judge(
    found: list[Row], largest: float, of_interest: float, crossing: float | None
) -> tuple[str, str, dict[str, str]]:
    """By all that grows with N: linear to the largest N, or past the N of interest; encoding by encoding.

    Returns:
      the verdict of all together (it holds if the encoding is one that it holds for), why, and each one's.
    """
    by = {(f["encoding"], f["operands"], f["scope"]): f for f in found}

    def word(encoding: str) -> str:
        until = by[encoding, "signed", JUDGED]["linear_until"]
        if until is None or until < of_interest:
            return FAILS
        return HOLDS if until >= largest else HOLDS_IF

    def told(encoding: str) -> str:
        until = by[encoding, "signed", JUDGED]["linear_until"]
        exponents = (by[encoding, "signed", s]["energy_exponent"] for s in ("light", JUDGED))
        end = "nowhere" if until is None else f"up to N = {until:,}"
        light, whole = (f"N^{e:.2f}" for e in exponents)
        return f"{encoding} {word(encoding)} (light {light}, {JUDGED} {whole}, linear {end})"

    words = {encoding: word(encoding) for encoding in ENCODINGS}
    rates = by["differential", "signed", "light"], by["differential", "signed", JUDGED]
    optics, whole = (f["compute_exponent"] for f in rates)
    positive = by["differential", "one sign", "light"]["energy_exponent"]
    text = (
        f"signed operands at a fixed SNR: {'; '.join(map(told, ENCODINGS))}. Operands of one sign, "
        f"differential: light N^{positive:.2f}. Multiplications a second: N^{optics:.2f} by optics, "
        f"N^{whole:.2f} with loading. Light of differential overtakes conversions at N = "
        + ("never" if crossing is None else f"{crossing:.3g}, an N that goes as 1 / photons")
    )
    linear = [encoding for encoding, verdict in words.items() if verdict != FAILS]
    if set(words.values()) == {HOLDS}:
        return HOLDS, text, words
    if not linear:
        return FAILS, f"asked for is an N of {of_interest:,} and more. {text}", words
    ways = [e + " in a lossless mesh" * (e == "quadrature") for e in linear]
    return HOLDS_IF, f"if numbers travel as {' or '.join(ways)}. {text}", words


def _figure(rows: list[Row], light: Need) -> Any:
    shown = (("differential", "signed"), ("quadrature", "signed"), ("differential", "one sign"))
    with panels(3) as (figure, axes):
        for axis, (encoding, operands) in zip(axes, shown, strict=True):
            for i, scope in enumerate(
                SCOPES
            ):  # each wider and behind: those that nearly agree all show
                own = _of(rows, encoding, operands, scope)
                x = [r["value"] for r in own]
                y = [r["joules_per_cycle"] / r["value"] ** 2 for r in own]
                size = {"lw": 1.2 + 0.8 * i, "ms": 3.5 + 1.2 * i, "zorder": 3 - 0.1 * i}
                axis.plot(x, y, "o-", label=scope, **size)
            kind = "signed operands" if operands == "signed" else "operands of one sign"
            axis.set_title(f"{encoding}, {kind}, power SNR {light.snr:,.0f}")
            axis.set_xlabel("array size N")
            axis.set_ylabel("energy per multiply [J]  (linear energy: falls as 1/N)")
            axis.legend()
    return figure
