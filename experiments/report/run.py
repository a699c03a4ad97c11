"""One HTML file of a finished run, to mail: its results, figures, settings and data.

    python -m experiments.report results/energy/RUN            # writes report.html there
    python -m experiments.report results/*/*                   # of many

Any experiment's run directory will do: tables are its CSV files, numbers those of its metrics.json. The
page needs nothing beside itself: figures and data are in it, there are no scripts, and a policy in its
head forbids it to fetch anything. The file is written whole or not at all.
"""

from __future__ import annotations

import ast
import base64
import csv
import json
import pathlib
import re
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jinja2
from omegaconf import OmegaConf

from experiments.harness import UserError
from photonjax.files import write_whole

NAME = "report.html"
IMAGES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}
MOST_DATA = 2_000_000  # bytes; a larger CSV file is named, not embedded
MOST_ROWS = 200  # of a CSV file that are shown
LONG = 45  # letters; a column of longer cells is given room to wrap in
PIXELS_PER_CSS_PIXEL = 1.5  # of the figures: 150 dots an inch, where CSS has about 100


def write(directory: pathlib.Path) -> pathlib.Path:
    """Write ``report.html`` into a run's directory; returns its path.

    Raises:
      UserError: there is no such directory, or no finished run in it.
    """
    text, target = page(directory), directory / NAME
    try:
        write_whole(target, text.encode())
    except OSError as error:
        raise UserError(
            f"report: cannot write {target} ({error.strerror}); free space, or make it writable, and repeat"
        ) from None
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
    first, _, rest = _docstring(experiment).partition("\n")
    facts = {"experiment": experiment, "run": place.name, "seed": config.get("seed")}
    facts |= {name: versions.get(name) for name in ("written", "photonjax", "jax", "python")}
    first_of_all = {experiment, "verdicts"}
    tables = sorted(
        directory.glob("*.csv"), key=lambda f: (f.stem not in first_of_all, f.stat().st_size)
    )
    found = {
        "asked": list(paragraphs(rest)),
        "numbers": dict(_numbers({k: v for k, v in metrics.items() if k != "title"})),
        "tables": [_table(file) for file in tables],
        "printed": _read(directory / "report.txt").strip("\n"),
        "figures": [_figure(file) for file in _pictures(directory, experiment)],
        "settings": _read(directory / "config.yaml").strip(),
        "versions": versions,
        "data": [_data(file) for file in tables],
    }
    shown = {
        "Question": found["asked"],
        "Results": found["numbers"] or found["tables"] or found["printed"],
        **{name: found[name.lower()] for name in ("Figures", "Settings", "Versions", "Data")},
    }
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return (
        jinja.get_template("page.html.jinja")
        .render(
            title=metrics.get("title") or first.rstrip(".") or f"{experiment}: {place.name}",
            facts={name: value for name, value in facts.items() if value is not None},
            sections=[name for name, content in shown.items() if content],
            **found,
        )
        .lstrip()
    )


def _docstring(experiment: str) -> str:
    """What the experiment says of itself; empty if there is none of that name here."""
    script = pathlib.Path(__file__).parents[1] / experiment / "run.py"
    if not script.exists():
        return ""
    return ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""


def paragraphs(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text of a docstring's paragraphs; indented ones are code.

    >>> list(paragraphs("Say ``this``.\\n\\n    python x.py"))
    [('text', 'Say this.'), ('code', 'python x.py')]
    """
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.startswith("    "):
            yield "code", "\n".join(line[4:] for line in block.split("\n"))
        elif block.strip():
            yield "text", re.sub(r":\w+:`~?(.+?)`|``(.+?)``", r"\1\2", " ".join(block.split()))


def _numbers(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What stands alone in metrics.json, or in a mapping of nothing else; rows and curves are tables."""
    for name, value in metrics.items():
        parts = value if isinstance(value, Mapping) else {}
        if isinstance(value, (str, int, float)):
            yield name, _cell(value)
        elif all(isinstance(part, (str, int, float)) for part in parts.values()):
            yield from ((f"{name}: {part}", _cell(each)) for part, each in parts.items())


def _table(file: pathlib.Path) -> dict[str, Any]:
    """A CSV file for the template: columns with how they are set, rows, and how many are left out."""
    with file.open(newline="", encoding="utf-8", errors="replace") as opened:
        head, *rows = list(csv.reader(opened)) or [[]]
    cells = [[_cell(cell) for cell in row[: len(head)]] for row in rows[:MOST_ROWS]]
    columns = [
        {"name": name.replace("_", " "), "kind": _kind([row[i] for row in cells if i < len(row)])}
        for i, name in enumerate(head)
    ]
    left_out = max(0, len(rows) - MOST_ROWS)
    return {"name": file.name, "columns": columns, "rows": cells, "left_out": left_out}


def _cell(value: Any) -> str:
    """Numbers to four digits, whole ones below a billion and all else as they are.

    >>> _cell("0.123456"), _cell("131072"), _cell("a"), _cell(True)
    ('0.1235', '131072', 'a', 'True')
    """
    if re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=e)|\d{10,})(e[-+]?\d+)?", str(value)):
        return f"{float(value):.4g}"
    return str(value)


def _kind(cells: list[str]) -> str:
    """Of a column: numbers stay to the right and on one line, words go to the left, long ones wrap.

    >>> _kind(["1e-3", "", "-2"]), _kind(["1,000x more", "1"])
    ('', 'words')
    """
    if all(re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?|", cell) for cell in cells):
        return ""
    return "words long" if max(map(len, cells), default=0) > LONG else "words"


def _pictures(directory: pathlib.Path, experiment: str) -> list[pathlib.Path]:
    """Every picture of the run, the one named as the experiment first."""
    files = [f for f in directory.iterdir() if f.suffix in IMAGES and not f.name.startswith(".")]
    return sorted(files, key=lambda f: (f.stem != experiment, f.name))


def _figure(file: pathlib.Path) -> dict[str, Any]:
    data = file.read_bytes()
    name = file.stem.replace("_", " ").replace("-", " ")
    found: dict[str, Any] = {"name": name, "source": _embedded(IMAGES[file.suffix], data)}
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        found |= {"width": width, "height": height, "shown": round(width / PIXELS_PER_CSS_PIXEL)}
    return {"width": None} | found


def _data(file: pathlib.Path) -> dict[str, Any]:
    size = file.stat().st_size
    source = _embedded("text/csv", file.read_bytes()) if size <= MOST_DATA else None
    return {"name": file.name, "size": f"{size / 1000:,.0f} kB", "source": source}


def _embedded(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


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
