"""Machines put together from parts: parts by hand, powers against costs."""

import dataclasses

import jax
import pytest

from photonjax.cost import estimate
from photonjax.machines import Number
from photonjax.machines.optical import albireo as of_albireo
from photonjax.machines.optical import lightening_transformer as of_lightening_transformer
from photonjax.machines.optical.albireo import albireo
from photonjax.machines.optical.lightening_transformer import lightening_transformer
from photonjax.workload import MatmulSite, Workload


def cost_of(machine, M, K, N, stationary=False):
    site = MatmulSite("w", 1, M, K, N, 1, "int4", stationary)
    return estimate(Workload([site], []), machine.core(), where=lambda s: True)


def test_lightening_transformer_parts_by_hand():
    counts = {p.name: p.count for p in lightening_transformer().parts}
    # 8 cores modulate 12 rows of 12 wavelengths each; 2 sets of 12 columns serve 4 tiles
    assert counts["dac"] == counts["modulator"] == 12 * 12 * 8 + 12 * 12 * 2 == 1440
    assert counts["ring"] == 2 * 1440
    assert counts["detector"] == 2 * 144 * 8
    assert counts["adc"] == counts["amplifier"] == 144 * 4  # one per output of a tile
    assert counts["laser"] == 8 and counts["comb"] == 6


def test_lightening_transformer_laser_by_hand():
    # -25 dBm at each of 144 nodes; modulator 1.2, rings 2 x 0.93, tree 4 x 0.1, node 0.1 + 0.33 + 0.33 dB
    loss_db = 1.2 + 1.86 + 0.4 + 0.76
    core_w = 1e-3 * 10**-2.5 * 10 ** (loss_db / 10) * 144 / 0.2
    for bits in (4, 8):
        machine = lightening_transformer(bits)
        assert machine.part("laser").power_w == pytest.approx(core_w * 2**bits)
        # light of one node and symbol, in photons of 0.8 eV, over 12 terms
        photons = 1e-3 * 10**-2.5 * 2**bits * 0.2e-9 / 1.2816e-19 / 12
        assert machine.bare.photons == pytest.approx(photons, rel=1e-4)


@pytest.mark.parametrize("bits", [1, 9, 4.5, None])
def test_bits_its_converters_do_not_reach_are_refused(bits):
    with pytest.raises(ValueError, match=r"bits = .* is not an integer of 2 \.\.\. 8"):
        lightening_transformer(bits)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_full_machine_draws_its_power_split(bits):
    machine = lightening_transformer(bits)
    cost = cost_of(machine, 48, 72, 48)  # 16 blocks of 6 k-tiles over 8 cores
    assert cost.seconds == pytest.approx(16 * 6 / 8 / 5e9)
    watts = {name: j / cost.seconds for name, j in cost.by_component().items()}
    split = machine.power_split()
    for component, group in (
        ("laser", "laser"),
        ("dac", "dac"),
        ("modulator", "mzm"),
        ("receiver", "photodetector"),
    ):
        assert watts[component] == pytest.approx(split[group]), component
    # three symbols share an amplifier's and a converter's use
    assert watts["amplifier"] == pytest.approx(split["tia"] / 3)
    assert watts["adc"] == pytest.approx(split["adc"] / 3)


def test_one_symbol_of_lightening_transformer_by_hand():
    machine = lightening_transformer(4)
    joules = cost_of(machine, 12, 12, 12, stationary=True).by_component()
    symbol = 0.2e-9
    half_bytes = 144 / 4 + 144  # inputs lit for four tiles; weights for one core
    assert joules["dac"] == pytest.approx(half_bytes * machine.part("dac").power_w * symbol)
    assert joules["modulator"] == pytest.approx(half_bytes * (450e-15 + 2 * 0.275e-3 * symbol))
    assert joules["receiver"] == pytest.approx(144 * 2 * 1.1e-3 * symbol)
    assert joules["amplifier"] == pytest.approx(144 * 3e-3 * symbol)
    assert joules["adc"] == pytest.approx(144 * 14.8e-3 / 4 * symbol)
    # per two bytes; every number is half a byte
    assert joules["weight memory"] == pytest.approx(144 * 62.4e-12 / 4)
    assert joules["memory: register"] == pytest.approx((2 * half_bytes + 2 * 144) * 0.073e-12 / 4)
    assert joules["memory: network"] == pytest.approx(144 * 2.0e-12 / 4)
    assert joules["memory: local buffer"] == pytest.approx((2 * half_bytes + 144) * 0.92e-12 / 4)
    assert joules["memory: global buffer"] == pytest.approx(
        (half_bytes + 144 + 144) * 1.655e-12 / 4
    )


def test_albireo_parts_by_hand():
    machine = albireo()
    counts = {p.name: p.count for p in machine.parts}
    # 9 groups x 3 units x 9 rows; 63 inputs; 5 columns in each row, 45 outputs
    assert counts["dac"] == counts["modulator"] == 243 + 63
    assert counts["ring pair"] == 2 * 1215 and counts["laser"] == 1215
    assert counts["adc"] == counts["amplifier"] == 45
    # as a matrix multiplier: 2 vectors of 27 terms on 9 outputs, each symbol
    cost = cost_of(machine, 2 * 50, 27, 9)
    assert cost.seconds == pytest.approx(50 * 0.2e-9)
    watts = {name: j / cost.seconds for name, j in cost.by_component().items()}
    split = machine.power_split()
    always = sum(split[g] for g in ("mrr", "input mrr", "mzm", "laser"))
    assert watts["static"] == pytest.approx(always)
    assert watts["dac"] == pytest.approx(split["dac"] * (2 * 27 + 243) / 306)
    assert watts["adc"] == pytest.approx(split["adc"] * 18 / 45)


@pytest.mark.parametrize("build", [lightening_transformer, albireo])
def test_power_and_cost_follow_from_the_parts(build):
    machine = build()
    slopes = jax.grad(lambda m: m.power_w)(machine)
    assert [p.power_w for p in slopes.parts] == [p.count for p in machine.parts]
    site = MatmulSite("w", 1, 24, 160, 36, 2, "int4", True)
    joules = lambda m: estimate(Workload([site], []), m.core(), where=lambda s: True).joules
    slopes = jax.grad(joules)(machine)
    exact = joules(machine)
    for i, part in enumerate(machine.parts):
        double = dataclasses.replace(part, power_w=2 * part.power_w)
        parts = (*machine.parts[:i], double, *machine.parts[i + 1 :])
        more = joules(dataclasses.replace(machine, parts=parts)) - exact
        slope = float(slopes.parts[i].power_w) * part.power_w
        assert slope == pytest.approx(more, rel=1e-4, abs=1e-9 * exact), part.name
        assert (more > 0) == bool(part.charged), part.name


@pytest.mark.parametrize(
    ("numbers", "build"),
    [(of_lightening_transformer.NUMBERS, lightening_transformer), (of_albireo.NUMBERS, albireo)],
    ids=["lightening-transformer", "albireo"],
)
def test_every_number_has_a_source_and_a_use(numbers, build, monkeypatch):
    def figures():
        machine = build()
        return machine.power_split(), machine.area_m2, machine.core()

    before = figures()
    for key, number in numbers.items():
        assert number.source and isinstance(number.unit, str), key
        for factor in (100, 2):  # the larger step may leave a field's limits
            with monkeypatch.context() as patch:
                patch.setitem(numbers, key, Number(factor * number.value, "", "a test"))
                try:
                    after = figures()
                except ValueError:
                    continue
            break
        assert after != before, f"{key} decides nothing"
