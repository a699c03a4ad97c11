"""Corpora, tokens and windows, and the files that experiments fetch.

Example:
    >>> corpus = load_corpus("wikipedia-sample")  # doctest: +SKIP
    >>> tokens, count = tokenize_counted(corpus, tokenizer, limit=8 * 1024)  # doctest: +SKIP
    >>> batch = windows(tokens, 1024)  # doctest: +SKIP
"""

from photonjax.data.artifacts import ARTIFACTS, Artifact, cache_dir, fetch
from photonjax.data.clients import FetchError
from photonjax.data.corpora import CORPORA, load_corpus
from photonjax.data.windows import TokenCount, tokenize, tokenize_counted, windows

__all__ = [
    "ARTIFACTS",
    "CORPORA",
    "Artifact",
    "FetchError",
    "TokenCount",
    "cache_dir",
    "fetch",
    "load_corpus",
    "tokenize",
    "tokenize_counted",
    "windows",
]
