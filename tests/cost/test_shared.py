"""Shared parts, streamed operands, analog accumulation and memory levels, against hand counts."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonjax.core import CoreCosts, OpticalCore
from photonjax.core.costs import Memory, SharedCosts
from photonjax.cost import Counts, count, estimate
from photonjax.workload import MatmulSite, Workload


def site(M, K, N, *, batch=1, count=1, stationary=True):
    return MatmulSite("w", batch, M, K, N, count, "int8", stationary)


def cost_of(*sites, core):
    return estimate(Workload(list(sites), []), core, where=lambda s: True)


def machine(rows=2, cols=3, **costs):
    return OpticalCore(
        rows=rows, cols=cols, encoding="homodyne", symbol_rate_hz=1.0, costs=SharedCosts(**costs)
    )


SHARED = dict(vectors=2, cores=4, input_sharing=2, readout_sharing=2, accumulation=3, streamed=True)
# 5 vectors, 9 terms, 4 outputs on 2 x 3 arrays that take 2 vectors at once:
# kt = 5 (of 2), nt = 2 (of 3), tt = 3 (of 2): whole tiles are 6 vectors, 10 terms, 6 outputs.
PRODUCT = site(5, 9, 4)


def test_counts_of_a_shared_machine_equal_hand_counts():
    counts = count(PRODUCT, machine(**SHARED))
    assert counts == Counts(
        loads=5 * 2,
        symbols=5 * 2 * 3,
        inputs=2 * 6 * 10 / 2,  # once for each of 2 column tiles, half of it by shared light
        weights=3 * 10 * 6,  # once for each of 3 pairs of vectors
        detections=5 * 6 * 6,
        conversions=6 * 6,  # 5 k-tiles are 2 runs of 3, which two cores add up: one conversion
        additions=0,
        fetched_inputs=2 * 5 * 9 / 2,
        fetched_weights=9 * 4,
        results=5 * 4,
        parameters=9 * 4,
        steps=5 * 2 * 3 / 4,  # streamed symbols spread evenly over 4 cores
        writes=0,
    )


@pytest.mark.parametrize(
    ("cores", "steps", "writes"),
    # 5 x 2 tiles of 3 pairs of vectors, 7 executions: rounds of 10, 5, 4 (the last with 1 of 3 cores), 1, 1
    [(1, 7 * 30, 70), (2, 7 * 15, 35), (3, 7 * 12, 28), (10, 7 * 3, 7), (64, 7 * 3, 7)],
)
def test_a_tile_is_on_one_core(cores, steps, writes):
    product = dataclasses.replace(PRODUCT, count=7)
    costs = dict(vectors=2, cores=cores, load_time_s=5.0, double_buffered=False)
    counts = count(product, machine(**costs))
    assert (counts.steps, counts.writes) == (steps, writes)
    assert (counts.symbols, counts.loads) == (7 * 30, 70)  # what there is to do does not change
    assert cost_of(product, core=machine(**costs)).seconds == steps + 5.0 * writes
    heads = dataclasses.replace(product, count=1, batch=7)  # heads work side by side
    assert count(heads, machine(**costs)).writes == -(-70 // cores)


def test_idle_cores_keep_their_lasers_on_unless_gated():
    lit = [
        dataclasses.replace(machine(vectors=2, cores=3, laser_idle_fraction=f), photons=1.0)
        for f in (0.0, 1.0)
    ]
    a, b = (cost_of(PRODUCT, core=c).by_component()["laser"] for c in lit)
    assert b / a == pytest.approx(3 * 12 / 30)  # 4 rounds of 3 symbols on 3 cores, for 30 symbols


RESIDENT = dict(
    vectors=2,
    resident=True,
    load_time_s=100.0,
    load_energy_j=1.0,
    hold_power_w=1.0,
    weight_memory_energy_j_per_byte=1.0,
    weight_memory_bytes_per_s=1e-3,
)


def test_resident_weights_are_held_and_never_loaded():
    product = dataclasses.replace(PRODUCT, count=2)
    cost = cost_of(product, core=machine(cores=24, **RESIDENT))
    assert cost.by_component("seconds") == {"compute": 2 * 3.0, "load": 0.0}  # 10 tiles at a time
    joules = cost.by_component()
    assert joules["weight write"] == joules["weight memory"] == 0.0
    assert joules["weight hold"] == 2 * 3 * 24 * 6.0  # cells of 24 arrays, for 6 s
    loaded = cost_of(product, core=machine(cores=24, **{**RESIDENT, "resident": False}))
    assert loaded.by_component("seconds")["compute"] == 6.0 and loaded.seconds == 72 / 1e-3


def test_resident_weights_must_fit_and_be_weights():
    with pytest.raises(ValueError, match="weights fill 20 arrays, cores = 19; give cores=20"):
        cost_of(dataclasses.replace(PRODUCT, count=2), core=machine(cores=19, **RESIDENT))
    with pytest.raises(ValueError, match="w has two computed operands"):
        cost_of(site(5, 9, 4, stationary=False), core=machine(cores=64, **RESIDENT))
    with pytest.raises(ValueError, match=r"OpticalCore.costs\.resident = True: streamed weights"):
        machine(**SHARED, resident=True)
    with pytest.raises(TypeError, match=r"OpticalCore.costs\.resident = 1 is not True or False"):
        CoreCosts(resident=1)


def test_gating_leaves_only_what_is_there():
    whole, gated = (count(PRODUCT, machine(**SHARED, gated=g)) for g in (False, True))
    assert (gated.inputs, gated.weights) == (2 * 5 * 9 / 2, 3 * 9 * 4)
    assert (gated.detections, gated.conversions) == (5 * 5 * 4, 5 * 4)
    for name in ("loads", "symbols", "additions", "fetched_inputs", "results", "parameters"):
        assert getattr(gated, name) == getattr(whole, name)


@pytest.mark.parametrize(
    ("accumulation", "readout_sharing", "readouts"),
    [(1, 1, 5), (1, 2, 3), (2, 1, 3), (2, 2, 2), (3, 1, 2), (3, 2, 1), (5, 1, 1), (9, 4, 1)],
)
def test_analog_sums_save_conversions(accumulation, readout_sharing, readouts):
    core = machine(
        cores=4,
        accumulation=accumulation,
        readout_sharing=readout_sharing,
        adc_energy_j=1.0,
        amplifier_energy_j=10.0,
        receiver_energy_j=100.0,
        accumulate_energy_j=1.0,
        gated=True,
    )
    joules = cost_of(PRODUCT, core=core).by_component()
    assert joules["adc"] == 20 * readouts and joules["amplifier"] == 200 * readouts
    assert joules["receiver"] == 100 * 20 * 5  # light falls on the detectors every symbol
    assert joules["partial sums"] == 20 * (readouts - 1)


def test_both_operands_are_modulated_and_nothing_is_loaded():
    loading = dict(load_time_s=100.0, load_energy_j=1.0, hold_power_w=1.0)
    core = machine(**SHARED, **loading, dac_energy_j=1.0, modulator_energy_j=2.0)
    cost = cost_of(PRODUCT, core=core)
    joules = cost.by_component()
    assert joules["dac"] == 60 + 180 and joules["modulator"] == 2 * (60 + 180)
    assert not {"weight write", "weight hold"} & joules.keys()
    assert cost.by_component("seconds") == {"compute": 30 / 4, "load": 0.0}
    rails = cost_of(PRODUCT, core=core.replace(encoding="differential"))
    assert rails.by_component()["dac"] == 2 * (60 + 180)


def test_streamed_parameters_still_wait_for_their_memory():
    core = machine(**SHARED, weight_memory_bytes_per_s=0.5, weight_memory_energy_j_per_byte=1.0)
    cost = cost_of(PRODUCT, core=core)
    assert cost.seconds == 36 / 0.5  # 36 bytes at half a byte a second outlast 7.5 s
    assert cost.by_component()["weight memory"] == 36
    assert cost_of(dataclasses.replace(PRODUCT, stationary=False), core=core).seconds == 30 / 4


def test_an_array_lights_all_its_vectors():
    one, two = (dataclasses.replace(machine(vectors=v), photons=1.0) for v in (1, 2))
    # 5 vectors take 5 symbols of one, or 3 of two
    a, b = (cost_of(PRODUCT, core=c).by_component()["laser"] for c in (one, two))
    assert b / a == pytest.approx(2 * 3 / 5)


def test_memory_levels_by_hand():
    kinds = ("samples", "fetches", "results", "conversions", "weights")
    levels = tuple(Memory(kind, 1.0, **{kind: 1.0}) for kind in kinds)
    core = machine(**SHARED, gated=True, memories=levels, result_bytes=2.0, operand_buffer_bytes=10)
    core = core.replace(input={"bits": 4}, array={"bits": 8})
    joules = cost_of(PRODUCT, core=core).by_component()
    assert joules["memory: samples"] == 45 / 2 + 108
    assert joules["memory: fetches"] == 45 / 2 + 36
    # 3 columns of 9 one-byte weights in 10 bytes: 3 pieces, so results go out three times and come back twice
    assert joules["memory: results"] == 2 * 20 * 5
    assert joules["memory: conversions"] == 2 * 20
    assert joules["memory: weights"] == 36
    dynamic = cost_of(dataclasses.replace(PRODUCT, stationary=False), core=core).by_component()
    assert dynamic["memory: weights"] == 0
    twice = (Memory("all", 3.0, **dict.fromkeys(kinds, 2.0)),)
    core = core.replace(costs=dataclasses.replace(core.costs, memories=twice))
    total = sum(joules[f"memory: {kind}"] for kind in kinds)
    assert cost_of(PRODUCT, core=core).by_component()["memory: all"] == pytest.approx(6 * total)


def test_flat_memory_of_a_streaming_machine():
    core = machine(**SHARED, gated=True, activation_energy_j_per_byte=1.0)
    # inputs brought once for two cores, weights at every modulation, results of two bytes
    assert cost_of(PRODUCT, core=core).by_component()["activations"] == 45 + 108 + 2 * 20


def test_slices_and_averages_are_passes():
    core = machine(vectors=2, dac_energy_j=1.0, accumulate_energy_j=1.0, load_energy_j=1.0)
    sliced = core.replace(input={"slices": 2}, array={"slices": 3}, averages=4)
    a, b = (count(PRODUCT, c) for c in (core, sliced))
    for name in ("symbols", "inputs", "detections", "conversions"):
        assert getattr(b, name) == 24 * getattr(a, name)
    assert b.loads == 3 * a.loads
    assert b.additions == 20 * (24 * 5 - 1) and a.additions == 20 * 4
    assert (b.fetched_inputs, b.results) == (a.fetched_inputs, a.results)


@settings(max_examples=40, deadline=None)
@given(
    *[st.integers(1, 3000)] * 3,
    st.sampled_from(["differential", "offset", "homodyne"]),
    st.booleans(),
)
def test_defaults_are_a_machine_of_separate_cores(M, K, N, encoding, stationary):
    rng = np.random.default_rng(M + K + N)
    fields = [
        f.name
        for f in dataclasses.fields(CoreCosts)
        if f.name.endswith(("_j", "_w", "_s", "_j_per_byte"))
    ]
    values = {name: float(rng.uniform(0.1, 2.0)) for name in fields} | {"cores": 3}
    plain = OpticalCore(rows=64, cols=48, encoding=encoding, photons=1e3, costs=CoreCosts(**values))
    shared = dataclasses.replace(plain, costs=SharedCosts(**values))
    product = site(M, K, N, batch=2, count=3, stationary=stationary)
    a, b = (cost_of(product, core=c) for c in (plain, shared))
    assert a.by_component() == b.by_component()
    assert a.by_component("seconds") == b.by_component("seconds")


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        (
            {"vectors": 0},
            ValueError,
            r"OpticalCore.costs.vectors = 0 is not an integer of 1 \.\.\.",
        ),
        (
            {"accumulation": 1.5},
            TypeError,
            "OpticalCore.costs.accumulation = 1.5 is not an integer",
        ),
        ({"streamed": 1}, TypeError, "OpticalCore.costs.streamed = 1 is not True or False"),
        ({"cores": 4, "readout_sharing": 3}, ValueError, "does not divide its 4 cores"),
        ({"operand_buffer_bytes": 0}, ValueError, "operand_buffer_bytes = 0 is not a"),
        ({"memories": [Memory("a", 1.0)]}, TypeError, "not a tuple of Memory"),
        ({"amplifier_energy_j": -1.0}, ValueError, "OpticalCore.costs.amplifier_energy_j = -1.0"),
        ({"cores": 0}, ValueError, "OpticalCore.costs.cores = 0 is not an integer of"),
    ],
)
def test_impossible_machines_are_refused(kwargs, error, message):
    with pytest.raises(error, match=message):
        SharedCosts(**kwargs)
    with pytest.raises(ValueError, match=r"Memory.energy_j_per_byte = -1.0 is not a number"):
        Memory("a", -1.0)
