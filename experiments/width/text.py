"""Text to train on and text that no decoder has seen, in the tokens of a vocabulary made for it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from experiments.harness import Progress, RunDirectory, UserError, user_errors
from experiments.width.config import Width
from photonjax import data

TOKENIZER = "tokenizer.json"


@dataclasses.dataclass(frozen=True)
class Text:
    """Tokens of the study.

    Attributes:
      training: one stream ``[n]``.
      tuning: held-out windows ``[tuning_windows, length]`` on which learning rates are chosen.
      windows: further ones ``[windows, length]`` on which light is sought.
      calibration: one more ``[length]``, for smoothing and for the alignment of products.
      description: what this is.
    """

    training: np.ndarray
    tuning: np.ndarray
    windows: np.ndarray
    calibration: np.ndarray
    description: str


def load_text(config: Width, run: RunDirectory) -> Text:
    """The corpora, dealt into text to train on and text held out; the tokenizer is kept in the run.

    Raises:
      UserError: a text that cannot be had, or is too short.
    """
    of = config.text
    shown, hidden = [], []
    for name in of.corpora:
        with user_errors(data.FetchError, ValueError, OSError, ImportError):
            corpus = data.load_corpus(name)
        held = np.arange(len(corpus)) % of.held_out_every == of.held_out_every - 1
        shown.append(corpus.select(np.flatnonzero(~held)))
        hidden.append(corpus.select(np.flatnonzero(held)))
    file = run.path / TOKENIZER
    if file.exists():
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    else:
        with Progress("tokenizer"):
            tokenizer = byte_pairs((row["text"] for part in shown for row in part), of.vocabulary)
        run.write(TOKENIZER, tokenizer.to_str())
    training, held_out = (
        np.concatenate(
            [data.tokenize(part, tokenizer) for part in parts if len(part)]
            or [np.zeros(0, np.int32)]
        )
        for parts in (shown, hidden)
    )
    needed = config.windows + config.tuning_windows + 1
    if training.size <= of.length or held_out.size < needed * of.length:
        raise UserError(
            f"text.corpora: too short: {training.size:,} tokens to train on and {held_out.size:,} "
            f"held out, but {needed} windows of {of.length} are asked for; give more text, or lower windows, "
            "tuning_windows or text.length"
        )
    cut = data.windows(held_out, of.length)
    spread = cut[np.linspace(0, len(cut) - 1, needed).round().astype(int)]
    # Windows for light are spread over the held-out text as those for tuning are.
    order = np.random.default_rng(0).permutation(needed)
    ours, tuning = spread[order[: config.windows]], spread[order[config.windows : -1]]
    about = (
        f"{', '.join(of.corpora)}: {training.size:,} tokens to train on, {held_out.size:,} held out "
        f"(every {of.held_out_every}th document), vocabulary {tokenizer.get_vocab_size():,}"
    )
    return Text(training, tuning, ours, spread[order[-1]], about)


def byte_pairs(texts: Any, vocabulary: int) -> tokenizers.Tokenizer:
    """A byte-level BPE of at most that many tokens, trained on texts.

    >>> len(byte_pairs(["light on light on light"] * 9, 260).encode("light").ids) < 5
    True
    """
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
