"""The optical cost against hand counts, scaling laws and gradients."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonjax import machines
from photonjax.core import CoreCosts, OpticalCore
from photonjax.cost import RAILS, estimate
from photonjax.workload import MatmulSite, Operation, Workload, trace_workload


def site(M, K, N, *, batch=1, count=1, stationary=True, path="w"):
    return MatmulSite(path, batch, M, K, N, count, "bfloat16", stationary)


def cost_of(*sites, core, **kwargs):
    return estimate(Workload(list(sites), []), core, **kwargs)


def plain(rows=4, cols=8, **costs):
    """One joule per use and one second per symbol: energies are counts."""
    return OpticalCore(
        rows=rows, cols=cols, encoding="offset", symbol_rate_hz=1.0, costs=CoreCosts(**costs)
    )


# T, K, N, batch, count on a 4 x 8 array -> tiles (kt, nt), symbols, loads; worked out by hand
HAND = [
    ((3, 4, 8, 1, 1), (1, 1), 3, 1),  # exactly one tile, three rows
    ((3, 5, 8, 1, 1), (2, 1), 6, 2),  # one row too many: a second, nearly empty tile
    ((3, 5, 9, 1, 1), (2, 2), 12, 4),  # one column too many as well
    ((7, 12, 16, 1, 5), (3, 2), 210, 30),  # 5 layers x 6 tiles x 7 rows
    ((1, 1, 1, 6, 2), (1, 1), 12, 12),  # 6 heads x 2 layers, each its own load
    ((10, 16, 24, 2, 3), (4, 3), 720, 72),  # 2 x 3 x 12 tiles, 10 rows
]


@pytest.mark.parametrize(("sizes", "tiles", "symbols", "loads"), HAND)
def test_symbols_and_loads_equal_hand_counts(sizes, tiles, symbols, loads):
    T, K, N, batch, count = sizes
    core = plain(dac_energy_j=1.0, adc_energy_j=1.0, load_energy_j=1.0, accumulate_energy_j=1.0)
    cost = cost_of(site(T, K, N, batch=batch, count=count), core=core)
    joules = cost.by_component()
    assert cost.seconds == symbols
    assert joules["dac"] == symbols * 4 and joules["adc"] == symbols * 8
    assert joules["weight write"] == loads * 4 * 8
    c, (kt, nt) = batch * count, tiles
    assert loads == c * kt * nt
    assert joules["partial sums"] == c * T * (N * (kt - 1) + N * kt + K)  # with offset's own


def test_rails_multiply_parts():
    costs = dict(dac_energy_j=1.0, modulator_energy_j=1.0, load_energy_j=1.0, receiver_energy_j=1.0)
    for encoding, (dacs, cells) in {
        "differential": (2, 4),
        "offset": (1, 1),
        "homodyne": (1, 1),
        "quadrature": (1, 1),
    }.items():
        core = dataclasses.replace(plain(**costs), encoding=encoding)
        joules = cost_of(site(3, 4, 8), core=core).by_component()
        assert joules["dac"] == joules["modulator"] == 3 * 4 * dacs
        assert joules["weight write"] == 4 * 8 * cells and joules["receiver"] == 3 * 8
    assert set(RAILS) == {"differential", "offset", "homodyne", "quadrature"}


def test_laser_energy_from_first_principles():
    core = OpticalCore(
        rows=1000,
        cols=100,
        encoding="offset",
        photons=50.0,
        symbol_rate_hz=1e9,
        costs=CoreCosts(
            wavelength_m=1550e-9, quantum_efficiency=0.8, link_loss_db=3.0, wall_plug_efficiency=0.1
        ),
    )
    joules = cost_of(site(20, 1000, 100), core=core).by_component()
    photon = 1.2815e-19  # J at 1550 nm
    expected = 20 * 1000 * 100 * 50 * photon / 0.8 * 10**0.3 / 0.1
    assert joules["laser"] == pytest.approx(expected, rel=1e-4)
    four = cost_of(site(20, 1000, 100), core=core.replace(encoding="differential"))
    assert four.by_component()["laser"] == pytest.approx(4 * expected, rel=1e-4)
    # Every output of a symbol has a local oscillator: of the strength given, or ten times the receiver's
    # variance, 2 (1e-12 A/sqrt(Hz) / e)^2 / 2 / 1e9 Hz.
    per_photon = expected / (1000 * 50)
    for read, strength in (
        (core.replace(encoding={"kind": "quadrature", "oscillator": 7e4}), 7e4),
        (
            core.replace(encoding="quadrature", receiver={"noise_a_per_rthz": 1e-12}),
            10 * (1e-12 / 1.602176634e-19) ** 2 / 1e9,
        ),
        (core.replace(encoding="quadrature"), 0.0),
    ):
        laser = cost_of(site(20, 1000, 100), core=read).by_component()["laser"]
        assert laser == pytest.approx(per_photon * (1000 * 50 + strength), rel=1e-4)


def test_emitters_pay_for_what_they_send_and_for_their_threshold():
    """Both rails at threshold, one of them at the mean input; waiting, the threshold alone."""
    laser = OpticalCore(
        rows=4, cols=8, encoding="differential", photons=50.0, symbol_rate_hz=1.0,
        costs=CoreCosts(load_time_s=8.0, laser_idle_fraction=0.5, mean_input_fraction=0.2),
    )  # fmt: skip
    emitters = laser.replace(source={"threshold_fraction": 0.1})
    a, b = (cost_of(site(5, 4, 16), core=c).by_component() for c in (laser, emitters))
    symbol = 50 * 4 * 4 * 8 * 1.2815e-19
    assert a["laser"] == pytest.approx(symbol * (10 + 0.5 * 6), rel=1e-4) and "emitters" not in a
    assert b["emitters"] == pytest.approx(symbol * (10 * 0.19 + 0.1 * 0.5 * 6), rel=1e-4)
    one_rail = emitters.replace(encoding="offset", costs=CoreCosts(mean_input_fraction=0.5))
    joules = cost_of(site(5, 4, 16), core=one_rail).by_component()["emitters"]
    assert joules == pytest.approx(symbol / 4 * 10 * 0.55, rel=1e-4)

    def energy(threshold):
        core = emitters.replace(source={"threshold_fraction": threshold})
        return cost_of(site(5, 4, 16), core=core).joules

    slope = (energy(0.11) - energy(0.09)) / 0.02
    assert jax.grad(energy)(0.1) == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize(
    ("load_time", "double", "cores", "seconds"),
    [
        (2.0, True, 1, 10.0),  # 2 tiles x 5 symbols of 1 s hide 2 loads of 2 s
        (2.0, False, 1, 14.0),
        (8.0, True, 1, 16.0),  # loading decides
        (8.0, False, 1, 26.0),
        (8.0, True, 2, 8.0),
        (8.0, False, 2, 13.0),
    ],
)
def test_loading_overlaps_or_adds(load_time, double, cores, seconds):
    core = plain(load_time_s=load_time, double_buffered=double, cores=cores)
    cost = cost_of(site(5, 4, 16), core=core)
    assert cost.seconds == seconds
    assert cost.by_component("seconds") == {"compute": 10.0 / cores, "load": seconds - 10.0 / cores}


def amortised(T, *, double):
    """Seconds and joules per token of one site of 6 tiles with weights that cost 3 s and 5 J a tile."""
    core = plain(load_time_s=3.0, load_energy_j=5 / 32, double_buffered=double, dac_energy_j=1.0)
    cost = cost_of(site(T, 8, 24), core=core)
    return cost.seconds / T, cost.joules / T


@pytest.mark.parametrize("double", [True, False])
def test_weight_loading_is_amortised_over_tokens(double):
    for T in (1, 2, 3, 4, 100, 10_000):
        seconds, joules = amortised(T, double=double)
        assert seconds == pytest.approx(6 * (max(1.0, 3 / T) if double else 1 + 3 / T))
        assert joules == pytest.approx(
            6 * 4 + 6 * 5 / T
        )  # 6 symbols of 4 inputs, and its share of 6 loads
    # double buffering hides loading altogether from as many tokens as symbols fit into a load
    assert amortised(3, double=True)[0] == amortised(3000, double=True)[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.floats(0.0, 100.0), st.integers(1, 9))
def test_double_buffering_saves_at_most_half(T, load_time, cores):
    times = [
        cost_of(
            site(T, 12, 40),
            core=plain(load_time_s=load_time, double_buffered=double, cores=cores),
        ).seconds
        for double in (True, False)
    ]
    assert times[0] <= times[1] <= 2 * times[0] * (1 + 1e-12)


def test_more_cores_help_until_every_tile_has_one():
    times = [cost_of(site(50, 12, 40), core=plain(cores=n)).seconds for n in (1, 3, 5, 14, 15, 999)]
    assert times == [15 * 50, 5 * 50, 3 * 50, 2 * 50, 50, 50]  # 3 x 5 tiles


def test_waiting_costs_laser_hold_and_static_power():
    costs = dict(load_time_s=8.0, hold_power_w=1.0, static_power_w=3.0)
    on = dataclasses.replace(plain(**costs, laser_idle_fraction=1.0), photons=1.0)
    off = dataclasses.replace(plain(**costs, laser_idle_fraction=0.0), photons=1.0)
    a, b = (cost_of(site(5, 4, 16), core=c).by_component() for c in (on, off))
    assert a["laser"] / b["laser"] == pytest.approx(16 / 10)
    assert a["static"] == 3.0 * 16 and a["weight hold"] == 4 * 8 * 16


def test_weights_stream_from_memory_and_computed_operands_do_not():
    core = plain(
        weight_memory_energy_j_per_byte=1.0,
        weight_memory_bytes_per_s=0.5,
        activation_energy_j_per_byte=1.0,
    )
    weights = cost_of(site(5, 4, 16), core=core)
    assert weights.by_component()["weight memory"] == 64  # INT8
    assert weights.seconds == 128.0  # 64 bytes at 0.5 B/s outlast 10 symbols
    assert weights.by_component()["activations"] == 5 * (4 * 2 + 16 * 2)
    dynamic = cost_of(site(5, 4, 16, stationary=False), core=core, where=lambda s: True)
    assert "weight memory" not in dynamic.by_component() and dynamic.seconds == 10.0
    assert dynamic.by_component()["activations"] == 5 * (4 * 2 + 16 * 2) + 64


@pytest.mark.parametrize(("bandwidth", "seconds"), [(1e9, 10.0), (14.0, 10.0), (10.0, 14.0)])
def test_activations_and_partial_sums_wait_for_their_memory(bandwidth, seconds):
    costs = dict(activation_bytes_per_s=bandwidth, laser_idle_fraction=1.0)
    core = dataclasses.replace(plain(rows=4, cols=8, **costs), encoding="homodyne", photons=1.0)
    cost = cost_of(site(5, 8, 2), core=core)  # 40 B in, 20 B out, 10 additions of 8 B: 140 B
    assert cost.seconds == seconds
    free = cost_of(site(5, 8, 2), core=core.replace(costs=CoreCosts()))
    laser = cost.by_component()["laser"] / free.by_component()["laser"]
    assert laser == pytest.approx(seconds / 10.0)  # it stays on while the array waits


def test_where_and_the_digital_side():
    inv = Workload(
        [site(64, 64, 64, path="a"), site(64, 64, 64, stationary=False, path="b")],
        [
            Operation("transcendental", "exp", 10**6, 8 * 10**6, 1),
            Operation("layout", "reshape", 9, 9, 1),
        ],
    )
    core, accelerator = machines.optical("display-1024"), machines.digital("h100-sxm")
    alone = estimate(inv, core)
    assert list(alone.by_site()) == ["a"]
    assert any("1 products of 2.621e+05 MACs" in n for n in alone.notes)
    assert any("other operations (transcendental, layout)" in n for n in alone.notes)
    both = estimate(inv, core, digital=accelerator)
    assert list(both.by_site()) == ["a", "b", "(transcendental)"]
    # b hides some of the exponentials: it waits for one matrix of 64 x 64 numbers
    beside = 2 * 64**2 / accelerator.bandwidth_bytes_per_s
    time = 8 * 10**6 / accelerator.vector_ops_per_s - beside
    joules, seconds = both.by_site()["(transcendental)"]
    assert seconds == pytest.approx(time)
    assert joules == pytest.approx(time * (700 + 50))  # the accelerator's power, and the server's
    swapped = estimate(inv, core, where=lambda s: s.path == "b", digital=accelerator, dtype="int8")
    assert [e.where for e in swapped.entries] == ["light", "digital", "digital"]
    assert any("written to the array again" in n and "of 64 rows" in n for n in swapped.notes)
    assert not any("written to the array again" in n for n in both.notes)
    with pytest.raises(ValueError, match="no power_w or ops_per_s"):
        estimate(inv, core, digital=machines.digital("300-fJ-per-MAC"))
    with pytest.raises(ValueError, match=r"OpticalCore\.costs is None"):
        estimate(inv, OpticalCore())


def test_costs_under_jit_and_vmap_and_beyond_32_bits():
    core = machines.optical("display-1024")
    big = site(1 << 20, 1 << 15, 1 << 17, count=1 << 10)
    f = lambda photons: cost_of(big, core=core.replace(photons=photons))
    exact = f(20.0)
    assert float(jax.jit(lambda p: f(p).joules)(20.0)) == pytest.approx(exact.joules, rel=1e-5)
    many = jax.vmap(lambda p: f(p).by_component()["laser"])(jnp.array([20.0, 40.0]))
    np.testing.assert_allclose(many / exact.by_component()["laser"], [1, 2], rtol=1e-5)
    traced = jax.jit(lambda c: cost_of(big, core=c))(
        core.replace(photons=20.0)
    )  # every leaf traced; a CostBreakdown comes back
    assert float(traced.joules) == pytest.approx(exact.joules, rel=1e-4)


def test_ideal_core_costs_nothing_but_time():
    cost = cost_of(site(100, 1024, 1024), core=machines.optical("ideal"))
    assert cost.joules == 0.0 and cost.seconds == pytest.approx(100e-9)
    assert "laser not charged: OpticalCore.photons is None" in cost.notes
    assert "0 pJ" in str(cost)


def test_a_breakdown_reads_as_text_and_json():
    inv = trace_workload(lambda w, x: jnp.exp(x @ w), jnp.ones((2048, 300)), jnp.ones((50, 2048)))
    cost = estimate(inv, machines.optical("display-1024"), digital=machines.digital("h100-sxm"))
    data = json.loads(cost.to_json())
    assert data["joules"] == pytest.approx(cost.joules)
    assert sum(data["joules_by_component"].values()) == pytest.approx(cost.joules)
    assert sum(sum(s["seconds"].values()) for s in data["sites"]) == pytest.approx(cost.seconds)
    text = str(cost * (1 / 50))
    assert text.startswith("optical core: ") and "laser" in text and "note:" in text
    assert not math.isnan(cost.joules)
