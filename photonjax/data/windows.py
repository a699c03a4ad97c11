"""From documents to token windows, with a count of what was used.

There are two ways, and documents are encoded one by one.

- `document_windows` spreads the windows over several documents, each window within one document: a
  sample of the corpus, not of its first page.
- `tokenize` joins the documents by the tokens of a separator, a blank line unless another is asked
  for (it may be a special token, such as `<|endoftext|>`), and `windows` cuts that one stream:
  window i is tokens[i·stride : i·stride + length]. By default windows do not overlap, and tokens
  after the last full window are left over. The first windows are often all of one long document.

Where the tokenizer puts a token before every text (Gemma's `<bos>`), so does every window: without it
such a model predicts far worse. `windows` is given it as `start=start_tokens(tokenizer)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from photonjax.core.limits import allowed

if TYPE_CHECKING:
    import datasets
    import tokenizers

_MARGIN = 64  # tokens at the end of a cut text that may differ from those of the whole text


@dataclasses.dataclass(frozen=True)
class TokenCount:
    """How much of a corpus was read and used.

    Attributes:
      documents: documents read, the last perhaps in part.
      corpus_documents: documents there are.
      characters: characters of the documents read.
      tokens: tokens kept, separators included.
      used: tokens that are in a window; `tokens` until windows are cut.

    Example:
        >>> print(TokenCount(2, 98, 180_000, 40_000, 32_768))
        32,768 of 40,000 tokens, from 2 of 98 documents (180,000 characters)
    """

    documents: int
    corpus_documents: int
    characters: int
    tokens: int
    used: int

    def __str__(self) -> str:
        return (
            f"{self.used:,} of {self.tokens:,} tokens, from {self.documents:,} of "
            f"{self.corpus_documents:,} documents ({self.characters:,} characters)"
        )

    def windowed(self, batch: np.ndarray) -> TokenCount:
        """The same count with `used` set to the tokens in non-overlapping windows `batch`.

        Example:
            >>> TokenCount(1, 1, 40, 10, 10).windowed(np.zeros((2, 4))).used
            8
        """
        return dataclasses.replace(self, used=min(batch.size, self.tokens))


def tokenize(
    dataset: datasets.Dataset,
    tokenizer: tokenizers.Tokenizer,
    *,
    limit: int | None = None,
    separator: str = "\n\n",
) -> np.ndarray:
    """The tokens of a corpus as one stream, int32.

    Args:
      dataset: rows with a column `text`.
      tokenizer: a `tokenizers.Tokenizer`; no special tokens are added.
      limit: stop after that many tokens; documents after that are not even encoded.
      separator: text between documents.

    Raises:
      ValueError: no column `text`, a `limit` below 1, or not a single token.

    Example:
        >>> tokens = tokenize(load_corpus("wikipedia-sample"), tokenizer, limit=8 * 1024)
        ... # doctest: +SKIP
    """
    return tokenize_counted(dataset, tokenizer, limit=limit, separator=separator)[0]


def tokenize_counted(
    dataset: datasets.Dataset,
    tokenizer: tokenizers.Tokenizer,
    *,
    limit: int | None = None,
    separator: str = "\n\n",
) -> tuple[np.ndarray, TokenCount]:
    """`tokenize`, and the count of what it read.

    Example:
        >>> tokens, count = tokenize_counted(corpus, tokenizer, limit=8 * 1024)  # doctest: +SKIP
        >>> print(count.windowed(windows(tokens, 1024)))  # doctest: +SKIP
        8,192 of 8,192 tokens, from 1 of 98 documents (65,171 characters)
    """
    _check_text(dataset)
    if limit is not None and limit < 1:
        raise ValueError(f"limit = {limit} is not {allowed('an integer', 1)}")
    between = _encode(tokenizer, separator, None)
    pieces: list[np.ndarray] = []
    total = documents = characters = 0
    for row in dataset:
        wanted = None if limit is None else limit - total
        if wanted is not None and wanted <= 0:
            break
        text = row["text"] or ""
        if documents:
            pieces.append(between)
            total += len(between)
        pieces.append(_encode(tokenizer, text, wanted))
        total += len(pieces[-1])
        documents += 1
        characters += len(text)
    tokens = np.concatenate(pieces)[:limit] if pieces else np.zeros(0, np.int32)
    if not tokens.size:
        raise ValueError(f"the corpus gives no tokens ({documents:,} documents)")
    count = TokenCount(documents, len(dataset), characters, tokens.size, tokens.size)
    return tokens, count


def document_windows(
    dataset: datasets.Dataset,
    tokenizer: tokenizers.Tokenizer,
    length: int,
    *,
    count: int,
    documents: int | None = None,
) -> tuple[np.ndarray, TokenCount]:
    """Windows spread evenly over several documents, each within one document.

    The documents are the first `documents` of the corpus that are long enough for their part,
    ⌈count / documents⌉ windows; shorter ones are passed over. Window i is the tokens
    [j·length : (j + 1)·length] of document i mod `documents`, with j = ⌊i / documents⌋. So the same
    arguments give the same windows, and any run of `documents` windows has one of each document.

    Args:
      dataset: rows with a column `text`, one document each.
      tokenizer: a `tokenizers.Tokenizer`. What it puts before every text, every window starts with;
        the tokens of the text are then as many fewer, in the sizes above too.
      length: tokens in a window.
      count: how many windows.
      documents: over how many documents to spread them; `count` when left out, one window of each.

    Returns:
      Windows [count, length], int32, and the count of what they were taken from: the documents
      used, and the characters of these.

    Raises:
      ValueError: no column `text`, a number below 1, more documents than windows, or too few
        documents that are long enough; the message says how many there are.

    Example:
        >>> batch, counted = document_windows(corpus, tokenizer, 1024, count=8)  # doctest: +SKIP
        >>> print(counted)  # doctest: +SKIP
        8,192 of 8,192 tokens, from 8 of 98 documents (411,482 characters)
    """
    documents = count if documents is None else documents
    for name, value in (("length", length), ("count", count), ("documents", documents)):
        if value < 1:
            raise ValueError(f"{name} = {value} is not {allowed('an integer', 1)}")
    if documents > count:
        raise ValueError(
            f"documents = {documents} is not {allowed('an integer', 1, count)} (count)"
        )
    _check_text(dataset)
    each = -(-count // documents)
    start = start_tokens(tokenizer)
    size = length - start.size
    if size < 1:
        raise ValueError(f"length = {length} is not {allowed('an integer', start.size + 1)}")
    found: list[np.ndarray] = []
    characters = 0
    for row in dataset:
        text = row["text"] or ""
        tokens = _encode(tokenizer, text, each * size)
        if tokens.size == each * size:
            starts = np.broadcast_to(start, (each, start.size))
            found.append(np.concatenate([starts, tokens.reshape(each, size)], axis=1))
            characters += len(text)
        if len(found) == documents:
            break
    if len(found) < documents:
        raise ValueError(
            f"the corpus is too short: {len(found):,} of {len(dataset):,} documents have "
            f"{each * size:,} tokens or more ({each:,} windows of {size:,}), but {documents:,} "
            "are asked for"
        )
    batch = np.stack(found, axis=1).reshape(-1, length)[:count]
    return batch, TokenCount(documents, len(dataset), characters, batch.size, batch.size)


def start_tokens(tokenizer: tokenizers.Tokenizer) -> np.ndarray:
    """The special tokens that a tokenizer puts before every text, int32; often none.

    Example:
        >>> start_tokens(gemma_tokenizer)  # <bos>  # doctest: +SKIP
        array([2], dtype=int32)
    """
    plain, special = (tokenizer.encode("a", add_special_tokens=flag).ids for flag in (False, True))
    before = next((i for i in range(len(special)) if special[i : i + len(plain)] == plain), 0)
    return np.asarray(special[:before], np.int32)


def _check_text(dataset: datasets.Dataset) -> None:
    if "text" not in dataset.column_names:
        raise ValueError(
            f"the corpus has no column 'text'; there are {', '.join(dataset.column_names)}"
        )


def _encode(tokenizer: tokenizers.Tokenizer, text: str, wanted: int | None) -> np.ndarray:
    """Tokens of a text; of a long one, where only the first `wanted` matter, a part suffices."""
    size = len(text) if wanted is None else 8 * (wanted + _MARGIN)
    while True:
        try:
            ids = tokenizer.encode(text[:size], add_special_tokens=False).ids
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of the Rust code, which is no Exception
                raise
            raise ValueError(
                f"the tokenizer gives up on a text of {len(text):,} characters "
                f"({' '.join(str(error).split())}): use another tokenizer.json"
            ) from None
        if size >= len(text) or (wanted is not None and len(ids) >= wanted + _MARGIN):
            return np.asarray(ids[:wanted], np.int32)
        size *= 2


def windows(
    tokens: np.ndarray,
    length: int,
    *,
    count: int | None = None,
    stride: int | None = None,
    start: Sequence[int] | np.ndarray = (),
) -> np.ndarray:
    """Cut a stream of tokens into windows of equal length.

    Args:
      tokens: [n], as `tokenize` gives them.
      length: tokens in a window, those of `start` included.
      count: how many windows; all that fit when left out.
      stride: from the first token of one window to that of the next, in the stream; when left out, what
        a window takes of the stream, which is without overlap.
      start: tokens that every window begins with, see `start_tokens`; it takes as many fewer of the
        stream.

    Returns:
      [count, length], a copy.

    Raises:
      ValueError: too few tokens for one window or for `count`; the message says how many.

    Example:
        >>> windows(np.arange(10), 4)
        array([[0, 1, 2, 3],
               [4, 5, 6, 7]])
        >>> windows(np.arange(10), 4, start=[99])
        array([[99,  0,  1,  2],
               [99,  3,  4,  5],
               [99,  6,  7,  8]])
    """
    tokens, before = np.asarray(tokens), np.asarray(start, np.int32)
    size = length - before.size
    if size < 1:
        raise ValueError(f"length = {length} is not {allowed('an integer', before.size + 1)}")
    stride = size if stride is None else stride
    for name, value in (("stride", stride), ("count", count)):
        if value is not None and value < 1:
            raise ValueError(f"{name} = {value} is not {allowed('an integer', 1)}")
    if tokens.ndim != 1:
        raise ValueError(f"tokens has shape {tokens.shape}; it must be one stream, [n]")
    if tokens.size < size:
        raise ValueError(
            f"the text is too short: {tokens.size:,} tokens, but one window has {size:,}"
        )
    available = (tokens.size - size) // stride + 1
    if count is not None and count > available:
        raise ValueError(
            f"the text is too short: {tokens.size:,} tokens make {available:,} windows of "
            f"{size:,} (stride {stride:,}), but {count:,} are asked for"
        )
    starts = stride * np.arange(available if count is None else count)
    cut = tokens[starts[:, None] + np.arange(size)]
    return np.concatenate(
        [np.broadcast_to(before.astype(cut.dtype), (len(cut), before.size)), cut], axis=1
    )
