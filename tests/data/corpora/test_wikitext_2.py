"""The hub's lines become the articles they were."""

from __future__ import annotations

import datasets

from photonjax.data import load_corpus
from photonjax.data.corpora.wikitext_2 import articles

LINES = [
    "", " = Robert Boulter = \n", "", " Robert Boulter is an actor . \n", "",
    " = = Career = = \n", "", " In 2000 he had a role . \n", "", "",
    " = Du Fu = \n", "", " Du Fu was a poet . \n", " a = b = c \n", "",
]  # fmt: skip


def test_lines_between_titles_are_one_article():
    found = list(articles(LINES))
    assert [title for title, _ in found] == ["Robert Boulter", "Du Fu"]
    assert found[0][1].splitlines() == [
        "= Robert Boulter = ", " Robert Boulter is an actor . ", " = = Career = = ",
        " In 2000 he had a role .",
    ]  # fmt: skip
    assert found[1][1].endswith("a = b = c")
    assert "".join(LINES).split() == " ".join(text for _, text in found).split()  # nothing is lost
    assert list(articles([])) == [] and list(articles(["", " \n"])) == []


def test_the_corpus_has_a_row_an_article(monkeypatch, cache, no_hub):
    lines = datasets.Dataset.from_dict({"text": LINES})
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: lines)
    assert load_corpus("wikitext-2")["title"][:] == ["Robert Boulter", "Du Fu"]
