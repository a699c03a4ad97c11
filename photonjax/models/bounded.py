"""Rules of a tokenizer.json that no text can make endless, in time or in length.

A group that repeats without bound and holds another such repeat, or alternatives, can match one text in
exponentially many ways: ``(a+)+$`` takes years over 40 letters, or until the library gives up. The
patterns of published tokenizers have none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["endless_rule", "repeats_repeats"]

_LONGEST = 4096
"""Characters that one of a text may become by replacement."""


def repeats_repeats(pattern: str) -> bool:
    """Whether a group of a regular expression repeats without bound and holds repeats or alternatives.

    >>> [repeats_repeats(p) for p in (r"(a+)+$", r"(a|b)*", r"(?:\\d{3})+", r"[(a+)]+|b+", r"(?=x)(a?b)*")]
    [True, True, False, False, False]
    """
    inside = [False]  # of each group that is open: has it repeats or alternatives?
    for part in re.finditer(
        r"""(?xs) \\[pP]\{[^}]*\} | \\. | \[ (?:\^?\]|\^)? (?:\\. | \[[^\]]*\] | [^\]\\])* \]
        | (?P<open>\() | (?P<close>\)) | (?P<or>\|) | (?P<many>[*+]|\{\d*,\}) | .""",
        pattern,
    ):
        if part["open"]:
            inside.append(False)
        elif part["close"] and len(inside) > 1:
            held = inside.pop()
            if held and re.match(r"[*+]|\{\d*,\}", pattern[part.end() :]):
                return True
            inside[-1] |= held and not re.match(r"\?|\{", pattern[part.end() :])
        elif part["or"] or part["many"]:
            inside[-1] = True
    return False


def endless_rule(tokenizer: Tokenizer) -> str | None:
    """What of a tokenizer's rules can go on without end, in words; None where nothing does."""
    grown = 1
    for part in (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder):
        for rule in _rules(json.loads(part.__getstate__()) if part is not None else None):
            pattern = rule.get("pattern")
            regex = pattern.get("Regex") if isinstance(pattern, dict) else None
            if isinstance(regex, str) and repeats_repeats(regex):
                return (
                    f"the pattern {regex!r:.200} repeats a group that repeats or has alternatives"
                )
            content = rule.get("content")
            if rule.get("type") == "Replace" and isinstance(content, str):
                grown *= max(1, len(content))
    if grown > _LONGEST:
        return f"its replacements make {grown:,} characters of one, more than {_LONGEST:,}"
    return None


def _rules(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value or ():
        if isinstance(inner, (dict, list)):
            yield from _rules(inner)
