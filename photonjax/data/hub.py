"""Models and texts of the Hugging Face hub, through `huggingface_hub` and `datasets`.

The clients try a hub that cannot be reached again and again for half a minute. So it is asked once,
with a short limit, before anything else: without an answer the clients work offline, from their own
cache, and what they do not have is reported at once.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from photonjax.data.artifacts import FetchError
from photonjax.extras import need

_ANSWER_SECONDS = 5.0
_MODEL_FILES = ["*.json", "*.safetensors", "*.model"]


def model(place: str, *, progress: bool = True) -> pathlib.Path:
    """A file of the hub, or a directory with a model's weights, configuration and tokenizer.

    Args:
      place: `OWNER/REPOSITORY[@REVISION][:FILE]`.
      progress: show bars while downloading.

    Raises:
      ValueError: `place` is not of this form.
      FetchError: no network, no such model or no access, in one line.

    Example:
        >>> model("Qwen/Qwen3-0.6B").is_dir()  # doctest: +SKIP
        True
    """
    repository, revision, file = split_place(place)
    client = need("huggingface_hub", "models")
    with reached(f"hub:{place}", bars=progress):
        if file is not None:
            return pathlib.Path(client.hf_hub_download(repository, file, revision=revision))
        return pathlib.Path(
            client.snapshot_download(repository, revision=revision, allow_patterns=_MODEL_FILES)
        )


def verified(place: str, sha256: str, work: pathlib.Path, *, progress: bool) -> pathlib.Path:
    """One file of the hub in the directory `work`, asked for only if the hub's checksum is this.

    Raises:
      FetchError: the hub cannot be reached, or its file is another one.

    Example:
        >>> verified("a/b:c.gguf", "0" * 64, work, progress=True)  # doctest: +SKIP
    """
    repository, revision, file = split_place(place)
    client = need("huggingface_hub", "data")
    url = client.hf_hub_url(repository, str(file), revision=revision)
    try:
        found = client.get_hf_file_metadata(url, timeout=_ANSWER_SECONDS).etag
    except Exception as error:  # the HTTP client's own errors differ between versions of the hub's
        raise FetchError(f"cannot be reached ({one_line(error)})") from error
    if found != sha256:
        raise FetchError(f"its file is another one (sha256 {found})")
    with reached(place, bars=progress):
        return pathlib.Path(
            client.hf_hub_download(repository, str(file), revision=revision, local_dir=work)
        )


def dataset(place: str, split: str | None = None, *, progress: bool, cache: str) -> Any:
    """One split of a dataset of the hub.

    Args:
      place: `REPOSITORY[:CONFIG][:SPLIT]`.
      split: which split, instead of naming it in `place`.
      progress: show bars while downloading.
      cache: where `datasets` may keep what it prepares.

    Raises:
      ValueError: `place` is not of this form, or there are several splits and none is named.
      FetchError: no network, no such dataset or no access, in one line.

    Example:
        >>> rows = dataset("Salesforce/wikitext:wikitext-2-raw-v1:test", progress=True,
        ...                cache="/tmp/prepared")  # doctest: +SKIP
    """
    fields = place.split(":")
    if len(fields) > 3 or not fields[0]:
        raise ValueError(f"'hub:{place}' is not of the form hub:REPOSITORY[:CONFIG][:SPLIT]")
    repository, config, named = (fields + ["", ""])[:3]
    if named and split and named != split:
        raise ValueError(f"'hub:{place}' names the split {named!r}, but split={split!r}")
    library = need("datasets", "data")
    try:
        with reached(f"hub:{place}", bars=progress):
            loaded = library.load_dataset(
                repository, config or None, split=split or named or None, cache_dir=cache
            )
    except (ValueError, library.exceptions.DatasetsError) as error:
        raise ValueError(f"cannot load 'hub:{place}': {one_line(error)}") from error
    if isinstance(loaded, dict):
        if len(loaded) != 1:
            raise ValueError(
                f"'hub:{place}' has the splits {', '.join(map(str, loaded))}: name one, as in "
                f"hub:{repository}:{config}:{next(iter(loaded), 'test')}"
            )
        loaded = next(iter(loaded.values()))
    return loaded


def split_place(place: str) -> tuple[str, str | None, str | None]:
    """Repository, revision and file of `OWNER/REPOSITORY[@REVISION][:FILE]`.

    Example:
        >>> split_place("a/b@v1:c.gguf")
        ('a/b', 'v1', 'c.gguf')
    """
    where, colon, file = place.partition(":")
    repository, at, revision = where.partition("@")
    if not repository or (at and not revision) or (colon and not file):
        raise ValueError(f"'hub:{place}' is not of the form hub:OWNER/REPOSITORY[@REVISION][:FILE]")
    return repository, revision or None, file or None


@contextlib.contextmanager
def reached(what: str, *, bars: bool) -> Iterator[None]:
    """Run the clients: offline where the hub does not answer, quietly, and with one-line errors.

    Raises:
      FetchError: in place of what the clients raise where something cannot be obtained.

    Example:
        >>> with reached("hub:a/b", bars=False):  # doctest: +SKIP
        ...     huggingface_hub.snapshot_download("a/b")
    """
    with quiet(bars=bars):
        silence = _silence()
        try:
            with _offline() if silence else contextlib.nullcontext():
                yield
        except (OSError, ImportError) as error:  # no network, no such thing, no access, no room
            reason = silence or one_line(error)
            raise FetchError(
                f"cannot load {what!r}: {reason}; go online, check the name, or use what needs no "
                "hub (a packaged corpus or model, or your own files)"
            ) from error


def _silence() -> str | None:
    """Why the hub does not answer, in one line; None where it does."""
    client = need("huggingface_hub", "data")
    try:
        client.get_session().head(client.constants.ENDPOINT, timeout=_ANSWER_SECONDS)
    except Exception as error:  # the HTTP client's own errors differ between versions
        return f"the hub does not answer ({one_line(error)})"
    return None


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """What `HF_HUB_OFFLINE=1` does, for as long as this lasts."""
    settings = [need("huggingface_hub", "data").constants]
    if "datasets" in sys.modules:  # it keeps a copy of its own
        settings.append(sys.modules["datasets"].config)
    before = [place.HF_HUB_OFFLINE for place in settings]
    for place in settings:
        place.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for place, value in zip(settings, before, strict=True):
            place.HF_HUB_OFFLINE = value


@contextlib.contextmanager
def quiet(*, bars: bool) -> Iterator[None]:
    """Hold back what the clients print, and leave their settings as they were.

    Example:
        >>> with quiet(bars=False):  # doctest: +SKIP
        ...     datasets.load_dataset("text", data_files=["a.txt"])
    """
    libraries = [
        (need("huggingface_hub.utils", "data"), need("huggingface_hub.utils.logging", "data"))
    ]
    if "datasets" in sys.modules:
        libraries.append((sys.modules["datasets"], sys.modules["datasets"].logging))
    with contextlib.ExitStack() as stack:
        for library, logger in libraries:
            stack.callback(logger.set_verbosity, logger.get_verbosity())
            logger.set_verbosity_error()
            if not bars and not library.are_progress_bars_disabled():
                stack.callback(library.enable_progress_bars)
                library.disable_progress_bars()
        yield


def one_line(error: BaseException) -> str:
    """The innermost reason of an error, on one line.

    Example:
        >>> one_line(ValueError("so\\nmuch"))
        'so much'
    """
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + "…"
