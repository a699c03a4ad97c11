"""The fidelity table: its numbers against formulas written out here, its verdicts, and its failures."""

from __future__ import annotations

import csv
import importlib
import json
import math
import sys
import types

import pytest

from experiments.fidelity.config import Fidelity
from experiments.fidelity.run import fidelity as experiment

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

SMALL = ["sampling.tokens=128", "sampling.outputs=32", "law.terms=[64]", "law.photons=[1]"]
SMALL += ["snr.terms=[1024]", "snr.bits=[4]"]


@pytest.fixture
def fidelity(in_process, tmp_path):
    """Run experiments.fidelity in this process: its outcome, and its directory."""
    settings = [*SMALL, f"results_dir={tmp_path}", "run=r"]

    def run(*overrides):
        done = in_process("fidelity", Fidelity, experiment, settings, *overrides)
        return done.status, done.out, done.err, tmp_path / "fidelity" / "r"

    return run


def lines_of(directory):
    rows = json.loads((directory / "metrics.json").read_text())["rows"]
    return {row["name"]: row for row in rows}


def test_receiver_and_converters(fidelity):
    status, out, _, directory = fidelity("groups=[receiver,converters]")
    assert status == 0
    rows = lines_of(directory)
    for bits, published in ((4, 3.1), (8, 49.0)):
        # noise current over 1 GHz, sqrt(1.5) 2**bits of it at 1 A/W, for 1 ns
        watts = 5e-12 * math.sqrt(1e9) * math.sqrt(1.5) * 2**bits
        whole = rows[f"receiver energy, {bits} bits, B = symbol rate"]
        half = rows[f"receiver energy, {bits} bits, integrate and dump"]
        assert whole["ours"] == pytest.approx(1e15 * watts / 1e9, rel=1e-5)
        assert half["ours"] == pytest.approx(1e15 * watts / 1e9 / math.sqrt(2), rel=1e-5)
        assert (whole["published"], whole["verdict"]) == (published, "reproduced")
        assert half["verdict"] == "differs" and "symbol" in half["note"]
    sampled = [row for name, row in rows.items() if name.endswith("sampled")]
    assert len(sampled) == 2 and all(row["verdict"] == "reproduced" for row in sampled)
    for n in (128, 512, 1024, 2048):
        row = rows[f"conversion per MAC, N = {n}"]
        assert row["ours"] == pytest.approx(13.5e3 / n, rel=1e-6)
        assert row["verdict"] == "reproduced"
    assert rows["ADC energy, 8bit, best"]["ours"] == pytest.approx(6.9e-3 * 2**7.7, rel=1e-6)
    assert rows["ADC energy, 4bit, best"]["verdict"] == "differs"
    assert rows["Walden figure of 8-bit ADCs, best"]["verdict"] == "adopted"  # not a success
    assert "conversion per MAC, N = 2048" in out
    with open(directory / "fidelity.csv") as file:
        assert [line["name"] for line in csv.DictReader(file)] == list(rows)
    assert (directory / "report.txt").read_text() in out + "\n"


def test_an_interrupted_run_goes_on(load, resumes, tmp_path):
    settings = [*SMALL, "groups=[converters,digital]", f"results_dir={tmp_path}"]
    first = resumes(
        importlib.import_module("experiments.fidelity.run"),
        experiment,
        lambda name: load("fidelity", Fidelity, settings, f"run={name}"),
    )
    assert first == ["converters"]


def test_digital(fidelity):
    status, _, _, directory = fidelity("groups=[digital]")
    rows = lines_of(directory)
    assert status == 0 and len(rows) == 7
    energy = rows["h100-sxm, large bfloat16 products: energy"]
    assert energy["ours"] == pytest.approx(2 * 700 / (0.5 * 989), rel=1e-6)
    assert energy["verdict"] == "inside"  # of the range of utilisations
    linears = 32 * (4096 * (2 * 4096 + 2 * 1024) + 3 * 4096 * 14336) + 4096 * 128256
    for dtype, rate in (("bfloat16", 989), ("int8", 1979)):
        row = rows[f"h100-sxm, Llama 3 8B's linear products at peak rate, {dtype}"]
        assert row["ours"] == pytest.approx(1e-9 * linears * 2 * 700 / rate, rel=1e-6)
        assert row["verdict"] == "reproduced"
    prompts = [row for name, row in rows.items() if "prefill of 2,048 tokens" in name]
    assert len(prompts) == 4
    assert all(abs(row["ours"] / row["published"] - 1) < 0.05 for row in prompts)


def test_noise(fidelity):
    status, _, _, directory = fidelity("groups=[noise]")
    assert status == 0
    rows = lines_of(directory)
    scatter = 4 / math.sqrt(2 * 128 * 32)
    law = rows["homodyne noise over Hamerly's law, equal powers, K = 64"]
    assert abs(law["ours"] - 1) < scatter and law["verdict"] == "reproduced"
    curves = json.loads((directory / "metrics.json").read_text())["curves"]
    signs = next(p for p in curves["law"] if p["operands"] == "signs")
    # |A| = sqrt(64 N'), |x| = 8, one photon per MAC
    assert signs["law"] == pytest.approx(8.0, rel=1e-5)
    assert signs["n_mac"] == pytest.approx(1.0, rel=1e-5)
    assert abs(signs["std"] / 8 - 1) < scatter
    outlier = rows["homodyne noise over Hamerly's law, unequal powers, K = 64"]
    assert outlier["ours"] > 1.3 and outlier["verdict"] == "differs"
    bound = rows["standard quantum limit of a large network"]
    assert bound["ours"] is None and bound["verdict"] == "not reproduced"
    assert "0.39 detected photons" in bound["note"]  # 50 zJ over 128.2 zJ at 1550 nm

    close = 5 * math.sqrt(2 / (128 * 32))
    snr = 10**4.3
    full = rows["detected photons per MAC for 43 dB, full scale, K = 1024"]
    assert full["ours"] == pytest.approx(snr / 1024, rel=close)
    random = rows["detected photons per MAC for 43 dB, signed, K = 1024"]
    # variance sum |a||b| / m, so n SNR = n m (E a2 E b2) / (E|a| E|b|): (pi/2)**2 photons' worth each
    assert random["ours"] == pytest.approx(snr * (2 / math.pi) ** 2, rel=close + 0.05)
    assert random["verdict"] == "differs"
    for encoding in ("differential", "offset", "homodyne"):
        row = rows[f"detected photons per MAC for 4 bits, signed, {encoding}, K = 1024"]
        assert abs(row["deviation"]) < close and row["verdict"] == "reproduced"
    homodyne = rows["detected photons per MAC for 4 bits, signed, homodyne, K = 1024"]
    assert homodyne["ours"] == pytest.approx(
        1.5 * 4**4, rel=close + 0.1
    )  # balanced but for the peaks
    for name in ("law", "snr"):
        assert (directory / f"{name}.png").stat().st_size > 10_000
        assert len((directory / f"{name}.csv").read_text().splitlines()) > 1


def test_verdicts(ours):
    rows = importlib.import_module("experiments.fidelity.rows")
    for value, verdict in (
        (3.01, "reproduced"),
        (3.19, "reproduced"),
        (3.25, "differs"),
        (2.9, "differs"),
    ):
        line = rows.row("x", "receiver_4bit", value)
        assert (line["verdict"], tuple(line)) == (verdict, rows.KEYS)
        assert line["deviation"] == pytest.approx(value / 3.1 - 1)
    assert rows.row("x", "wall_plug", 0.2, adopted=True)["verdict"] == "adopted"
    assert rows.row("x", "wall_plug", 0.3, adopted=True)["verdict"] == "differs"
    assert rows.row("x", "wall_plug", None, "why")["verdict"] == "not reproduced"
    assert rows.derived_row("x", 2.0, 2.2, "", "", "", within=0.05)["verdict"] == "differs"
    for value, verdict in ((1.0, "outside"), (2.0, "inside"), (12.0, "outside")):
        line = rows.range_row("x", "adc_8bit_best", "adc_8bit_median", value)
        assert line["verdict"] == verdict
    for known in rows.published().values():
        assert known["sure"] in ("read", "second-hand", "derived") and known["source"]
    assert rows.row("x", "conversion_dac", 10.0)["source"].endswith("(second-hand)")


def test_groups_of_other_experiments(fidelity, monkeypatch):
    """Their lines come in; a group that fails, or is not there, leaves a line with the reason."""
    good, bad, empty = (
        types.ModuleType(f"experiments.{name}")
        for name in ("fidelity.architectures", "digits.run", "photons.fidelity")
    )
    line = dict(name="a chip", published=1.0, ours=1.1, unit="W", deviation=0.1, verdict="differs")
    good.architecture_rows = lambda: [line | {"source": "a paper", "note": "", "more": 3}]

    def fail(*, quick):
        raise RuntimeError(f"the text\n is missing, quick={quick}")

    bad.digits_rows = fail
    for module in (good, bad, empty):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    status, out, _, directory = fidelity("groups=[digits,architectures,photons]")
    assert status == 0
    rows = lines_of(directory)
    assert rows["a chip"]["ours"] == 1.1 and "more" not in rows["a chip"]
    assert rows["digits"]["verdict"] == rows["photons"]["verdict"] == "not reproduced"
    assert "RuntimeError: the text is missing, quick=True" in rows["digits"]["note"]
    assert "photon_rows" in rows["photons"]["note"]
    assert "a paper" in out and "the text is missing" in out


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("groups=[noise,sound]", "'sound'"),
        ("groups=[]", "groups:"),
        ("groups=noise", "groups:"),
        ("seed=-1", "seed: -1"),
        ("train_digits=maybe", "train_digits: 'maybe' is not true or false"),
        ("sampling.tokens=1", "sampling.tokens: 1"),
        ("sampling.outputs=many", "sampling.outputs: 'many'"),
        ("law.terms=[0]", "law.terms[0]: 0"),
        ("law.terms=64", "law.terms: "),
        ("law.photons=[0]", "law.photons[0]: 0"),
        ("snr.bits=[4,99]", "snr.bits[1]: 99"),
        ("snr.terms=[1.5]", "snr.terms[0]: "),
        ("snr.term=[128]", "snr.term"),
    ],
)
def test_user_errors(fidelity, override, named):
    status, out, err, directory = fidelity(override)
    assert status == 1 and out == ""
    assert err.startswith("error: ") and named in err and err.count("\n") == 1
    assert not directory.exists()
