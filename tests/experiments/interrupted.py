"""Runs that are interrupted, killed, or meet a full disk."""

from __future__ import annotations

import errno
import os
import pathlib
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


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Names of the results that are written from now on, in their order.

    ``before`` is told of each write where the file is written but has not its name yet, as a kill leaves
    it; at number ``full_at`` the disk is full.
    """
    replace = os.replace
    written: list[str] = []

    def watch(
        full_at: int | None = None, before: Callable[[pathlib.Path], None] | None = None
    ) -> list[str]:
        written.clear()

        def replaced(source: Any, target: Any) -> None:
            if not pathlib.Path(source).name.startswith(PARTIAL):
                return replace(source, target)  # of another writer, such as the compilation cache
            if before is not None:
                before(pathlib.Path(target))
            if len(written) == full_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            replace(source, target)
            written.append(pathlib.Path(target).name)

        monkeypatch.setattr(os, "replace", replaced)
        return written

    return watch
