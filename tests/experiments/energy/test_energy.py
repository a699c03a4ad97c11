"""The energy experiment: its grid is what the cost model says, complete, resumable, and checked."""

from __future__ import annotations

import csv
import importlib
import json
import pathlib

import pytest

import photonjax as pj
from experiments.energy.config import Energy
from photonjax import cost, models

pytestmark = pytest.mark.slow  # minutes together: on one Python

TINY = [
    "models=[smollm2-135m]",
    "contexts=[64,256]",
    "cores=[display-1024,{label: dim, name: lightening-transformer, photons: 10.0}]",
    "accelerators=[h100-sxm]",
    "samples=16",
    "seed=3",
    "run=tiny",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("energy")


@pytest.fixture
def energy(ours):
    return importlib.import_module("experiments.energy.run")


@pytest.fixture
def done(energy, load, place) -> pathlib.Path:
    """The directory of one tiny run, made once."""
    directory = place / "energy" / "tiny"
    if not (directory / "metrics.json").exists():
        energy.energy(load("energy", Energy, TINY, f"results_dir={place}"))
    return directory


def test_the_grid_is_complete_and_consistent(done):
    rows = list(csv.DictReader((done / "energy.csv").open()))
    assert len(rows) == 2 * 2 * 1 * 2  # contexts, cores, accelerators, precisions
    assert len({(r["context"], r["core"], r["baseline"]) for r in rows}) == len(rows)
    for r in rows:
        value = {
            k: float(v)
            for k, v in r.items()
            if k not in ("model", "core", "baseline", "accelerator", "dtype")
        }
        light, accelerator = value["optical_j_per_token"], value["digital_j_per_token"]
        assert value["energy_ratio"] == pytest.approx(light / accelerator, rel=1e-5)
        assert value["floor_ratio"] == pytest.approx(light / value["floor_j_per_token"], rel=1e-5)
        rates = value["digital_tokens_per_s"] / value["optical_tokens_per_s"]
        assert value["time_ratio"] == pytest.approx(rates, rel=1e-5)
        for ratio in ("energy", "floor", "time"):
            spread = [value[f"{ratio}_ratio_{q}"] for q in ("p10", "p50", "p90")]
            assert spread == sorted(spread)
        assert (
            0 <= value["fraction_of_draws_at_most_0.1"] <= value["fraction_of_draws_below_1"] <= 1
        )


def test_it_says_what_compare_says(done):
    """The same program, machines and draws through :func:`photonjax.cost.compare`."""
    accelerator = cost.UncertainMachine.named("h100-sxm")
    found = cost.compare(
        models.prefill_workload("smollm2-135m", tokens=256),
        cost.UncertainMachine.named("display-1024"),
        [cost.Baseline("b", accelerator, lambda s: "int8" if s.stationary else "bfloat16")],
        digital=accelerator,
        dtype="bfloat16",
        samples=16,
        seed=3,
    )
    (row,) = (
        r
        for r in csv.DictReader((done / "energy.csv").open())
        if (r["context"], r["core"], r["dtype"]) == ("256", "display-1024", "int8")
    )
    kinds = {"energy": "energy", "time": "time", "floor": "energy to arithmetic floor"}
    for ours, theirs in kinds.items():
        ratio = found.ratios["b"][theirs]
        assert float(row[f"{ours}_ratio"]) == pytest.approx(ratio["value"], rel=1e-5)
        assert float(row[f"{ours}_ratio_p50"]) == pytest.approx(ratio["p50"], rel=1e-4)


def test_components_are_the_whole(done):
    points = json.loads((done / "metrics.json").read_text())["points"]
    rows = list(csv.DictReader((done / "components.csv").open()))
    for p in points:
        total = sum(p["components_j"].values())
        for b in p["baselines"]:
            assert total == pytest.approx(b["optical_j_per_token"] * p["tokens"], rel=1e-6)
            seconds = sum(p["components_s"].values())
            assert p["tokens"] / seconds == pytest.approx(b["optical_tokens_per_s"], rel=1e-6)
        own = [r for r in rows if (r["core"], int(r["context"])) == (p["core"], p["context"])]
        assert sum(float(r["fraction"]) for r in own if r["fraction"]) == pytest.approx(1)
        assert "beside: digital" in p["components_j"]


def test_numbers_that_are_set_are_not_varied(done):
    points = json.loads((done / "metrics.json").read_text())["points"]
    varied = {p["core"]: p["core_ranges"] for p in points}
    assert varied == {
        "display-1024": len(cost.UncertainMachine.named("display-1024").ranges),
        "dim": 0,
    }
    report = (done / "report.txt").read_text()
    assert "dim: its own numbers have no ranges" in report
    assert "display-1024: its own" not in report


def test_the_page_has_the_figures(done):
    page = (done / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(list(done.glob("*.png"))) == 2
    assert "Energy of a prefill on light and on digital accelerators" in page


def test_an_interrupted_run_goes_on(energy, load, resumes, tmp_path):
    settings = [*TINY, f"results_dir={tmp_path}", "html=false"]
    first = resumes(
        energy, energy.energy, lambda run: load("energy", Energy, settings, f"run={run}")
    )
    assert first == ["smollm2-135m, 64, display-1024"]


REFUSED = {
    "model": (
        ["models=[llama-3-9b]"],
        r"models\[0\]: model 'llama-3-9b\' is not known: did you mean",
    ),
    "model as a mapping": (["models=[{a: 1}]"], r"models\[0\]: \{'a': 1\} is not text"),
    "accelerator as a number": (
        ["accelerators=[100]"],
        r"accelerators\[0\]: unknown digital machine '100'",
    ),
    "name as a number": (["cores=[{name: 3}]"], r"cores\[0\].name: 3 is not the name of a machine"),
    "core as a number": (["cores=[3]"], r"cores\[0\]: 3 is not a machine's name, or"),
    "no models": (["models=[]"], r"models: is empty; give at least one"),
    "twice": (["models=[gpt2,gpt2]"], r"models: 'gpt2' is there twice"),
    "context": (["contexts=[0]"], r"contexts\[0\]: 0 is not an integer of 1"),
    "positions": (["models=[gpt2]", "contexts=[2048]"], r"contexts: gpt2 has positions for 1024"),
    "core": (
        ["cores=[display-1023]"],
        r"cores\[0\]: unknown optical machine 'display-1023' \(did you mean",
    ),
    "core without costs": (
        ["cores=[mzi-mesh]"],
        r"cores\[0\]: 'mzi-mesh' has no published costs; choose",
    ),
    "core of another form": (
        ["cores=[{photons: 3}]"],
        r"cores\[0\]: 'name' is missing, of the machine that the fields differ from",
    ),
    "field": (
        ["cores=[{name: display-1024, costs: {lasers: 3}}]"],
        r"cores\[0\].costs has no field 'lasers'",
    ),
    "value": (
        ["cores=[{name: display-1024, photons: -1.0}]"],
        r"cores\[0\].photons: -1.0 is not a number",
    ),
    "two cores of one name": (
        ["cores=[display-1024,{name: display-1024, photons: 9.0}]"],
        r"cores: two are called 'display-1024'",
    ),
    "accelerator": (
        ["accelerators=[abacus]"],
        r"accelerators\[0\]: unknown digital machine 'abacus'",
    ),
    "accelerator without power": (
        ["accelerators=[300-fJ-per-MAC]"],
        r"accelerators\[0\]: '300-fJ-per-MAC' is an energy per",
    ),
    "precision": (["dtypes=[int3]"], r"dtypes\[0\]: 'int3' is not one of float32"),
    "precision of the accelerator": (
        ["dtypes=[float4]"],
        r"accelerators\[0\]: h100-sxm has no float4; it has bfloat16",
    ),
    "optical": (["optical=some"], r"optical: 'some' is not one of weights, all"),
    "samples": (["samples=0"], r"samples: 0 is not an integer of 1"),
    "batch": (["batch=1.5"], r"batch: '?1.5'? is not an integer of 1"),
    "resident": (
        ["cores=[{name: display-1024, costs.resident: true}]"],
        r"smollm2-135m, 64 tokens, display-1024: OpticalCore.costs.resident = True: the weights fill",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(energy, harness, load, tmp_path, case):
    overrides, message = REFUSED[case]
    with pytest.raises(harness.UserError, match=message) as error:
        energy.energy(load("energy", Energy, TINY, f"results_dir={tmp_path}", *overrides))
    assert "\n" not in str(error.value)


def test_all_products_on_light(energy, load, tmp_path):
    """Then the accelerator beside multiplies nothing."""
    config = load("energy", Energy, TINY, f"results_dir={tmp_path}", "optical=all")
    core, accelerator = cost.UncertainMachine.named("display-1024"), pj.machines.digital("h100-sxm")
    light = energy.on_light(
        config, models.prefill_workload("smollm2-135m", tokens=64), core.machine, accelerator
    )
    assert "beside: digital" not in energy.split(light, "joules")
    assert all(e.where == "light" or e.path.startswith("(") for e in light.entries)


def test_what_moves_the_ratio_most(done):
    """Largest first, and of the core's or the accelerator's own numbers."""
    points = json.loads((done / "metrics.json").read_text())["points"]
    for p in points:
        sizes = [
            max(s["at_low"], s["at_high"]) / min(s["at_low"], s["at_high"]) for s in p["swings"]
        ]
        assert sizes == sorted(sizes, reverse=True)
        assert {s["number"].split(":")[0] for s in p["swings"]} <= {p["core"], "h100-sxm"}
    assert points[0]["swings"][0]["number"].startswith("display-1024: ")
    assert (
        "what moves the energy ratio to h100-sxm bfloat16 most" in (done / "report.txt").read_text()
    )
