"""The scaling experiment: exponents that are known, a report that follows from the rows, refusals."""

from __future__ import annotations

import csv
import importlib
import json
import pathlib

import pytest

pytestmark = pytest.mark.slow  # minutes together: on one Python

TINY = [
    "model.name=smollm2-135m",
    "matrix={tokens: 64, array: [64,256], fixed: [1024,2048,4096], photons_exponent: -1.0}",
    "width={sizes: [192,576], context: 128}",
    "context=[64,1024,8192]",
    "batch={sizes: [1,2], context: 64}",
    "crossover={models: [smollm2-135m], low: 256, high: 65536}",
    "run=tiny",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("scaling")


@pytest.fixture
def scaling(ours):
    return importlib.import_module("experiments.scaling.run")


@pytest.fixture
def report(ours):
    return importlib.import_module("experiments.scaling.report")


@pytest.fixture
def settings(harness):
    schema = importlib.import_module("experiments.scaling.config").Scaling
    return lambda *overrides: harness.load_config("scaling", schema, [*TINY, *overrides])


@pytest.fixture
def done(scaling, settings, place) -> pathlib.Path:
    """The directory of one tiny run, made once."""
    directory = place / "scaling" / "tiny"
    if not (directory / "metrics.json").exists():
        scaling.scaling(settings(f"results_dir={place}"))
    return directory


def test_known_exponents(done, report):
    rows = csv.DictReader((done / "exponents.csv").open())
    found = {(r["over"], r["quantity"]): float(r["exponent"]) for r in rows}
    for over in (report.ARRAY, report.FIXED):
        assert found[over, "macs"] == 2.0
    assert found[report.ARRAY, "conversions"] == 1.0
    assert found[report.ARRAY, "symbols"] == 0.0
    assert found[report.FIXED, "symbols"] == found[report.FIXED, "weight_loads"] == 2.0
    # Photons a multiply go with 1/N here, so that the light of N x N multiplies goes with N.
    assert found[report.ARRAY, "light_j: laser"] == pytest.approx(1.0, abs=1e-6)
    assert found[report.WIDTH, "attention_macs"] == 1.0
    assert 1 < found[report.WIDTH, "weight_macs"] < 2  # the head's vocabulary stays
    assert 1 < found[report.CONTEXT, "macs"] < 2
    assert found[report.BATCH, "macs"] == 1.0
    assert found[report.BATCH, "weight_loads"] == 0.0


def test_what_is_written_agrees_with_itself(done):
    found = json.loads((done / "metrics.json").read_text())
    rows = list(csv.DictReader((done / "rows.csv").open()))
    assert len(rows) == sum(len(each) for each in found["rows"].values()) == 2 + 3 + 2 + 3 + 2
    text = (done / "report.txt").read_text()
    (at,) = (
        c["at"]
        for c in found["crossovers"]
        if c["sweep"].startswith("L") and c["overtakes"] == "attention_macs"
    )
    solved = found["attention_overtakes"]["smollm2-135m"]["context"]
    assert 1024 < at < 8192
    assert solved == pytest.approx(at, rel=0.05)  # traced there, against interpolated
    assert f"{solved:,.0f}" in text
    page = (done / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(list(done.glob("*.png"))) == 4


def test_an_interrupted_run_goes_on(scaling, settings, resumes, tmp_path):
    first = resumes(
        scaling, scaling.scaling, lambda run: settings(f"results_dir={tmp_path}", f"run={run}")
    )
    assert first == [f"{scaling.scaling_report.ARRAY} = 64"]


def test_sentences_follow_from_the_fits(report):
    def fit(over, quantity, exponent, first, last):
        ends = {"first": first, "last": last}
        return {"over": over, "quantity": quantity, "exponent": exponent, "error": None} | ends

    def say(exponent, first, last):
        fits = [fit(report.ARRAY, "macs", 2.0, 2.0, 2.0)]
        fits += [fit(report.ARRAY, "light_j", exponent, first, last)]
        (line,) = report.sentences({"exponents": fits})
        return line

    assert "at most linearly over the whole range" in say(0.6, 0.2, 1.0)
    assert "At the large end energy grows faster than linearly" in say(0.9, 0.2, 1.6)
    assert "faster than linearly somewhere below" in say(0.9, 1.2, 0.7)


def test_pairs_say_which_is_larger(report):
    rows = [
        {"value": n, **dict.fromkeys((k for pair in report.PAIRS for k in pair), 1.0)}
        for n in (1, 100)
    ]
    for row in rows:
        row |= {"optical_j": 20.0, "digital_j": 2.0 * row["value"], "beside_j": 0.0}
    found = {"rows": {"N": rows}, "crossovers": report.all_crossings({"N": rows})}
    lines = report.pair_table(found).split("\n")
    accelerator = next(
        line for line in lines if line.startswith("light and accelerator beside: energy")
    )
    assert accelerator.endswith("below from 10")
    beside = next(line for line in lines if line.startswith("accelerator beside: energy"))
    assert beside.endswith("-")


def test_tidy_numbers(report):
    assert [report._tidy(v) for v in (-1e-9, 0.0, 1.995, -0.4)] == ["0.00", "0.00", "2.00", "-0.40"]


REFUSED = {
    "model": (["model.name=llama"], r"model.name: model 'llama' is not known"),
    "crossover's model": (
        ["crossover.models=[x]"],
        r"crossover.models\[0\]: model 'x' is not known",
    ),
    "one size": (
        ["context=[64]"],
        r"context: \[64\]: an exponent takes two different sizes or more",
    ),
    "size": (
        ["batch.sizes=[0,1]"],
        r"batch.sizes\[0\]: 0 is not an integer of 1 ... 2,147,483,647",
    ),
    "sizes of several kinds": (["context=[a,64]"], r"context\[0\]: 'a' is not an integer"),
    "text": (["matrix.tokens=many"], r"matrix.tokens: 'many' is not an integer"),
    "array": (
        ["matrix.array=[64,100000]"],
        r"matrix.array\[1\]: 100000 is not an integer of 1 \.\.\. 65,536",
    ),
    "width": (["width.sizes=[192,200]"], r"width.sizes: width = 200: .* choose a multiple of 192"),
    "power": (["matrix.photons_exponent=x"], r"matrix.photons_exponent: 'x' is not a number"),
    "bracket": (["crossover.high=256"], r"crossover.high: 256 is not above crossover.low = 256"),
    "machine": (["machine=mzi-mesh"], r"machine: 'mzi-mesh' has no published costs"),
    "accelerator": (
        ["accelerator=300-fJ-per-MAC"],
        r"accelerator: '300-fJ-per-MAC' is an energy per",
    ),
    "precision": (["dtype=float4"], r"accelerator: h100-sxm has no float4"),
    "optical": (["optical=none"], r"optical: 'none' is not one of weights, all"),
    "another experiment's": (["models=3"], r"there is no key 'models'"),
    "far too much": (["context=[1e20]"], r"context\[0\]: 1e\+20 is not an integer of 1"),
    "a size twice": (["context=[64,64]"], r"context: \[64, 64\]: an exponent takes two different"),
    "machine's fields": (
        ["machine={name: display-1024, adc: 3}"],
        r"machine.adc: 3; give an ADC",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(scaling, harness, settings, tmp_path, case):
    overrides, message = REFUSED[case]
    with pytest.raises(harness.UserError, match=message) as error:
        scaling.scaling(settings(f"results_dir={tmp_path}", *overrides))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "scaling").exists()  # before anything is traced
