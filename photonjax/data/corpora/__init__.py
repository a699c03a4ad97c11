"""Corpora by name, each as one `datasets.Dataset` with a column `text` (and `title` where known).

    wikipedia-sample              98 articles of English Wikipedia, cleaned to prose
    wikitext-2                    the articles of WikiText-2's test set, from the hub
    state-of-the-union            233 addresses, 1790 to 2021, one paragraph each
    moby-dick                     the novel, one row a chapter
    hub:REPOSITORY[:CONFIG][:SPLIT]   a dataset of the Hugging Face hub
    file:PATH                     a local .txt, .md, .json, .jsonl, .csv or .parquet file, or a
                                  directory of files of one of these kinds

A corpus with a name is a file in this directory, and only that: every module here maps names to
functions in `CORPORA`, which give title and text of the corpus's documents.

What `datasets` prepares for `hub:` and `file:` goes into our cache directory; files downloaded
from the hub go where the Hugging Face client keeps them (`HF_HOME`). The named corpora stay in
memory.
"""

from __future__ import annotations

import importlib
import pathlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from photonjax.data import files, hub
from photonjax.data.download import cache_dir
from photonjax.extras import need

if TYPE_CHECKING:
    import datasets

CORPORA: dict[str, Callable[[bool], Iterable[tuple[str, str]]]] = {
    name: documents
    for module in pkgutil.iter_modules(__path__, f"{__name__}.")
    for name, documents in importlib.import_module(module.name).CORPORA.items()
}
"""Corpora by name: functions of `progress` that give title and text of every document."""


def check_corpus(name: str) -> None:
    """Refuse a name that :func:`load_corpus` does not know, or a file that is not there; nothing is loaded.

    Raises:
      ValueError: as `load_corpus` does; what a hub or a file holds is not looked at.

    Example:
        >>> check_corpus("moby-dick")
        >>> check_corpus("novels")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: no corpus is called 'novels'; there are ...
    """
    if not isinstance(name, str):
        raise TypeError(f"a corpus is given by its name, not as {name!r}")
    kind, _, rest = name.partition(":")
    if kind == "file" and rest:
        files.find(_expanded(rest))
    elif name not in CORPORA and not (kind == "hub" and rest):
        raise ValueError(
            f"no corpus is called {name!r}; there are {', '.join(CORPORA)}, "
            "hub:REPOSITORY[:CONFIG][:SPLIT] and file:PATH"
        )


def load_corpus(
    name: str, *, split: str | None = None, column: str = "text", progress: bool = True
) -> datasets.Dataset:
    """Load a corpus by name; the same name gives the same rows in the same order.

    Args:
      name: one of `CORPORA`, `hub:REPOSITORY[:CONFIG][:SPLIT]`, or `file:PATH`; see above.
      split: which split of a hub dataset; instead of naming it in `name`.
      column: the column of a hub dataset or local file that holds the text; it becomes `text`.
      progress: show bars while downloading.

    Returns:
      A dataset with the column `text`, and `title` where the source has one.

    Raises:
      ValueError: an unknown name, split or column, or a file that cannot be read as what it is
        called; the message lists what there is.
      FetchError: the text could not be obtained; the message is one line with the remedy.
      ImportError: a package is missing; the message names the extra that brings it.

    Example:
        >>> load_corpus("wikipedia-sample")[0]["title"]  # doctest: +SKIP
        'Anarchism'
        >>> load_corpus("hub:Salesforce/wikitext:wikitext-2-raw-v1:test")  # doctest: +SKIP
    """
    check_corpus(name)
    kind, _, rest = name.partition(":")
    if kind == "hub":
        loaded = hub.dataset(rest, split, progress=progress, cache=_prepared())
        return _text_columns(loaded, column, name)
    if split is not None:
        raise ValueError(f"{name} has no splits: leave out split={split!r}")
    if kind == "file":
        path = _expanded(rest)
        return _text_columns(files.load_files(path, cache=_prepared()), column, str(path))
    if column != "text":
        raise ValueError(f"{name} has the columns title and text, not column={column!r}")
    dataset = need("datasets", "data").Dataset
    rows = list(CORPORA[name](progress))
    return dataset.from_dict(
        {"title": [title for title, _ in rows], "text": [text for _, text in rows]}
    )


def _text_columns(dataset: datasets.Dataset, column: str, place: str) -> datasets.Dataset:
    if column not in dataset.column_names:
        raise ValueError(
            f"{place} has no column {column!r}; there are {', '.join(dataset.column_names)}: "
            "say which holds the text with column=..."
        )
    kind = getattr(dataset.features[column], "dtype", "nested")
    if kind not in ("string", "large_string"):
        raise ValueError(f"{place}: column {column!r} holds {kind} values; it must hold text")
    if column != "text":
        if "text" in dataset.column_names:
            dataset = dataset.remove_columns("text")
        dataset = dataset.rename_column(column, "text")
    return dataset.select_columns(
        [kept for kept in ("title", "text") if kept in dataset.column_names]
    )


def _expanded(path: str) -> pathlib.Path:
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError:
        raise ValueError(
            f"file:{path}: there is no such home directory: give the whole path"
        ) from None


def _prepared() -> str:
    """Where `datasets` may keep what it makes of hub datasets and files."""
    return str(cache_dir() / "datasets")
