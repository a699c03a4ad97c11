"""A comparison as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from photonjax.cost.bill import si
from photonjax.cost.groups import align, group_table

if TYPE_CHECKING:
    from photonjax.cost.compare import Comparison

__all__ = ["report"]


def report(found: Comparison, top: int = 8) -> str:
    """Totals, components and sites side by side; ratios with quantiles; what they depend on most.

    Args:
      found: the comparison.
      top: how many numbers to list.
    """
    names = list(found.bills)
    blocks = [
        f"{found.title}: {found.tokens:,} tokens, {found.inventory.macs:.4g} multiply-accumulates",
        group_table(found.inventory),
        align([("", *names), *_totals(found)]),
        align([("energy by component", *names), *_shares(found, "component")]),
        align([("energy by site", *names), *_shares(found, "site")]),
        _ratios(found),
        _dependence(found, top),
        "\n".join(_notes(found)),
    ]
    return "\n\n".join(blocks)


def _totals(found: Comparison) -> list[tuple[str, ...]]:
    bills = list(found.bills.items())
    macs = found.inventory.macs

    def row(label: str, cell) -> tuple[str, ...]:
        return (label, *(cell(name, bill) for name, bill in bills))

    def area(name: str) -> str:
        value = found.area_m2(name)
        return "not published" if value is None else f"{value * 1e6:.4g} mm2"

    def bits(name: str) -> str:
        if name != found.core.name:
            return "-"
        core = found.core.machine
        return ", ".join(
            "none" if b is None else str(b) for b in (core.bits_in, core.bits_weight, core.bits_out)
        )

    used = found.utilisation
    return [
        row("bits: inputs, weights, ADC", lambda n, _: bits(n)),
        row("energy", lambda _, b: si(float(b.joules), "J")),
        row("energy per token", lambda _, b: si(float(b.joules) / found.tokens, "J")),
        row("energy per MAC", lambda _, b: si(float(b.joules) / macs, "J")),
        row("arithmetic floor", lambda _, b: si(float(b.floor.joules), "J") if b.floor else "-"),
        row("time", lambda _, b: si(float(b.seconds), "s")),
        row("tokens per second", lambda _, b: _per_second(found.tokens, float(b.seconds))),
        row("mean power", lambda _, b: si(float(b.joules) / float(b.seconds), "W")),
        row("model FLOP utilisation", lambda n, _: f"{used[n]:.2f}" if n in used else "-"),
        row("area", lambda n, _: area(n)),
    ]


def _per_second(tokens: int, seconds: float) -> str:
    return f"{tokens / seconds:,.0f}" if seconds == seconds else "unknown"


def _shares(found: Comparison, by: str) -> list[tuple[str, ...]]:
    """Energies and shares of components or sites, largest first as they appear."""
    columns = []
    for bill in found.bills.values():
        if by == "component":
            columns.append({k: float(v) for k, v in bill.by_component().items()})
        else:
            columns.append({k: float(j) for k, (j, _) in bill.by_site().items()})
    totals = [sum(column.values()) for column in columns]
    shares = [
        {k: v / (total or 1.0) for k, v in column.items()}
        for column, total in zip(columns, totals, strict=True)
    ]
    names = dict.fromkeys(k for column in columns for k in column)
    order = sorted(names, key=lambda k: -max(share.get(k, 0.0) for share in shares))
    return [
        (
            name,
            *(
                f"{si(column[name], 'J')} {share[name]:6.1%}" if column.get(name) else "-"
                for column, share in zip(columns, shares, strict=True)
            ),
        )
        for name in order
        if any(column.get(name) for column in columns)
    ]


def _ratios(found: Comparison) -> str:
    rows: list[tuple[str, ...]] = [
        (f"{found.core.name} over", "", "as set", "5 %", "median", "95 %")
    ]
    for name, kinds in found.ratios.items():
        for what, r in kinds.items():
            cells = (f"{r[k]:.3g}" for k in ("value", "p5", "p50", "p95"))
            rows.append((name, what, *cells))
    return align(rows, left=2)


def _dependence(found: Comparison, top: int) -> str:
    first = found.baselines[0].name
    lines = [f"what the energy ratio to {first} depends on most"]
    rows: list[tuple[str, ...]] = [("number", "elasticity", "range", "ratio at low ... high")]
    swings = {f"{s.machine}/{s.field}": s for s in found.swings if s.at_low != s.at_high}
    listed = list(swings)[:top]
    listed += [k for k in list(found.elasticities)[:top] if k not in swings]
    for name in listed:
        slope = f"{found.elasticities.get(name, 0.0):+.2f}"
        if name in swings:
            s = swings[name]
            span = f"{s.number.low:.3g} ... {s.number.high:.3g} {s.number.unit}"
            rows.append((name, slope, span, f"{s.at_low:.3g} ... {s.at_high:.3g}"))
        elif abs(found.elasticities[name]) > 0:  # neither zero nor, of a result of zero, nan
            rows.append((name, slope, "-", "-"))
    return "\n".join([*lines, align(rows)])


def _notes(found: Comparison) -> list[str]:
    assumed = {
        name: sum(n.assumed for n in u.ranges.values()) for name, u in found.machines.items()
    }
    lines = [
        f"quantiles: {found.samples:,} draws over all ranges, numbers taken to be independent; "
        + ", ".join(f"{count} of {name} are assumed" for name, count in assumed.items())
        + " (photonjax describe NAME)"
    ]
    seen: dict[str, list[str]] = {}
    for name, bill in found.bills.items():
        for note in bill.notes:
            seen.setdefault(note, []).append(name)
    lines.append("accuracy is no part of a bill: machines of fewer bits or photons lose some")
    return lines + [f"note ({', '.join(names)}): {note}" for note, names in seen.items()]
