"""One's own files become a corpus, each path taken literally."""

from __future__ import annotations

import json
import os

import pytest

from photonjax.data import load_corpus


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


def test_what_datasets_would_read_as_another_path_is_refused(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("OTHER", "1")
    for name in ("d1.txt", "d$OTHER.txt", "d::1.txt", "d$UNSET.txt"):
        (tmp_path / name).write_text(f"of {name}")
    for name in ("d$OTHER.txt", "d::1.txt"):
        with pytest.raises(ValueError, match="datasets would read.*; rename it"):
            load_corpus(f"file:{tmp_path / name}")
    assert load_corpus(f"file:{tmp_path / 'd$UNSET.txt'}")["text"][:] == ["of d$UNSET.txt"]
    with pytest.raises(ValueError, match="cannot be looked at: File name too long"):
        load_corpus(f"file:{'a' * 5000}")


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
    with pytest.raises(ValueError, match="a.bin is not of a known kind; there are .txt"):
        load_corpus(f"file:{tmp_path / 'a.bin'}")
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(ValueError, match="mixes csv, text"):
        load_corpus(f"file:{tmp_path}")
    (tmp_path / "b.jsonl").write_text('{"text": ')
    with pytest.raises(ValueError, match="b.jsonl is not readable as json") as caught:
        load_corpus(f"file:{tmp_path / 'b.jsonl'}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "culprit"),
    [
        ("a.json", "", "holds no rows"),
        ("a.json", "[]", "holds no rows"),
        ("a.json", "{}", "holds no rows"),
        ("a.json", "null", "holds no rows"),  # of which pyarrow ends the process
        ("a.json", "7", "holds no rows"),
        ("a.json", '{"text":' * 5000 + "1" + "}" * 5000, "not readable as json"),
        ("a.json", "[" * 100_000, "not readable as json"),
        ("a.json", '{"text": 5}', "column 'text' holds int64 values; it must hold text"),
        ("a.json", '{"text": ["a"]}', "column 'text' holds nested values"),
        ("a.jsonl", "", "holds no rows"),
        ("a.jsonl", "\n\n", "holds no rows"),
        ("a.csv", "", "not readable as csv"),
        ("a.csv", "text\n", "holds no rows"),
        ("a.parquet", "", "not readable as parquet"),
    ],
    ids=lambda value: value[:12],
)
def test_files_without_text_are_refused_in_one_line(cache, tmp_path, name, content, culprit):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError) as caught:
        load_corpus(f"file:{tmp_path / name}")
    assert culprit in str(caught.value) and name in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
