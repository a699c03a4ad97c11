"""Breakdowns as values: conservation, sums, scales, exports, groups of sites."""

import csv
import dataclasses
import io
import json
import math

import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonjax import machines
from photonjax.cost import CostBreakdown, CostEntry, count, estimate, group_sites, group_table
from photonjax.workload import MatmulSite, Operation, Workload

ACCELERATOR = machines.digital("h100-sxm")
OTHERS = [
    Operation("transcendental", "exp", 10**11, 10**12, 3),
    Operation("movement", "gather", 10**8, 10**9, 3),
]


def layers(count, M, K, N):
    return [
        *[MatmulSite(f"layers/{i}/up", 1, M, K, N, 1, "bfloat16", True) for i in range(count)],
        MatmulSite("layers/attn/scores", 8, M, 64, M, count, "bfloat16", False),
        MatmulSite("head", 1, M, K, 3 * N, 1, "bfloat16", True),
    ]


SIZES = (st.integers(1, 5), *[st.integers(1, 3000)] * 3)
CORES = [n for n in machines.optical_names() if machines.optical(n).costs is not None]


@settings(max_examples=25, deadline=None)
@given(*SIZES, st.sampled_from(CORES), st.booleans())
def test_components_and_sites_sum_to_the_total(count, M, K, N, name, everything):
    workload = Workload(layers(count, M, K, N), OTHERS)
    where = (lambda site: True) if everything else None
    for cost in (
        estimate(workload, machines.optical(name), where=where, digital=ACCELERATOR),
        estimate(workload, ACCELERATOR),
        estimate(workload, ACCELERATOR).floor,
    ):
        assert sum(cost.by_component().values()) == pytest.approx(cost.joules, rel=1e-12)
        assert sum(cost.by_component("seconds").values()) == pytest.approx(cost.seconds, rel=1e-12)
        sites = cost.by_site().values()
        assert sum(j for j, _ in sites) == pytest.approx(cost.joules, rel=1e-12)
        assert sum(s for _, s in sites) == pytest.approx(cost.seconds, rel=1e-12)
        assert all(v >= 0 for e in cost.entries for v in (*e.joules.values(), *e.seconds.values()))


@settings(max_examples=25, deadline=None)
@given(*SIZES, st.sampled_from(CORES))
def test_grouping_layers_changes_no_cost(count, M, K, N, name):
    workload = Workload(layers(count, M, K, N), OTHERS)
    short = group_sites(workload)
    assert [s.path for s in short.matmuls] == ["layers/*/up", "layers/attn/scores", "head"]
    assert short.macs == workload.macs
    for cost in (
        lambda inv: estimate(inv, machines.optical(name), digital=ACCELERATOR),
        lambda inv: estimate(inv, ACCELERATOR),
    ):
        a, b = cost(workload), cost(short)
        assert b.joules == pytest.approx(a.joules, rel=1e-12)
        assert b.seconds == pytest.approx(a.seconds, rel=1e-12)


def test_groups_are_told_apart_by_size_and_by_names_with_digits():
    site = MatmulSite("layers/0/up", 1, 2, 3, 4, 1, "int8", True)
    others = [
        dataclasses.replace(site, path=p) for p in ("layers/1/up", "conv1/up", "dot_general:7")
    ]
    wide = dataclasses.replace(site, N=5)
    found = group_sites(Workload([site, *others, wide], [])).matmuls
    names = [(s.path, s.N, s.count) for s in found]
    assert names == [
        ("layers/*/up", 4, 2),
        ("conv1/up", 4, 1),
        ("dot_general:*", 4, 1),
        ("layers/*/up", 5, 1),
    ]
    lines = group_table(Workload([site, *others, wide], [])).splitlines()
    assert len(lines) == 5 and "4 ... 5" in lines[2]


@given(st.floats(0, 1e6), st.lists(st.floats(0, 1e9), min_size=1, max_size=4))
def test_breakdowns_add_and_scale(factor, energies):
    costs = [
        CostBreakdown("x", (), (CostEntry("a", "light", {"dac": e}, {"compute": 2 * e}),))
        for e in energies
    ]
    total = sum(costs)
    assert total.joules == pytest.approx(sum(energies))
    assert (factor * total).seconds == pytest.approx(2 * factor * sum(energies))
    assert (total + total).joules == pytest.approx((2 * total).joules)
    with pytest.raises(TypeError):
        total + 1.0


@pytest.mark.parametrize("name", CORES)
def test_numbers_are_plain_floats(name):
    workload = Workload(layers(2, 300, 400, 500), OTHERS)
    light = estimate(workload, machines.optical(name), digital=ACCELERATOR, dtype="int8")
    for cost in (
        light,
        estimate(workload, ACCELERATOR),
        estimate(workload, ACCELERATOR).floor,
        2 * light,
    ):
        numbers = [*cost.by_component().values(), *cost.by_component("seconds").values()]
        numbers += [x for pair in cost.by_site().values() for x in pair]
        assert {type(x) for x in numbers} == {float}
        assert isinstance(cost.joules, (float, int)) and isinstance(cost.seconds, (float, int))


def test_complex_product_is_four_real_ones_and_stays_digital():
    real = MatmulSite("w", 1, 30, 40, 50, 2, "float32", True)
    twice = dataclasses.replace(real, dtype="complex64")
    # Without operands to fetch, four times the real one's time and energy, and of its floor.
    fast = dataclasses.replace(ACCELERATOR, bandwidth_bytes_per_s=None, ops_per_s={"float32": 1e14},
                               mac_energy_j={"float32": 1e-12})  # fmt: skip
    a, b = (estimate(Workload([site], []), fast) for site in (real, twice))
    assert (b.seconds, b.joules, b.floor.joules) == pytest.approx(
        (4 * a.seconds, 4 * a.joules, 4 * a.floor.joules)
    )
    # Where fetching is all, operands of two numbers each.
    slow = dataclasses.replace(fast, bandwidth_bytes_per_s=1.0)
    a, b = (estimate(Workload([site], []), slow) for site in (real, twice))
    assert b.seconds == pytest.approx(2 * a.seconds)
    core = machines.optical("display-1024")
    for where in (None, lambda site: True):
        light = estimate(Workload([real, twice], []), core, where=where, digital=fast)
        alone = estimate(Workload([real], []), core)
        assert light.by_component()["adc"] == alone.by_component()["adc"]
        assert light.by_component()["digital"] == estimate(Workload([twice], []), fast).joules
        assert "complex, and light carries real numbers; left digital: w" in light.notes
    with pytest.raises(ValueError, match="w is complex64, and light carries real numbers"):
        count(twice, core)


def test_csv_and_json_carry_the_whole_breakdown():
    workload = Workload(layers(2, 300, 400, 500), OTHERS)
    cost = estimate(workload, machines.optical("display-1024"), digital=ACCELERATOR)
    rows = list(csv.DictReader(io.StringIO(cost.to_csv())))
    for quantity in ("joules", "seconds"):
        values = [float(r["value"]) for r in rows if r["quantity"] == quantity]
        assert sum(values) == pytest.approx(getattr(cost, quantity), rel=1e-12)
        assert json.loads(cost.to_json())[quantity] == pytest.approx(sum(values), rel=1e-12)
    notes = tuple(r["component"] for r in rows if r["quantity"] == "note")
    assert notes == cost.notes and notes
    assert {r["where"] for r in rows if r["quantity"] != "note"} == {"light", "digital"}
    unknown = estimate(Workload(layers(1, 3, 4, 5), []), machines.digital("300-fJ-per-MAC"))
    empty = [r for r in csv.DictReader(io.StringIO(unknown.to_csv())) if r["quantity"] == "seconds"]
    assert {r["value"] for r in empty} == {""}


def test_a_breakdown_of_traced_numbers_is_a_pytree():
    workload = Workload(layers(1, 30, 40, 50), OTHERS)
    cost = jax.jit(lambda c: estimate(workload, c))(ACCELERATOR)
    exact = estimate(workload, ACCELERATOR)
    assert float((cost * 2).joules) == pytest.approx(2 * exact.joules, rel=1e-5)
    assert math.isfinite(float(cost.floor.joules))


def test_plot_draws_every_component():
    pytest.importorskip("matplotlib").use("Agg")
    from photonjax.cost import plot_breakdowns

    cost = CostBreakdown(
        "x", (), (CostEntry("a", "light", {"dac": 2.0, "adc": 1.0, "laser": 0.0}, {}),)
    )
    axes = plot_breakdowns({"x": cost})
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["dac", "adc"]
    assert [p.get_width() for p in axes.patches] == [2.0, 1.0]
    axes = plot_breakdowns({"a": cost, "b": 3 * cost})
    assert sum(p.get_width() for p in axes.patches) == pytest.approx(12.0)
