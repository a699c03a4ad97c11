"""Runs that are killed where they write go on when repeated, and end with the same files, bit for bit."""

from __future__ import annotations

import errno
import itertools
import os
import pathlib
import shutil
from typing import Any

import pytest

from photonjax.evaluation import ladder
from photonjax.files import PARTIAL

LADDER = "ladder={bright: {photons: 1e5}, head: {only: head, photons: 1e4}, dim: {photons: 1e4}}"
GROUPS = ("at_once=1", LADDER)  # three groups of rungs, two windows, one of them measured


class Killed(BaseException):
    """What nothing may catch."""


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch):
    """Let the process end, or the disk be full, at the n-th write of a result, where the file is written
    but has not its name yet; returns the names that were written.
    """
    replace = os.replace
    written: list[str] = []

    def at(number: int | None, full: bool = False) -> list[str]:
        written.clear()

        def replaced(source: Any, target: Any) -> None:
            if not pathlib.Path(source).name.startswith(PARTIAL):
                return replace(source, target)  # of another writer, such as the compilation cache
            if len(written) == number and full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if len(written) == number:
                shutil.copy(source, f"{source}-of-the-dead")  # who is killed removes nothing
                raise Killed
            replace(source, target)
            written.append(pathlib.Path(target).name)

        monkeypatch.setattr(os, "replace", replaced)
        return written

    return at


@pytest.fixture
def one_time(monkeypatch: pytest.MonkeyPatch, evaluate_module):
    """Every prefill takes a second, and every run the same memory."""
    monkeypatch.setattr(ladder.time, "perf_counter", itertools.count().__next__)
    monkeypatch.setattr(evaluate_module, "peak_memory_bytes", lambda: 10**9)


def content(run: pathlib.Path) -> dict[str, bytes]:
    """All files of a finished run, but for the config, which holds its name."""
    return {f.name: f.read_bytes() for f in run.iterdir() if f.name != "config.yaml"}


@pytest.mark.slow
@pytest.mark.parametrize("full", [False, True], ids=["killed", "disk-full"])
def test_an_evaluation_goes_on_from_every_point(evaluate, results, kill, one_time, full):
    writes = kill(None)
    assert evaluate(f"run=unbroken-{full}", *GROUPS).status == 0
    points, whole = list(writes), content(results / f"unbroken-{full}")
    assert points.count("windows.json") == 3 * 2
    for number, name in enumerate(points):
        run = results / f"broken-{full}-{number}"
        kill(number, full)
        if full:
            error = evaluate(f"run={run.name}", *GROUPS).error
            assert f"cannot write {run / name} (No space left on device)" in error
            assert f"run={run.name} to go on" in error
            assert not list(run.glob(f"{PARTIAL}*"))
        else:
            with pytest.raises(Killed):
                evaluate(f"run={run.name}", *GROUPS)
        assert not (run / "metrics.json").exists()
        kill(None)
        outcome = evaluate(f"run={run.name}", *GROUPS)
        assert outcome.status == 0, (name, outcome.err)
        assert content(run) == whole, name
