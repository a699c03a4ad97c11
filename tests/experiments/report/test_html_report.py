"""The HTML report: whole, valid, safe, and complete for any finished run."""

from __future__ import annotations

import base64
import csv
import html.parser
import importlib
import io
import json
import os
import pathlib
import re
import struct
import zlib

import pytest

from photonjax.tables import text_table

HOSTILE = "<script>alert('x')</script> & \"quoted\" <img src=http://example.com/a.png>"
VOID = {"meta", "img", "br", "hr"}


@pytest.fixture
def html_report(ours):
    return importlib.import_module("experiments.report.run")


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * width) * height)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def run(tmp_path: pathlib.Path, harness) -> pathlib.Path:
    """A finished run of an experiment that is not here, with something nasty in every file."""
    place = tmp_path / "unheard-of" / "a & b"
    place.mkdir(parents=True)
    lines = [{"name": HOSTILE, "size": "1"}, {"name": "plain", "size": "-2.5"}]
    text = f"{HOSTILE}\n\nsizes\n{text_table(lines)}\n\naligned   by   hand\n1         2    3\n"
    (place / "report.txt").write_text(text)
    (place / "metrics.json").write_text(json.dumps({"title": f"Title {HOSTILE}"}))
    (place / "config.yaml").write_text(f"seed: 7\nnote: {json.dumps(HOSTILE)}\n")
    (place / "versions.json").write_text(json.dumps({"python": "3.11", "odd": HOSTILE}))
    (place / "plot_one.png").write_bytes(png(300, 200))
    (place / "unheard-of.png").write_bytes(png(30, 20))
    (place / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (place / "rows.csv").write_text("a,b\n1,2\n")
    (place / ".partial-x.png").write_bytes(b"half")
    return place


class Page(html.parser.HTMLParser):
    """Tags, attributes and text of a page; asserts that what is opened is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def decoded(source: str) -> bytes:
    return base64.b64decode(source.partition(";base64,")[2], validate=True)


def test_it_is_valid_and_needs_nothing_beside_itself(html_report, run):
    text = html_report.write(run).read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    page = Page(text)
    known = {tag for tag, _ in page.tags}
    assert not known & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            if name in attributes:
                assert re.match(r"data:|#", attributes[name])
    assert "url(" not in text and "@import" not in text
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'")
    assert any(m.get("name") == "viewport" for m in page.all("meta"))
    targets = {a["id"] for _, a in page.tags if "id" in a}
    assert {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")} == targets


def test_everything_is_in_it_and_escaped(html_report, run):
    page = Page(html_report.page(run))
    assert page.text.count(HOSTILE) == 5  # title, heading, report, its table, versions
    assert page.text.count(json.dumps(HOSTILE)[1:-1]) == 1  # the config as it is written
    assert "seed 7" in page.text and "run a & b" in page.text
    assert not any("example.com" in str(a) for _, a in page.tags)
    assert f"Title {HOSTILE}" in page.text


def test_every_figure_is_in_it_whole(html_report, run):
    images = Page(html_report.page(run)).all("img")
    names = ["unheard-of.png", "drawing.svg", "plot_one.png"]  # the experiment's own first
    assert [decoded(i["src"]) for i in images] == [(run / n).read_bytes() for n in names]
    assert all(i["alt"] for i in images)
    assert (images[2]["width"], images[2]["height"]) == ("300", "200")


def test_the_data_can_be_saved(html_report, run, monkeypatch):
    (link,) = (a for a in Page(html_report.page(run)).all("a") if "download" in a)
    assert link["download"] == "rows.csv"
    assert decoded(link["href"]) == (run / "rows.csv").read_bytes()
    monkeypatch.setattr(html_report, "MOST_DATA", 3)
    page = Page(html_report.page(run))
    assert not any("download" in a for a in page.all("a"))
    assert "too large" in page.text


@pytest.mark.parametrize("count", [1, 200, 203])
def test_csv_files_become_tables_and_long_ones_say_what_is_left_out(html_report, run, count):
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b c"], *(["one, two", 'say "x"'] for _ in range(count))])
    (run / "rows.csv").write_text(text.getvalue())
    page = Page(html_report.page(run))
    assert len(page.all("th")) == 2
    assert page.text.count("one, two") == min(count, 200) == page.text.count('say "x"')
    assert ("3 more rows" in page.text) == (count == 203)


def test_verdicts_come_before_every_other_table(html_report, run):
    (run / "verdicts.csv").write_text("claim,verdict\n1,a verdict that is longer than all rows\n")
    links = [a for a in Page(html_report.page(run)).all("a") if "download" in a]
    assert [a["download"] for a in links] == ["verdicts.csv", "rows.csv"]


def test_numbers_of_the_metrics_stand_alone_and_lists_do_not(html_report, run):
    metrics = {"photons": 0.123456, "text": {"pages": 7}, "rows": [{"hidden": 991}], "none": None}
    (run / "metrics.json").write_text(json.dumps(metrics))
    page = Page(html_report.page(run))
    assert "0.1235" in page.text and "text: pages" in page.text
    assert "991" not in page.text


def test_what_was_printed_stays_as_it_is_written(html_report, run):
    (run / "report.txt").write_text("a - b\n  c < d\n\nleft     right\n1        2\n")
    page = Page(html_report.page(run))
    assert "a - b\n  c < d\n\nleft     right\n1        2" in page.text


def test_an_experiment_of_this_repository_says_what_was_asked(html_report, run, tmp_path):
    place = tmp_path / "energy" / "one"
    place.parent.mkdir()
    run.rename(place)
    (place / "metrics.json").write_text("[]")
    page = Page(html_report.page(place))
    heading = (
        importlib.import_module("experiments.energy.run").__doc__.strip().split("\n")[0].rstrip(".")
    )
    assert page.text.count(heading) == 2  # title and heading
    assert "python -m experiments.energy" in page.text


def test_it_is_written_whole_or_not_at_all(html_report, harness, run, monkeypatch):
    html_report.write(run).write_text("before")
    files = sorted(run.iterdir())

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(harness.UserError, match=r"report: cannot write .*No space left"):
        html_report.write(run)
    assert (run / "report.html").read_text() == "before"
    assert sorted(run.iterdir()) == files


def test_what_cannot_be_shown_is_refused_in_one_line(html_report, run, capsys):
    with pytest.raises(
        SystemExit, match=r"^error: report: there is no directory .*nowhere; [^\n]*$"
    ):
        html_report.main([str(run / "nowhere")])
    (run / "metrics.json").unlink()
    with pytest.raises(
        SystemExit, match=r"^error: report: .* holds no finished run [^\n]*run=a & b$"
    ):
        html_report.main([str(run)])
    html_report.main([])
    assert "report.html" in capsys.readouterr().out


def test_settings_that_somebody_edited_are_shown_as_they_are(html_report, run):
    (run / "config.yaml").write_text("seed: [: broken")
    (run / "versions.json").write_text("{")
    page = Page(html_report.page(run))
    assert "seed: [: broken" in page.text
    assert "Versions" not in page.text
