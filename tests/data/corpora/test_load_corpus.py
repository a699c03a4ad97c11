"""Every way to a corpus ends in a `datasets.Dataset` with a column `text`, or in one clear line."""

from __future__ import annotations

import importlib
import pathlib
import sys

import datasets
import pytest

from photonjax.data import CORPORA, corpora, load_corpus


def test_a_named_corpus_is_a_dataset(monkeypatch):
    rows = [("Light", "Light is a wave."), ("Prism", "A prism bends.")]
    asked = []
    monkeypatch.setitem(CORPORA, "physics", lambda progress: asked.append(progress) or iter(rows))
    corpus = load_corpus("physics", progress=False)
    assert isinstance(corpus, datasets.Dataset)
    assert [(row["title"], row["text"]) for row in corpus] == rows
    assert asked == [False]


def test_a_file_in_the_directory_is_a_corpus():
    for module in pathlib.Path(corpora.__file__).parent.glob("[!_]*.py"):
        names = importlib.import_module(f"{corpora.__name__}.{module.stem}").CORPORA
        assert names and set(names) <= set(CORPORA), module


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setitem(CORPORA, "physics", lambda progress: iter([]))
    for name in ("physics", f"file:{tmp_path}", "hub:a/b"):
        with pytest.raises(
            ImportError, match=r"datasets is not installed: pip install 'photonjax\[data\]'"
        ):
            load_corpus(name)


def test_names_that_mean_nothing():
    for name in ("wikipedia", "hub:", "file:", "http://a", ""):
        with pytest.raises(ValueError, match="no corpus is called.*wikipedia-sample.*hub:REPO"):
            load_corpus(name)
    with pytest.raises(ValueError, match="moby-dick has no splits: leave out split='test'"):
        load_corpus("moby-dick", split="test")
    with pytest.raises(ValueError, match="moby-dick has the columns title and text"):
        load_corpus("moby-dick", column="body")
    with pytest.raises(ValueError, match="not of the form hub:"):
        load_corpus("hub:a:b:c:d")
    with pytest.raises(ValueError, match="names the split 'test', but split='train'"):
        load_corpus("hub:a:b:test", split="train")
