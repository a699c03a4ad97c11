"""The digital cost: both sides of the roofline, the floor, and costs as values."""

import dataclasses
import json

import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonjax import machines
from photonjax.cost import estimate, model_flop_utilisation
from photonjax.machines import DigitalAccelerator
from photonjax.workload import MatmulSite, Operation, Workload

ACCELERATOR = DigitalAccelerator(
    {"bfloat16": 200.0, "int8": 400.0},
    {"bfloat16": 3.0, "int8": 1.0},
    vector_ops_per_s=10.0,
    bandwidth_bytes_per_s=16.0,
    power_w=5.0,
    utilisation=0.5,
)


def workload(M, K, N, *, operations=(), **fields):
    defaults = dict(path="w", batch=1, count=1, dtype="bfloat16", stationary=True)
    return Workload([MatmulSite(M=M, K=K, N=N, **{**defaults, **fields})], list(operations))


def test_compute_bound():
    cost = estimate(workload(100, 100, 100), ACCELERATOR)  # 2e6 ops at 100 op/s; 60,000 B at 16 B/s
    assert cost.seconds == 20_000.0 and cost.joules == 100_000.0
    assert cost.floor.joules == 3e6


def test_memory_bound():
    cost = estimate(workload(1, 100, 100), ACCELERATOR)  # 20,000 ops at 100 op/s; 10,200 numbers
    assert cost.seconds == 2 * 10_200 / 16 and cost.joules == 5 * cost.seconds


def test_precision_can_be_chosen():
    cost = estimate(workload(1, 100, 100), ACCELERATOR, dtype="int8")
    assert cost.seconds == 10_200 / 16 and cost.floor.joules == 10_000.0
    with pytest.raises(
        ValueError, match="mac_energy_j has no float32; give dtype=, one of bfloat16, int8"
    ):
        estimate(workload(1, 2, 3, dtype="float32"), ACCELERATOR)


@settings(max_examples=30, deadline=None)
@given(*[st.integers(1, 10_000)] * 3, st.integers(1, 50))
def test_roofline_bounds(M, K, N, count):
    cost = estimate(workload(M, K, N, count=count), ACCELERATOR)
    macs, size = M * K * N * count, 2 * (M * K + K * N + M * N) * count
    assert cost.seconds >= max(2 * macs / 100, size / 16) * (1 - 1e-12)
    assert cost.seconds == pytest.approx(max(2 * macs / 100, size / 16))


OPS = [
    Operation("elementwise", "add", 100, 1200, 1),
    Operation("transcendental", "exp", 10, 80, 1),
    Operation("movement", "gather", 4, 32, 1),
    Operation("layout", "reshape", 1000, 8000, 1),
]


def test_other_operations_alone():
    cost = estimate(Workload([], OPS), dataclasses.replace(ACCELERATOR, transcendental_ops=4.0))
    times = {path: seconds for path, (_, seconds) in cost.by_site().items()}
    assert times == {"(elementwise)": 10.0, "(transcendental)": 4.0, "(movement)": 2.0}
    assert cost.joules == 5.0 * 16.0
    assert any("vector rate" in n for n in cost.notes)
    without = estimate(
        workload(1, 1, 1, operations=OPS), dataclasses.replace(ACCELERATOR, vector_ops_per_s=None)
    )
    assert any("not charged" in n for n in without.notes)


def test_other_operations_run_beside_the_products():
    for K in (1, 100, 1000, 2000):  # products of 2 K s against 20 s of others
        cost = estimate(workload(10, K, 10, operations=OPS), ACCELERATOR)
        products = cost.by_component("seconds")["digital"]
        assert cost.seconds == pytest.approx(max(products, 20.0))
        assert cost.joules == pytest.approx(5.0 * cost.seconds)
    assert cost.by_component("seconds")["other operations"] == 0.0
    grad = jax.grad(lambda c: estimate(workload(10, 1, 10, operations=OPS), c).seconds)(ACCELERATOR)
    assert float(grad.vector_ops_per_s) == pytest.approx(-1.8, rel=1e-5)  # 18 s of 20 over 10 op/s


def test_attention_keeps_its_scores_on_the_accelerator():
    queries, keys = 64, 4000
    scores = workload(queries, 8, keys, stationary=False)
    values = workload(queries, keys, 8, stationary=False)
    fast = dataclasses.replace(ACCELERATOR, ops_per_s={"bfloat16": 1e12}, utilisation=1.0)
    for product in (scores, values):  # the queries, or the results: 64 x 8 numbers of two bytes
        assert estimate(product, fast).seconds == pytest.approx(64 * 8 * 2 / 16.0)


def test_utilisation_is_what_the_cost_amounts_to():
    big, small = workload(4000, 4000, 4000), workload(1, 4000, 4000)
    assert model_flop_utilisation(big, ACCELERATOR) == pytest.approx(0.5)
    assert model_flop_utilisation(small, ACCELERATOR) < 0.1  # waits for memory
    waits = workload(10, 1, 10, operations=OPS)
    assert model_flop_utilisation(waits, ACCELERATOR) == pytest.approx(200 / 200.0 / 20.0)


def test_precision_by_site():
    sites = [*workload(100, 100, 100).matmuls, *workload(100, 100, 100, path="v").matmuls]
    both = estimate(
        Workload(sites, []), ACCELERATOR, dtype=lambda s: "int8" if s.path == "w" else "bfloat16"
    )
    assert both.by_site() == {"w": (50_000.0, 10_000.0), "v": (100_000.0, 20_000.0)}


def test_a_model_that_does_not_fit_is_said_so():
    accelerator = dataclasses.replace(ACCELERATOR, memory_bytes=30_000.0)
    [note] = estimate(workload(1, 100, 200, count=2), accelerator).notes
    assert "8e-05 GB" in note and "3 accelerators at least" in note
    assert not estimate(workload(1, 100, 150), accelerator).notes


def test_reference_without_a_accelerator_has_a_floor_and_no_time():
    cost = estimate(workload(10, 10, 10), machines.digital("300-fJ-per-MAC"))
    assert cost.joules == pytest.approx(300e-12) == cost.floor.joules
    assert "unknown s" in str(cost)
    assert json.loads(cost.to_json())["seconds"] is None


def test_memory_joins_the_floor_when_it_has_a_price():
    accelerator = dataclasses.replace(ACCELERATOR, energy_per_byte_j=2.0)
    floor = estimate(workload(1, 10, 10), accelerator).floor
    assert floor.by_component() == {"arithmetic": 300.0, "memory": 2.0 * 2 * 120}


def test_h100_at_half_utilisation_takes_twice_the_peak_energy():
    # shared reference: 5.3 mJ (int8) and 10.6 mJ (bf16) per token for an 8B model's linears at peak
    accelerator = machines.digital("h100-sxm")
    site = workload(4096, 4096, 4096, count=100)
    per_mac = estimate(site, accelerator).joules / site.macs
    assert per_mac * 7.5e9 * accelerator.utilisation == pytest.approx(10.6e-3, rel=0.01)
    per_mac = estimate(site, accelerator, dtype="int8").joules / site.macs
    assert per_mac * 7.5e9 * accelerator.utilisation == pytest.approx(5.3e-3, rel=0.01)


def test_breakdowns_add_and_scale_with_their_floors():
    a = estimate(workload(10, 10, 10), ACCELERATOR)
    b = estimate(workload(20, 10, 10, path="v"), ACCELERATOR)
    both = a + b * 2
    assert both.joules == a.joules + 2 * b.joules and both.seconds == a.seconds + 2 * b.seconds
    assert both.floor.joules == a.floor.joules + 2 * b.floor.joules
    assert list(both.by_site()) == ["w", "v"] and both.title == a.title
    assert "arithmetic floor: " in str(both)


def test_gradient_in_every_field():
    inv = workload(100, 100, 100)
    grad = jax.grad(lambda c: estimate(inv, c).joules)(ACCELERATOR)
    assert float(grad.power_w) == pytest.approx(20_000.0)
    assert float(grad.utilisation) == pytest.approx(-200_000.0)
    assert float(grad.rate("bfloat16")) == pytest.approx(-500.0)
    assert float(grad.bandwidth_bytes_per_s) == 0.0 and float(grad.rate("int8")) == 0.0
