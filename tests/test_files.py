"""Files are written whole or not at all, and whether they could be is known before."""

from __future__ import annotations

import errno
import os
import pathlib

import pytest

from photonjax.files import check_writable, whole_file, write_whole


def full(*_: object) -> None:
    """What the system says at the end of a disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "chmod", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, call):
    path = tmp_path / "a.txt"
    write_whole(path, b"before")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
def test_what_ends_early_leaves_nothing(tmp_path, end):
    with pytest.raises(end), whole_file(tmp_path / "a.txt") as file:
        file.write(b"half")
        raise end
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_written_is_known_before(tmp_path, monkeypatch):
    check_writable(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("kept")
    check_writable(tmp_path / "b.txt")
    assert {f.name: f.read_text() for f in tmp_path.iterdir()} == {"b.txt": "kept"}
    (tmp_path / "c.txt").mkdir()
    for path in (tmp_path / "none" / "a.txt", tmp_path / "b.txt" / "a.txt", tmp_path / "c.txt"):
        with pytest.raises(OSError):
            check_writable(path)
    if pathlib.Path("/proc/self").exists():
        with pytest.raises(OSError):
            check_writable("/proc/self/a.txt")
