"""Runs that are killed where they write go on when repeated, and end with the same files, bit for bit."""

from __future__ import annotations

import contextlib
import itertools
import json
import pathlib
import random
import shutil
import signal
import subprocess
import time
from typing import Any

import pytest
from matplotlib.figure import Figure

from photonjax.evaluation import ladder
from photonjax.files import PARTIAL

LADDER = "ladder={bright: {photons: 1e5}, head: {only: head, photons: 1e4}, dim: {photons: 1e4}}"
# Two windows, one of them measured. Three groups of a rung each; two, of a rung on two dies each.
GROUPS = ("at_once=1", LADDER)
TWO = "ladder={bright: {photons: 1e5}, head: {only: head, photons: 1e4}}"
DIES = ("at_once=2", "dies=2", "draws=2", TWO)


@pytest.fixture
def one_time(monkeypatch: pytest.MonkeyPatch, evaluate_module):
    """Every prefill takes a second, every run the same memory; plots, half of a run's work, are empty."""
    for plot in ("perplexity", "site_snr"):
        monkeypatch.setattr(evaluate_module.plots, plot, lambda *_: Figure())
    monkeypatch.setattr(ladder.time, "perf_counter", itertools.count().__next__)
    monkeypatch.setattr(evaluate_module, "peak_memory_bytes", lambda: 10**9)


def timeless(value: Any) -> Any:
    """Without what the machine's speed and memory decide."""
    if isinstance(value, dict):
        timed = ("seconds", "prefill_tokens_per_s", "peak_memory_bytes")
        return {k: timeless(v) for k, v in value.items() if k not in timed}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def content(run: pathlib.Path) -> dict[str, bytes]:
    """All files of a finished run, but for the config, which holds its name."""
    return {f.name: f.read_bytes() for f in run.iterdir() if f.name != "config.yaml"}


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_from_every_point(
    evaluate, results, writes, one_time, tmp_path
):
    """What lies there at each write of a run is what a kill leaves: from there a run ends the same."""
    points: list[str] = []

    def copy(target: pathlib.Path) -> None:
        shutil.copytree(target.parent, tmp_path / str(len(points)))
        points.append(target.name)

    writes(before=copy)
    assert evaluate("run=killed", *GROUPS).status == 0
    writes()
    run = results / "killed"
    whole = content(run)
    assert points.count("windows.json") == points.count("measured.json") == 3 * 2
    assert points[-2:] == ["report.txt", "metrics.json"]
    for number, file in enumerate(points):
        shutil.rmtree(run)
        shutil.copytree(tmp_path / str(number), run)
        assert list(run.glob(f"{PARTIAL}*")) and not (run / "metrics.json").exists()
        outcome = evaluate("run=killed", *GROUPS)
        assert outcome.status == 0, (file, outcome.err)
        assert content(run) == whole, file
    print(f"{len(points)} points")


@pytest.mark.slow
def test_an_evaluation_goes_on_after_a_full_disk(evaluate, results, writes, one_time):
    """It ends a run as a kill does, but for the message: at the last write of each file."""
    written = writes()
    assert evaluate("run=whole", *DIES).status == 0
    points, whole = list(written), content(results / "whole")
    for file in dict.fromkeys(points):
        name = f"full-at-{file}"
        writes(full_at=len(points) - 1 - points[::-1].index(file))
        error = evaluate(f"run={name}", *DIES).error
        assert f"cannot write {results / name / file} (No space left on device)" in error
        assert f"run={name} to go on" in error
        assert not list((results / name).glob(f"{PARTIAL}*"))
        assert not (results / name / "metrics.json").exists()
        writes()
        outcome = evaluate(f"run={name}", *DIES)
        assert outcome.status == 0, (file, outcome.err)
        assert content(results / name) == whole, file


@pytest.mark.slow
@pytest.mark.usefixtures("processes_compile_alike")
def test_a_process_that_is_killed_again_and_again(evaluate_process, results):
    """By the system, at random moments after a random number of windows: wherever it stands then."""
    settings = ("at_once=1", LADDER)
    assert evaluate_process("run=whole-process", *settings).status == 0
    chance, run, kills = random.Random(0), results / "killed-process", 0

    def rows() -> int:
        file = run / "windows.json"
        return sum(map(len, json.loads(file.read_text()).values())) if file.exists() else 0

    def kill(process: subprocess.Popen) -> None:
        goal = rows() + chance.choice((0, 1, 2, 3, 4))
        while process.poll() is None and rows() < goal:
            time.sleep(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 4 if goal == rows() else 0.5))
        process.kill()

    while not (run / "metrics.json").exists():
        assert kills < 30
        outcome = evaluate_process("run=killed-process", *settings, watch=kill)
        assert outcome.status in (0, -signal.SIGKILL), outcome.err
        kills += outcome.status != 0
    assert kills
    print(f"killed {kills} times")
    for name in ("metrics.json", "windows.json", "measured.json"):
        ours, theirs = (
            timeless(json.loads((results / place / name).read_text()))
            for place in ("killed-process", "whole-process")
        )
        assert ours == theirs, name
    for name in ("sites.csv", "conversion.txt"):
        ours, theirs = (results / place / name for place in ("killed-process", "whole-process"))
        assert ours.read_bytes() == theirs.read_bytes()
    assert {f.name for f in run.iterdir()} == {
        f.name for f in (results / "whole-process").iterdir()
    }
