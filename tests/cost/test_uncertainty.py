"""Distributions, elasticities and swings against closed forms."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from photonjax import machines
from photonjax.core import OpticalCore, get_field, set_fields
from photonjax.cost import (
    Baseline,
    UncertainMachine,
    compare,
    elasticities,
    estimate,
    monte_carlo,
    quantiles,
    rescale_converters,
    swings,
)
from photonjax.machines import Number
from photonjax.workload import MatmulSite, Operation, Workload

WORKLOAD = Workload(
    [
        MatmulSite("layers/*/up", 1, 4096, 3000, 5000, 7, "bfloat16", True),
        MatmulSite("layers/attn/scores", 8, 4096, 64, 4096, 7, "bfloat16", False),
    ],
    [Operation("transcendental", "exp", 10**9, 10**10, 3)],
)


def machine(**ranges):
    """A core whose energies have these ranges, with the geometric mean as value."""
    core = machines.optical("display-1024")
    numbers = {
        field: Number(math.sqrt(low * high), "J", "a test", low, high)
        for field, (low, high) in ranges.items()
    }
    core = set_fields(core, {field: n.value for field, n in numbers.items()})
    return UncertainMachine("core", core, numbers)


def test_quantiles_of_one_log_uniform_number():
    u = machine(**{"costs.dac_energy_j": (1e-12, 1e-10)})
    found = monte_carlo(lambda c: 3.0 * c.costs.dac_energy_j, u, samples=400)
    for q in (0.05, 0.5, 0.9):  # low (high / low)**q
        expected = 3e-12 * 100**q
        assert quantiles(found, [q])[f"p{100 * q:g}"] == pytest.approx(expected, rel=0.015)


def test_quantiles_of_a_product_of_two():
    # Sum of two uniform logarithms of equal width is triangular: quantile sqrt(2 q) of it below the middle.
    u = machine(**{"costs.dac_energy_j": (1e-12, 1e-11), "costs.adc_energy_j": (1e-12, 1e-11)})
    ratio = lambda c: (c.costs.dac_energy_j / 1e-12) * (c.costs.adc_energy_j / 1e-12)
    found = np.log10(np.asarray(monte_carlo(ratio, u, samples=4000)))
    for q, expected in ((0.05, math.sqrt(0.1)), (0.5, 1.0), (0.95, 2 - math.sqrt(0.1))):
        assert np.quantile(found, q) == pytest.approx(expected, abs=0.03)


def test_decibels_and_ranges_from_zero_are_drawn_evenly():
    core = machines.optical("display-1024")
    ranges = {
        "costs.link_loss_db": Number(6.0, "dB", "a test", 3.0, 15.0),
        "costs.laser_idle_fraction": Number(1.0, "", "a test", 0.0, 1.0),
    }
    draws = monte_carlo(
        lambda c: (c.costs.link_loss_db, c.costs.laser_idle_fraction),
        UncertainMachine("core", core, ranges),
        samples=1000,
    )
    assert quantiles(draws[0], [0.25])["p25"] == pytest.approx(6.0, abs=0.05)
    assert quantiles(draws[1], [0.25])["p25"] == pytest.approx(0.25, abs=0.01)


def test_draws_repeat_and_seeds_differ():
    u = UncertainMachine.named("h100-sxm")
    f = lambda c: c.utilisation
    a, b, c = (monte_carlo(f, u, samples=50, seed=s) for s in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    fixed = UncertainMachine.named("h100-sxm", fixed=["utilisation"])
    assert set(np.asarray(monte_carlo(f, fixed, samples=50)).tolist()) == {0.5}
    with pytest.raises(ValueError, match=r"samples = 0 is not an integer of 1 \.\.\. 1,000,000"):
        monte_carlo(f, u, samples=0)
    with pytest.raises(
        ValueError, match=r"samples = 100000000000 is not an integer of 1 \.\.\. 1,000,000"
    ):
        monte_carlo(f, u, samples=10**11)
    with pytest.raises(ValueError, match=r"seed = -1 is not an integer of 0 \.\.\."):
        monte_carlo(f, u, seed=-1)


def ratio(core, accelerator):
    light = estimate(WORKLOAD, core, where=lambda s: True, digital=accelerator)
    return light.joules / estimate(WORKLOAD, accelerator).joules


def test_mapped_draws_equal_a_loop():
    core, accelerator = UncertainMachine.named("display-1024"), UncertainMachine.named("h100-sxm")
    record = lambda core, accelerator: (core, accelerator, ratio(core, accelerator))
    cores, accelerators, mapped = monte_carlo(record, core, accelerator, samples=8)
    for i in range(8):
        one = ratio(*jax.tree.map(lambda leaf, i=i: float(leaf[i]), (cores, accelerators)))
        assert float(mapped[i]) == pytest.approx(one, rel=1e-4)


def test_mapped_cores_equal_a_loop():
    cores = [
        dataclasses.replace(machines.optical("display-1024"), photons=p, symbol_rate_hz=r)
        for p, r in ((1e3, 1e9), (1e4, 2e9), (1e5, 5e8))
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.asarray(leaves), *cores)
    costs = jax.vmap(lambda core: estimate(WORKLOAD, core))(stacked)
    for i, core in enumerate(cores):
        exact = estimate(WORKLOAD, core)
        assert float(costs.joules[i]) == pytest.approx(exact.joules, rel=1e-5)
        assert float(costs.seconds[i]) == pytest.approx(exact.seconds, rel=1e-5)


@pytest.mark.parametrize("name", ["display-1024", "lightening-transformer"])
def test_elasticities_equal_finite_differences(name):
    core, accelerator = UncertainMachine.named(name), UncertainMachine.named("h100-sxm")
    found = elasticities(ratio, core, accelerator)
    assert all(math.isfinite(e) for e in found.values())
    assert list(map(abs, found.values())) == sorted(map(abs, found.values()), reverse=True)
    checked = 0
    for full, slope in found.items():
        owner, field = full.split("/")
        u = core if owner == name else accelerator
        if ".memories." in field:  # inside a tuple; the gradient test covers it
            continue
        value, h = get_field(u.machine, field), 1e-4

        def at(factor, u=u, field=field, value=value):
            # by the pytree, which does not check limits
            leaves, tree = jax.tree_util.tree_flatten_with_path(u.machine)
            names = [
                ".".join(str(getattr(k, "name", getattr(k, "key", k))) for k in p)
                for p, _ in leaves
            ]
            new = [v * factor if n == field else v for n, (_, v) in zip(names, leaves, strict=True)]
            changed = jax.tree_util.tree_unflatten(tree, new)
            return (
                ratio(changed, accelerator.machine) if u is core else ratio(core.machine, changed)
            )

        numeric = (math.log(at(1 + h)) - math.log(at(1 - h))) / (2 * h)
        assert slope == pytest.approx(numeric, abs=2e-4), full
        checked += numeric != 0
    assert checked > 8


def test_elasticities_of_powers_are_their_exponents():
    u = UncertainMachine.named("display-1024")
    found = elasticities(lambda c: c.photons**3 / c.costs.load_time_s**0.5, u)
    assert found.pop("display-1024/photons") == pytest.approx(3.0, rel=1e-5)
    assert found.pop("display-1024/costs.load_time_s") == pytest.approx(-0.5, rel=1e-5)
    assert set(found.values()) == {0.0}


def test_swings_are_the_ends_of_one_range_at_a_time():
    u = machine(**{"costs.dac_energy_j": (1e-12, 4e-12), "costs.adc_energy_j": (1e-12, 1e-10)})
    found = swings(lambda c: c.costs.dac_energy_j + c.costs.adc_energy_j, u)
    assert [s.field for s in found] == ["costs.adc_energy_j", "costs.dac_energy_j"]
    assert (found[1].at_low, found[1].at_high) == (pytest.approx(1.1e-11), pytest.approx(1.4e-11))


def test_only_continuous_fields_vary():
    ranges = UncertainMachine.named("display-1024").ranges
    assert "costs.load_time_s" in ranges
    assert not {"rows", "cols", "adc.bits", "costs.cores"} & set(ranges)
    assert all(n.low is not None for n in ranges.values())


def test_comparison_shares_an_accelerator_between_both_sides():
    core, accelerator = UncertainMachine.named("display-1024"), UncertainMachine.named("h100-sxm")
    digital_only = lambda site: (
        False
    )  # the core does nothing: the ratio is that of static power only
    core = dataclasses.replace(
        core, machine=set_fields(core.machine, {"costs.static_power_w": 0.0}), ranges={}
    )
    found = compare(
        WORKLOAD,
        core,
        [Baseline("h100", accelerator)],
        digital=accelerator,
        where=digital_only,
        samples=64,
    )
    for r in found.ratios["h100"]["energy"], found.ratios["h100"]["time"]:
        assert all(v == pytest.approx(1.0, rel=1e-5) for v in r.values())


def test_comparison_adds_up_and_reads():
    core, accelerator = UncertainMachine.named("display-1024"), UncertainMachine.named("h100-sxm")
    reference = UncertainMachine.named("300-fJ-per-MAC")
    baselines = [
        Baseline("h100", accelerator),
        Baseline("h100 int8", accelerator, "int8"),
        Baseline("floor", reference),
    ]
    found = compare(
        WORKLOAD, core, baselines, digital=accelerator, tokens=4096, title="a test", samples=256
    )
    light, base = found.costs["display-1024"], found.costs["h100"]
    assert found.ratios["h100"]["energy"]["value"] == pytest.approx(light.joules / base.joules)
    assert found.ratios["h100"]["time"]["value"] == pytest.approx(light.seconds / base.seconds)
    assert set(found.ratios["floor"]) == {"energy"}
    assert found.utilisation["h100"] == pytest.approx(0.5, rel=0.02)
    for row in found.ratios.values():
        for r in row.values():
            assert r["p5"] <= r["p50"] <= r["p95"]
    text = str(found)
    assert text.startswith("a test: 4,096 tokens") and "elasticity" in text
    assert "814 mm2" in text and "not published" in text
    data = found.to_dict()
    assert data["numbers"]["display-1024"]["photons"]["high"] == 1e6
    assert data["numbers"]["display-1024"]["photons"]["assumed"] is True
    assert data["versions"]["jax"] == jax.__version__
    parts = compare(
        WORKLOAD, UncertainMachine.named("albireo"), [Baseline("floor", reference)], samples=2
    )
    table = parts.to_dict()["numbers"]["albireo"]
    assert table["rows"]["value"] == 3  # of a part; the core has 27
    with pytest.raises(ValueError, match="baselines is empty"):
        compare(WORKLOAD, core, [])


def test_comparison_plots_costs_and_tornado():
    pytest.importorskip("matplotlib").use("Agg")
    core, accelerator = UncertainMachine.named("display-1024"), UncertainMachine.named("h100-sxm")
    found = compare(
        WORKLOAD, core, [Baseline("h100", accelerator)], digital=accelerator, samples=16
    )
    above, below = found.plot().axes
    assert len(above.patches) >= 5
    first = found.swings[0]
    assert below.get_yticklabels()[0].get_text() == f"{first.machine}: {first.field}"


def test_energies_of_converters_follow_their_bits():
    published = UncertainMachine.named("display-1024")
    same = UncertainMachine.named("display-1024", published.machine.replace(photons=10.0))
    assert same.machine.costs == published.machine.costs and not same.notes
    core = published.machine.replace(**{"input.bits": 4, "adc.bits": 6, "adc.enob": 5.5})
    few = UncertainMachine.named("display-1024", core, fixed=["adc.bits"])
    costs, was = few.machine.costs, published.machine.costs
    assert costs.dac_energy_j == pytest.approx(was.dac_energy_j * (2**4 / 4) / (2**8 / 8))
    assert costs.adc_energy_j == pytest.approx(was.adc_energy_j * 2**-3)
    for field, factor in (("costs.dac_energy_j", 1 / 8), ("costs.adc_energy_j", 1 / 8)):
        for end in ("low", "value", "high"):
            before = getattr(published.ranges[field], end)
            assert getattr(few.ranges[field], end) == pytest.approx(before * factor)
        assert any(note.startswith(f"{field} x 0.125") for note in few.notes)
    untouched = dataclasses.replace(
        costs, dac_energy_j=was.dac_energy_j, adc_energy_j=was.adc_energy_j
    )
    assert untouched == was
    a, b = (estimate(WORKLOAD, u.machine).by_component() for u in (published, few))
    assert b["dac"] == pytest.approx(a["dac"] / 8) and b["adc"] == pytest.approx(a["adc"] / 8)


def test_an_energy_that_was_set_is_not_scaled():
    machine = UncertainMachine.named("display-1024").machine
    core = machine.replace(**{"input.bits": 4, "costs.dac_energy_j": machine.costs.dac_energy_j})
    fixed = UncertainMachine.named("display-1024", core, fixed=["input.bits", "costs.dac_energy_j"])
    assert fixed.machine == core
    own = core.replace(**{"costs.dac_energy_j": 3e-12})
    assert UncertainMachine.named("display-1024", own).machine == own


def test_one_machine_at_two_resolutions_agrees_with_its_own_law():
    """Lightening-Transformer is published at 4 and at 8 bits; both operands are modulated."""
    four, eight = (machines.optical(f"lightening-transformer{n}") for n in ("", "-8bit"))
    bits = {"input.bits": 8, "array.bits": 8}
    finer = rescale_converters(four.replace(**bits), four)
    assert finer.costs.dac_energy_j == pytest.approx(eight.costs.dac_energy_j)
    half = rescale_converters(four.replace(**{"array.bits": 8}), four)  # one kind of DAC for both
    assert half.costs.dac_energy_j == pytest.approx(eight.costs.dac_energy_j)
    sliced = rescale_converters(eight.replace(**{"input.slices": 2, "array.slices": 2}), eight)
    assert sliced.costs.dac_energy_j == pytest.approx(four.costs.dac_energy_j)  # 4 bits a pass
    with pytest.raises(ValueError, match=r"core.costs is None"):
        rescale_converters(OpticalCore(), four)


def test_cells_of_fewer_bits_say_what_does_not_follow():
    core = UncertainMachine.named("display-1024").machine.replace(**{"array.bits": 4})
    found = UncertainMachine.named("display-1024", core)
    assert found.machine == core
    assert found.notes == ("costs.load_energy_j is that of cells of 8 bits, whatever array.bits",)
    accelerator = UncertainMachine.named("h100-sxm")
    compared = compare(WORKLOAD, found, [Baseline("h100", accelerator, "int8")], samples=2)
    assert f"note (display-1024): {found.notes[0]}" in str(compared)
    assert compared.to_dict()["notes"] == {"display-1024": list(found.notes)}
