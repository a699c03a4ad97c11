"""What makes docstrings Markdown before they become pages: an extension of Griffe, which reads them.

Sphinx roles become links where the API pages have their target, and code elsewhere; doctests, wherever they
are, become blocks of code; and so does what is indented after a line that ends in two colons.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|obj):`(~?)([^`]+)`")
_DOCTEST = re.compile(
    r"^( *)(>>> .*(?:\n\1\S.*)*(?:\n *(?=\n *>>>)\n\1>>> .*(?:\n\1\S.*)*)*)", re.M
)
_LITERAL = re.compile(
    r"^(?P<indent> *)(?P<item>(?:\d+\.|\*) +)?(?P<line>.*:):\n\n(?P<code>(?:(?P=indent) {3,}\S.*\n+)+)",
    re.M,
)


class Docstrings(griffe.Extension):
    """Rewrites each docstring once."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring as Markdown."""
    text = _LITERAL.sub(_fenced, _DOCTEST.sub(r"\1```pycon\n\1\2\n\1```", text + "\n"))
    return _ROLE.sub(_link, text).rstrip()


def _fenced(block: re.Match[str]) -> str:
    """Within a list, code has to be indented by four."""
    margin = " " * 4 if block["item"] or block["indent"] else ""
    code = textwrap.dedent(block["code"]).rstrip()
    fence = textwrap.indent(f"```\n{code}\n```", margin)
    return f"{block['indent']}{block['item'] or ''}{block['line']}\n\n{fence}\n\n"


def _link(role: re.Match[str]) -> str:
    short, name = role[1], role[2]
    text = name.rpartition(".")[2] if short else name
    return f'<autoref optional identifier="{name}"><code>{text}</code></autoref>'
