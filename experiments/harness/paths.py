"""Paths that a user gives."""

from __future__ import annotations

import pathlib

from experiments.harness.errors import UserError


def user_path(setting: str, path: str) -> pathlib.Path:
    """The path, from a home directory where it begins with ``~``.

    Raises:
      UserError: there is no such home directory; the message names the setting.
    """
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError:
        raise UserError(
            f"{setting}: {path} has no home directory to start from; give the whole path"
        ) from None
