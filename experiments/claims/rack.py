"""Claim 8: it fits an air-cooled rack."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import photonjax as pj
from experiments.claims.config import Claims
from experiments.claims.verdict import Row, Verdict, by_fractions, panels, published, quoted, ranged
from photonjax.core import OpticalCore, set_fields
from photonjax.plotting import PALETTE
from photonjax.workload import MatmulSite, Workload

STATEMENT = "It fits an air-cooled rack."
VECTORS = 1 << 20
# At full rate no array waits: its weights are there.
_FULL_RATE = {
    "costs.load_time_s": 0.0,
    "costs.weight_memory_bytes_per_s": None,
    "costs.activation_bytes_per_s": None,
}


def components(core: OpticalCore) -> tuple[dict[str, Any], Any]:
    """Joules by component and seconds of every array of a core working at full rate."""
    assert core.costs is not None
    site = MatmulSite("arrays", core.costs.cores, VECTORS, core.rows, core.cols, 1, "int8", True)
    cost = pj.cost.estimate(Workload([site], []), set_fields(core, _FULL_RATE))
    return cost.by_component(), cost.seconds


def power_w(core: OpticalCore) -> Any:
    """Watts at full rate.

    >>> power_w(set_fields(pj.machines.optical("ideal"), {"costs.static_power_w": 7.0}))
    7.0
    """
    joules, seconds = components(core)
    return sum(joules.values()) / seconds


def audit(config: Claims) -> Verdict:
    """Power of a server at full rate against what a rack loses to air."""
    settings = config.rack
    known = published("rack")
    limit, host = ranged(known["air_cooled_w"]), ranged(known["host_w"])
    accelerator = pj.machines.digital(settings.accelerator)
    # A seed apart from that of the core's numbers, with which these have nothing to do.
    drawn = pj.cost.draw(
        {"host": host, "limit": limit}, settings.samples, (config.seed + 1) % 2**32
    )
    beside, limits = drawn["host"] + accelerator.power_w, drawn["limit"]
    rows: list[Row] = []
    draws = {}
    base = config.core()
    core = base.machine
    for cores in settings.cores:
        machine = set_fields(core, {"costs.cores": int(cores)})
        known_core = dataclasses.replace(base, machine=machine)
        optics = np.asarray(
            pj.cost.monte_carlo(power_w, known_core, samples=settings.samples, seed=config.seed)
        )
        server = optics + beside
        joules, seconds = components(machine)
        watts = {k: float(v / seconds) for k, v in joules.items()}
        as_set = sum(watts.values()) + host.value + accelerator.power_w
        others = as_set - watts["laser"]
        for servers in settings.servers:
            draws[f"{cores} arrays x {servers}"] = servers * server
            rows.append(
                {
                    "arrays": int(cores),
                    "servers_in_the_rack": int(servers),
                    "watts_as_set": servers * as_set,
                    **{f"watts_{k}": v for k, v in pj.cost.quantiles(servers * server).items()},
                    "fraction_that_fits": float(np.mean(servers * server <= limits)),
                    "photons_that_fit": fitting_photons(
                        core.photons, watts["laser"], others, limit.value / servers
                    ),
                    "laser_fraction": watts["laser"] / as_set,
                }
            )
    verdict = by_fractions([r["fraction_that_fits"] for r in rows], config.sure)
    return Verdict(
        number=8,
        name="rack",
        statement=STATEMENT,
        computed=f"power of {base.name} with every array at full rate, plus host and one "
        f"{settings.accelerator} for what "
        f"light does not do, times servers; {settings.samples:,} draws of all assumed numbers "
        "and of the limit",
        verdict=verdict,
        because=because(rows, core.photons),
        numbers={"rows": rows},
        assumptions=[
            *(f"{name}: {quoted(n)}" for name, n in known.items()),
            f"{settings.accelerator}: {accelerator.power_w:g} W",
            "weights are there: waiting for them lowers the power of modulators and converters, "
            "not of a laser that "
            "is not gated",
        ],
        rows=rows,
        figure=_figure(draws, limit),
        unpublished=[
            "power of any commercial optical server; number of arrays in it; its photons, clock "
            "and losses"
        ],
    )


def fitting_photons(
    photons: float, laser_w: float, others_w: float, limit_w: float
) -> float | None:
    """Photons per multiply that the limit leaves room for, all else as set; None: none.

    The laser's power is proportional to them.

    >>> fitting_photons(1e5, 1000.0, 500.0, 2500.0), fitting_photons(1e5, 1000.0, 500.0, 400.0)
    (200000.0, None)
    """
    return photons * (limit_w - others_w) / laser_w if limit_w > others_w else None


def because(rows: list[Row], photons: float) -> str:
    """What decides it."""
    fits = max(rows, key=lambda r: r["fraction_that_fits"])
    worst = min(rows, key=lambda r: r["fraction_that_fits"])

    def case(r: Row) -> str:
        room = r["photons_that_fit"]
        limit = (
            "no light at all"
            if room is None
            else f"up to {room:.2g} photons a multiply at full scale"
        )
        return (
            f"{r['servers_in_the_rack']} server(s) of {r['arrays']} array(s): "
            f"{r['watts_as_set'] / 1e3:.3g} kW as set "
            f"(5 to 95 %: {r['watts_p5'] / 1e3:.3g} to {r['watts_p95'] / 1e3:.3g}), fits in "
            f"{r['fraction_that_fits']:.0%} of "
            f"draws, with all else as set at {limit} (set: {photons:.2g})"
        )

    return f"{case(fits)}; {case(worst)}"


def _figure(draws: dict[str, np.ndarray], limit: Any) -> Any:
    with panels() as (figure, axes):
        axes.set_yscale("linear")
        for name, watts in draws.items():
            axes.plot(np.sort(watts), np.linspace(0, 1, len(watts)), label=name)
        axes.axvspan(limit.low, limit.high, color=PALETTE[1], alpha=0.15)
        axes.set_xlabel("power [W]; red: what a rack loses to air")
        axes.set_ylabel("fraction of draws below")
        axes.legend(title="arrays a server x servers", title_fontsize=8)
    return figure
