"""Addresses and a novel out of the archive that carries them."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from photonjax.data import load_corpus
from photonjax.data.corpora.stdlib import COLLECTION, read_moby_dick, read_state_of_the_union


@pytest.fixture
def archive(tmp_path):
    """A package with two addresses, and a novel of one chapter."""
    files = {
        "sotu/data/sotu_1791.json": json.dumps({"year": 1791, "name": "B", "text": " Later. "}),
        "sotu/data/sotu_1790.json": json.dumps({"year": 1790, "name": "A", "text": "Earlier."}),
        "moby-dick/data/file_list.json": json.dumps(["contents.txt", "chapter_1.txt"]),
        "moby-dick/data/contents.txt": "CHAPTER 1.",
        "moby-dick/data/chapter_1.txt": "CHAPTER 1. Loomings.\n\nCall me Ishmael.\n",
        "other/data/x.json": "{}",
    }
    path = tmp_path / "datasets.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_addresses_are_in_order_of_time(archive):
    assert list(read_state_of_the_union(archive)) == [("1790 A", "Earlier."), ("1791 B", "Later.")]


def test_chapters_keep_their_titles_and_the_contents_go(archive):
    chapter = "CHAPTER 1. Loomings."
    assert list(read_moby_dick(archive)) == [(chapter, f"{chapter}\n\nCall me Ishmael.")]


@pytest.mark.network
def test_the_packaged_texts(real_artifact):
    expected = {
        "state-of-the-union": (233, "1790 George Washington", "Fellow-Citizens"),
        "moby-dick": (138, "ETYMOLOGY. (Supplied by", "ETYMOLOGY."),
    }
    real_artifact(COLLECTION, required=False)
    for name, (rows, title, opening) in expected.items():
        corpus = load_corpus(name, progress=False)
        assert len(corpus) == rows
        assert corpus[0]["title"].startswith(title) and corpus[0]["text"].startswith(opening)
        assert min(len(text) for text in corpus["text"]) > 200
