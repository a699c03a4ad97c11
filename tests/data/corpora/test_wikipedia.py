"""Articles of a dump, and of the packaged sample."""

from __future__ import annotations

import bz2
import dataclasses

import pytest

from photonjax.data import load_corpus
from photonjax.data.corpora import wikipedia
from photonjax.data.corpora.wikipedia import SAMPLE, read_articles

PAGE = "<page><title>{}</title><ns>{}</ns>{}<revision><text>{}</text></revision></page>"


@pytest.fixture
def dump(tmp_path):
    pages = [
        PAGE.format("Light", 0, "", "'''Light''' is a [[wave]].&lt;ref&gt;x&lt;/ref&gt;"),
        PAGE.format("Lights", 0, '<redirect title="Light"/>', "#REDIRECT [[Light]]"),
        PAGE.format("Template:Light", 10, "", "a box"),
        PAGE.format("Light (disambiguation)", 0, "", "* [[Light]]"),
        PAGE.format("Lamp", 0, "", "May mean: a.\n{{Disambiguation}}"),
        PAGE.format("Empty", 0, "", "{{infobox|a=b}}"),
        PAGE.format("Prism", 0, "", "A ''prism'' bends."),
    ]
    namespace = 'xmlns="urn:export-0.10"'
    path = tmp_path / "dump.xml"
    path.write_text(f"<mediawiki {namespace}><siteinfo/>{''.join(pages)}</mediawiki>")
    return path


def test_articles_of_a_dump(dump, tmp_path):
    expected = [("Light", "Light is a wave."), ("Prism", "A prism bends.")]
    assert list(read_articles(dump)) == expected
    packed = tmp_path / "dump.bz2"
    packed.write_bytes(bz2.compress(dump.read_bytes()))
    assert list(read_articles(packed)) == expected


def test_a_broken_dump_is_refused(dump, tmp_path):
    cut = tmp_path / "cut.xml"
    cut.write_bytes(dump.read_bytes()[:-40])
    with pytest.raises(ValueError, match="cut.xml is not a readable MediaWiki dump"):
        list(read_articles(cut))
    cut.write_bytes(bz2.compress(dump.read_bytes())[:-40])
    with pytest.raises(ValueError, match="cut.xml is not a readable MediaWiki dump"):
        list(read_articles(cut))


def test_cleaned_articles_are_kept_and_checked(dump, cache, monkeypatch):
    """Cleaned once; again when the file is damaged, or when the dump or the code is another."""
    asked = []
    monkeypatch.setattr(wikipedia, "fetch", lambda *_, **__: asked.append(1) or dump)
    expected = [
        {"title": "Light", "text": "Light is a wave."},
        {"title": "Prism", "text": "A prism bends."},
    ]
    cache.mkdir()
    for _ in range(3):
        assert load_corpus("wikipedia-sample").to_list() == expected
    assert asked == [1]
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"bends", b"bent."))
    assert load_corpus("wikipedia-sample").to_list() == expected and asked == [1, 1]
    assert load_corpus("wikipedia-sample").to_list() == expected and asked == [1, 1]
    newer = dataclasses.replace(SAMPLE, sha256="0" * 64)
    monkeypatch.setattr(wikipedia, "SAMPLE", newer)
    assert load_corpus("wikipedia-sample").to_list() == expected and asked == [1, 1, 1]
    assert len(list(cache.iterdir())) == 2


def test_without_a_place_to_keep_them_they_are_cleaned_again(dump, cache, monkeypatch):
    monkeypatch.setattr(wikipedia, "fetch", lambda *_, **__: dump)
    assert load_corpus("wikipedia-sample")["title"][:] == ["Light", "Prism"]
    assert not cache.exists()


@pytest.mark.slow
@pytest.mark.network
def test_the_wikipedia_sample(real_artifact):
    real_artifact(SAMPLE)
    corpus = load_corpus("wikipedia-sample", progress=False)
    assert len(corpus) == 98
    assert corpus["title"][:3] == ["Anarchism", "Autism", "Albedo"]
    opening = "Anarchism is a political philosophy that advocates self-governed societies based on"
    assert corpus[0]["text"].startswith(opening)
    text = "\n".join(corpus["text"])
    assert 2_600_000 < len(text) < 3_000_000
    for mark in ("[[", "]]", "{|", "|}", "''", "<ref", "http://", "&nbsp;", "style=", "Category:"):
        assert mark not in text, mark
    for title in ("Alabama", "Asia", "Aruba"):  # long after their tables
        assert len(corpus[corpus["title"][:].index(title)]["text"]) > 15_000
    assert load_corpus("wikipedia-sample", progress=False).to_list() == [  # from the cache, too
        {"title": title, "text": text} for title, text in read_articles(real_artifact(SAMPLE))
    ]
