"""The audit of claims: verdicts follow from numbers, numbers from closed forms where there are any."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math

import numpy as np
import pytest

import photonjax as pj
from experiments.claims import run
from experiments.claims.config import Claims
from photonjax.core import set_fields
from photonjax.models import DecoderConfig, decode_workload, prefill_workload
from photonjax.workload import MatmulSite, Workload

TINY = DecoderConfig(
    vocab_size=64, hidden_size=32, intermediate_size=96, num_layers=3, num_heads=4, num_kv_heads=2
)
SMALL = [
    "models=[smollm2-135m]",
    "contexts=[128,512]",
    "intensity.accelerators=[h100-sxm]",
    "intensity.prompts=[1,64,1024]",
    "context.models=[smollm2-135m]",
    "context.contexts=[128,512]",
    "array.sizes=[16,64]",
    "energy.samples=16",
    "energy.tokens_together=[1]",
    "fleet.model=smollm2-135m",
    "fleet.batches=[1]",
    "fleet.samples=50",
    "rack.cores=[1]",
    "rack.servers=[1]",
    "rack.samples=16",
    "photons_run=null",
    "precision.run=nowhere",
]


@pytest.fixture
def load(ours):
    return importlib.import_module


@pytest.fixture
def claims(in_process, tmp_path):
    """Run experiments.claims on small sizes in this process; later overrides win."""
    settings = [f"results_dir={tmp_path}", "run=a", *SMALL]
    return lambda *o: in_process("claims", Claims, run.claims, settings, *o)


def test_an_interrupted_run_goes_on(load, resumes, harness, tmp_path):
    settings = [*SMALL, f"results_dir={tmp_path}", "which=[2,6]"]
    first = resumes(
        run,
        run.claims,
        lambda name: harness.load_config("claims", Claims, [*settings, f"run={name}"]),
    )
    assert first == ["claim 2"]


# Claim 1 -----------------------------------------------------------------------------------------


def test_two_traces_give_the_intensity_at_any_batch(load, monkeypatch):
    module = load("experiments.claims.intensity")
    parts = module.decode(TINY, 40)
    workload = decode_workload(TINY, context=40, batch=7)
    direct = 2 * workload.macs / module.traffic_bytes(workload)
    assert module.intensity(parts, 7) == pytest.approx(direct, rel=1e-12)
    level = 0.5 * parts[0] / parts[2]
    assert module.intensity(parts, module.batch_at(parts, level)) == pytest.approx(level)


def test_bytes_are_those_of_the_cost(load):
    """An accelerator that is bandwidth-bound everywhere takes just these bytes over its bandwidth."""
    workload = dataclasses.replace(prefill_workload(TINY, tokens=16), operations=[])
    accelerator = pj.machines.digital("h100-sxm")
    slow = dataclasses.replace(accelerator, bandwidth_bytes_per_s=1e3)
    size = load("experiments.claims.intensity").traffic_bytes(workload)
    assert pj.cost.estimate(workload, slow).seconds == pytest.approx(size / 1e3)


@pytest.mark.parametrize(
    ("prefill", "decode", "batch", "verdict"),
    [
        (300.0, 1.0, 200.0, "holds if ..."),
        (300.0, 1.0, None, "holds"),
        (90.0, 1.0, 200.0, "does not hold"),
        (300.0, 150.0, 0.9, "does not hold"),
    ],
)
def test_verdict_on_intensity(load, prefill, decode, batch, verdict):
    case = {"model": "m", "accelerator": "c", "context": 10}
    steps = [{"prefill_intensity": prefill, "decode_intensity_batch_1": decode, "ridge": 100.0}]
    starts, ends = [{**case, "prompt": 33.0}], [{**case, "batch": batch}]
    found, because = load("experiments.claims.intensity").judge(steps, starts, ends)
    assert found == verdict
    assert "33" in because


# Claim 2 -----------------------------------------------------------------------------------------


def test_where_attention_overtakes_follows_from_the_models_sizes(load):
    """MACs a token: P of the layers, L heads head_dim layers of attention; blocks compute a bit more."""
    module = load("experiments.claims.context")
    rows = []
    for context in (1024, 4096, 16384):
        workload = prefill_workload("smollm2-135m", tokens=context)
        linears = sum(s.macs for s in workload.matmuls if s.stationary)
        macs = {"linear_macs": linears, "attention_macs": workload.macs - linears}
        row = {"model": "m", "value": context, "macs": workload.macs, "seconds": 1.0, **macs}
        rows.append(row)
    found = module.summary(rows, "m", [1024, 16384], 1.9)
    layers = 30 * (576 * 64 * (9 + 3 + 3 + 9) + 3 * 576 * 1536)
    expected = layers / (30 * 9 * 64)
    assert found["attention_overtakes_at"] == pytest.approx(expected, rel=0.15)
    assert found["attention_overtakes_at"] < expected
    assert found["quadratic_from"] == pytest.approx(9 * found["attention_overtakes_at"])


@pytest.mark.parametrize(
    ("exponent", "start", "verdict"),
    [
        (1.95, 10.0, "holds"),
        (1.4, 900.0, "holds if ..."),
        (1.4, 1100.0, "does not hold"),
        (1.0, None, "does not hold"),
    ],
)
def test_verdict_on_context(load, exponent, start, verdict):
    found = {
        "model": "m",
        "exponent_macs": exponent,
        "local_exponent_at_most": exponent,
        "attention_overtakes_at": start and start / 9,
        "quadratic_from": start,
    }
    assert load("experiments.claims.context").judge([found], 1000, 1.9)[0] == verdict


# Claim 3 -----------------------------------------------------------------------------------------


def test_light_of_signed_operands_goes_as_n_squared_and_of_one_sign_as_n(load):
    array, light = load("experiments.claims.array"), load("experiments.claims.light").need(None)
    base = pj.machines.optical("display-1024")
    sizes = [64, 256, 1024]
    for photons, power in ((light.signed, 2.0), (light.one_sign, 1.0)):
        energy = []
        for n in sizes:
            core = set_fields(base, {"rows": n, "cols": n, "photons": photons(n)})
            energy.append(array.per_cycle(core, 1000)["light"][0])
        assert np.log(energy[2] / energy[0]) / np.log(16) == pytest.approx(power)


def test_scopes_add_up_to_the_cost(load):
    core = pj.machines.optical("display-1024")
    scopes = load("experiments.claims.array").per_cycle(core, 5000)
    site = MatmulSite("a", 1, 5000, 1024, 1024, 1, "int8", True)
    cost = pj.cost.estimate(Workload([site], []), core)
    joules = [j for j, _ in scopes.values()]
    assert joules == sorted(joules)
    assert joules[-1] * 5000 == pytest.approx(cost.joules)
    assert scopes["light"][1] == pytest.approx(1e-9)  # one product a cycle
    assert scopes["with loading"][1] * 5000 == pytest.approx(cost.seconds)


def test_light_needed_by_the_closed_form_and_by_a_measured_run(load):
    module = load("experiments.claims.light")
    found = module.need(None)
    assert found.used == pytest.approx(10**4.3 * (2 / math.pi) ** 2)
    assert found.signed(64) == found.signed(4096)
    assert "not measured" in found.source
    row = {
        "target_percent": 1,
        "photons_per_multiply": 800.0,
        "photons_full_scale": 6e4,
        "family": "sub-array",
        "rung": "all",
        "shot_snr_db": 40.0,
    }
    slope = {"study": "sub-arrays, all sites, at +1 %", "exponent": -0.5}
    found = load("experiments.photons.results").need_of(
        {"thresholds": [row], "slopes": [slope]}, "here"
    )
    assert found.signed(4096) == pytest.approx(6e4 / 2)
    assert found.one_sign(1024) == pytest.approx(6e4 / 800 * 1e4 / 1024)


@pytest.mark.parametrize(
    ("until", "verdict"),
    [(4096, "holds"), (2048, "holds if ..."), (64, "does not hold"), (None, "does not hold")],
)
def test_verdict_on_array_size(load, until, verdict):
    module = load("experiments.claims.array")
    found = [
        {
            "operands": operands,
            "scope": scope,
            "energy_exponent": 1.5,
            "compute_exponent": 2.0,
            "linear_until": until,
        }
        for operands in ("signed", "one sign")
        for scope in module.SCOPES
    ]
    assert module.judge(found, 4096, 1024, 37.0)[0] == verdict


# Claim 4 -----------------------------------------------------------------------------------------


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
    moved = load("experiments.claims.energy").decisive(workload, case, "display-1024", most=3)
    numbers = [m["number"].split(": ")[1] for m in moved]
    assert numbers[0] == "costs.load_time_s"  # 256 tokens a load of 1e6 symbols
    assert moved[0]["at_low"] > moved[0]["at_high"]


def test_fewer_bits_take_less_light_and_less_of_the_converters(load):
    eight, four = (load("experiments.claims.energy").machine("display-1024", b) for b in (8, 4))
    assert eight.machine == pj.machines.optical("display-1024")
    assert four.machine.photons == pytest.approx(eight.machine.photons * 10**-2.408)
    assert four.machine.costs.adc_energy_j == pytest.approx(eight.machine.costs.adc_energy_j / 16)
    dac = four.machine.costs.dac_energy_j / eight.machine.costs.dac_energy_j
    assert dac == pytest.approx(2.0**-4 * 8 / 4)
    number = four.ranges["photons"]
    assert number.low < number.value < number.high
    assert number.value == four.machine.photons


def test_verdict_on_shares(load):
    by = load("experiments.claims.verdict").by_fractions
    assert by([0.9, 1.0], 0.9) == "holds"
    assert by([0.05, 0.95], 0.9) == "holds if ..."
    assert by([0.05, 0.1], 0.9) == "does not hold"
    assert by([0.0, 0.5], 0.9) == "cannot be decided from published numbers"


def test_a_word_that_is_no_verdict_is_refused(load):
    with pytest.raises(ValueError, match="perhaps"):
        load("experiments.claims.verdict").Verdict(9, "", "", "", "perhaps", "", {}, [], [], None)


# Claims 5 to 8 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("int8", "int4", "verdict"),
    [
        (0.5, 0.9, "holds"),
        (0.5, 3.0, "holds if ..."),
        (2.0, 30.0, "holds if ..."),
        (6.0, 30.0, "does not hold"),
    ],
)
def test_verdict_on_precision(load, int8, int4, verdict):
    rows = [
        {"model": "a", "precision": p, "recipe": r, "rise_percent": rise}
        for p, r, rise in (("INT8", "x", int8), ("INT4", "bad", 900.0), ("INT4", "good", int4))
    ]
    assert load("experiments.claims.precision").judge(rows, 1.0, 5.0)[0] == verdict


def test_published_rises_and_a_measured_run(load, tmp_path):
    module = load("experiments.claims.precision")
    rise = {(r["model"], r["recipe"]): r["rise_percent"] for r in module.published_rows()}
    assert rise["llama2_7b", "w8a8"] == pytest.approx(100 * (5.515 / 5.474 - 1))
    cores = [{"core": "int8-no-adc", "perplexity_change_percent": 3.5}]
    (tmp_path / "metrics.json").write_text(json.dumps({"cores": cores}))
    (tmp_path / "config.yaml").write_text("model: {label: small}")
    run = str(tmp_path)
    (row,) = module.measured_rows(run, {"INT8": "int8-no-adc"})
    assert (row["rise_percent"], row["measured"]) == (3.5, True)
    with pytest.raises(load("experiments.harness").UserError, match="no rung 'int4'"):
        module.measured_rows(run, {"INT4": "int4"})


def test_tokens_that_pay_for_a_load(load):
    """Doubly buffered, waiting is load - T / clock: half of the time at T = load clock / 2."""
    module = load("experiments.claims.loading")
    core = set_fields(pj.machines.optical("display-1024"), {"costs.load_time_s": 1e-5})
    assert module.break_even(core, 0) == pytest.approx(5000, rel=2e-3)
    assert module.break_even(core, 0, 0.0) == pytest.approx(10000, rel=2e-3)
    serial = set_fields(core, {"costs.double_buffered": False})
    assert module.break_even(serial, 0) == pytest.approx(10000, rel=2e-3)
    assert module.break_even(core, 0, most=100) is None


@pytest.mark.parametrize(
    ("needed", "verdict"),
    [(100, "holds"), (5000, "holds if ..."), (50_000, "does not hold"), (None, "does not hold")],
)
def test_verdict_on_loading(load, needed, verdict):
    row = {
        "load": "x",
        "load_time_s": 1.0,
        "double_buffered": True,
        "tokens_half_of_time": needed,
        "tokens_all_hidden": needed,
    }
    assert load("experiments.claims.loading").judge([row], [200, 10_000], 1e9)[0] == verdict


def test_power_of_a_server_is_that_of_its_parts(load):
    rack = load("experiments.claims.rack")
    core = pj.machines.optical("display-1024")
    costs = core.costs
    laser = 1024**2 * 4 * core.photons * 1.2815e-19 / 0.8 * 10**0.6 / 0.2 * core.symbol_rate_hz
    one = rack.components(core)
    assert one[0]["laser"] / one[1] == pytest.approx(laser, rel=1e-3)
    eight = set_fields(core, {"costs.cores": 8})
    variable = rack.power_w(core) - costs.static_power_w
    assert rack.power_w(eight) == pytest.approx(8 * variable + costs.static_power_w, rel=1e-6)


def test_a_fleet_of_todays_accelerators(load):
    """4 million accelerators of 700 W with a server's overhead of 1.82, a thousandfold: 5,096 GW."""
    fleet = load("experiments.claims.fleet")
    numbers = {
        "base_h100": 4e6,
        "accelerator_overhead": 1.82,
        "pue": 1.0,
        "gain_per_watt": 1.0,
        "dollars_per_watt": 50.0,
    }
    found = fleet.reconstruct(numbers, 1000.0, 700.0)
    assert found["watts"] == pytest.approx(5.096e12)
    assert found["dollars"] == pytest.approx(50 * 5.096e12)


def test_every_published_number_has_a_source_and_a_sound_range(load):
    verdict = load("experiments.claims.verdict")
    for section in ("claims", "light", "fleet", "rack"):
        for name, number in verdict.published(section).items():
            assert len(number.source) >= 4, name
    assert all("source" in t for t in verdict.published("requests").values())


# The whole ---------------------------------------------------------------------------------------


def test_the_audit_writes_everything_and_says_each_verdict(claims, tmp_path):
    done = claims()
    assert done.status == 0, done.err
    path = tmp_path / "claims" / "a"
    names = {p.name for p in path.iterdir()}
    metrics = json.loads((path / "metrics.json").read_text())
    assert len(metrics["claims"]) == 8
    for name, found in metrics["claims"].items():
        assert {f"{name}.csv", f"{name}.png"} <= names
        assert found["because"]
    assert {"report.txt", "verdicts.csv", "config.yaml", "versions.json"} <= names
    report = (path / "report.txt").read_text()
    begins = [line.split(".")[0] for line in report.splitlines() if line[:1].isdigit()]
    assert {str(n) for n in range(1, 9)} <= set(begins)
    assert "not measured in this run (there is no finished run 'nowhere')" in " ".join(
        report.split()
    )


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("which=[9]", "which[0]: 9 is not an integer of 1 ... 8"),
        ("models=[llama-9]", "llama-9"),
        ("machine=ideal", "machine:"),
        ("energy.samples=0", "energy.samples"),
        ("contexts=[0]", "contexts[0]: 0"),
        ("sure=2", "sure"),
        ("energy.bits=[5]", "energy.bits"),
        ("array.slack=wide", "array.slack"),
        ("rack.beside=h1000", "h1000"),
    ],
)
def test_errors_are_one_line_that_names_the_setting(claims, override, named):
    which = () if override.startswith("which") else ("which=[3,5]",)
    error = claims(override, *which).error
    assert error.startswith("error:")
    assert named in error
    assert "\n" not in error
