"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["PARTIAL", "check_writable", "whole_file", "write_whole"]

PARTIAL = ".partial-"
"""What a file's name begins with while it is written; a process that is killed leaves it so."""


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to, as a context: it has its name when all of it is on disk. Whatever ends the
    context early leaves what was there before, and nothing else.

    Args:
      path: of the file; its directory exists.

    Raises:
      OSError: it cannot be written.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with whole_file(path) as file:
    ...     _ = file.write(b"1 2 3")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('1 2 3', 1)
    """
    path = pathlib.Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a full disk may say so only here
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file's content, or leave what was there; see :func:`whole_file`."""
    with whole_file(path) as file:
        file.write(content)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Try whether a file could be written, and leave everything as it is.

    Raises:
      OSError: it could not: there is no such directory, no right to write, or a directory of that name.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with tempfile.NamedTemporaryFile(dir=path.absolute().parent, prefix=PARTIAL):
        pass
