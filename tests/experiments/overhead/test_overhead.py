"""The overhead experiment: what it compares is the same model, and it writes what it prints."""

from __future__ import annotations

import csv
import importlib
import json
import pathlib

import jax
import numpy as np
import pytest

import photonjax as pj
from experiments import harness
from experiments.overhead.config import Overhead

SMALL = ["repeats=2", "stack={layers: 2, width: 8, heads: 2, tokens: 4}", "run=small"]
TRACE = ["trace={layers: 3, width: 8, heads: 2, tokens: 4, repeats: 1}"]


@pytest.fixture
def overhead(ours):
    return importlib.import_module("experiments.overhead.run")


@pytest.mark.slow
def test_runs(overhead, tmp_path: pathlib.Path, capsys):
    config = harness.load_config("overhead", Overhead, [*SMALL, *TRACE, f"results_dir={tmp_path}"])
    overhead.overhead(config)
    directory = tmp_path / "overhead" / "small"
    rows = list(csv.DictReader((directory / "models.csv").open()))
    assert [row["model"] for row in rows] == [
        "nnx, pj.convert",
        "linen, Optical",
        "function, pj.optical",
    ]
    for row in rows:
        assert float(row["operations"]) == pytest.approx(1, abs=0.05)
        assert float(row["lower quartile"]) <= float(row["ratio"]) <= float(row["upper quartile"])
    metrics = json.loads((directory / "metrics.json").read_text())
    assert [row["tracing 3 layers"] for row in metrics["tracing"]] == [
        "digital",
        "by hand",
        "pj.optical",
    ]
    printed = capsys.readouterr().out
    assert (directory / "report.txt").read_text().strip() in printed


def test_an_interrupted_run_goes_on(overhead, resumes, monkeypatch, tmp_path):
    monkeypatch.setattr(overhead, "trace_rows", lambda *_, **__: [{"model": "x", "ratio": 1.5}])
    monkeypatch.setattr(overhead, "model_rows", lambda *_, **__: [{"model": "y", "ratio": 2.5}])
    settings = [*SMALL, *TRACE, f"results_dir={tmp_path}"]
    first = resumes(
        overhead,
        overhead.overhead,
        lambda name: harness.load_config("overhead", Overhead, [*settings, f"run={name}"]),
    )
    assert first == ["tracing"]


@pytest.mark.slow
def test_the_function_by_hand_is_the_one_transformed(overhead):
    """The two draw the same noise, so that they can be compared number by number."""
    core = pj.OpticalCore(rows=16, cols=16, photons=1e3, adc={"bits": None})
    x = jax.random.normal(jax.random.key(0), (4, 8))
    (hand, params), (converted, _) = overhead.function_pair(core, 1, 8, 2)
    weights = jax.tree.map(lambda w: jax.random.normal(jax.random.key(w.size), w.shape), params)
    key = jax.random.key(1)
    a, b = jax.jit(hand)(weights, x, key), jax.jit(converted)(weights, x, key)
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_sizes_are_checked():
    with pytest.raises(
        harness.UserError, match=r"stack.tokens: 0 is not an integer of 1 ... 131,072"
    ):
        harness.load_config("overhead", Overhead, ["stack.tokens=0"])
