"""Progress says what is done and what is left, on standard error alone."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from experiments.harness import progress
from experiments.harness.progress import Progress, duration, track


class Lines(io.StringIO):
    """A stream that is no terminal, and that says when something was written."""

    def __init__(self):
        super().__init__()
        self.written = threading.Event()

    def write(self, text):
        count = super().write(text)
        self.written.set()
        return count


def test_a_line_without_a_terminal_even_while_a_step_does_not_return(monkeypatch, capsys):
    lines = Lines()
    monkeypatch.setattr(sys, "stderr", lines)
    with Progress("compile", every_seconds=1e-3):
        assert lines.written.wait(240)
    assert lines.getvalue().startswith("compile: ")
    assert capsys.readouterr().out == ""


@pytest.fixture
def at(monkeypatch):
    """Set the clock."""

    def set_clock(seconds):
        monkeypatch.setattr(progress.time, "monotonic", lambda: seconds)

    return set_clock


def test_what_is_left_follows_from_what_was_done_here(at):
    at(100.0)
    work = Progress("prefill", total=12, unit="windows")
    at(130.0)
    assert work.line() == "prefill: 0 of 12 windows, 30 s so far"
    work.advance(2, already=True)  # by an interrupted run: says nothing about the speed of this one
    work.advance(4)
    assert work.line() == "prefill: 4 of 10 windows, 45 s left"


def test_items_are_passed_on():
    assert list(track([3, 1, 2], "count")) == [3, 1, 2]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.7, "1:00 min"), (3599, "59:59 min"), (7262, "2:01:02 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
