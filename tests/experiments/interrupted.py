"""Runs that are interrupted, killed, or meet a full disk."""

from __future__ import annotations

import errno
import os
import pathlib
import shutil
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from photonjax.files import PARTIAL


@pytest.fixture
def resumes(harness: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Interrupt a run after its first part, repeat it, and hold its files against an unbroken run's.

    Takes the module of the experiment, its function, and what makes a config of a run's name; returns
    the parts that were kept at the interruption. Nothing takes time.
    """

    def check(
        module: ModuleType, experiment: Callable[[Any], None], config: Callable[[str], Any]
    ) -> list[str]:
        if hasattr(module, "time"):
            monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: 0.0))
        get, given = harness.Parts.get, []

        def interrupted(self: Any, name: str, work: Callable[[], Any], *progress: Any) -> Any:
            if given:
                raise KeyboardInterrupt
            given.append(name)
            return get(self, name, work, *progress)

        broken, whole = config("broken"), config("whole")
        monkeypatch.setattr(harness.Parts, "get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            experiment(broken)
        asked = []

        def counted(self: Any, name: str, work: Callable[[], Any], *progress: Any) -> Any:
            if name not in self.known:
                asked.append(name)
            return get(self, name, work, *progress)

        monkeypatch.setattr(harness.Parts, "get", counted)
        experiment(broken)
        rest = list(asked)
        asked.clear()
        experiment(whole)
        assert asked == [*given, *rest] and rest
        files = [
            {
                file.name: file.read_bytes()
                for file in (
                    pathlib.Path(c.results_dir) / module.__name__.split(".")[1] / c.run
                ).iterdir()
                if file.name not in ("config.yaml", "versions.json", "report.html", ".lock")
            }
            for c in (broken, whole)
        ]
        assert files[0].keys() == files[1].keys() and "metrics.json" in files[0]
        assert [name for name in files[0] if files[0][name] != files[1][name]] == []
        return given

    return check


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

    at.ends = Killed
    return at
