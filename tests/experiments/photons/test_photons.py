"""Photons a multiply needs: the solver, the laws of fan-in, and the experiment on a tiny model."""

from __future__ import annotations

import csv
import importlib
import json
import math
import pathlib
import re
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from photonjax.models import load_huggingface, load_tokenizer, save_huggingface

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

FILES = {
    "config.yaml",
    "fan_in.csv",
    "metrics.json",
    "photons.png",
    "points.csv",
    "report.txt",
    "sites.csv",
    "thresholds.csv",
    "versions.json",
}
LADDER = "ladder={all: {}, head: {only: head}, rows-16: {rows: 16}, equal-snr: {equal_snr: true}}"


@pytest.fixture(scope="session")
def trained(checkpoint, corpus, tmp_path_factory) -> pathlib.Path:
    """The tiny model with something to lose: near chance level, a few draws of noise may even help."""
    model = load_huggingface(checkpoint)
    text = load_tokenizer(checkpoint).encode(corpus.read_text()).ids
    tokens = jnp.asarray(text, jnp.int32).reshape(5, 24)

    def loss(model: nnx.Module) -> jax.Array:
        scores = jax.nn.log_softmax(model(tokens)[:, :-1])
        return -jnp.take_along_axis(scores, tokens[:, 1:, None], 2).mean()

    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    step = nnx.jit(lambda model, optimizer: optimizer.update(model, nnx.grad(loss)(model)))
    for _ in range(20):
        step(model, optimizer)
    assert 2 < float(jnp.exp(loss(model))) < 30
    directory = tmp_path_factory.mktemp("trained")
    shutil.copytree(checkpoint, directory, dirs_exist_ok=True)
    save_huggingface(model, directory)
    return directory


@pytest.fixture
def photons(trained, corpus, in_process):
    """Run the experiment on the tiny model in this process; later overrides win."""
    schema = importlib.import_module("experiments.photons.config").Photons
    experiment = importlib.import_module("experiments.photons.run").photons

    def run(results: pathlib.Path, *overrides: str):
        settings = [
            "model=local",
            f"model.path={trained}",
            f"data.corpus=file:{corpus}",
            "data.length=24",
            "windows=2",
            "noise_seeds=2",
            "targets_percent=[0.2,1]",
            "solver.start=1e3",
            "controls={terms: [32, 64], tokens: 24, columns: 16, layers: 2, orders: 2, "
            "encodings: [differential, quadrature]}",
            f"results_dir={results}",
            LADDER,
        ]
        return in_process("photons", schema, experiment, settings, *overrides)

    return run


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("photons")


@pytest.fixture
def first(photons, place) -> pathlib.Path:
    """A run, done once."""
    run = place / "photons" / "first"
    if not (run / "metrics.json").exists():
        outcome = photons(place, "run=first")
        assert outcome.status == 0, outcome.err
        assert (run / "report.txt").read_text() in outcome.out
    return run


def metrics(run: pathlib.Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text())


def lines(file: pathlib.Path) -> list[dict[str, str]]:
    with open(file, newline="") as text:
        return list(csv.DictReader(text))


def test_readings(ours):
    report = importlib.import_module("experiments.photons.exponents")
    assert report.reading(0.05, 0.01) == report.CONSTANT
    assert report.reading(-0.93, 0.02) == report.INVERSE
    assert report.reading(-0.5, 0.05) == "falls, but slower than 1/K"
    assert report.reading(-1.5, 0.05) == "falls faster than 1/K"
    assert report.reading(0.6, 0.05) == "rises with K"
    assert report.reading(-0.5, 0.3) == report.reading(0.0, None) == "undecided"


def test_needs_are_added_up_where_the_kinds_cover_the_model(ours):
    report = importlib.import_module("experiments.photons.report")

    def threshold(rung, family, photons):
        return {"rung": rung, "family": family, "photons_full_scale": photons, "target_percent": 1}

    results = {
        "thresholds": [
            threshold("all", "sub-array", 50.0),
            threshold("a", "site", 30.0),
            threshold("b", "site", 15.0),
        ],
        "sites": [
            {"rung": r, "site": s}
            for r, s in (("all", "1/a"), ("all", "1/b"), ("a", "1/a"), ("b", "1/b"))
        ],
    }
    (line,) = report.sums(results)
    assert "add up to 0.900 of" in line
    results["sites"].append({"rung": "all", "site": "head"})
    assert report.sums(results) == []


@pytest.mark.parametrize(
    ("noise", "text", "windows", "error"),
    [(0.3, 0.4, 4, 0.5), (0.3, None, 1, 0.3), (0.3, None, 4, None), (None, 0.4, 4, None)],
)
def test_an_uncertainty_of_which_a_part_is_not_known_is_not_known(
    ours, noise, text, windows, error
):
    summarize = importlib.import_module("experiments.photons.run").summarize
    counts = dict(electrons=20.0, multiplies=10.0, outputs=5.0, samples=5.0)
    site = counts | dict(shot_snr_db=30.0, snr_db=30.0)
    found = summarize([site], 7.0, {}, noise, text, windows=windows)
    assert found["photons_per_multiply"] == 2.0
    assert found["plus_minus"] == (None if error is None else pytest.approx(2 * error))


def test_outputs(first):
    assert {f.name for f in first.iterdir()} - {".lock"} == FILES
    found = metrics(first)
    report = (first / "report.txt").read_text()
    for text in ("all", "head", "rows-16", "equal-snr", "random, signed", "fall as 1/K"):
        assert text in report
    studies = {s["study"]: s for s in found["slopes"]}
    assert studies["control random, signed, at 30 dB"]["exponent"] == pytest.approx(0, abs=0.2)
    assert studies["control random, non-negative, at 30 dB"]["exponent"] == pytest.approx(
        -1, abs=0.2
    )
    read = studies["control random, signed, quadrature, at 30 dB"]
    assert read["exponent"] == pytest.approx(-1, abs=0.2)
    assert {r["shot_noise"] for r in found["thresholds"]} == {"exact"}
    assert studies["sub-arrays, all sites, at +1 %"]["reading"] == "undecided"  # two sizes
    assert "first K rows of down_proj, random signs, at 30 dB" in studies
    for row, line in zip(found["thresholds"], lines(first / "thresholds.csv"), strict=True):
        for name, value in row.items():
            assert line[name] == ("" if value is None else str(value))
    assert len(lines(first / "fan_in.csv")) > 20
    assert (first / "photons.png").read_bytes()[:4] == b"\x89PNG"


def test_thresholds_make_sense(first):
    found = metrics(first)
    digital = found["noise_free_perplexity"]["digital"]
    for name, perplexity in found["noise_free_perplexity"].items():
        assert perplexity == pytest.approx(digital, rel=1e-4), name
    rows = {(r["rung"], r["target_percent"]): r for r in found["thresholds"]}
    assert len(rows) == 4 * 2
    for (rung, percent), r in rows.items():
        assert r["light"], (rung, percent)
        sites = [s for s in found["sites"] if (s["rung"], s["target_percent"]) == (rung, percent)]
        assert len(sites) == (1 if rung == "head" else 2 * 7 + 1)
        electrons = sum(s["electrons"] for s in sites) / sum(s["multiplies"] for s in sites)
        assert r["photons_per_multiply"] == pytest.approx(electrons)
        assert r["photons_per_output"] == pytest.approx(electrons * r["terms_per_output"])
        assert r["photons_per_sample"] == pytest.approx(electrons * r["terms_per_sample"])
        if rung == "equal-snr":
            assert r["photons_full_scale"] is None
            for s in sites if percent == 0.2 else []:  # at more noise activations move too
                assert s["shot_snr_db"] == pytest.approx(10 * math.log10(r["light"]), abs=0.3)
        else:
            assert 0 < r["photons_per_multiply"] < r["photons_full_scale"]
            assert rows[rung, 0.2]["light"] > rows[rung, 1]["light"]
            assert rows[rung, 0.2]["shot_snr_db"] > rows[rung, 1]["shot_snr_db"]
    # Cutting K changes how light is counted per sample, not what the model needs (all tiles share scales).
    assert rows["rows-16", 1]["terms_per_sample"] == 16
    ratio = rows["rows-16", 1]["photons_per_multiply"] / rows["all", 1]["photons_per_multiply"]
    assert 0.5 < ratio < 2
    fixed = {(r["rung"], r["same_photons_per"]): r for r in found["fixed_light"]}
    assert set(fixed) == {("rows-16", "multiply"), ("rows-16", "sample")}
    same = fixed["rows-16", "sample"]
    share = rows["all", 1]["terms_per_sample"] / 16
    assert same["light"] == pytest.approx(rows["all", same["target_percent"]]["light"] * share)
    assert (
        same["perplexity_change_percent"]
        < fixed["rows-16", "multiply"]["perplexity_change_percent"]
    )


def test_encodings_on_several_dies(photons, place):
    """Each die is held against itself without noise; the interval is over two dies and two windows; a local
    oscillator is counted."""
    outcome = photons(
        place,
        "run=encodings",
        "dies=2",
        "noise_seeds=1",
        "targets_percent=[1]",
        "solver.most=6",
        "core.array.noise=0.01",
        "controls={terms: [16], tokens: 8, columns: 4, layers: 1, orders: 1}",
        "ladder={best: {only: '*/mlp/*', encoding: {kind: homodyne, split: best}}, "
        "read: {encoding: {kind: quadrature, oscillator: 1e4}}}",
    )
    assert outcome.status == 0, outcome.err
    best, read = metrics(place / "photons" / "encodings")["thresholds"]
    assert [r["family"] for r in (best, read)] == ["variant", "encoding"]
    oscillator = 1e4 / read["terms_per_sample"]
    assert read["oscillator_per_multiply"] == pytest.approx(oscillator, rel=1e-3)
    assert read["photons_per_multiply"] > oscillator
    for r in (best, read):
        if r["interval_low"] is not None:
            assert r["interval_low"] <= r["photons_per_multiply"] <= r["interval_high"]
    assert best["interval_low"] is not None
    rows = lines(place / "photons" / "encodings" / "points.csv")
    assert {r["noise_seed"] for r in rows if r["rung"] == "best"} == {"0", "1"}  # the two dies
    without = {r["loss_nats"] for r in rows if (r["rung"], r["light"]) == ("best", "inf")}
    assert len(without) == 4  # each die against itself


def test_a_loss_that_a_model_cannot_have_is_refused(photons, checkpoint, place):
    """Untrained, it is little better than guessing: its rise has a top at 0.6 %, and then falls."""
    outcome = photons(
        place,
        "run=untrained",
        f"model.path={checkpoint}",
        "targets_percent=[1]",
        "ladder={rows-16: {rows: 16}}",
    )
    assert outcome.status == 0, outcome.err
    assert re.search(
        r"rows-16: \+1 % is not reached: the rise is 0\.[56]\d? % at most", outcome.err
    )
    (row,) = metrics(place / "photons" / "untrained")["thresholds"]
    assert row["light"] is None and row["photons_per_multiply"] is None
    assert "not found" in outcome.out


def test_points_say_what_thresholds_say(first):
    """The rise at a threshold, worked out again from points.csv, encloses the target."""
    losses: dict[tuple[str, float], dict[tuple[int, int], float]] = {}
    for r in lines(first / "points.csv"):
        point = losses.setdefault((r["rung"], float(r["light"])), {})
        point[int(r["noise_seed"]), int(r["window"])] = float(r["loss_nats"])
    assert {len(p) for (_, light), p in losses.items() if math.isinf(light)} == {2}
    assert {len(p) for (_, light), p in losses.items() if not math.isinf(light)} == {4}

    def rise(light: float, at: float) -> float:
        dark, lit = losses["all", math.inf], losses["all", at]
        return sum(loss - dark[0, w] for (_, w), loss in lit.items()) / (4 * 23)

    found = metrics(first)
    curve = [c for c in found["curves"] if c["rung"] == "all"]
    for c in curve:
        reference = 10.0 ** (4 * math.ceil(math.log10(30 * c["light"]) / 4))
        q = math.sqrt(reference / c["light"])
        corrected = (rise(c["light"], c["light"]) - q * rise(c["light"], reference)) / (1 - 1 / q)
        assert 100 * math.expm1(corrected) == pytest.approx(
            c["perplexity_change_percent"], rel=1e-6
        )
    (at,) = [r for r in found["thresholds"] if (r["rung"], r["target_percent"]) == ("all", 1)]
    nearest = min(curve, key=lambda c: abs(math.log(c["light"] / at["light"])))
    assert 0.7 < nearest["perplexity_change_percent"] < 1.4


def test_a_run_goes_on_from_its_points(first, photons, place, monkeypatch):
    """Cut off in the middle, it ends with the same numbers and evaluates only what was missing."""
    second = place / "photons" / "second"
    second.mkdir(exist_ok=True)
    text = (first / "points.csv").read_text().splitlines(keepends=True)
    kept = text[
        : 1 + 2 + 2 + 4 * 3
    ]  # digital and the first rung without noise, three of its points
    (second / "points.csv").write_text("".join(kept))
    (second / "config.yaml").write_text((first / "config.yaml").read_text())
    curve_module = importlib.import_module("photonjax.evaluation.light_curve")
    loss, count = curve_module.window_loss, []
    monkeypatch.setattr(curve_module, "window_loss", lambda *a: count.append(1) or loss(*a))
    outcome = photons(place, "run=second")
    assert outcome.status == 0, outcome.err
    assert metrics(second) == metrics(first)
    assert (second / "points.csv").read_text() == "".join(text)
    assert len(count) == len(text) - len(kept)


def test_a_study_goes_on_from_where_it_was_killed(photons, writes, tmp_path):
    """While it writes: of the digital model, of a rung's last point, of the last file."""
    settings = (
        "targets_percent=[1]",
        "solver.most=3",
        "windows=1",
        "measure_windows=1",
        "ladder={head: {only: head}}",
        "controls={terms: [16], tokens: 8, columns: 4, layers: 1, orders: 1}",
    )

    def content(name: str) -> dict[str, bytes]:
        files = (tmp_path / "photons" / name).iterdir()
        return {f.name: f.read_bytes() for f in files if f.name not in ("config.yaml", ".lock")}

    run, copies, written = tmp_path / "photons" / "killed", tmp_path / "copies", []

    def copy(target: pathlib.Path) -> None:  # what a kill leaves at this write
        shutil.copytree(target.parent, copies / str(len(written)))
        written.append(target.name)

    writes(before=copy)
    assert photons(tmp_path, "run=killed", *settings).status == 0
    writes()
    whole = content("killed")
    points = [i for i, name in enumerate(written) if name == "points.csv"]
    assert len(points) > 4
    for number in (points[0], points[-1], len(written) - 1):
        shutil.rmtree(run)
        shutil.copytree(copies / str(number), run)
        assert not (run / "metrics.json").exists()
        assert photons(tmp_path, "run=killed", *settings).status == 0
        assert content("killed") == whole, written[number]


def test_rows_for_the_table_of_published_values(first, ours, monkeypatch, tmp_path):
    module = importlib.import_module("experiments.photons.fidelity")
    rows = module.photon_rows(metrics(first))
    assert {r["verdict"] for r in rows} <= {"reproduced", "differs", "not reproduced"}
    assert all(r["source"] and r["note"] for r in rows)
    by_name = {r["name"].partition("K: ")[2]: r for r in rows}
    assert by_name["control random, non-negative, at 30 dB"]["verdict"] == "reproduced"
    assert by_name["control random, signed, at 30 dB"]["verdict"] != "reproduced"
    assert by_name["control random, signed, at 30 dB"]["deviation"] == pytest.approx(-1, abs=0.2)
    assert any("1 % perplexity" in r["name"] for r in rows)
    nowhere = importlib.import_module("experiments.harness.finished")
    monkeypatch.setattr(nowhere, "ROOT", tmp_path)  # where nothing was run
    assert [r["verdict"] for r in module.photon_rows()] == ["differs", "reproduced"]


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("windows=0", "windows: 0"),
        ("noise_seeds=none", "noise_seeds: 'none' is not an integer of 1 ... 1,000"),
        ("measure_windows=3", "measure_windows: 3"),
        ("targets_percent=[]", "targets_percent"),
        ("targets_percent=[-1]", "targets_percent[0]: -1"),
        ("solver.start=0", "solver.start: 0"),
        ("solver=3", "solver: 3 is not a mapping of start"),
        ("controls.tokens=99", "controls.tokens: 99"),
        ("controls.terms=[1.5]", "controls.terms[0]: 1.5 is not an integer"),
        ("ladder={}", "ladder: is empty"),
        ("ladder={digital: {}}", "'digital'"),
        ("ladder={a: 3}", "ladder.a: 3"),
        ("ladder={a: {only: 3}}", "ladder.a.only: 3"),
        ("ladder={a: {equal_snr: 3}}", "ladder.a.equal_snr: 3"),
        ("ladder={a: {photons: 3}}", "photons must stay 1.0"),
        ("ladder={a: {adc: {bits: 8}}}", "adc.bits null"),
        ("ladder={a: {row: 3}}", "'row'"),
        ("ladder={a: {encoding: quadrature}}", "oscillator has to be counted"),
        ("dies=0", "dies: 0"),
        ("controls.encodings=[polar]", "controls.encodings[0]: 'polar' is not one of"),
        ("core.name=nobody", "core.name: unknown optical machine 'nobody'"),
        ("ladder={a: {only: nothing}}", "rule 'nothing' matches no product"),
        ("seed=-1", "seed: -1"),
    ],
)
def test_user_errors(photons, tmp_path, override, named):
    assert named in photons(tmp_path, override).error


def test_points_that_are_not_points(photons, first, place):
    broken = place / "photons" / "broken"
    broken.mkdir(exist_ok=True)
    (broken / "config.yaml").write_text((first / "config.yaml").read_text())
    (broken / "points.csv").write_text("rung,light\nall,many\n")
    assert "points.csv is not a table of points" in photons(place, "run=broken").error
