"""Corpora, tokens and windows, and the files that experiments fetch.

Example:
    >>> corpus = load_corpus("wikipedia-sample")  # doctest: +SKIP
    >>> batch, counted = document_windows(corpus, tokenizer, 1024, count=8)  # doctest: +SKIP
"""

from photonjax.data.artifacts import ARTIFACTS, Artifact, FetchError, Package
from photonjax.data.corpora import CORPORA, check_corpus, load_corpus
from photonjax.data.download import cache_dir, fetch
from photonjax.data.windows import (
    TokenCount,
    document_windows,
    start_tokens,
    tokenize,
    tokenize_counted,
    windows,
)

__all__ = [
    "ARTIFACTS",
    "CORPORA",
    "Artifact",
    "FetchError",
    "Package",
    "TokenCount",
    "cache_dir",
    "check_corpus",
    "document_windows",
    "fetch",
    "load_corpus",
    "start_tokens",
    "tokenize",
    "tokenize_counted",
    "windows",
]
