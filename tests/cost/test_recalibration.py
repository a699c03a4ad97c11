"""Recalibration against hand counts: how often, what each takes, and that none is the default."""

import jax
import pytest

from photonjax.core import CoreCosts, OpticalCore
from photonjax.core.costs import SharedCosts
from photonjax.cost import estimate
from photonjax.machines import digital
from photonjax.workload import MatmulSite, Operation, Workload

SITE = MatmulSite("w", 1, 5, 4, 16, 1, "bfloat16", True)  # 2 tiles of 5 symbols on 4 x 8
PARTS = dict(dac_energy_j=1.0, modulator_energy_j=2.0, receiver_energy_j=4.0, adc_energy_j=8.0)
AGAIN = dict(recalibration_interval_s=25.0, recalibration_vectors=30.0, recalibration_loads=3.0)


def core(kind=CoreCosts, **costs):
    costs = PARTS | dict(load_time_s=2.0, load_energy_j=0.5, double_buffered=False) | costs
    return OpticalCore(rows=4, cols=8, encoding="offset", symbol_rate_hz=1.0, costs=kind(**costs))


def test_each_takes_vectors_and_loads():
    """14 s of work: 0.56 of a recalibration of 30 symbols and 3 loads."""
    bare, cost = (estimate(Workload([SITE], []), core(**more)) for more in ({}, AGAIN))
    assert "recalibration" not in bare.by_component() and bare.seconds == 14.0
    share = 14 / 25
    assert cost.by_component("seconds")["recalibration"] == pytest.approx(share * (30 + 3 * 2))
    each = 30 * 4 * (1 + 2) + 30 * 8 * (4 + 8) + 3 * 32 * 0.5
    assert cost.by_component()["recalibration"] == pytest.approx(share * each)
    assert cost.seconds == pytest.approx(14 + share * 36)
    assert cost.joules == pytest.approx(bare.joules + share * each)
    assert "recalibration time" in str(cost) and "recalibration " in str(cost)


def test_light_memory_and_power_while_it_lasts():
    more = dict(
        hold_power_w=0.1, static_power_w=3.0, laser_idle_fraction=0.5,
        activation_energy_j_per_byte=1.0, cores=2, quantum_efficiency=0.5,
    )  # fmt: skip
    lit = core(**AGAIN, **more).replace(photons=1e18)
    cost = estimate(Workload([SITE], []), lit)
    seconds = 5 + 2.0  # each core has one tile
    share, symbol = seconds / 25, 1e18 * 4 * 8 * 1.2815e-19 / 0.5
    each = 2 * (30 * 4 * 3 + 30 * 8 * 12 + 3 * 16)
    each += 2 * 30 * (4 + 8 * 2)  # activations: a byte in, two out
    each += 2 * 32 * 0.1 * 36  # cells hold
    each += 2 * symbol * (30 + 0.5 * 6)  # the laser waits for loads
    assert cost.by_component()["recalibration"] == pytest.approx(share * each, rel=1e-4)
    assert cost.by_component()["static"] == pytest.approx(3 * (seconds + share * 36))


def test_several_vectors_a_symbol():
    """A crossbar of three vectors takes a third of the symbols, and as many conversions."""
    shared = core(SharedCosts, vectors=3, **AGAIN)
    cost = estimate(Workload([SITE], []), shared)
    times = (2 * 2 + 2 * 2.0) / 25
    assert cost.by_component("seconds")["recalibration"] == pytest.approx(times * (10 + 6))
    each = 30 * 4 * 3 + 30 * 8 * 12 + 48
    assert cost.by_component()["recalibration"] == pytest.approx(times * each)


def test_time_of_the_digital_half_counts():
    load = Workload([SITE], [Operation("transcendental", "exp", 10**9, 8 * 10**9, 1)])
    cost = estimate(load, core(**AGAIN), digital=digital("h100-sxm"))
    other = next(e for e in cost.entries if e.where == "digital")
    work = sum(v for k, v in other.seconds.items() if k != "recalibration")
    assert other.seconds["recalibration"] == pytest.approx(work / 25 * 36)


def test_slopes():
    def joules(interval):
        costs = AGAIN | {"recalibration_interval_s": interval}
        return estimate(Workload([SITE], []), core().replace(costs=costs)).joules

    assert float(jax.grad(joules)(25.0)) == pytest.approx((joules(25.5) - joules(24.5)), rel=2e-3)
