"""Results directories: taken up again, or refused and left as they were."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from photonjax.evaluation import ladder

HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
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


def test_another_config_may_not_go_on(evaluate, results, stop_after):
    stop_after(4)
    assert evaluate("run=mine").status == 1
    before = _content(results / "mine")
    assert "windows.json" in before
    assert "another config" in evaluate("run=mine", "seed=5").error
    assert "another config" in evaluate("run=mine", "ladder={a: {photons: 1e3}}").error
    assert _content(results / "mine") == before


def test_a_slip_of_the_pen_may_be_corrected(evaluate, results, checkpoint):
    """A run that failed before it had any result does not lay claim to its name."""
    assert "does not exist" in evaluate("run=slip", f"model.path={checkpoint}-typo").error
    assert evaluate("run=slip", "ladder={a: {photons: 1e4}}", "windows=1").status == 0
    assert (results / "slip" / "metrics.json").exists()


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
        [sys.executable, "-S", "-c", HOLD, str(run / ".lock")],
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
        assert _content(run) == {".lock": b""}
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


def test_windows_that_are_no_json(evaluate, results, stop_after):
    stop_after(4)
    assert evaluate("run=torn").status == 1
    (results / "torn" / "windows.json").write_text('{"0": {"dig')
    error = evaluate("run=torn").error
    assert "windows.json" in error
    assert "delete it" in error


def test_run_names_that_look_like_numbers(evaluate, results):
    assert evaluate("run=0", "ladder={a: {photons: 1e4}}", "windows=1").status == 0
    assert (results / "0" / "metrics.json").exists()
