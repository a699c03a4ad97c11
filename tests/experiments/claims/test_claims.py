"""The whole audit: what it writes, how it resumes, and what it refuses."""

from __future__ import annotations

import json

import pytest

from experiments.claims import run
from experiments.claims.config import Claims


@pytest.mark.slow
def test_an_interrupted_run_goes_on(small, resumes, harness, tmp_path):
    settings = [*small, f"results_dir={tmp_path}", "which=[2,6]"]
    first = resumes(
        run,
        run.claims,
        lambda name: harness.load_config("claims", Claims, [*settings, f"run={name}"]),
    )
    assert first == ["claim 2"]


@pytest.mark.slow
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


def test_the_report_begins_with_all_verdicts(load):
    audit = load("experiments.claims.verdict").Verdict
    found = [
        vars(audit(n, f"claim{n}", "A statement.", "A sum.", word, "so", {}, [], [], None))
        for n, word in ((1, "holds"), (2, "does not hold"))
    ]
    table, *claims = run.report(found).split("\n\n")
    assert [line.split(maxsplit=2) for line in table.splitlines()[-2:]] == [
        ["1", "claim1", "holds"],
        ["2", "claim2", "does not hold"],
    ]
    assert [text[:2] for text in claims] == ["1.", "2."]


def test_the_machine_is_a_name_or_a_mapping(load, harness, small):
    machine = "machine={name: display-1024, label: mine, photons: 1e4}"
    config = harness.load_config("claims", Claims, [*small, machine])
    four = load("experiments.claims.energy").at_bits(config.core(), 4)
    assert four.name == "mine at 4 bits" and "photons" not in four.ranges
    assert four.machine.photons == pytest.approx(1e4 * 10**-2.408)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("which=[9]", "which[0]: 9 is not an integer of 1 ... 8"),
        ("models=[llama-9]", "llama-9"),
        ("machine=ideal", "machine:"),
        (
            "machine={name: display-1024, adc: {bits: null, enob: null}}",
            "machine: 'display-1024' lacks",
        ),
        ("energy.samples=0", "energy.samples"),
        ("contexts=[0]", "contexts[0]: 0"),
        ("sure=2", "sure"),
        ("energy.bits=[5]", "energy.bits"),
        ("array.slack=wide", "array.slack"),
        ("rack.accelerator=h1000", "h1000"),
    ],
)
def test_errors_are_one_line_that_names_the_setting(claims, override, named):
    which = () if override.startswith("which") else ("which=[3,5]",)
    error = claims(override, *which).error
    assert error.startswith("error:")
    assert named in error
    assert "\n" not in error
