"""English Wikipedia: 98 articles out of a MediaWiki XML dump, and a reader of such dumps."""

from __future__ import annotations

import bz2
import contextlib
import hashlib
import json
import os
import pathlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import IO

from photonjax.data import wikitext
from photonjax.data.artifacts import Artifact, Package
from photonjax.data.download import cache_dir, fetch
from photonjax.data.wikitext import clean
from photonjax.extras import need
from photonjax.files import write_whole

# The first 206 pages (A) of a dump of 2016, which gensim keeps as test data.
SAMPLE = Artifact(
    filename="enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
    size=1_695_871,
    sha256="a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
    licence="CC BY-SA 3.0 (Wikipedia contributors)",
    url=(
        "https://raw.githubusercontent.com/piskvorky/gensim/4.4.0/gensim/test/test_data/"
        "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
    ),
    packages=(
        Package(
            "pip",
            "gensim==4.4.0",
            27_809_988,
            "gensim/test/test_data/"
            "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
        ),
    ),
)

# A page that only points to others: by its title, or by a template of this family at its end.
_DISAMBIGUATION = re.compile(
    r"\{\{\s*(?:disambig(?:uation)?|dab|hndis|geodis|set index(?: article)?|"
    r"human name disambiguation|place name disambiguation)\b",
    re.IGNORECASE,
)


def read_articles(dump: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Title and clean text of every article of a dump, in the dump's order.

    Redirects, pages outside the article namespace, disambiguation pages and articles with no prose
    left after cleaning are dropped.

    Args:
      dump: an XML dump, packed with bz2 or plain.

    Raises:
      ValueError: the file is not a readable dump.

    Example:
        >>> for title, text in read_articles(fetch(SAMPLE)):  # doctest: +SKIP
        ...     print(title, len(text))
    """
    try:
        with _open(dump) as file:
            for title, source in _pages(file):
                if _DISAMBIGUATION.search(source) or title.endswith("(disambiguation)"):
                    continue
                if text := clean(source):
                    yield title, text
    except (ElementTree.ParseError, EOFError) as error:
        raise ValueError(f"{os.fspath(dump)} is not a readable MediaWiki dump ({error})") from error


def _open(dump: str | os.PathLike[str]) -> IO[bytes]:
    with open(dump, "rb") as file:
        packed = file.read(3) == b"BZh"
    return bz2.open(dump, "rb") if packed else open(dump, "rb")


def _pages(file: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Title and source of the pages in the article namespace that are no redirects."""
    for _, page in ElementTree.iterparse(file, events=("end",)):
        if _local(page.tag) != "page":
            continue
        fields = {_local(node.tag): node.text or "" for node in page.iter()}
        if fields.get("ns", "0") == "0" and "redirect" not in fields:
            yield fields.get("title", ""), fields.get("text", "")
        page.clear()


def _local(tag: str) -> str:
    """An element's name without the namespace, which differs between versions of the format."""
    return tag.rpartition("}")[2]


def _sample(progress: bool) -> list[tuple[str, str]]:
    """The articles of the sample, kept when they have been cleaned: that takes seconds."""
    place = cache_dir() / f"wikipedia-sample-{_version()}.json"
    articles = _kept(place)
    if articles is None:
        articles = list(read_articles(fetch(SAMPLE, progress=progress)))
        content = json.dumps(articles).encode()
        with contextlib.suppress(OSError):  # a cache that cannot be written: again next time
            write_whole(place, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    return articles


def _version() -> str:
    """What decides every letter: the dump, the code that cleans it, and the parser under it."""
    digest = hashlib.sha256(SAMPLE.sha256.encode())
    for file in (wikitext.__file__, __file__):
        digest.update(pathlib.Path(file).read_bytes())
    parser = need("mwparserfromhell", "data")
    digest.update(parser.__version__.encode())
    return digest.hexdigest()[:16]


def _kept(place: pathlib.Path) -> list[tuple[str, str]] | None:
    """The articles in a file that `_sample` wrote; None where there is none, or a damaged one."""
    try:
        digest, _, content = place.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    return [(title, text) for title, text in json.loads(content)]


CORPORA = {"wikipedia-sample": _sample}
