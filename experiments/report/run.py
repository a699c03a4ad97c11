"""One HTML file of a finished run, to mail: the report, its figures, its settings, and its data.

    python -m experiments.report results/energy/RUN            # writes report.html there
    python -m experiments.report results/*/*                   # of many

Any experiment's run directory will do. The page needs nothing beside itself: figures and data are in it,
there are no scripts, and a policy in its head forbids it to fetch anything. The file is written whole or
not at all.
"""

from __future__ import annotations

import ast
import base64
import csv
import html
import itertools
import json
import os
import pathlib
import re
import struct
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from omegaconf import OmegaConf

from experiments.harness import UserError
from experiments.report import style as html_style

NAME = "report.html"
IMAGES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}
MOST_DATA = 2_000_000  # bytes; a larger CSV file is named, not embedded
LONG = 45  # letters; a column of longer cells is given room to wrap in
MOST_ROWS = 200  # of a CSV file that is shown
PIXELS_PER_CSS_PIXEL = 1.5  # of the figures: 150 dots an inch, where CSS has about 100


def write(directory: pathlib.Path) -> pathlib.Path:
    """Write ``report.html`` into a run's directory; returns its path.

    Raises:
      UserError: there is no such directory, or no finished run in it.
    """
    text = page(directory)
    target = directory / NAME
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=".partial-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as error:
        if temporary:
            pathlib.Path(temporary).unlink(missing_ok=True)
        raise UserError(f"report: cannot write {target} ({error.strerror})") from None
    return target


def page(directory: pathlib.Path) -> str:
    """The page of a finished run; raises as :func:`write` does."""
    if not directory.is_dir():
        raise UserError(f"report: there is no directory {directory}; give one of results/*/*")
    if not (directory / "metrics.json").exists():
        raise UserError(
            f"report: {directory} holds no finished run (no metrics.json); repeat its experiment with "
            f"run={directory.resolve().name}"
        )
    place = directory.resolve()
    experiment = place.parent.name
    config = _mapping(directory / "config.yaml", _yaml)
    versions = _mapping(directory / "versions.json", json.loads)
    metrics = _mapping(directory / "metrics.json", json.loads)
    asked = _docstring(experiment)
    title = (
        metrics.get("title") or asked.split("\n")[0].rstrip(".") or f"{experiment}: {place.name}"
    )
    facts = {"experiment": experiment, "run": place.name, "seed": config.get("seed")}
    facts |= {k: versions.get(k) for k in ("written", "photonjax", "jax", "python")}
    sections = {
        "Asked": prose(asked.partition("\n")[2] if not metrics.get("title") else asked),
        "Report": _report(directory),
        "Figures": _figures(directory, experiment),
        "Settings": _pre(_read(directory / "config.yaml")),
        "Versions": table([("", ""), *versions.items()], head=False) if versions else "",
        "Data": _data(directory),
    }
    sections = {name: text for name, text in sections.items() if text.strip()}
    links = " ".join(f'<a href="#{name.lower()}">{name}</a>' for name in sections)
    bodies = "\n".join(
        f'<section id="{name.lower()}"><h2>{name}</h2>\n{body}\n</section>'
        for name, body in sections.items()
    )
    known = ((k, v) for k, v in facts.items() if v is not None)
    line = " ".join(f"<span><b>{k}</b> {_text(v)}</span>" for k, v in known)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html_style.POLICY}">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_text(title)}</title>\n<style>{html_style.CSS}</style>\n</head>\n<body>\n<header>\n"
        f'<h1>{_text(title)}</h1>\n<p class="facts">{line}</p>\n<nav>{links}</nav>\n</header>\n'
        f"<main>\n{bodies}\n</main>\n</body>\n</html>\n"
    )


# What was asked ----------------------------------------------------------------------------------


def _docstring(experiment: str) -> str:
    """What the experiment's script says of itself; empty if there is none of that name here."""
    script = pathlib.Path(__file__).parents[1] / experiment / "run.py"
    if not script.exists():
        return ""
    return ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""


def prose(text: str) -> str:
    """Paragraphs of a docstring; indented ones are code.

    >>> prose("Say ``a<b``.\\n\\n    python x.py")
    '<p>Say <code>a&lt;b</code>.</p>\\n<pre>python x.py</pre>'
    """
    parts = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if not block.strip():
            continue
        if block.startswith("    "):
            parts.append(_pre("\n".join(line[4:] for line in block.split("\n"))))
            continue
        marked = _text(" ".join(block.split()))
        marked = re.sub(r"``(.+?)``", r"<code>\1</code>", marked)
        marked = re.sub(r":\w+:`~?(.+?)`", r"<code>\1</code>", marked)
        parts.append(f"<p>{marked}</p>")
    return "\n".join(parts)


# The report --------------------------------------------------------------------------------------


def _report(directory: pathlib.Path) -> str:
    """report.txt; without one, the tables in CSV files."""
    text = _read(directory / "report.txt")
    if text.strip():
        return report(text)
    found = []
    for file in sorted(directory.glob("*.csv")):
        with file.open(newline="", encoding="utf-8", errors="replace") as opened:
            lines = [tuple(line) for line in itertools.islice(csv.reader(opened), MOST_ROWS)]
        if lines and all(len(line) == len(lines[0]) for line in lines):
            found.append(f"<h3>{_text(file.name)}</h3>\n{table(lines)}")
    return "\n".join(found)


def report(text: str) -> str:
    """A readable report as HTML: its aligned tables become tables, the rest stays as it is written.

    >>> report("sizes\\na    b\\n------\\n1  <2>")
    '<h3>sizes</h3>\\n<div class="scroll"><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody>\
<tr><td>1</td><td>&lt;2&gt;</td></tr></tbody></table></div>'
    """
    return "\n".join(_block(b) for b in re.split(r"\n\s*\n", text.strip("\n")) if b.strip())


def _block(block: str) -> str:
    lines = [line.rstrip() for line in block.split("\n")]
    rules = [i for i, line in enumerate(lines) if i and re.fullmatch(r"-{3,}", line.strip())]
    if len(rules) == 1:
        header = rules[0] - 1
        cells = columns([lines[header], *lines[header + 2 :]])
        above = "\n".join(lines[:header])
        return (f"<h3>{_text(above)}</h3>\n" if above else "") + table(cells)
    if any(re.search(r"\S {3,}\S", line) for line in lines):
        return _pre(block)
    spans = "\n".join(f"<span>{_text(line)}</span>" for line in lines)
    return f'<p class="lines">{spans}</p>'


def columns(lines: list[str]) -> list[tuple[str, ...]]:
    """Cells of lines that are aligned in columns: what lies between gutters two blanks wide or wider.

    >>> columns(["name  size", "a b      1", "c"])
    [('name', 'size'), ('a b', '1'), ('c', '')]
    """
    width = max(len(line) for line in lines)
    padded = [line.ljust(width) for line in lines]
    blank = "".join(" " if all(line[i] == " " for line in padded) else "x" for i in range(width))
    spans = [m.span() for m in re.finditer(r"x+(?: x+)*", blank)]
    return [tuple(line[a:b].strip() for a, b in spans) for line in padded]


def table(rows: Iterable[tuple[Any, ...]], head: bool = True) -> str:
    """Rows as an HTML table that scrolls by itself where it is too wide; columns of words to the left."""
    first, *rest = [[str(cell) for cell in row] for row in rows]
    kinds = [_kind(cells) for cells in zip(*rest, strict=False)]
    kinds += [""] * (len(first) - len(kinds))

    def line(row: list[str], tag: str) -> str:
        cells = zip(row, kinds, strict=False)
        return f"<tr>{''.join(f'<{tag}{kind}>{_text(c)}</{tag}>' for c, kind in cells)}</tr>"

    top = f"<thead>{line(first, 'th')}</thead>" if head else ""
    body = "".join(line(row, "td") for row in rest)
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def _kind(cells: tuple[str, ...]) -> str:
    """Of a column: numbers stay to the right and on one line, words go to the left, long ones wrap."""
    if any(re.match(r"[-+<>=~ ]*[.]?\d", cell) for cell in cells):
        return ""
    return ' class="words long"' if max(map(len, cells)) > LONG else ' class="words"'


# Figures and data --------------------------------------------------------------------------------


def _figures(directory: pathlib.Path, experiment: str) -> str:
    """Every picture of the run, the one named as the experiment first."""
    files = [f for f in directory.iterdir() if f.suffix in IMAGES and not f.name.startswith(".")]
    files.sort(key=lambda f: (f.stem != experiment, f.name))
    return "\n".join(_figure(f) for f in files)


def _figure(file: pathlib.Path) -> str:
    data = file.read_bytes()
    size = ""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        shown = round(width / PIXELS_PER_CSS_PIXEL)
        size = f' width="{width}" height="{height}" style="--shown:{shown}px"'
    source = f"data:{IMAGES[file.suffix]};base64,{base64.b64encode(data).decode()}"
    name = _text(file.stem.replace("_", " ").replace("-", " "))
    return (
        f'<figure><div class="scroll"><img alt="{name}" src="{source}"{size}></div>'
        f"<figcaption>{name}</figcaption></figure>"
    )


def _data(directory: pathlib.Path) -> str:
    """Links that save the CSV files, which are in the page."""
    items = []
    for file in sorted(directory.glob("*.csv")):
        size = file.stat().st_size
        name, about = _text(file.name), f"{size / 1000:,.0f} kB"
        if size > MOST_DATA:
            items.append(f"<li>{name} ({about}: too large to be in this page)</li>")
            continue
        source = f"data:text/csv;base64,{base64.b64encode(file.read_bytes()).decode()}"
        items.append(f'<li><a download="{name}" href="{source}">{name}</a> ({about})</li>')
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _pre(text: str) -> str:
    return f"<pre>{_text(text.rstrip())}</pre>" if text.strip() else ""


def _text(value: Any) -> str:
    return html.escape(str(value))


def _read(file: pathlib.Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def _mapping(file: pathlib.Path, parse: Callable[[str], Any]) -> Mapping[str, Any]:
    """A file's content if it is a mapping, else an empty one: a page can do without."""
    try:
        found = parse(_read(file))
    except Exception:  # what a parser raises about a file that somebody edited
        return {}
    return found if isinstance(found, dict) else {}


def _yaml(text: str) -> Any:
    return OmegaConf.to_container(OmegaConf.create(text))


def main(arguments: list[str]) -> None:
    """Write the page of every run named."""
    if not arguments or any(a in ("-h", "--help") for a in arguments):
        print(__doc__)
        return
    try:
        for argument in arguments:
            print(write(pathlib.Path(argument)))
    except UserError as error:
        sys.exit(f"error: {error}")
