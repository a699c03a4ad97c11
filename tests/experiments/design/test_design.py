"""The design of a machine: exact optima are found, the front is one, the surrogate's constants come back."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import photonjax as pj
from photonjax.models import prefill_workload

SMALL = [
    "model.name=smollm2-135m",
    "context=256",
    "tokens_together=1048576",
    "sizes=[256,1024]",
    "bits=[8,10]",
    "floors_percent=[2,10]",
    "prices=[0,1]",
    "quality.photons_run=null",
    "cells=1048576",
    "enob=[8,16]",
    "photons=[1e4,1e7]",
    "grid={photons: 48, clock: 24, enob: 32}",
]


@pytest.fixture
def load(ours):
    return importlib.import_module


@pytest.fixture
def law(load):
    return load("experiments.design.quality").Surrogate(30.0, 20.0, 1e-3, 32.0, 0.01, "made up")


@pytest.fixture
def machine(load, law):
    workload = pj.cost.group_sites(prefill_workload("smollm2-135m", tokens=512, batch=128))
    core, accelerator = pj.machines.optical("display-1024"), pj.machines.digital("h100-sxm")
    return load("experiments.design.machine").Machine.of(
        workload, 512 * 128, core, accelerator, law, 1 << 20, 5e9, 10.0
    )


@pytest.fixture
def box(load):
    return load("experiments.design.search").Box((math.log(1e8), math.log(2e10)), (4.0, 14.0))


@pytest.fixture
def design(load, in_process, tmp_path):
    """Run experiments.design on small sizes in this process; later overrides win."""
    schema, run = load("experiments.design.config"), load("experiments.design.run")
    settings = [*SMALL, f"results_dir={tmp_path}", "run=a"]
    return lambda *overrides: in_process("design", schema.Design, run.design, settings, *overrides)


@pytest.mark.parametrize("start", [-3.0, 0.0, 5.0])
def test_descent_finds_the_clock_that_balances_two_costs(load, start):
    """Energy a + b / f + c f has its minimum at sqrt(b / c): static power against converters."""
    b, c = 5.0, 0.3
    slope = jax.grad(lambda x: jnp.log(1.0 + b * jnp.exp(-x) + c * jnp.exp(x)))
    found = load("experiments.design.search").descend(
        lambda x: float(slope(x)), start, -4.0, 6.0, 1e-4
    )
    assert found == pytest.approx(0.5 * math.log(b / c), abs=1e-4)


def test_descent_stops_at_a_bound(load):
    descend = load("experiments.design.search").descend
    assert descend(lambda x: 1.0, 0.5, 0.0, 1.0, 1e-3) == 0.0
    assert descend(lambda x: -1.0, 0.5, 0.0, 1.0, 1e-3) == 1.0


def test_light_for_a_floor_is_the_inverse_of_the_rise(law):
    for bits, enob, thermal in ((8, 11.0, 0.0), (10, 12.0, 5e4), (9, 13.0, 1e7)):
        photons = law.photons(0.1, bits, enob, thermal)
        assert float(law.rise(photons, bits, enob, thermal)) == pytest.approx(0.1, rel=1e-4)
    assert math.isinf(law.photons(0.02, 8, 14.0, 0.0))  # rounding alone takes 0.03


def test_receiver_noise_in_electrons(law):
    """5 pA/sqrt(Hz) over half of 1 GHz: (5e-12 / e)**2 / 2e9, two detectors, against u rows photons."""
    variance = (5e-12 / 1.602176634e-19) ** 2 / 2e9
    assert law.thermal(1024, 5e-12, 1e9) == pytest.approx(2 * variance / 10.24)
    assert law.thermal(1024, 5e-12, 2e9) == pytest.approx(variance / 10.24)


def test_the_machine_charges_what_the_cost_model_charges(load, machine):
    choice = load("experiments.design.machine").Choice(1024, 8)
    given = (math.log(1e9), machine.base.adc.enob, 1e5)
    core = machine.core(choice, *given)
    assert core.costs.adc_energy_j == pytest.approx(machine.base.costs.adc_energy_j, rel=1e-6)
    assert core.costs.dac_energy_j == pytest.approx(machine.base.costs.dac_energy_j, rel=1e-6)
    workload = pj.cost.group_sites(prefill_workload("smollm2-135m", tokens=512, batch=128))
    accelerator = pj.machines.digital("h100-sxm")
    cost = pj.cost.estimate(workload, machine.base, digital=accelerator, dtype="bfloat16")
    joules, seconds = machine.cost(choice, *given)
    assert float(joules) == pytest.approx(cost.joules / machine.tokens, rel=1e-5)
    assert float(seconds) == pytest.approx(cost.seconds / machine.tokens, rel=1e-5)


def test_a_bit_doubles_an_adc_below_its_corner_and_quadruples_it_above(load, machine):
    choice = load("experiments.design.machine").Choice(1024, 8)

    def adc(enob):
        return machine.core(choice, math.log(1e9), enob, 1e5).costs.adc_energy_j

    assert adc(3.0) / adc(2.0) == pytest.approx(2.0, rel=0.01)
    assert adc(19.0) / adc(18.0) == pytest.approx(4.0, rel=0.01)


def test_converters_follow_their_bits_as_everywhere(load, machine):
    """Far below the corner of ADCs."""
    choice = load("experiments.design.machine").Choice(1024, 4)
    walden = dataclasses.replace(machine, corner_enob=40.0)
    ours = walden.core(choice, math.log(1e9), 6.0, 1e5).costs
    other = machine.base.replace(**{"input.bits": 4, "array.bits": 4, "adc.enob": 6.0})
    theirs = pj.cost.rescale_converters(other, machine.base).costs
    assert ours.dac_energy_j == pytest.approx(theirs.dac_energy_j, rel=1e-6)
    assert ours.adc_energy_j == pytest.approx(theirs.adc_energy_j, rel=1e-6)
    assert theirs.dac_energy_j < machine.base.costs.dac_energy_j / 7.9


def test_gradient_finds_what_a_fine_grid_finds(load, machine, box):
    search, choice = (
        load("experiments.design.search"),
        load("experiments.design.machine").Choice(1024, 9),
    )
    grid, _ = search.by_grid(machine, [choice], box, np.geomspace(1e3, 1e8, 120), (40, 40))
    for price in (0.0, 1.0):
        rows, estimates = search.by_gradient(machine, choice, [0.05], [price], box, 0.01)
        best = search.best_of_grid(grid, 0.05, price)
        assert rows[0]["objective"] <= best["objective"] + 1e-3
        assert rows[0]["objective"] >= best["objective"] - 0.1  # the grid's own step
        assert estimates < 1000 < grid["joules"].size
        light = rows[0]["photons"]
        found = (math.log(rows[0]["clock_hz"]), rows[0]["enob"], light)
        assert float(machine.rise(choice, *found)) == pytest.approx(0.05, rel=1e-3)


def test_no_light_helps_where_rounding_takes_more_than_the_floor(load, machine, box):
    choice = load("experiments.design.machine").Choice(1024, 6)
    assert (
        load("experiments.design.search").by_gradient(machine, choice, [0.01], [0.0], box, 0.02)[0]
        == []
    )


def test_a_front_has_no_dominated_point_and_misses_none(load):
    points = np.random.default_rng(0).random((300, 3))
    mask = load("experiments.design.search").non_dominated(points)

    def beaten(p):
        return any(np.all(q <= p) and np.any(q < p) for q in points)

    assert mask.tolist() == [not beaten(p) for p in points]


def test_surrogate_gets_back_the_constants_that_made_a_result(load):
    quality = load("experiments.design.quality")
    k, light = 30.0, 5e4
    errors, rounding = (2e-4, 6e-4), 1.2e-3  # of two sites
    db = lambda e: -10 * math.log10(e)
    names = ("rung", "target_percent", "family", "light")
    head = dict(zip(names, ("all", 1, "sub-array", light), strict=True))
    head |= {"photons_full_scale": light, "photons_per_multiply": 0.01 * light}
    sites = [
        {
            "rung": rung,
            "target_percent": 1,
            "shot_snr_db": db(e),
            "snr_db": db(e + (rounding if rung == "int8" else 0.0)),
        }
        for rung in ("all", "int8")
        for e in errors
    ]
    curves = [
        {
            "rung": "all",
            "light": x,
            "perplexity_change_percent": 100 * math.expm1(k * 4e-4 * light / x),
        }
        for x in (light / 4, light)
    ]
    results = {
        "thresholds": [head, head | {"rung": "int8", "family": "variant"}],
        "sites": sites,
        "curves": curves,
        "noise_free_perplexity": {"digital": 20.0, "int8": 20.0 * math.exp(k * rounding)},
    }
    law = quality.fit(results, 32.0, "made up")
    assert law.sensitivity == pytest.approx(k)
    assert law.shot == pytest.approx(4e-4 * light)
    assert law.rounding == pytest.approx(rounding)
    assert law.used == pytest.approx(0.01)
    found = quality.checks(law, results)
    assert [c["predicted_over_measured"] for c in found] == pytest.approx([1.0] * 3)
    noisy = dataclasses.replace(law, sensitivity=2 * k)
    assert quality.checks(noisy, results)[1]["predicted_over_measured"] > 1.9


@pytest.mark.slow
def test_an_interrupted_run_goes_on(load, resumes, tmp_path):
    module, config = load("experiments.design.run"), load("experiments.design.config").Design
    settings = [*SMALL, f"results_dir={tmp_path}"]
    harness = load("experiments.harness")
    first = resumes(
        module,
        module.design,
        lambda run: harness.load_config("design", config, [*settings, f"run={run}"]),
    )
    assert first == ["256 rows, 8 bits"]


@pytest.mark.slow
def test_the_experiment_writes_a_front_and_says_what_it_is_worth(design, tmp_path):
    done, path = design(), tmp_path / "design" / "a"
    assert done.status == 0, done.err
    metrics = json.loads((path / "metrics.json").read_text())
    points = np.array([[r[k] for k in ("joules", "seconds", "rise")] for r in metrics["front"]])
    better = np.all(points[:, None] <= points, axis=2) & np.any(points[:, None] < points, axis=2)
    assert not better.any()
    assert metrics["worst_gradient_over_grid"] <= 1.02
    assert metrics["same_front"]
    work = metrics["work"]
    assert work["estimates_by_grid"] == 2 * 2 * 48 * 24 * 32
    assert work["estimates_by_gradient"] < work["estimates_by_grid"]
    assert "SURROGATE" in (path / "report.txt").read_text()
    assert {"front.csv", "grid_front.csv", "design.png"} <= {p.name for p in path.iterdir()}


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("model.name=llama-9", "model.name: model 'llama-9'"),
        ("machine=ideal", "machine:"),
        ("sizes=[]", "sizes"),
        ("clock_hz=[2e9,1e9]", "clock_hz"),
        ("floors_percent=[0]", "floors_percent"),
        ("tolerance=0", "tolerance"),
        ("corner_hz=0", "corner_hz"),
        ("corner_hz=null", "corner_hz"),
        ("photons=[1]", "photons: [1.0] is not [low, high]"),
        ("context=1e20", "context: 1e+20 is not an integer"),
        ("accelerator=300-fJ-per-MAC", "accelerator: '300-fJ-per-MAC'"),
        ("grid={photons: 1000, clock: 1000, enob: 1000}", "grid: 1000 x 1000 x 1000"),
    ],
)
def test_errors_are_one_line_that_names_the_setting(design, override, named):
    assert named in design(override).error


def test_a_run_that_is_no_study_is_refused(design, tmp_path):
    (tmp_path / "metrics.json").write_text('{"thresholds": [], "title": "something else"}')
    error = design(f"quality.photons_run={tmp_path}").error
    assert error.startswith("error: quality.photons_run:")
