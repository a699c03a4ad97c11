"""A corpus out of one's own files."""

from __future__ import annotations

import glob
import os
import pathlib
from typing import Any

from photonjax.data import hub
from photonjax.data.artifacts import FetchError
from photonjax.extras import need

_BUILDERS = {
    ".txt": "text",
    ".md": "text",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
_START = 4096  # bytes looked at


def load_files(path: pathlib.Path, *, cache: str) -> Any:
    """The rows of a file, or of the files of one kind below a directory, in the order of their names.

    Args:
      path: a .txt or .md file, which is one document, a .json, .jsonl, .csv or .parquet file, whose
        rows are documents, or a directory. It is taken literally: `a[1].txt` is no pattern.
      cache: where `datasets` may keep what it prepares.

    Raises:
      ValueError: nothing there, not of a known kind, of several kinds, or not readable as its kind.
      FetchError: `cache` cannot be written.

    Example:
        >>> load_files(pathlib.Path("notes"), cache="/tmp/prepared")  # doctest: +SKIP
    """
    builder, files = find(path)
    for name in map(str, files):
        if "::" in name or os.path.expandvars(name) != name:
            raise ValueError(
                f"{name}: datasets would read '::' as a chain of addresses and $NAME as a variable; rename it"
            )
    for file in files if builder == "json" else ():
        with file.open("rb") as opened:
            start = opened.read(_START).lstrip()[:1]
        if start not in (b"{", b"["):  # of a lone number or null, pyarrow ends the whole process
            raise ValueError(f"{file} holds no rows: it must begin with {{ or [")
    options = {"sample_by": "document"} if builder == "text" else {}
    datasets = need("datasets", "data")
    try:
        with hub.quiet(bars=False):
            return datasets.load_dataset(
                builder,
                data_files=[glob.escape(str(file.absolute())) for file in files],
                split="train",
                cache_dir=cache,
                **options,
            )
    except OSError as error:
        raise FetchError(
            f"cannot read {path} through {cache}: {hub.one_line(error)}; "
            "PHOTONJAX_CACHE must name a directory that can be written"
        ) from error
    except (ValueError, RecursionError, datasets.exceptions.DatasetsError) as error:
        if "corresponds to no data" in str(error):
            raise ValueError(f"{path} holds no rows") from None
        raise ValueError(f"{path} is not readable as {builder}: {hub.one_line(error)}") from error


def find(path: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    """The kind of files at a path, as `datasets` calls it, and their paths.

    Raises:
      ValueError: nothing there, not of a known kind, or of several kinds.

    Example:
        >>> find(pathlib.Path("notes"))  # doctest: +SKIP
        ('text', [PosixPath('notes/1.txt'), PosixPath('notes/2.txt')])
    """
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        files = [file for file in files if file.is_file()]
    except OSError as error:
        raise ValueError(f"{path!s:.200} cannot be looked at: {error.strerror}") from None
    if path.is_dir():
        files = [file for file in files if file.suffix.lower() in _BUILDERS]
    if not files:
        kinds = ", ".join(_BUILDERS)
        raise ValueError(
            f"{path} has no {kinds} files" if path.is_dir() else f"{path} does not exist"
        )
    builders = {_BUILDERS.get(file.suffix.lower()) for file in files}
    if builders == {None}:
        raise ValueError(f"{path} is not of a known kind; there are {', '.join(_BUILDERS)}")
    if len(builders) > 1:
        raise ValueError(f"{path} mixes {', '.join(sorted(map(str, builders)))}: give one kind")
    return str(builders.pop()), files
