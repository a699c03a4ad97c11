"""From wiki markup to plain prose.

`clean` makes of an article's source what a reader sees as running text:

- comments, references, templates without text of their own (citations, infoboxes, notices,
  pronunciations), tables, galleries, files, categories and interlanguage links go;
- links, bold and italics, HTML tags and entities become their text; templates that stand for words
  (`{{convert|5|km}}`, `{{lang|fr|mot}}`, see `wikitemplates`) become these words;
- formulas stay as `$TeX$`; superscript numbers become `^2`;
- headings stay as lines of their own, list items as lines beginning with `- `; a section with
  nothing left in it loses its heading, and closing sections that hold lists of links and sources
  (`APPARATUS`) go whole;
- punctuation and brackets that enclosed only removed things are tidied: `Abc (; )` is `Abc`.

It is one scan with a stack, so nesting costs nothing, and malformed markup degrades to its text:
an opener without its closer loses the brackets and keeps the words.
"""

from __future__ import annotations

import dataclasses
import html
import re

from photonjax.data.wikitemplates import render_template

APPARATUS = frozenset(
    "bibliography|citations|endnotes|external links|footnotes|further reading|gallery|notes|"
    "notes and references|references|references and notes|references and sources|see also|sources|"
    "works cited|publications|related pages|external sources|cited sources|primary sources|"
    "secondary sources|additional reading|external link|general references|specific references|"
    "notes and citations|citations and notes|literature cited|links".split("|")
)
"""Headings, in lower case, under which a Wikipedia article keeps no prose."""

# Private-use characters: the place of something removed, and the number of a formula set aside.
_GAP = "\ue000"
_HELD = "\ue001"

_DROPPED_TAGS = "ref|references|gallery|timeline|score|imagemap|chem|hiero|inputbox|templatestyles"
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_NOWIKI = re.compile(r"<nowiki\s*>(.*?)</nowiki\s*>", re.DOTALL | re.IGNORECASE)
_EMPTY_TAG = re.compile(rf"<(?:{_DROPPED_TAGS})\b[^<>]*/\s*>", re.IGNORECASE)
_DROPPED = re.compile(rf"<({_DROPPED_TAGS})\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_MATH = re.compile(r"<(?:math|ce)\b[^<>]*>(.*?)</(?:math|ce)\s*>", re.DOTALL | re.IGNORECASE)
_VERBATIM = re.compile(
    r"<(pre|source|syntaxhighlight|code|tt)\b[^<>]*>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE
)
_BREAK = re.compile(r"<(?:br|hr)\b[^<>]*>", re.IGNORECASE)
_POWER = re.compile(r"<sup\b[^<>]*>\s*([-+−]?\d+|[-+−]|[a-z])\s*</sup\s*>", re.IGNORECASE)
_BLOCK = re.compile(
    r"</?(?:p|div|blockquote|center|poem|li|ul|ol|dl|dd|dt)\b[^<>]*>", re.IGNORECASE
)
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>")
_MAGIC = re.compile(r"__[A-Z]+__")
_QUOTES = re.compile(r"'{2,}")
_EXTERNAL = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\[\]]*(?:[ \t]+([^\[\]\n]*))?\]")
_TOKEN = re.compile(  # a table opens and closes at the start of a line only
    r"^[ \t:*#]*\{\|(?!\})|^[ \t]*\|\}(?!\}(?!\}))|\{\{|\}\}|\[\[|\]\]|\|", re.MULTILINE
)
_CLOSES = {"}}": "{{", "]]": "[[", "|}": "{|"}
_HIDDEN_NAMESPACES = frozenset({"file", "image", "category", "media"})
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*|simple")
_PREFIX = re.compile(r":?(?:wikt|wiktionary|w|s|q|b|c|commons|wikisource|wikipedia|d):(?=.)", re.I)
_HEADING = re.compile(r"^(={1,6})(.+?)\1[ \t]*$")
_ITEM = re.compile(r"^([*#:;]+)[ \t]*")


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
    text = source.replace(_GAP, "").replace(_HELD, "")
    held: list[str] = []

    def restore(text: str) -> str:
        return re.sub(f"{_HELD}([0-9]+){_HELD}", lambda match: held[int(match[1])], text)

    def hold(content: str) -> str:
        held.append(html.unescape(restore(content)))
        return f"{_HELD}{len(held) - 1}{_HELD}"

    text = _COMMENT.sub("", text)
    text = _NOWIKI.sub(lambda match: hold(match[1]), text)
    text = _EMPTY_TAG.sub(_GAP, text)
    text = _DROPPED.sub(_GAP, text)
    text = _MATH.sub(lambda match: hold(f"${' '.join(match[1].split())}$"), text)
    text = _VERBATIM.sub(lambda match: hold(_TAG.sub("", match[2]).strip("\n")), text)
    text = _scan(text)
    text = _EXTERNAL.sub(lambda match: match[1] or _GAP, text)
    text = _POWER.sub(r"^\1", text)
    text = _BLOCK.sub("\n\n", _BREAK.sub("\n", text))
    text = _MAGIC.sub("", _QUOTES.sub(_apostrophes, _TAG.sub("", text)))
    text = _layout(_tidy(html.unescape(text)))
    return re.sub(f"[{_GAP}{_HELD}]", "", restore(text)).strip()


@dataclasses.dataclass
class _Frame:
    """An opened bracket and the arguments read since."""

    opener: str
    arguments: list[list[str]] = dataclasses.field(default_factory=lambda: [[]])

    def texts(self) -> list[str]:
        return ["".join(pieces) for pieces in self.arguments]

    def spill(self) -> str:
        """The words of a bracket that was never closed; of a table, what is not in a cell."""
        text = "|".join(self.texts())
        if self.opener != "{|":
            return text
        lines = text.split("\n")[1:]
        return "\n".join(line for line in lines if not line.lstrip().startswith(("|", "!")))


def _scan(text: str) -> str:
    """Resolve templates, links and tables, innermost first, in one pass."""
    stack = [_Frame("")]
    position = 0
    for match in _TOKEN.finditer(text):
        stack[-1].arguments[-1].append(text[position : match.start()])
        position = match.end()
        token = match[0].strip(" \t:*#")
        if token == "|":
            if stack[-1].opener in ("{{", "[["):
                stack[-1].arguments.append([])
            else:
                stack[-1].arguments[-1].append("|")
        elif token not in _CLOSES:
            stack.append(_Frame(token))
        elif any(frame.opener == _CLOSES[token] for frame in stack):
            while stack[-1].opener != _CLOSES[token]:
                _spill(stack)
            frame = stack.pop()
            stack[-1].arguments[-1].append(_resolve(frame))
    stack[-1].arguments[-1].append(text[position:])
    while len(stack) > 1:
        _spill(stack)
    return stack[0].spill()


def _spill(stack: list[_Frame]) -> None:
    words = stack.pop().spill()
    stack[-1].arguments[-1].append(words)


def _resolve(frame: _Frame) -> str:
    if frame.opener == "{|":
        return _GAP
    if frame.opener == "[[":
        return _link(frame.texts())
    words = render_template(frame.texts())
    return _GAP if words is None else words


def _link(arguments: list[str]) -> str:
    target = arguments[0].strip()
    namespace = target.partition(":")[0].strip() if ":" in target else ""
    if namespace.lower() in _HIDDEN_NAMESPACES:
        return _GAP
    if _LANGUAGE.fullmatch(namespace) and len(arguments) == 1:  # [[fr:Anarchisme]]
        return _GAP
    if len(arguments) == 1:
        return _PREFIX.sub("", target).removeprefix(":")
    label = arguments[-1]
    if label.strip():
        return label
    return re.sub(r"\s*\([^()]*\)$", "", _PREFIX.sub("", target))  # the "pipe trick"


def _apostrophes(match: re.Match[str]) -> str:
    """What remains of a run of apostrophes when bold and italic marks are taken out."""
    length = len(match[0])
    return "'" * {2: 0, 3: 0, 4: 1, 5: 0}.get(length, length - 5)


def _tidy(text: str) -> str:
    """Close the gaps that removed things left, and only there."""
    text = re.sub("[\u00a0\u2002-\u200a\u202f\t]", " ", text)
    text = re.sub("[\u200b-\u200f\ufeff]", "", text)
    text = re.sub(rf"(?:[ ]*{_GAP})+", _GAP, text)
    text = re.sub(rf"[ ]*\([^()\n]*[$£€¥]{_GAP}[^()\n]*\)", _GAP, text)  # "($GAP in 2016 dollars)"
    for _ in range(3):  # "(a; GAP, GAP)": each pass joins a gap with its neighbours
        text = re.sub(rf"([(\[])[ ]*(?:{_GAP}[ ]*[,;:/–-]*[ ]*)+", rf"\1{_GAP}", text)
        text = re.sub(rf"[ ]*[,;:/]*[ ]*{_GAP}[ ]*([)\]])", rf"{_GAP}\1", text)
        text = re.sub(rf"[ ]*[(\[]{_GAP}+[)\]]", _GAP, text)
        text = re.sub(rf"([,;:])[ ]*{_GAP}[ ]*(?=[,;:.])", _GAP, text)
    text = re.sub(rf"{_GAP}[ ]*(?=[,;:.)](?!\.))", "", text)
    return text.replace(_GAP, "")


def _layout(text: str) -> str:
    """Blank lines between blocks; headings plain; empty and closing sections gone."""
    blocks: list[str] = []
    pending: list[tuple[int, str]] = []  # headings that no text has followed yet
    hidden = 0  # level of the closing section being skipped, 0 outside
    joined = listed = False  # may the next line join the last block; is that a list

    for raw in text.split("\n"):
        line = re.sub(r"[ \t]{2,}", " ", raw).strip()
        heading = _HEADING.match(line)
        if heading is not None:
            level, title = len(heading[1]), heading[2].strip(" =")
            if not hidden or level <= hidden:
                hidden = level if title.lower() in APPARATUS else 0
                pending = [entry for entry in pending if entry[0] < level]
                if not hidden and title:
                    pending.append((level, title))
            joined = False
            continue
        item = _ITEM.match(line)
        body = line[item.end() :] if item else line
        if hidden or not re.search(r"\w", body) or line.startswith("|"):
            joined = joined and bool(line)
            continue
        blocks.extend(title for _, title in pending)
        pending = []
        if item and item[1][-1] in "*#":
            body = f"- {body}"
        if joined and bool(item) == listed:
            blocks[-1] += "\n" + body
        else:
            blocks.append(body)
        joined, listed = True, bool(item)
    return "\n\n".join(blocks)
