"""The main job on a tiny model: its outputs, that its numbers agree, and that seeds decide them."""

from __future__ import annotations

import csv
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest
from omegaconf import OmegaConf

from photonjax.models import load_huggingface, load_tokenizer

FILES = {
    "config.yaml",
    "conversion.txt",
    "cores.csv",
    "measured.json",
    "metrics.json",
    "perplexity.png",
    "report.txt",
    "site_snr.png",
    "sites.csv",
    "versions.json",
    "windows.json",
}
RUNGS = ["digital", "int16-no-adc", "noisy"]


def _metrics(run: pathlib.Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text())


def timeless(run: pathlib.Path) -> dict[str, Any]:
    """The metrics of a run without what its speed and memory decide."""
    metrics = _metrics(run)
    del metrics["peak_memory_bytes"]
    for row in metrics["cores"]:
        del row["prefill_tokens_per_s"]
    return metrics


@pytest.fixture
def first(evaluate, results) -> pathlib.Path:
    """A run with seed 0, done once."""
    run = results / "first"
    if not (run / "metrics.json").exists():
        outcome = evaluate("run=first")
        assert outcome.status == 0, outcome.err
        assert (run / "report.txt").read_text() in outcome.out
        assert str(run) in outcome.out
    return run


def test_outputs_exist(first, arguments):
    assert {f.name for f in first.iterdir()} - {".lock"} == FILES
    config = OmegaConf.load(first / "config.yaml")
    assert config.run == "first"
    assert config.seed == 0
    assert f"model.path={config.model.path}" in arguments
    assert list(config.ladder) == RUNGS[1:]
    versions = json.loads((first / "versions.json").read_text())
    assert versions["jax"] == jax.__version__
    assert versions.keys() >= {"python", "machine", "flax", "numpy", "written"}
    report = (first / "report.txt").read_text()
    assert all(name in report for name in (*RUNGS, "perplexity", "h100-sxm", "96 of 96 tokens"))
    for plot in ("perplexity.png", "site_snr.png"):
        image = matplotlib.image.imread(first / plot, format="png")
        assert min(image.shape[:2]) > 300
        assert image[..., :3].std() > 0.01


def test_tables_say_what_metrics_say(first):
    rows = _metrics(first)["cores"]
    assert [row["core"] for row in rows] == RUNGS
    with open(first / "cores.csv", newline="") as file:
        table = list(csv.DictReader(file))
    for row, line in zip(rows, table, strict=True):
        for name, text in line.items():
            value = row.get(name)
            assert (text or None) == (None if value is None else str(value))
    with open(first / "sites.csv", newline="") as file:
        sites = list(csv.DictReader(file))
    assert len(sites) == 2 * (2 * 7 + 1)
    for row in rows[1:]:
        own = {s["site"]: float(s["snr_db"]) for s in sites if s["core"] == row["core"]}
        assert row["worst_site"] == min(own, key=own.__getitem__)
        assert row["worst_site_snr_db"] == min(own.values())
    windows = json.loads((first / "windows.json").read_text())
    for row in rows:
        parts = [windows[i][row["core"]] for i in ("0", "1")]
        assert sum(p["predictions"] for p in parts) == 2 * 31
        assert row["perplexity"] == pytest.approx(np.exp(sum(p["nll"] for p in parts) / 62))
        assert row["kl_nats"] == pytest.approx(sum(p["kl"] for p in parts) / 62)


def test_numbers_make_sense(first, checkpoint, corpus):
    digital, wide, noisy = _metrics(first)["cores"]
    assert (digital["kl_nats"], digital["argmax_agreement"]) == (0.0, 1.0)
    assert digital["perplexity_change_percent"] == 0.0
    ids = load_tokenizer(checkpoint).encode(corpus.read_text(), add_special_tokens=False).ids
    tokens = jnp.asarray(ids[:64]).reshape(2, 32)
    scores = jax.nn.log_softmax(load_huggingface(checkpoint)(tokens)[:, :-1])
    nll = -jnp.take_along_axis(scores, tokens[:, 1:, None], 2).mean()
    assert digital["perplexity"] == pytest.approx(float(jnp.exp(nll)), rel=1e-4)
    assert wide["perplexity"] == pytest.approx(digital["perplexity"], rel=1e-3)
    assert wide["worst_site_snr_db"] > 70
    assert wide["photons_per_multiply"] is None
    assert wide["joules_per_token"] is None  # no laser, no cost
    assert 0 < noisy["photons_per_multiply"] < 3e4
    assert 5 < noisy["worst_site_snr_db"] < 45
    assert noisy["kl_nats"] > wide["kl_nats"] >= 0
    assert 0 <= noisy["adc_clipped_fraction"] < 0.05
    spread = [noisy[f"joules_per_token_p{p}"] for p in (10, 50, 90)]
    assert 0 < spread[0] < spread[1] < spread[2]


@pytest.mark.slow
def test_the_seed_decides(first, evaluate, results):
    assert evaluate("run=again").status == 0
    assert timeless(results / "again") == timeless(first)
    assert (results / "again" / "sites.csv").read_bytes() == (first / "sites.csv").read_bytes()
    assert evaluate("run=other", "seed=1").status == 0
    before, after = (timeless(run)["cores"] for run in (first, results / "other"))
    assert before[:2] == after[:2]  # nothing random in them
    assert before[2]["perplexity"] != after[2]["perplexity"]
    assert before[2]["perplexity"] == pytest.approx(after[2]["perplexity"], rel=1e-2)


@pytest.mark.slow
def test_only_and_cores_group(evaluate, results):
    """A rung may name its products; the rest stays digital, and says so."""
    outcome = evaluate(
        "run=only", "ladder={down: {only: '*/down_proj'}}", "windows=1", "core=ideal"
    )
    assert outcome.status == 0, outcome.err
    with open(results / "only" / "sites.csv", newline="") as file:
        sites = [row["site"] for row in csv.DictReader(file)]
    assert sites == ["layers/0/mlp/down_proj", "layers/1/mlp/down_proj"]
    conversion = (results / "only" / "conversion.txt").read_text()
    assert conversion.count("optical") == 1
    assert "no rule matches" in conversion


@pytest.mark.slow
@pytest.mark.usefixtures("processes_compile_alike")
def test_as_a_process(first, evaluate_process, results):
    """The command line gives the same numbers as the function, and its results on standard output."""
    outcome = evaluate_process("run=process")
    assert outcome.status == 0, outcome.err
    assert "Traceback" not in outcome.err
    assert (results / "process" / "report.txt").read_text() in outcome.out
    ours, theirs = timeless(first), timeless(results / "process")
    assert [row["core"] for row in theirs["cores"]] == RUNGS
    for a, b in zip(ours["cores"], theirs["cores"], strict=True):
        assert a["perplexity"] == pytest.approx(b["perplexity"], rel=1e-6)


@pytest.mark.slow
def test_help(evaluate_process):
    outcome = evaluate_process("--help", base=False)
    assert outcome.status == 0
    assert outcome.err == ""
    assert "usage: python -m experiments.evaluate" in outcome.out
    for key in ("windows: 6", "ladder:", "int8-1e4-photons", "name: display-1024", "results_dir"):
        assert key in outcome.out
