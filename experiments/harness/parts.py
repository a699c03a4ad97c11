"""The finished parts of a run, kept on disk as they come: a run that is repeated does only the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from experiments.harness.errors import UserError
from experiments.harness.progress import Progress
from experiments.harness.run_directory import RunDirectory

NAME = "parts.json"


class Parts:
    """Results by name of their part, in parts.json.

    What an interrupted run left is what it would have got again: results are what JSON makes of them
    (numbers, text, lists, mappings) whether they were just worked out or read.

    Args:
      run: the directory.

    Raises:
      UserError: the file holds something else.
    """

    def __init__(self, run: RunDirectory):
        self.run = run
        found = run.read_json(NAME)
        if not isinstance(found, dict | None):
            raise UserError(
                f"run: {run.path / NAME} holds no parts of a run; delete it to start again, or choose "
                "another name with run=NAME"
            )
        self.known: dict[str, Any] = found or {}

    def get(self, name: str, work: Callable[[], Any], progress: Progress | None = None) -> Any:
        """The result of one part: of an earlier run, or of ``work()``, which is then kept."""
        already = name in self.known
        if not already:
            self.known[name] = json.loads(json.dumps(work(), default=float))
            self.run.write(NAME, json.dumps(self.known, indent=1) + "\n")
        if progress is not None:
            progress.advance(already=already)
        return self.known[name]
