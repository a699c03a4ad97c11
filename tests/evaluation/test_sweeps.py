"""What traced programs take as a size grows: against closed forms, and against the costs themselves."""

from __future__ import annotations

import dataclasses
import math

import pytest

import photonjax as pj
from photonjax import cost, models
from photonjax.core import CoreCosts
from photonjax.evaluation.crossings import solve_crossing
from photonjax.evaluation.exponents import exponent_table, local_exponents
from photonjax.evaluation.sweeps import (
    COMPONENT,
    SweepMachines,
    matrix_workload,
    model_workload,
    overtakings,
    sweep,
    switched,
)
from photonjax.models.attention import SEGMENTS

H100 = pj.machines.digital("h100-sxm")
WIDTHS = dict(vocab_size=256, hidden_size=64, intermediate_size=128, max_length=8192)
SMALL = models.DecoderConfig(**WIDTHS, num_layers=2, num_heads=4, num_kv_heads=2)


def display(**costs) -> pj.OpticalCore:
    core = pj.machines.optical("display-1024")
    return core.replace(costs=dataclasses.replace(core.costs, **costs))


def test_overtakings_leave_out_what_hardly_counts():
    name = COMPONENT
    rows = [
        {"value": n, "light_j": 1e3, f"{name}x": n, f"{name}y": 10.0, f"{name}rest": 900.0}
        for n in (1, 100)
    ]
    assert overtakings(rows, fraction=0.02) == []
    ((at, over, under),) = overtakings(rows, fraction=0.001)
    assert (round(at), over, under) == (10, "x", "y")


def test_a_matrix_on_an_array_as_large():
    """Compute goes exactly with the square, conversions with the first power, symbols stay."""
    machines = SweepMachines(lambda n: display().replace(rows=n, cols=n), H100)
    rows = sweep("N", [64, 128, 512], lambda n: matrix_workload(n, tokens=32), machines)
    names = ("macs", "conversions", "samples", "symbols", "weight_loads", "light_j: laser")
    found = {r["quantity"]: r["exponent"] for r in exponent_table(rows, names)}
    assert found["macs"] == 2.0
    assert found["conversions"] == found["samples"] == 1.0
    assert found["symbols"] == found["weight_loads"] == 0.0
    assert found["light_j: laser"] == pytest.approx(
        2.0, abs=1e-6
    )  # N x N multiplies, each as bright
    assert [row["symbols"] for row in rows] == [32.0] * 3


def test_a_matrix_on_a_fixed_array_is_loaded_with_the_square():
    rows = sweep(
        "N", [1024, 4096], lambda n: matrix_workload(n, tokens=8), SweepMachines(display(), H100)
    )
    assert [row["weight_loads"] for row in rows] == [1.0, 16.0]
    assert [row["symbols"] for row in rows] == [8.0, 128.0]


def test_attention_overtakes_where_the_closed_form_says():
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
    sites = [model_workload(SMALL, n).matmuls for n in lengths]
    for n, found in zip(lengths, sites, strict=True):
        assert sum(s.macs for s in found if not s.stationary) == c.num_layers * square * n**2
        assert sum(s.macs for s in found if s.stationary) == c.num_layers * (linear * n + head)

    local = local_exponents(lengths, [sum(s.macs for s in found) for found in sites])
    assert 1 < local[0] < local[1] < 2

    def ratio(n: int) -> float:
        found = model_workload(SMALL, n).matmuls
        attention = sum(s.macs for s in found if not s.stationary)
        return attention / sum(s.macs for s in found if s.stationary)

    assert solve_crossing(ratio, 64, 8192) == pytest.approx(exact, rel=0.02)


def test_batch_and_width():
    one, four = (model_workload(SMALL, 64, batch) for batch in (1, 4))
    assert four.macs == 4 * one.macs
    wide = models.widened(SMALL, 128)
    assert (wide.num_heads, wide.num_kv_heads, wide.intermediate_size) == (8, 4, 256)
    assert wide.head_dim == SMALL.head_dim
    with pytest.raises(ValueError, match=r"width = 40: .*; choose a multiple of 32"):
        models.widened(SMALL, 40)


def test_rows_add_up_and_agree_with_the_costs():
    workload = model_workload(SMALL, 128)
    core = display()
    (row,) = sweep("L", [128], lambda n: model_workload(SMALL, n), SweepMachines(core, H100))
    assert row["macs"] == row["weight_macs"] + row["attention_macs"] == workload.macs
    components = sum(v for k, v in row.items() if k.startswith(COMPONENT))
    assert components == pytest.approx(row["light_j"])
    light = cost.estimate(workload, core, digital=H100, dtype="bfloat16")
    assert row["optical_j"] == float(light.joules)
    assert row["light_j"] + row["beside_j"] == pytest.approx(row["optical_j"])
    assert row["light_s"] + row["beside_s"] == pytest.approx(row["optical_s"])
    for what in ("j", "s"):
        whole, bare = row[f"light_{what}"], row[f"light_{what}_neither"]
        assert whole >= row[f"light_{what}_no_memory"] >= bare
        assert whole >= row[f"light_{what}_no_loading"] >= bare >= row[f"light_{what}_optics"] > 0


def test_what_is_switched_off_costs_nothing():
    """By name of the component, also for a machine that has a hierarchy of memories."""
    workload = matrix_workload(256, tokens=8)
    for name in ("display-1024", "lightening-transformer-8bit"):
        core = pj.machines.optical(name)
        memory = cost.estimate(workload, switched(core, memory=False)).by_component()
        for part, joules in memory.items():
            free = part in ("activations", "partial sums", "weight memory") or part.startswith(
                "memory"
            )
            assert (joules == 0) if free else (joules >= 0), part
        loads = cost.estimate(workload, switched(core, loading=False))
        assert loads.by_component().get("weight write", 0) == 0
        assert loads.by_component()["weight memory"] == 0
        assert loads.by_component("seconds")["load"] == 0
        converters = cost.estimate(workload, switched(core, converters=False)).by_component()
        assert converters["dac"] == converters["adc"] == 0
    with pytest.raises(ValueError, match="costs is None"):
        switched(pj.OpticalCore(rows=4, cols=4, costs=None))


def test_memory_traffic_by_hand():
    """8 vectors through 8 x 8 weights on a 4 x 4 array: inputs twice, results, weights, two sums each."""
    core = pj.OpticalCore(rows=4, cols=4, input={"bits": 8}, array={"bits": 8}, costs=CoreCosts())
    machines = SweepMachines(core, H100)
    (row,) = sweep("N", [8], lambda n: matrix_workload(n, tokens=8), machines)
    inputs, results, weights, sums = 2 * 8 * 8, 2 * 8 * 8, 8 * 8, 8 * 8 * 8
    assert row["memory_bytes"] == inputs + results + weights + sums
