"""Runs that are killed where they write go on when repeated, and end with the same files, bit for bit."""

from __future__ import annotations

import contextlib
import itertools
import json
import pathlib
import random
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from photonjax.evaluation import ladder
from photonjax.files import PARTIAL

LADDER = "ladder={bright: {photons: 1e5}, head: {only: head, photons: 1e4}, dim: {photons: 1e4}}"
# Two windows, one of them measured, and three groups of models: rungs, or rungs on three dies each.
GROUPS = {False: ("at_once=1", LADDER), True: ("at_once=4", "dies=3", "draws=2", LADDER)}


@pytest.fixture
def one_time(monkeypatch: pytest.MonkeyPatch, evaluate_module):
    """Every prefill takes a second, and every run the same memory."""
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


def from_every_point(
    run: Callable[[str], Any], place: pathlib.Path, kill: Callable[..., list[str]], full: bool
) -> list[str]:
    """Break a run at each of its writes in turn, go on, and compare; returns the names written."""
    writes = kill(None)
    assert run(f"unbroken-{full}").status == 0
    points, whole = list(writes), content(place / f"unbroken-{full}")
    # A full disk ends a run as a kill does, but for the message: a third of the points will do.
    for number, file in list(enumerate(points))[:: 3 if full else 1]:
        name = f"broken-{full}-{number}"
        kill(number, full)
        if full:
            error = run(name).error
            assert f"cannot write {place / name / file} (No space left on device)" in error
            assert f"run={name} to go on" in error
            assert not list((place / name).glob(f"{PARTIAL}*"))
        else:
            with pytest.raises(kill.ends):
                run(name)
        assert not (place / name / "metrics.json").exists()
        kill(None)
        outcome = run(name)
        assert outcome.status == 0, (file, outcome.err)
        assert content(place / name) == whole, file
    print(f"{len(points)} points")
    return points


@pytest.mark.slow
@pytest.mark.parametrize("full", [False, True], ids=["killed", "disk-full"])
def test_an_evaluation_goes_on_from_every_point(evaluate, results, kill, one_time, full):
    points = from_every_point(
        lambda name: evaluate(f"run={name}", *GROUPS[full]), results, kill, full
    )
    assert points.count("windows.json") == points.count("measured.json") == 3 * 2
    assert points[-2:] == ["report.txt", "metrics.json"]


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again(evaluate_process, results):
    """By the system, at random moments after a random number of windows: wherever it stands then."""
    settings = ("at_once=1", "dies=2", LADDER)
    assert evaluate_process("run=whole-process", *settings).status == 0
    chance, run, kills = random.Random(0), results / "killed-process", 0

    def rows() -> int:
        file = run / "windows.json"
        return sum(map(len, json.loads(file.read_text()).values())) if file.exists() else 0

    def kill(process: subprocess.Popen) -> None:
        goal = rows() + chance.choice((0, 1, 1, 2, 3))
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
