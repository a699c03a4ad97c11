"""The benchmark: every comparison is there, in turn, and ratios are those of its own times."""

import csv
import importlib
import json
import os
import pathlib

import pytest

from experiments import harness
from experiments.benchmark.config import Benchmark

SMALL = ["repeats=1", "imports=false", "prefill.tokens=null", "run=small"]
SHAPES = ["product.tokens=[4]", "product.shapes=[[8,8]]"]
MODES = ["modes.tokens=4", "modes.k=16", "modes.n=8"]


@pytest.fixture
def benchmark(ours):
    return importlib.import_module("experiments.benchmark.run")


def config(*overrides):
    return harness.load_config("benchmark", Benchmark, [*SMALL, *overrides])


@pytest.mark.slow
def test_runs(benchmark, tmp_path: pathlib.Path, capsys):
    benchmark.benchmark(config(*SHAPES, *MODES, f"results_dir={tmp_path}"))
    directory = tmp_path / "benchmark" / "small"
    rows = list(csv.DictReader((directory / "modes.csv").open()))
    assert [row["mode"] for row in rows][:2] == ["digital float32", "ordinary"]
    assert len(rows) > 10
    for row in rows:
        milliseconds = float(row["ms"])
        assert float(row["ratio"]) == pytest.approx(milliseconds / float(rows[0]["ms"]))
        assert float(row["to_ordinary"]) == pytest.approx(milliseconds / float(rows[1]["ms"]))
    (product,) = csv.DictReader((directory / "products.csv").open())
    assert float(product["optical_programmed_ratio"]) > 0
    metrics = json.loads((directory / "metrics.json").read_text())
    assert metrics["peak_memory_bytes"] > 2**20 and len(metrics["modes"]) == len(rows)


@pytest.mark.slow
def test_an_interrupted_run_goes_on(benchmark, resumes, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "interleave", lambda runs, repeats: dict.fromkeys(runs, 1.0))
    monkeypatch.setattr(benchmark, "peak_memory_bytes", lambda: 10**9)
    settings = ["product.tokens=[4]", "product.shapes=[[8,8],[16,8]]", *MODES]
    first = resumes(
        benchmark,
        benchmark.benchmark,
        lambda name: config(*settings, f"results_dir={tmp_path}", f"run={name}"),
    )
    assert first == ["4 x 8 x 8"]


def test_times_are_taken_in_turn(benchmark):
    calls: list[str] = []
    times = benchmark.interleave({n: lambda n=n: calls.append(n) for n in "ab"}, 2)
    assert calls == list("ababab") and min(times.values()) > 0


def test_a_mode_that_cannot_be(benchmark):
    wrong = "modes.cores.odd={input: {slices: 99}}"
    with pytest.raises(harness.UserError, match="modes.cores.odd.*input.slices"):
        benchmark.mode_rows(config(*MODES, wrong))


@pytest.mark.parametrize(
    "before, cpu, after",
    [
        ("", "flags: avx2 avx512f", "--xla_cpu_prefer_vector_width=512"),
        ("--a=1", "flags: avx512f", "--a=1 --xla_cpu_prefer_vector_width=512"),
        ("--a=1", "flags: avx2", "--a=1"),
        ("--xla_cpu_prefer_vector_width=128", "avx512f", "--xla_cpu_prefer_vector_width=128"),
    ],
)
def test_vectors_are_widened_where_the_processor_has_them(
    benchmark, monkeypatch, before, cpu, after
):
    monkeypatch.setenv("XLA_FLAGS", before)
    monkeypatch.setattr(pathlib.Path, "read_text", lambda self: cpu)
    harness.widen_vectors()
    assert os.environ["XLA_FLAGS"] == after
