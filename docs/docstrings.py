"""What makes docstrings Markdown before they become pages: an extension of Griffe, which reads them.

Sphinx roles become links where the API pages have their target, and code elsewhere; doctests, wherever they
stand, become blocks of code; and so does what is indented after ``::``.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|obj):`(~?)([^`]+)`")
_DOCTEST = re.compile(
    r"^( *)(>>> .*(?:\n\1\S.*)*(?:\n *(?=\n *>>>)\n\1>>> .*(?:\n\1\S.*)*)*)", re.M
)


class Docstrings(griffe.Extension):
    """Rewrites each docstring once."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring as Markdown."""
    text = _DOCTEST.sub(r"\1```pycon\n\1\2\n\1```", text)
    return re.sub(r"::$", ":", _ROLE.sub(_link, text), flags=re.M)


def _link(role: re.Match[str]) -> str:
    short, name = role[1], role[2]
    text = name.rpartition(".")[2] if short else name
    return f'<autoref optional identifier="{name}"><code>{text}</code></autoref>'
