"""Errors that a user can act on, told in one line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator


class UserError(Exception):
    """Something the user can fix; its message names the culprit and the remedy in one line."""


class FinishedRun(UserError):
    """The run directory holds results already."""


@contextlib.contextmanager
def user_errors(*kinds: type[Exception], prefix: str = "") -> Iterator[None]:
    """Turn errors that libraries raise about what the user gave them into :class:`UserError`."""
    try:
        yield
    except kinds as error:
        raise UserError(prefix + " ".join(str(error).split())) from error


def in_config(text: str) -> str:
    """A message in the words of YAML, where it is not quoting.

    >>> in_config("'None' is not True or False, or None")
    "'None' is not true or false, or null"
    """
    words = {"None": "null", "True": "true", "False": "false"}
    return re.sub(r"(?<!['\w])(None|True|False)(?!['\w])", lambda found: words[found[0]], text)
