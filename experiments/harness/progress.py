"""What is being done and how long is left: a bar on a terminal, elsewhere a line every ten seconds.

All of it goes to standard error, so that standard output holds results alone.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

T = TypeVar("T")
EVERY_SECONDS = 10.0


def note(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """A stage of the work, as a context; ``advance`` says that one more unit is done.

    Args:
      what: what is being done, such as "prefill".
      total: how many units there are; None where it is one step, such as compiling.
      unit: what is counted.
      every_seconds: how often a line is written where standard error is no terminal.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        unit: str = "",
        every_seconds: float = EVERY_SECONDS,
    ):
        self.what, self.total, self.unit = what, total, unit
        self.every_seconds = every_seconds
        self.done = 0
        self.start = time.monotonic()
        self._ended = threading.Event()
        self._bar: Any = None
        self._timer: threading.Thread | None = None

    def __enter__(self) -> Progress:
        self.start = time.monotonic()
        if sys.stderr.isatty():
            self._bar = _bar()
            self._bar.start()
            self._task = self._bar.add_task(self.what, total=self.total)
        else:  # a thread of its own: a step such as compiling does not return for long
            self._timer = threading.Thread(target=self._lines, daemon=True)
            self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._bar is not None:
            self._bar.stop()
        if self._timer is not None:
            self._timer.join()

    def advance(self, units: int = 1, already: bool = False) -> None:
        """``units`` more are done; ``already``: before, by a run that this one continues."""
        self.done += 0 if already else units
        if already and self.total is not None:
            self.total -= units
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, total=self.total)

    def line(self) -> str:
        """Where the work stands."""
        spent = time.monotonic() - self.start
        if self.total is None:
            return f"{self.what}: {duration(spent)} so far"
        text = f"{self.what}: {self.done} of {self.total} {self.unit}".rstrip()
        if not self.done:
            return f"{text}, {duration(spent)} so far"
        return f"{text}, {duration(spent * (self.total - self.done) / self.done)} left"

    def _lines(self) -> None:
        while not self._ended.wait(self.every_seconds):
            note(self.line())


class Stages:
    """Progress of work that names its stages itself: a context, to be called with what is being done,
    how much of it is done, and of how much.
    """

    def __init__(self) -> None:
        self._now: Progress | None = None

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *error: object) -> None:
        if self._now is not None:
            self._now.__exit__()
            self._now = None

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Report."""
        if self._now is None or self._now.what != what:
            self.__exit__()
            self._now = Progress(what, total).__enter__()
        self._now.advance(done - self._now.done)


def track(items: Iterable[T], what: str, unit: str = "") -> Iterator[T]:
    """Iterate with progress."""
    total = len(items) if isinstance(items, Sized) else None
    with Progress(what, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def duration(seconds: float) -> str:
    """Seconds as people read them: ``45 s``, ``2:05 min``, ``1:02:05 h``.

    >>> duration(45.3), duration(125), duration(3725)
    ('45 s', '2:05 min', '1:02:05 h')
    """
    whole = round(seconds)
    minutes, left = divmod(whole, 60)
    if not minutes:
        return f"{whole} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}:{minutes_left:02}:{left:02} h" if hours else f"{minutes}:{left:02} min"


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        "left",
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
    )
