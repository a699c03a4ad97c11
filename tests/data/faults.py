"""What is in a directory, and what one line of error says."""

from __future__ import annotations

import pathlib

import pytest


def names(directory: pathlib.Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def one_line(caught: pytest.ExceptionInfo[BaseException], *parts: str) -> None:
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message
