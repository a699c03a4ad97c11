"""Templates of English Wikipedia that stand for words in a sentence, and what words these are.

Most templates are citations, notices and boxes: they have no text and vanish. The few dozen here
are met inside sentences, where dropping them would leave a hole.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_NAMED = re.compile(r"\s*([A-Za-z_][\w -]*|\d+)\s*=(?!=)")
_MONTHS = (
    "January February March April May June July August September October November December".split()
)
_UNITS = {
    "sqmi": "square miles", "sqkm": "square kilometres", "km2": "km²", "m2": "m²", "mi2": "sq mi",
    "km3": "km³", "m3": "m³", "cm3": "cm³", "C": "°C", "F": "°F", "C-change": "°C",
    "F-change": "°F", "mi": "miles", "sqft": "square feet", "cuft": "cubic feet",
    "cumi": "cubic miles", "cukm": "cubic kilometres", "in": "inches", "ft": "feet",
    "lb": "pounds", "yd": "yards", "nmi": "nautical miles", "acre": "acres", "kn": "knots",
    "LT": "long tons", "ST": "short tons", "oilbbl": "barrels", "kg/m3": "kg/m³",
    "g/cm3": "g/cm³", "PD/sqmi": "inhabitants per square mile",
    "PD/sqkm": "inhabitants per square kilometre", "PD/km2": "inhabitants per km²",
}  # fmt: skip
_RANGE_WORDS = {
    "to": " to ", "-": "–", "–": "–", "and": " and ", "or": " or ", "x": " × ", "by": " by ",
    "to(-)": " to ", "and(-)": " and ", "+/-": " ± ", "±": " ± ",
}  # fmt: skip

_CONSTANTS = {
    "·": " · ", "•": " • ", "mdash": "—", "ndash": "–", "emdash": "—", "endash": "–", "--": "—",
    "mdashb": " — ", "snd": " – ", "snds": " – ", "spnd": " – ", "spaced ndash": " – ",
    "nbsp": " ", "spaces": " ", "thinsp": " ", "thin space": " ", "hairsp": "", "zwsp": "",
    "'s": "'s", "'": "'", "-\"": "\"", "' \"": "' \"", "\" '": "\" '", "=": "=", "!": "|",
    "pipe": "|", "(": "(", ")": ")", "wbr": "", "shy": "", "clear": "", "-": "",
    "pi": "π", "times": "×", "dagger": "†", "ell": "ℓ",
}  # fmt: skip
_FIRST = frozenset(
    "nowrap|nobr|nobreak|small|smaller|big|larger|large|nobold|noitalic|no italic|no bold|center|"
    "sub|sc|smallcaps|vr|keypress|key|kbd|vanchor|visible anchor|tooltip|abbr|math|mvar|var|code|"
    "mono|strong|em|formatnum|nts|number|num|nihongo|nihongo2|korean|hebrew|flag|flagu|flagcountry|"
    "unicode|polytonic|iast|script|nastaliq|linktext|not a typo|sic|plainlist|flatlist|usc|"
    "columns-list|native name|longitem|pre".split("|")
)
_SECOND = frozenset("lang|font|color|colour|font color|resize|rtl-lang|wikt-lang|ill".split("|"))
_LAST = frozenset("transl|transliteration|translit|tlit".split("|"))
_QUOTES = frozenset("quote|blockquote|cquote|quotation|bquote|poemquote|poem quote".split("|"))
_SHIPS = {"uss": "USS", "hms": "HMS", "ss": "SS", "rms": "RMS", "hmas": "HMAS", "usat": "USAT"}


def render_template(arguments: list[str]) -> str | None:
    """The words a template stands for, or None where it stands for none.

    Args:
      arguments: the template's name and its arguments as written, nested markup already resolved.

    Example:
        >>> render_template(["convert", "5", "km", "mi"])
        '5 km'
        >>> render_template(["cite book", "title=X"]) is None
        True
    """
    name = " ".join(arguments[0].replace("_", " ").split()).lower()
    if ":" in name:  # a parser function: {{formatnum:1234}}
        function, _, rest = arguments[0].strip().partition(":")
        name, arguments = function.strip().lower(), [function, rest, *arguments[1:]]
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    words, named = _split(arguments[1:])
    if name in _RENDERERS:
        return _RENDERERS[name](words, named) or None
    if name in _SECOND:
        return words[1] if len(words) > 1 else None
    if name in _FIRST:
        return words[0] if words else None
    if name in _QUOTES:
        text = words[0] if words else named.get("text") or named.get("quote")
        return f"\n\n{text}\n\n" if text else None
    if name in _LAST:
        return words[-1] if words else None
    if name in _SHIPS:
        return f"{_SHIPS[name]} {words[0]}" if words else None
    if name.startswith("lang-"):
        return words[0] if words else None
    return None


def _split(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Positional and named arguments; `1=` is positional."""
    words: list[str] = []
    named: dict[str, str] = {}
    for argument in arguments:
        match = _NAMED.match(argument)
        if match is None or "://" in argument[: match.end() + 2]:
            words.append(argument.strip())
        elif match[1].isdigit():
            words.append(argument[match.end() :].strip())
        else:
            named[match[1].strip().lower()] = argument[match.end() :].strip()
    return words, named


def _convert(words: list[str], named: dict[str, str]) -> str:
    """The quantity as given: a reader of prose needs no second unit."""
    number, rest = words[:1], words[1:]
    while len(rest) >= 2 and rest[0] in _RANGE_WORDS:
        number += [_RANGE_WORDS[rest[0]], rest[1]]
        rest = rest[2:]
    if not rest:
        return "".join(number)
    unit = _UNITS.get(rest[0], rest[0])
    if named.get("adj") == "on":
        singular = {"feet": "foot", "inches": "inch"}.get(unit, unit.removesuffix("s"))
        return f"{''.join(number)}-{singular}"
    return f"{''.join(number)} {unit}"


def _fraction(words: list[str], _: dict[str, str]) -> str:
    if len(words) == 3:
        return f"{words[0]} {words[1]}/{words[2]}"
    return "/".join(words) if len(words) == 2 else "".join(words[:1])


def _value(words: list[str], named: dict[str, str]) -> str:
    text = words[0] if words else ""
    if len(words) > 1 and words[1]:
        text += f" ± {words[1]}"
    if exponent := named.get("e"):
        text += f" × 10^{exponent}"
    unit = named.get("u") or named.get("ul") or ""
    return f"{text} {unit}".strip()


def _as_of(words: list[str], named: dict[str, str]) -> str:
    if named.get("alt"):
        return named["alt"]
    month = words[1] if len(words) > 1 else ""
    if month.isdigit() and 1 <= int(month) <= 12:
        month = _MONTHS[int(month) - 1]
    day = words[2] if len(words) > 2 else ""
    date = " ".join(part for part in (day, month, *words[:1]) if part)
    opening = "as of" if named.get("lc") else "As of"
    if named.get("since"):
        opening = "since" if named.get("lc") else "Since"
    return f"{opening} {date}"


def _join(separator: str, opening: str = "", closing: str = "") -> Callable[..., str]:
    def render(words: list[str], _: dict[str, str]) -> str:
        text = separator.join(word for word in words if word)
        return f"{opening}{text}{closing}" if text else ""

    return render


def _nuclide(words: list[str], _: dict[str, str]) -> str:
    return "-".join(words[:2])


def _gauge(words: list[str], _: dict[str, str]) -> str:
    return re.sub(r"(?<=\d)(?=[a-z])", " ", words[0]) if words else ""


def _items(words: list[str], _: dict[str, str]) -> str:
    return "\n" + "".join(f"* {word}\n" for word in words if word)


def _accidental(words: list[str], _: dict[str, str]) -> str:
    return {"flat": "♭", "sharp": "♯", "natural": "♮"}.get(words[0] if words else "", "")


_RENDERERS: dict[str, Callable[[list[str], dict[str, str]], str]] = {
    "convert": _convert,
    "cvt": _convert,
    "frac": _fraction,
    "fraction": _fraction,
    "sfrac": _fraction,
    "val": _value,
    "as of": _as_of,
    "chem": _join(""),
    "chem2": _join(""),
    "gaps": _join(","),
    "hlist": _join(", "),
    "unbulleted list": _join(", "),
    "ubl": _join(", "),
    "circa": _join(" – ", "c. "),
    "c.": _join(" – ", "c. "),
    "angbr": _join("", "⟨", "⟩"),
    "angle bracket": _join("", "⟨", "⟩"),
    "angbr ipa": _join("", "⟨", "⟩"),
    "sup": _join("", "^"),
    "pow": _join("^"),
    "e": _join("", " × 10^"),
    "radic": _join("", "√"),
    "sqrt": _join("", "√"),
    "abs": _join("", "|", "|"),
    "usd": _join("", "$"),
    "bibleref": _join(" "),
    "bibleverse": _join(" "),
    "music": _accidental,
    "railgauge": _gauge,
    "ordered list": _items,
    "bulleted list": _items,
    "nuclide": _nuclide,
    "nuclide2": _nuclide,
    "simplenuclide": _nuclide,
    "simplenuclide2": _nuclide,
}
