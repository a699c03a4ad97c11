"""Results directories: taken up again, or refused and left as they were."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import subprocess
import sys
import types

import pytest
from omegaconf import OmegaConf

from experiments.harness import RunDirectory, UserError, peak_memory_bytes
from photonjax.evaluation import ladder
from photonjax.files import PARTIAL

HOLD = """
import filelock, sys
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
ELSEWHERE = """
import importlib, pathlib, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None  # not there, as on Windows
for file in sorted(pathlib.Path("experiments").glob("*/run.py")):
    importlib.import_module(".".join(file.with_suffix("").parts))
from omegaconf import OmegaConf
from experiments.harness import RunDirectory, UserError, peak_memory_bytes
config = OmegaConf.create({"results_dir": sys.argv[1], "run": "a"})
with RunDirectory("colours", config) as run:
    try:
        RunDirectory("colours", config)
    except UserError as error:
        print(error)
with RunDirectory("colours", config) as run:
    run.write_json("metrics.json", {})
print(peak_memory_bytes())
"""


def _content(directory: pathlib.Path) -> dict[str, bytes]:
    files = (f for f in directory.rglob("*") if f.is_file())
    return {str(f.relative_to(directory)): f.read_bytes() for f in files}


def _numbers(run: pathlib.Path) -> list[dict[str, object]]:
    rows = json.loads((run / "metrics.json").read_text())["cores"]
    return [{k: v for k, v in row.items() if k != "prefill_tokens_per_s"} for row in rows]


@pytest.fixture
def stop_after(monkeypatch):
    """Let the user press Ctrl-C after so many prefills; returns the list of prefills done."""
    compare = ladder.compare
    calls: list[int] = []

    def stop(limit: int | None) -> list[int]:
        calls.clear()

        def counted(*logits_and_tokens):
            if limit is not None and len(calls) == limit:
                raise KeyboardInterrupt
            calls.append(1)
            return compare(*logits_and_tokens)

        monkeypatch.setattr(ladder, "compare", counted)
        return calls

    return stop


@pytest.mark.slow
def test_an_interrupted_run_goes_on(evaluate, results, stop_after):
    assert evaluate("run=whole").status == 0
    calls = stop_after(4)  # in the second window of two, three rungs each
    stopped = evaluate("run=halves")
    assert stopped.status == 1
    assert stopped.err.splitlines()[-1].startswith("interrupted; to go on")
    begun = json.loads((results / "halves" / "windows.json").read_text())
    assert list(begun) == ["0"]
    assert not (results / "halves" / "metrics.json").exists()
    calls = stop_after(None)
    assert evaluate("run=halves").status == 0
    assert len(calls) == 3  # the second window only
    assert _numbers(results / "halves") == _numbers(results / "whole")
    written = json.loads((results / "halves" / "windows.json").read_text())
    assert written["0"] == begun["0"]


@pytest.mark.slow
def test_another_config_may_not_go_on(evaluate, results, stop_after):
    stop_after(4)
    assert evaluate("run=mine").status == 1
    before = _content(results / "mine")
    assert "windows.json" in before
    assert "another config" in evaluate("run=mine", "seed=5").error
    assert "another config" in evaluate("run=mine", "ladder={a: {photons: 1e3}}").error
    assert _content(results / "mine") == before


@pytest.mark.slow
def test_a_slip_of_the_pen_may_be_corrected(evaluate, results, checkpoint):
    """A run that failed before it had any result does not lay claim to its name."""
    assert "does not exist" in evaluate("run=slip", f"model.path={checkpoint}-typo").error
    assert evaluate("run=slip", "ladder={a: {photons: 1e4}}", "windows=1").status == 0
    assert (results / "slip" / "metrics.json").exists()


@pytest.mark.slow
def test_a_finished_run_stays(evaluate, evaluate_process, results):
    assert evaluate("run=done", "ladder={a: {photons: 1e4}}", "windows=1").status == 0
    before = _content(results / "done")
    for overrides in (("run=done",), ("run=done", "seed=3")):
        error = evaluate(*overrides).error
        assert "finished run" in error
        assert "run=NAME" in error
    assert "finished run" in evaluate_process("run=done").error
    assert _content(results / "done") == before


def test_a_directory_in_use(evaluate, results):
    run = results / "busy"
    run.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        error = evaluate("run=busy").error
        assert "in use by another process" in error
        assert str(run) in error
        assert list(_content(run)) == [".lock"]
    finally:
        holder.communicate("")


def test_files_of_something_else(evaluate, results):
    run = results / "diary"
    run.mkdir(parents=True)
    (run / "report.txt").write_text("Dear diary")
    error = evaluate("run=diary").error
    assert "report.txt" in error
    assert (run / "report.txt").read_text() == "Dear diary"


def test_an_unwritable_place(evaluate, tmp_path):
    (tmp_path / "file").write_text("I am a file")
    error = evaluate(f"results_dir={tmp_path / 'file' / 'results'}").error
    assert "cannot write" in error
    assert "results_dir=PATH" in error
    assert (tmp_path / "file").read_text() == "I am a file"


@pytest.mark.slow
def test_windows_that_are_no_json(evaluate, results, stop_after):
    stop_after(4)
    assert evaluate("run=torn").status == 1
    for text, remedy in (
        ('{"0": {"dig', "delete it"),
        ('{"0": {"noisy": {"nll": 1}}}', "delete both"),
    ):
        (results / "torn" / "windows.json").write_text(text)
        error = evaluate("run=torn").error
        assert "windows.json" in error
        assert remedy in error


@pytest.mark.slow
def test_a_platform_without_modules_of_unix(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
        cwd=pathlib.Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    in_use, memory = done.stdout.splitlines()
    assert in_use.startswith(f"run: {tmp_path / 'colours' / 'a'} is in use by another process")
    assert memory == "None"
    assert (tmp_path / "colours" / "a" / "metrics.json").read_text() == "{}\n"


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_peak_memory_is_in_bytes(monkeypatch, platform, unit):
    """getrusage(2): kilobytes on Linux, bytes on macOS."""
    usage = types.SimpleNamespace(ru_maxrss=3_000_000)
    resource = types.SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: usage)
    monkeypatch.setitem(sys.modules, "resource", resource)
    monkeypatch.setattr(sys, "platform", platform)
    assert peak_memory_bytes() == 3_000_000 * unit


@pytest.fixture
def place(tmp_path):
    """A run directory without an experiment."""
    with RunDirectory(
        "colours", OmegaConf.create({"results_dir": str(tmp_path), "run": "a"})
    ) as run:
        yield run


def test_a_full_disk(place, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place.write("report.txt", "before")
    with monkeypatch.context() as context:
        context.setattr(os, "fsync", full)
        with pytest.raises(UserError) as error:
            place.write("report.txt", "after")
    assert str(error.value) == (
        f"results: cannot write {place.path / 'report.txt'} (No space left on device); free space, or "
        "make it writable, and repeat the command with run=a to go on from what was written"
    )
    assert (place.path / "report.txt").read_text() == "before"
    assert {f.name for f in place.path.iterdir()} <= {
        *(".lock", "config.yaml", "versions.json", "report.txt")
    }


def test_what_the_killed_were_writing_is_removed(place, tmp_path):
    (place.path / f"{PARTIAL}x").write_text("half")
    place.__exit__()
    with RunDirectory("colours", OmegaConf.create({"results_dir": str(tmp_path), "run": "a"})):
        assert not list(place.path.glob(f"{PARTIAL}*"))


def test_rows_that_there_are_not(place):
    place.write_csv("none.csv", [])
    place.write_csv("some.csv", [{"a": 1}])
    assert not (place.path / "none.csv").exists()
    assert (place.path / "some.csv").read_text() == "a\n1\n"


@pytest.mark.slow
def test_run_names_that_look_like_numbers(evaluate, results):
    assert evaluate("run=0", "ladder={a: {photons: 1e4}}", "windows=1").status == 0
    assert (results / "0" / "metrics.json").exists()
