"""Sweeps: every job in a directory of its own, here or in processes that a launcher starts."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest
from omegaconf import OmegaConf

from experiments import harness
from experiments.energy.config import Energy
from experiments.evaluate.config import Evaluate
from experiments.harness.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[3]
SMALL = ["repeats=1", "imports=false", "prefill.tokens=null", "modes.tokens=null", "run=sweep"]
SHAPES = ["product.tokens=[4]", "product.shapes=[[8,8]]"]


@pytest.fixture
def sweep(tmp_path):
    """Run experiments.benchmark on one small product for every value of the overrides."""

    def run(*overrides: str) -> tuple[subprocess.CompletedProcess[str], pathlib.Path]:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "experiments.benchmark", "--multirun", *SMALL, *SHAPES]
        done = subprocess.run(
            [*command, f"results_dir={tmp_path}", *overrides],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return done, tmp_path / "benchmark" / "sweep"

    return run


@pytest.mark.slow
def test_jobs_in_processes_each_with_a_directory(sweep):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    done, place = sweep("repeats=1,2", "hydra/launcher=processes")
    assert done.returncode == 0, done.stderr
    assert (place / "multirun.yaml").exists()
    for job, repeats in (("0", 1), ("1", 2)):
        assert OmegaConf.load(place / job / "config.yaml").repeats == repeats
        assert json.loads((place / job / "metrics.json").read_text())["products"]
    assert not (ROOT / "outputs").exists() and not (ROOT / "multirun").exists()


@pytest.mark.slow
def test_a_job_that_cannot_be_does_not_stop_the_others_and_finished_ones_stay(sweep):
    done, place = sweep("repeats=0,1")
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("error: repeats: 0 is not an integer of 1 ... 10,000")
    assert "repeats=0" in done.stderr and "Traceback" not in done.stderr
    assert not list((place / "0").iterdir())
    before = (place / "1" / "metrics.json").read_bytes()
    again, _ = sweep("repeats=3,1")
    assert again.returncode == 0, again.stderr
    assert "done before: job 1" in again.stderr
    assert (place / "1" / "metrics.json").read_bytes() == before
    assert (place / "0" / "metrics.json").exists()


def test_launchers_for_clusters_compose():
    for launcher, plugin in (("slurm", "submitit"), ("processes", "joblib")):
        pytest.importorskip(f"hydra_plugins.hydra_{plugin}_launcher")
        settings = harness.load_config("evaluate", Evaluate, [f"hydra/launcher={launcher}"])
        assert settings.seed == 0


def test_a_mapping_of_a_group_stands_in_for_the_file_others_are_added_to():
    load = lambda *o: harness.load_config("evaluate", Evaluate, o)
    assert list(load("ladder={a: {photons: 1e4}}").ladder) == ["a"]
    assert "a" in load("ladder.a={photons: 1e4}").ladder
    assert load("core.rows=64", "core.cols=32").core == {
        "name": "display-1024",
        "rows": 64,
        "cols": 32,
    }


def test_options_of_others_are_refused_in_one_line():
    with pytest.raises(UserError, match="'--seed=3': write key=value, without dashes"):
        harness.load_config("evaluate", Evaluate, ["--seed=3"])


@pytest.mark.parametrize(
    "error", [MemoryError(), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")]
)
def test_too_little_memory_is_one_line(in_process, error):
    def greedy(config):
        raise error

    assert in_process("energy", Energy, greedy, []).error.startswith("error: memory: there is too ")


def test_other_errors_of_the_compiler_keep_their_traceback(in_process):
    def broken(config):
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        in_process("energy", Energy, broken, [])
