"""Articles of a dump, and of the packaged sample."""

from __future__ import annotations

import bz2

import pytest

from photonjax.data import load_corpus
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
