"""From wiki markup to plain prose, on top of `mwparserfromhell`'s tree.

What a reader sees as running text stays: paragraphs, headings as lines of their own, list items as
lines that begin with `- `, formulas as `$TeX$`, and the words of links, of HTML tags and of the few
templates that stand inside sentences (`{{convert|5|km}}`). References, other templates, tables,
galleries, files, categories and comments go, and so do sections with nothing left in them and the
closing ones that hold lists of sources (`APPARATUS`). Brackets and punctuation around something
that went are tidied: `Abc ({{IPA|x}}; )` is `Abc`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from photonjax.extras import need

if TYPE_CHECKING:
    from mwparserfromhell.nodes import Tag, Template, Wikilink
    from mwparserfromhell.wikicode import Wikicode

APPARATUS = frozenset(
    "additional reading|bibliography|citations|citations and notes|cited sources|endnotes|"
    "external link|external links|external sources|footnotes|further reading|gallery|"
    "general references|links|literature cited|notes|notes and citations|notes and references|"
    "primary sources|publications|references|references and notes|references and sources|"
    "related pages|secondary sources|see also|sources|specific references|works cited".split("|")
)
"""Headings, in lower case, under which a Wikipedia article keeps no prose."""

_GAP = "\ue000"  # the place of something removed
_ITEM = "\ue001"  # the start of a list item

_MARKS = re.compile(r"\[\[|\]\]|\{\{|\}\}|__[A-Z]+__|</?[A-Za-z][^<>\n]*>|[\ue000\ue001]")
_QUOTES = re.compile("'{2,}")
_NO_TEXT = frozenset(
    "chem gallery hiero imagemap inputbox ref references score table templatestyles timeline".split()
)
_BLOCKS = frozenset("blockquote center dd div dl dt hr li ol p poem pre ul".split())
_HIDDEN_LINK = re.compile(r"(?:file|image|category|media):", re.IGNORECASE)
_LANGUAGE_LINK = re.compile(r"(?:[a-z]{2,3}(?:-[a-z]+)*|simple):\S")


def clean(source: str) -> str:
    """Plain prose from wiki markup; never raises, whatever the text.

    Args:
      source: the markup of one article.

    Returns:
      Paragraphs, headings and lists separated by blank lines, without a final newline.

    Example:
        >>> clean("'''Light''' ({{IPAc-en|l|aɪ|t}}) is a [[wave|travelling wave]].<ref>Book</ref>")
        'Light is a travelling wave.'
    """
    parser = need("mwparserfromhell", "data")

    # Unbalanced quotes would make whole references fail to parse. So they stay text; see `_node`.
    tree = parser.parse(source.replace("\0", ""), skip_style_tags=True)
    blocks: list[str] = []
    pending: list[tuple[int, str]] = []  # headings that no text has followed yet
    hidden = 7  # level of the closing section being skipped; 7 is below every level
    for section in tree.get_sections(flat=True, include_lead=True):
        nodes = section.nodes
        if nodes and isinstance(nodes[0], parser.nodes.Heading):
            level, title = nodes[0].level, _tidy(_words(nodes[0].title)).strip()
            if level > hidden:
                continue
            hidden = level if title.lower() in APPARATUS else 7
            pending = [heading for heading in pending if heading[0] < level]
            pending.append((level, title))
            nodes = nodes[1:]
        if hidden < 7:
            continue
        if found := list(_blocks(_tidy("".join(map(_node, nodes))))):
            blocks += [title for _, title in pending if title] + found
            pending = []
    return "\n\n".join(blocks)


def _words(code: Wikicode | None) -> str:
    return "" if code is None else "".join(map(_node, code.nodes))


def _node(node: Any) -> str:
    """The words of one node of the tree."""
    kind = type(node).__name__
    if kind == "Text":
        return _MARKS.sub("", _QUOTES.sub(_apostrophes, str(node)))
    if kind == "HTMLEntity":
        return html.unescape(str(node))
    if kind == "ExternalLink":
        return _words(node.title) or _GAP
    if kind == "Argument":
        return _words(node.default)
    if kind == "Heading":  # inside a tag; those that open a section do not come here
        return f"\n\n{_words(node.title)}\n\n"
    renderers: dict[str, Callable[[Any], str]] = {
        "Tag": _tag,
        "Template": _template,
        "Wikilink": _link,
    }
    return renderers[kind](node) if kind in renderers else ""


def _apostrophes(match: re.Match[str]) -> str:
    """What remains of a run of apostrophes when bold and italic marks are taken out."""
    return "'" * {2: 0, 3: 0, 4: 1, 5: 0}.get(len(match[0]), len(match[0]) - 5)


def _link(link: Wikilink) -> str:
    target = str(link.title).strip()
    if _HIDDEN_LINK.match(target) or (link.text is None and _LANGUAGE_LINK.match(target)):
        return _GAP
    return _words(link.text).strip() or _words(link.title).strip().removeprefix(":")


def _tag(tag: Tag) -> str:
    name = str(tag.tag).strip().lower()
    if tag.wiki_markup and name in ("li", "dt", "dd"):  # the mark alone, not the line after it
        return {"li": _ITEM, "dt": "; ", "dd": ": "}[name]
    if name in _NO_TEXT:
        return _GAP
    if name == "br":
        return "\n"
    if name in ("math", "ce"):
        return f"${' '.join(str(tag.contents).split())}$"
    if name in ("nowiki", "code", "source", "syntaxhighlight"):
        return html.unescape(str(tag.contents or ""))
    text = _words(tag.contents)
    if name == "sup" and re.fullmatch(r"[-+−]?\d+|[-+−]|[a-z]", text.strip(), re.IGNORECASE):
        return f"^{text.strip()}"
    return f"\n\n{text}\n\n" if name in _BLOCKS else text


def _tidy(text: str) -> str:
    """One kind of space, and the gaps that removed things left closed."""
    text = re.sub("[\u00a0\u2002-\u200a\u202f\t]", " ", text)
    text = re.sub("[\u200b-\u200f\ufeff]", "", text)
    text = re.sub(rf"(?:[ ]*{_GAP})+", _GAP, text)
    text = re.sub(rf"[ ]*\([^()\n]*[$£€¥]{_GAP}[^()\n]*\)", _GAP, text)  # "(${{inflation}} today)"
    for _ in range(3):  # "(a; GAP, GAP)": each pass joins a gap with its neighbours
        text = re.sub(rf"([(\[])[ ]*(?:{_GAP}[ ]*[,;:/–-]*[ ]*)+", rf"\1{_GAP}", text)
        text = re.sub(rf"[ ]*[,;:/]*[ ]*{_GAP}[ ]*([)\]])", rf"{_GAP}\1", text)
        text = re.sub(rf"[ ]*[(\[]{_GAP}+[)\]]", _GAP, text)
        text = re.sub(rf"([,;:])[ ]*{_GAP}[ ]*(?=[,;:.])", _GAP, text)
    text = re.sub(rf"{_GAP}[ ]*(?=[,;:.)](?!\.))", "", text)
    return re.sub("[ ]{2,}", " ", text.replace(_GAP, ""))


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs, lists and indented lines: each is lines of one kind with no blank one between."""
    lines: list[str] = []
    was_marked = False
    for raw in [*text.split("\n"), ""]:
        line = raw.lstrip(f" :;{_ITEM}").rstrip()
        mark = raw[: len(raw) - len(raw.lstrip(f" :;{_ITEM}"))].strip()
        shown = bool(re.search(r"\w", line)) and not line.startswith(("|", "{|"))
        if lines and (not (mark or line) or (shown and bool(mark) != was_marked)):
            yield "\n".join(lines)
            lines = []
        if shown:
            lines.append(f"- {line}" if _ITEM in mark else line)
            was_marked = bool(mark)


# Templates that stand for words inside a sentence; all others are citations, notices and boxes.

_LITERAL = {
    "'": "'", "'s": "'s", "' \"": "' \"", "-\"": "\"", "=": "=", "!": "|", "clear": "", "-": "",
    "dot": " · ", "mdash": "—", "mdashb": " — ", "ndash": "–", "nbsp": " ", "snd": " – ",
    "spaced ndash": " – ", "spaces": " ", "thinsp": " ",
}  # fmt: skip
_ARGUMENT = {
    **dict.fromkeys(
        "abbr|big|flag|flagcountry|formatnum|large|linktext|math|nihongo|nobold|nobr|nowrap|railgauge|sc|"
        "sic|small|smaller|tooltip|unicode|vanchor|var|vr".split("|"),
        0,
    ),
    **dict.fromkeys("font|lang|resize|rtl-lang|script|ill".split("|"), 1),
    **dict.fromkeys("transl|transliteration".split("|"), -1),
}
"""Which positional argument holds the words."""
_SHIPS = frozenset("hmas hms rms ss uss".split())
_UNITS = {
    "C": "°C", "C-change": "°C", "F": "°F", "F-change": "°F", "LT": "long tons",
    "PD/sqmi": "inhabitants per square mile", "oilbbl": "barrels",
    "acre": "acres", "cuft": "cubic feet", "cumi": "cubic miles",
    "ft": "feet", "in": "inches", "km2": "km²", "km3": "km³", "kn": "knots", "lb": "pounds",
    "m2": "m²", "m3": "m³", "mi": "miles", "mi2": "square miles", "nmi": "nautical miles",
    "sqft": "square feet", "sqkm": "square kilometres", "sqmi": "square miles", "yd": "yards",
}  # fmt: skip
_RANGES = {
    "to": " to ", "-": "–", "–": "–", "and": " and ", "or": " or ", "x": " × ", "by": " by ",
}  # fmt: skip


def _template(template: Template) -> str:
    name = " ".join(str(template.name).replace("_", " ").split()).lower()
    values = [
        (p.showkey, str(p.name).strip().lower(), _words(p.value).strip()) for p in template.params
    ]
    words = [value for showkey, key, value in values if not showkey or key.isdigit()]
    named = {key: value for showkey, key, value in values if showkey}
    if name.startswith("formatnum:"):  # a parser function: its argument follows the colon
        name, words = "formatnum", [_words(template.name).partition(":")[2].strip()]
    if name in _LITERAL:
        return _LITERAL[name]
    if name.startswith("lang-"):
        name = "nowrap"
    if name in _ARGUMENT:
        return next(iter(words[_ARGUMENT[name] :]), "") or _GAP
    if name in _SHIPS and words:
        return f"{name.upper()} {words[0]}"
    return _FORMATS[name](words, named) or _GAP if name in _FORMATS else _GAP


def _convert(words: list[str], named: dict[str, str]) -> str:
    """The quantity as given: a reader of prose needs no second unit."""
    number, rest = "".join(words[:1]), words[1:]
    while len(rest) >= 2 and (joint := _RANGES.get(rest[0].removesuffix("(-)"))):
        number, rest = number + joint + rest[1], rest[2:]
    if not rest:
        return number
    unit = _UNITS.get(rest[0], rest[0])
    if named.get("adj") != "on":
        return f"{number} {unit}"
    singular = {"feet": "foot", "inches": "inch"}.get(unit, unit.removesuffix("s"))
    return f"{number}-{singular}"


def _fraction(words: list[str], named: dict[str, str]) -> str:
    return " ".join([*words[:-2], "/".join(["1", *words][-2:])])


def _as_of(words: list[str], named: dict[str, str]) -> str:
    months = "January|February|March|April|May|June|July|August|September|October|November|December"
    if len(words) > 1 and words[1].isdigit() and 1 <= int(words[1]) <= 12:
        words = [words[0], months.split("|")[int(words[1]) - 1], *words[2:]]
    return f"{'as' if named.get('lc') else 'As'} of {' '.join(reversed(words[:3]))}"


def _items(words: list[str], named: dict[str, str]) -> str:
    return "\n" + "".join(f"{_ITEM}{word}\n" for word in words)


def _value(words: list[str], named: dict[str, str]) -> str:
    power = f" × 10^{named['e']}" if "e" in named else ""
    return f"{''.join(words[:1])}{power} {named.get('u', '')}".rstrip()


def _quote(words: list[str], named: dict[str, str]) -> str:
    return f"\n\n{(words or [named.get('text') or named.get('quote', '')])[0]}\n\n"


_FORMATS: dict[str, Callable[[list[str], dict[str, str]], str]] = {
    "angbr": lambda words, named: f"⟨{''.join(words)}⟩",
    "as of": _as_of,
    "bulleted list": _items,
    "bibleref": lambda words, named: " ".join(words[:2]),
    "chem": lambda words, named: "".join(words),
    "convert": _convert,
    "cvt": _convert,
    "e": lambda words, named: f" × 10^{''.join(words)}",
    "frac": _fraction,
    "hlist": lambda words, named: ", ".join(words),
    "music": lambda words, named: {"flat": "♭", "sharp": "♯"}.get("".join(words), ""),
    "nuclide2": lambda words, named: "-".join(words[:2]),
    "ordered list": _items,
    **dict.fromkeys(("quote", "blockquote", "bquote", "cquote", "quotation"), _quote),
    "sfrac": _fraction,
    "val": _value,
}
