"""Claim 4: light and what stays digital add up; fewer bits take less; what moves a case most."""

from __future__ import annotations

import pytest

import photonjax as pj
from photonjax.models import prefill_workload

CORE = pj.cost.UncertainMachine.named("display-1024")


def test_light_and_rest_add_up_to_the_estimate_of_both(load):
    module = load("experiments.claims.energy")
    workload = pj.cost.group_sites(prefill_workload("smollm2-135m", tokens=256))
    core, accelerator = pj.machines.optical("display-1024"), pj.machines.digital("b200")
    row = module.energies({"p": workload}, {"b200": "int8"})(core, accelerator)["p"]
    cost = pj.cost.estimate(workload, core, digital=accelerator, dtype="bfloat16")
    assert row["b200 light"] + row["b200 rest"] == pytest.approx(cost.joules)
    base = pj.cost.estimate(workload, accelerator, dtype=module.weights_in("int8"))
    assert row["b200"] == pytest.approx(base.joules)
    found = module.ratios(row, "b200")
    assert found["advantage"] < found["ceiling"]


def test_what_moves_the_likeliest_case_is_found(load):
    workload = pj.cost.group_sites(prefill_workload("smollm2-135m", tokens=256))
    case = {"against": "h100-sxm int8", "bits": 8}
    moved = load("experiments.claims.energy").decisive(workload, case, CORE, most=3)
    numbers = [m["number"].split(": ")[1] for m in moved]
    assert numbers[0] == "costs.load_time_s"  # 256 tokens a load of 1e6 symbols
    assert moved[0]["at_low"] > moved[0]["at_high"]


def test_fewer_bits_take_less_light_and_less_of_the_converters(load):
    eight, four = (load("experiments.claims.energy").at_bits(CORE, b) for b in (8, 4))
    assert eight.machine == pj.machines.optical("display-1024")
    assert four.machine.photons == pytest.approx(eight.machine.photons * 10**-2.408)
    assert four.machine.costs.adc_energy_j == pytest.approx(eight.machine.costs.adc_energy_j / 16)
    dac = four.machine.costs.dac_energy_j / eight.machine.costs.dac_energy_j
    assert dac == pytest.approx(2.0**-4 * 8 / 4)
    number = four.ranges["photons"]
    assert number.low < number.value < number.high
    assert number.value == four.machine.photons
