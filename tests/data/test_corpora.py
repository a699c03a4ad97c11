"""Every way to a corpus ends in a `datasets.Dataset` with a column `text`, or in one clear line."""

from __future__ import annotations

import bz2
import json
import os
import subprocess
import sys

import pytest

from photonjax.data import FetchError, artifacts, corpora, load_corpus
from photonjax.data.wikipedia import read_articles

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


def test_a_packaged_corpus_is_a_dataset(dump, monkeypatch):
    import datasets

    monkeypatch.setattr(corpora, "fetch", lambda name, progress: dump)
    corpus = load_corpus("wikipedia-sample")
    assert isinstance(corpus, datasets.Dataset)
    assert corpus.column_names == ["title", "text"]
    assert corpus["title"][:] == ["Light", "Prism"]


def test_local_text_files_are_documents(cache, tmp_path):
    folder = tmp_path / "texts"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.txt").write_text("second\n\nparagraph\n")
    (folder / "a.md").write_text("first")
    (folder / "sub" / "c.txt").write_text("third")
    (folder / "ignored.png").write_bytes(b"\x89")
    corpus = load_corpus(f"file:{folder}")
    assert [text.strip() for text in corpus["text"]] == ["first", "second\n\nparagraph", "third"]
    assert load_corpus(f"file:{folder / 'a.md'}")["text"][:] == ["first"]
    assert (cache / "datasets").is_dir()


def test_a_local_path_is_no_pattern(cache, tmp_path):
    for name in ("d1.txt", "d[1].txt", "d*.txt"):
        (tmp_path / name).write_text(f"of {name}")
    assert load_corpus(f"file:{tmp_path / 'd[1].txt'}")["text"][:] == ["of d[1].txt"]
    assert load_corpus(f"file:{tmp_path / 'd*.txt'}")["text"][:] == ["of d*.txt"]


def test_a_changed_local_file_is_read_anew(cache, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    assert load_corpus(f"file:{path}")["text"][:] == ["before"]
    path.write_text("and after")
    os.utime(path, (1, 1))
    assert load_corpus(f"file:{path}")["text"][:] == ["and after"]


def test_local_tables(cache, tmp_path, capfd):
    import datasets

    rows = [{"text": "a", "title": "A", "n": 1}, {"text": "b", "title": "B", "n": 2}]
    lines, parquet, table = (tmp_path / f"t.{kind}" for kind in ("jsonl", "parquet", "csv"))
    lines.write_text("\n".join(map(json.dumps, rows)))
    datasets.Dataset.from_list(rows).to_parquet(parquet)
    table.write_text("body,n\na,1\nb,2\n")
    capfd.readouterr()
    for path in (lines, parquet):
        corpus = load_corpus(f"file:{path}")
        assert corpus.column_names == ["title", "text"]
        assert corpus.to_list() == [{"title": r["title"], "text": r["text"]} for r in rows]
    assert load_corpus(f"file:{table}", column="body").to_list() == [{"text": "a"}, {"text": "b"}]
    assert capfd.readouterr() == ("", "")  # no bars, no chatter
    with pytest.raises(ValueError, match="no column 'text'; there are body, n.*column="):
        load_corpus(f"file:{table}")


def test_bad_local_files_are_refused(cache, tmp_path):
    with pytest.raises(ValueError, match="nowhere.txt does not exist"):
        load_corpus(f"file:{tmp_path / 'nowhere.txt'}")
    with pytest.raises(ValueError, match="has no .txt, .md"):
        load_corpus(f"file:{tmp_path}")
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match="a.bin is of no known kind; there are .txt"):
        load_corpus(f"file:{tmp_path / 'a.bin'}")
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(ValueError, match="mixes csv, text"):
        load_corpus(f"file:{tmp_path}")
    (tmp_path / "b.jsonl").write_text('{"text": ')
    with pytest.raises(ValueError, match="b.jsonl is not readable as json") as caught:
        load_corpus(f"file:{tmp_path / 'b.jsonl'}")
    assert "\n" not in str(caught.value)


def test_names_that_mean_nothing():
    for name in ("wikipedia", "hub:", "file:", "http://a", ""):
        with pytest.raises(ValueError, match="no corpus is called.*wikipedia-sample.*hub:REPO"):
            load_corpus(name)
    with pytest.raises(ValueError, match="austen has no splits: leave out split='test'"):
        load_corpus("austen", split="test")
    with pytest.raises(ValueError, match="austen has the columns title and text"):
        load_corpus("austen", column="body")
    with pytest.raises(ValueError, match="not of the form hub:"):
        load_corpus("hub:a:b:c:d")
    with pytest.raises(ValueError, match="names the split 'test', but split='train'"):
        load_corpus("hub:a:b:test", split="train")


def test_hub_names_reach_load_dataset(monkeypatch, cache):
    import datasets

    asked = []
    rows = datasets.Dataset.from_dict({"text": ["a", ""], "n": [1, 2]})

    def answer(path, name, *, split, cache_dir):
        asked.append((path, name, split, cache_dir))
        return rows if split else datasets.DatasetDict(train=rows, test=rows)

    monkeypatch.setattr(datasets, "load_dataset", answer)
    corpus = load_corpus("hub:Salesforce/wikitext:wikitext-2-raw-v1:test")
    assert corpus.to_list() == [{"text": "a"}, {"text": ""}]
    load_corpus("hub:a/b::validation")
    load_corpus("hub:b", split="train")
    place = str(cache / "datasets")
    assert asked == [
        ("Salesforce/wikitext", "wikitext-2-raw-v1", "test", place),
        ("a/b", None, "validation", place),
        ("b", None, "train", place),
    ]
    with pytest.raises(ValueError, match="has the splits train, test: name one, as in hub:b::"):
        load_corpus("hub:b")


def test_an_unreachable_hub_is_one_line(monkeypatch, cache):
    import datasets

    def fail(*args, **kwargs):
        try:
            raise OSError("name or service\nnot known")
        except OSError as error:
            raise ConnectionError("Couldn't reach it") from error

    bars = datasets.are_progress_bars_disabled()
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(FetchError) as caught:
        load_corpus("hub:a/b", progress=False)
    assert "\n" not in str(caught.value)
    for part in ("hub:a/b", "name or service not known", "go online", "wikipedia-sample"):
        assert part in str(caught.value)
    assert datasets.are_progress_bars_disabled() == bars


@pytest.mark.network
def test_the_hub_offline_for_real(tmp_path):
    """Not a fake: the hub client told to stay offline fails at once, in one line."""
    code = "from photonjax.data import load_corpus; load_corpus('hub:a/b:c:test')"
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "PHOTONJAX_CACHE": str(tmp_path),
    }
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("photonjax.data.clients.FetchError: cannot load 'hub:a/b:c:test':")


@pytest.mark.network
def test_the_wikipedia_sample(real_artifact):
    real_artifact("wikipedia-sample")
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


@pytest.mark.network
def test_the_other_packaged_corpora(real_artifact):
    expected = {
        "state-of-the-union": (233, "1790 George Washington", "Fellow-Citizens"),
        "moby-dick": (138, "ETYMOLOGY. (Supplied by", "ETYMOLOGY."),
        "austen": (6, "Sense and Sensibility", "SENSE AND SENSIBILITY"),
    }
    for name, (rows, title, opening) in expected.items():
        real_artifact(corpora.CORPORA[name][0], required=False)
        corpus = load_corpus(name, progress=False)
        assert len(corpus) == rows
        assert corpus[0]["title"].startswith(title) and corpus[0]["text"].startswith(opening)
        assert min(len(text) for text in corpus["text"]) > 200
    assert "It is a truth universally acknowledged, that a single man in" in corpus[1]["text"]


def test_every_packaged_corpus_has_its_artifact():
    assert {name for name, _ in corpora.CORPORA.values()} <= set(artifacts.ARTIFACTS)
