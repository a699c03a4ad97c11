"""Exponents, crossovers and the rows they are fitted to: against closed forms."""

from __future__ import annotations

import dataclasses
import importlib
import math

import numpy as np
import pytest

import photonjax as pj
from photonjax import cost, models
from photonjax.core import CoreCosts
from photonjax.models.attention import SEGMENTS

CHIP = pj.machines.digital("h100-sxm")
SMALL = models.DecoderConfig(
    vocab_size=256,
    hidden_size=64,
    intermediate_size=128,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    max_length=8192,
)


@pytest.fixture
def ex(ours):
    return importlib.import_module("experiments.scaling.exponents")


@pytest.fixture
def rows_of(ours):
    return importlib.import_module("experiments.scaling.rows")


def display(**costs) -> pj.OpticalCore:
    core = pj.machines.optical("display-1024")
    return core.replace(costs=dataclasses.replace(core.costs, **costs))


# Fits --------------------------------------------------------------------------------------------


def test_a_power_law_is_found_exactly(ex):
    x = [1, 3, 10, 50]
    assert ex.fit_exponent(x, [7 * v**1.7 for v in x]) == (1.7, 0.0, 4)
    assert ex.local_exponents(x, [7 * v**1.7 for v in x]) == [1.7] * 3


def test_the_standard_error_is_that_of_least_squares(ex):
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e3, 12)
    y = x**1.5 * np.exp(0.1 * rng.normal(size=12))
    design = np.stack([np.log(x), np.ones(12)], 1)
    fit, rest, *_ = np.linalg.lstsq(design, np.log(y))
    error = math.sqrt(rest[0] / 10 * np.linalg.inv(design.T @ design)[0, 0])
    slope = ex.fit_exponent(x, y)
    assert slope.value == pytest.approx(fit[0], rel=1e-9)
    assert slope.error == pytest.approx(error, rel=1e-9)


def test_a_sum_of_powers_bends(ex):
    x = [2.0**i for i in range(21)]
    local = ex.local_exponents(x, [v + v**2 / 1e3 for v in x])
    assert local == sorted(local)
    assert local[0] == pytest.approx(1, abs=0.01)
    assert local[-1] == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(
    ("x", "y"), [([1], [1]), ([1, 1], [1, 2]), ([1, 2], [0, 1]), ([1, 2], [1, math.nan])]
)
def test_what_has_no_exponent_is_refused(ex, x, y):
    with pytest.raises(ValueError, match="exponent: "):
        ex.fit_exponent(x, y)


def test_columns_that_are_zero_somewhere_have_no_exponent(ex):
    rows = [{"value": n, "a": n**2, "b": n - 1} for n in (1, 2, 4)]
    assert [r["quantity"] for r in ex.exponents(rows, ["a", "b"])] == ["a"]


# Crossovers --------------------------------------------------------------------------------------


def test_crossings_of_power_laws_are_exact_and_have_a_direction(ex):
    rows = [{"value": n, "a": n**2, "b": 100 * n, "c": n / 10} for n in (2, 16, 512, 4096)]
    ((at, over, under),) = ex.crossings(rows, "a", "b")
    assert at == pytest.approx(100)
    assert (over, under) == ("a", "b")
    ((at, over, _),) = ex.crossings([{**r, "b": 1e4} for r in rows], "b", "a")
    assert (at, over) == (pytest.approx(100), "a")
    assert ex.crossings(rows, "a", "c") == []


def test_a_crossing_on_a_point_is_found_once(ex):
    rows = [{"value": n, "a": n, "b": 4} for n in (1, 4, 16)]
    assert [c.at for c in ex.crossings(rows, "a", "b")] == [4]


def test_a_touch_is_no_crossing(ex):
    rows = [{"value": n, "a": y, "b": 4} for n, y in ((1, 8), (2, 4), (4, 8))]
    assert ex.crossings(rows, "a", "b") == []


def test_overtakings_leave_out_what_hardly_counts(ex):
    name = ex.COMPONENT
    rows = [
        {"value": n, "light_j": 1e3, f"{name}x": n, f"{name}y": 10.0, f"{name}rest": 900.0}
        for n in (1, 100)
    ]
    assert ex.overtakings(rows, share=0.02) == []
    ((at, over, under),) = ex.overtakings(rows, share=0.001)
    assert (round(at), over, under) == (10, "x", "y")


@pytest.mark.parametrize("power", [0.5, 1, 3])
def test_a_crossing_is_solved_with_few_traces(ex, power):
    seen = []

    def ratio(n: int) -> float:
        seen.append(n)
        return (n / 5000) ** power + (n / 9e4) ** 2

    found = ex.solve_crossing(ratio, 10, 10**6)
    assert ratio(math.floor(found * 0.998)) < 1 < ratio(math.ceil(found * 1.002))
    assert len(seen) < 20
    assert ex.solve_crossing(ratio, 10, 100) is None
    assert ex.solve_crossing(ratio, 10**6, 10**7) is None


# Traced programs ---------------------------------------------------------------------------------


def test_a_matrix_on_an_array_as_large(ex):
    """Compute goes exactly with the square, conversions with the first power, symbols stay."""
    machines = ex.Machines(
        lambda n: dataclasses.replace(display(), rows=n, cols=n), pj.machines.digital("h100-sxm")
    )
    rows = ex.sweep("N", [64, 128, 512], lambda n: ex.matrix_program(n, tokens=32), machines)
    names = ("macs", "conversions", "samples", "symbols", "weight_loads", "light_j: laser")
    found = {r["quantity"]: r["exponent"] for r in ex.exponents(rows, names)}
    assert found["macs"] == 2.0
    assert found["conversions"] == found["samples"] == 1.0
    assert found["symbols"] == found["weight_loads"] == 0.0
    assert found["light_j: laser"] == pytest.approx(
        2.0, abs=1e-6
    )  # N x N multiplies, each as bright
    assert [row["symbols"] for row in rows] == [32.0] * 3


def test_a_matrix_on_a_fixed_array_is_loaded_with_the_square(ex):
    rows = ex.sweep(
        "N", [1024, 4096], lambda n: ex.matrix_program(n, tokens=8), ex.Machines(display(), CHIP)
    )
    assert [row["weight_loads"] for row in rows] == [1.0, 16.0]
    assert [row["symbols"] for row in rows] == [8.0, 128.0]


def test_attention_overtakes_where_the_closed_form_says(ex):
    """Compute's exponent of L lies between 1 and 2, and the crossing is the root of a quadratic.

    A layer multiplies ``L P`` with weights and ``2 H D L**2 (S + 1) / (2 S)`` in attention, whose S
    segments each meet the keys up to their end; the head multiplies the last token.
    """
    c = SMALL
    width = c.num_heads * c.head_dim
    linear = c.hidden_size * (2 * width + 2 * c.num_kv_heads * c.head_dim) + (
        3 * c.hidden_size * c.intermediate_size
    )
    square = width * (SEGMENTS + 1) / SEGMENTS
    head = c.hidden_size * c.vocab_size / c.num_layers
    exact = (linear + math.sqrt(linear**2 + 4 * square * head)) / (2 * square)

    lengths = [512, 1024, 4096]
    sites = [ex.model_program(SMALL, n).matmuls for n in lengths]
    for n, found in zip(lengths, sites, strict=True):
        assert sum(s.macs for s in found if not s.stationary) == c.num_layers * square * n**2
        assert sum(s.macs for s in found if s.stationary) == c.num_layers * (linear * n + head)

    local = ex.local_exponents(lengths, [sum(s.macs for s in found) for found in sites])
    assert 1 < local[0] < local[1] < 2

    def ratio(n: int) -> float:
        found = ex.model_program(SMALL, n).matmuls
        attention = sum(s.macs for s in found if not s.stationary)
        return attention / sum(s.macs for s in found if s.stationary)

    assert ex.solve_crossing(ratio, 64, 8192) == pytest.approx(exact, rel=0.02)


def test_batch_and_width(ex, rows_of):
    one, four = (ex.model_program(SMALL, 64, batch) for batch in (1, 4))
    assert four.macs == 4 * one.macs
    wide = rows_of.widened(SMALL, 128)
    assert (wide.num_heads, wide.num_kv_heads, wide.intermediate_size) == (8, 4, 256)
    assert wide.head_dim == SMALL.head_dim
    with pytest.raises(ValueError, match=r"width = 40: .*; choose a multiple of 32"):
        rows_of.widened(SMALL, 40)


def test_rows_add_up_and_agree_with_the_bills(ex):
    inventory = ex.model_program(SMALL, 128)
    core = display()
    (row,) = ex.sweep("L", [128], lambda n: ex.model_program(SMALL, n), ex.Machines(core, CHIP))
    assert row["macs"] == row["weight_macs"] + row["attention_macs"] == inventory.macs
    components = sum(v for k, v in row.items() if k.startswith(ex.COMPONENT))
    assert components == pytest.approx(row["light_j"])
    bill = cost.estimate(inventory, core, digital=CHIP, dtype="bfloat16")
    assert row["optical_j"] == float(bill.joules)
    assert row["light_j"] + row["beside_j"] == pytest.approx(row["optical_j"])
    assert row["light_s"] + row["beside_s"] == pytest.approx(row["optical_s"])
    for what in ("j", "s"):
        whole, bare = row[f"light_{what}"], row[f"light_{what}_neither"]
        assert whole >= row[f"light_{what}_no_memory"] >= bare
        assert whole >= row[f"light_{what}_no_loading"] >= bare >= row[f"light_{what}_optics"] > 0


def test_what_is_switched_off_costs_nothing(ex):
    """By name of the component, also for a machine that has a hierarchy of memories."""
    inventory = ex.matrix_program(256, tokens=8)
    for name in ("display-1024", "lightening-transformer-8bit"):
        core = pj.machines.optical(name)
        memory = cost.estimate(inventory, ex.switched(core, memory=False)).by_component()
        for part, joules in memory.items():
            free = part in ("activations", "partial sums", "weight memory") or part.startswith(
                "memory"
            )
            assert (joules == 0) if free else (joules >= 0), part
        loads = cost.estimate(inventory, ex.switched(core, loading=False))
        assert loads.by_component().get("weight write", 0) == 0
        assert loads.by_component()["weight memory"] == 0
        assert loads.by_component("seconds")["load"] == 0
        converters = cost.estimate(inventory, ex.switched(core, converters=False)).by_component()
        assert converters["dac"] == converters["adc"] == 0
    with pytest.raises(ValueError, match="costs is None"):
        ex.switched(pj.OpticalCore(rows=4, cols=4, costs=None))


def test_memory_traffic_by_hand(ex):
    """8 vectors through 8 x 8 weights on a 4 x 4 array: inputs twice, results, weights, two sums each."""
    core = pj.OpticalCore(rows=4, cols=4, input={"bits": 8}, array={"bits": 8}, costs=CoreCosts())
    machines = ex.Machines(core, CHIP)
    (row,) = ex.sweep("N", [8], lambda n: ex.matrix_program(n, tokens=8), machines)
    inputs, results, weights, sums = 2 * 8 * 8, 2 * 8 * 8, 8 * 8, 8 * 8 * 8
    assert row["memory_bytes"] == inputs + results + weights + sums
