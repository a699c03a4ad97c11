"""WikiText-2: the articles of its test set, from the Hugging Face hub.

Source: S. Merity, C. Xiong, J. Bradbury, R. Socher, "Pointer sentinel mixture models", 2016. Text and
spaces are as published (`wikitext-2-raw-v1`). The hub has it line by line; here the lines between two
titles (` = Title = `) are one document again, so windows can keep within an article. Published
perplexities rest on the lines themselves, joined by blank lines: `hub:Salesforce/wikitext:...`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from photonjax.data import hub
from photonjax.data.download import cache_dir

_TITLE = re.compile(r" = ([^=].*?) = \n?")


def articles(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    r"""Title and text of the articles that the lines make up; the title is the text's first line.

    Example:
        >>> list(articles([" = A = \n", "", " One . \n", " = = B = = \n", " = C = \n", " Two . \n"]))
        [('A', '= A = \n One . \n = = B = ='), ('C', '= C = \n Two .')]
    """
    title, text = "", ""
    for line in lines:
        if match := _TITLE.fullmatch(line):
            if text.strip():
                yield title, text.strip()
            title, text = match[1], ""
        text += line
    if text.strip():
        yield title, text.strip()


def _test_set(progress: bool) -> Iterator[tuple[str, str]]:
    place = "Salesforce/wikitext:wikitext-2-raw-v1:test"
    rows = hub.dataset(place, progress=progress, cache=str(cache_dir() / "datasets"))
    return articles(rows["text"])


CORPORA = {"wikitext-2": _test_set}
