"""Tokens as one stream, windows that cover it exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonjax.data import (
    TokenCount,
    document_windows,
    start_tokens,
    tokenize,
    tokenize_counted,
    windows,
)


class Corpus:
    """As much of a dataset as `tokenize` needs, and a record of the rows it read."""

    def __init__(self, texts, column="text"):
        self.texts, self.column_names, self.read = texts, [column], []

    def __iter__(self):
        for text in self.texts:
            self.read.append(text)
            yield {"text": text}

    def __len__(self):
        return len(self.texts)


@pytest.fixture(scope="module")
def tokenizer():
    """Byte-level BPE with a few merges, as the real ones are."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the light that the lens bends"] * 9, trainer)
    return tokenizer


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def test_documents_are_joined_by_the_separator(tokenizer):
    corpus = Corpus(["the light", "bends"])
    first, last = ids(tokenizer, "the light"), ids(tokenizer, "bends")
    tokens = tokenize(corpus, tokenizer)
    assert tokens.dtype == np.int32 and tokens.ndim == 1
    assert tokens.tolist() == first + ids(tokenizer, "\n\n") + last
    special = tokenizer.token_to_id("<|endoftext|>")
    tokens = tokenize(corpus, tokenizer, separator="<|endoftext|>")
    assert tokens.tolist() == [*first, special, *last]
    assert tokenize(corpus, tokenizer, separator="").tolist() == first + last


def test_the_limit_reads_no_more_than_it_needs(tokenizer):
    corpus = Corpus(["the lens " * 10] * 100)
    tokens, count = tokenize_counted(corpus, tokenizer, limit=50)
    assert tokens.size == 50
    assert len(corpus.read) <= 4  # one row beyond the last one used
    assert (count.documents, count.corpus_documents) == (len(corpus.read) - 1, 100)
    assert count.characters == 90 * count.documents


def test_a_long_document_is_not_encoded_whole(tokenizer):
    text = "the light that the lens bends " * 20_000
    sizes = []

    class Spy:
        def encode(self, text, **options):
            sizes.append(len(text))
            return tokenizer.encode(text, **options)

    tokens = tokenize(Corpus([text]), Spy(), limit=100)
    assert tokens.tolist() == ids(tokenizer, text)[:100]
    assert max(sizes) < 5_000


@given(st.lists(st.text(max_size=60), min_size=1, max_size=6), st.integers(1, 80))
def test_a_limit_gives_a_prefix(tokenizer, texts, limit):
    try:
        whole = tokenize(Corpus(texts), tokenizer)
    except ValueError:
        assert not "".join(texts)
        return
    part = tokenize(Corpus(texts), tokenizer, limit=limit)
    assert part.tolist() == whole[:limit].tolist()


def test_bad_corpora(tokenizer):
    with pytest.raises(ValueError, match="no column 'text'; there are body"):
        tokenize(Corpus(["a"], "body"), tokenizer)
    for texts in ([], [""], [None]):
        with pytest.raises(ValueError, match="no tokens"):
            tokenize(Corpus(texts), tokenizer)
    with pytest.raises(ValueError, match="limit = 0 is not an integer"):
        tokenize(Corpus(["a"]), tokenizer, limit=0)


@given(st.integers(1, 300), st.integers(1, 40))
def test_windows_cover_the_stream_once(size, length):
    tokens = np.arange(size, dtype=np.int32)
    if size < length:
        with pytest.raises(ValueError, match=f"too short: {size} tokens.*{length}"):
            windows(tokens, length)
        return
    batch = windows(tokens, length)
    assert batch.dtype == np.int32
    assert batch.shape == (size // length, length)
    assert batch.ravel().tolist() == list(range(size // length * length))


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 20))
def test_strided_windows(size, length, stride):
    tokens = np.arange(size)
    if size < length:
        return
    batch = windows(tokens, length, stride=stride)
    assert (batch == batch[:, :1] + np.arange(length)).all()
    assert batch[:, 0].tolist() == list(range(0, size - length + 1, stride))


def test_windows_are_a_copy():
    tokens = np.arange(8)
    windows(tokens, 4)[:] = 0
    assert tokens.tolist() == list(range(8))


def test_window_errors_name_the_culprit():
    tokens = np.arange(10)
    assert windows(tokens, 4, count=1).shape == (1, 4)
    with pytest.raises(ValueError, match=r"10 tokens make 2 windows of 4 .*but 3 are asked for"):
        windows(tokens, 4, count=3)
    for options in ({"length": 0}, {"length": 4, "stride": 0}, {"length": 4, "count": 0}):
        with pytest.raises(ValueError, match="is not an integer of 1 or more"):
            windows(tokens, **options)
    with pytest.raises(ValueError, match=r"shape \(2, 5\)"):
        windows(tokens.reshape(2, 5), 4)


def test_the_count_reads_as_a_line(tokenizer):
    tokens, count = tokenize_counted(Corpus(["the lens " * 30]), tokenizer)
    count = count.windowed(windows(tokens, 7))
    assert count.used == tokens.size // 7 * 7
    assert str(TokenCount(2, 98, 180_000, 40_000, 32_768)) == (
        "32,768 of 40,000 tokens, from 2 of 98 documents (180,000 characters)"
    )


def test_windows_are_spread_over_documents_and_never_cross_one(tokenizer):
    texts = ["the lens", "the light " * 40, "a lens bends " * 60, None, "light " * 90, "x" * 900]
    long = [ids(tokenizer, texts[i]) for i in (1, 2, 4)]
    batch, counted = document_windows(Corpus(texts), tokenizer, 16, count=5, documents=3)
    assert batch.dtype == np.int32
    assert batch.tolist() == [
        *(tokens[:16] for tokens in long),
        *(tokens[16:32] for tokens in long[:2]),
    ]
    used = sum(len(texts[i]) for i in (1, 2, 4))
    assert counted == TokenCount(3, 6, used, 80, 80)


def test_one_window_of_each_document_unless_told_otherwise(tokenizer):
    corpus = Corpus([f"{n} the lens bends " * 10 for n in range(9)])
    batch, counted = document_windows(corpus, tokenizer, 8, count=4)
    assert [tokenizer.decode(row)[0] for row in batch.tolist()] == list("0123")
    assert counted.documents == 4 and len(corpus.read) == 4  # nothing after them is read
    one, _ = document_windows(corpus, tokenizer, 8, count=3, documents=1)
    assert one.tolist() == windows(tokenize(Corpus(corpus.texts[:1]), tokenizer), 8)[:3].tolist()


def test_every_window_starts_as_a_text_does(tokenizer):
    """With the tokens that the tokenizer puts before a text; those after it are left out."""
    from tokenizers import processors

    texts = ["the light " * 20, "that bends " * 20]
    plain, _ = document_windows(Corpus(texts), tokenizer, 7, count=4, documents=2)
    end = tokenizer.token_to_id("<|endoftext|>")
    own = type(tokenizer).from_str(tokenizer.to_str())
    own.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A <|endoftext|>", special_tokens=[("<|endoftext|>", end)]
    )
    batch, _ = document_windows(Corpus(texts), own, 8, count=4, documents=2)
    assert (batch[:, 0] == end).all()
    np.testing.assert_array_equal(batch[:, 1:], plain)
    stream = tokenize(Corpus(texts[:1]), own, limit=3 * 7)
    cut = windows(stream, 8, start=start_tokens(own))
    assert cut.dtype == np.int32 and (cut[:, 0] == end).all()
    np.testing.assert_array_equal(cut[:, 1:], windows(stream, 7))  # nothing is left out between
    one, _ = document_windows(Corpus(texts[:1]), own, 8, count=3, documents=1)
    np.testing.assert_array_equal(cut, one)
    assert start_tokens(tokenizer).size == 0
    with pytest.raises(ValueError, match="length = 1 is not an integer of 2 or more"):
        document_windows(Corpus(texts), own, 1, count=4)


def test_what_document_windows_cannot_do(tokenizer):
    corpus = Corpus(["the light " * 20, "short", "the lens " * 20])
    with pytest.raises(
        ValueError, match=r"2 of 3 documents have 8 tokens or more .*but 3 are asked for"
    ):
        document_windows(corpus, tokenizer, 8, count=3)
    with pytest.raises(ValueError, match="documents = 4 is not an integer of 1 ... 3"):
        document_windows(corpus, tokenizer, 8, count=3, documents=4)
    for options in ({"count": 0}, {"count": 1, "documents": 0}, {"count": 1, "length": 0}):
        with pytest.raises(ValueError, match="is not an integer of 1 or more"):
            document_windows(corpus, tokenizer, **{"length": 8, **options})
    with pytest.raises(ValueError, match="no column 'text'; there are body"):
        document_windows(Corpus(["a"], "body"), tokenizer, 8, count=1)
