"""What an experiment works on: rules, model and text, made from its config and checked."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

import photonjax as pj
from experiments.harness import settings
from experiments.harness.errors import UserError, user_errors
from experiments.harness.paths import user_path
from photonjax import data, models


def make_rules(rules: Any, only: str | None, core: pj.OpticalCore) -> list[pj.Rule]:
    """Rules for one rung; ``only`` replaces them."""
    if only is not None and only != "*":
        return [pj.Rule(only, core)]
    return [pj.Rule(r.pattern, core if r.optical else None, dynamic=r.dynamic) for r in rules]


def check_fit(config: Any, model: models.Decoder, text: Text) -> None:
    """Refuse weights that are not numbers, and a text or tokenizer of another model."""
    path = config.model.path or config.model.artifact
    for name, value in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        if not bool(jnp.isfinite(value[...]).all()):
            raise UserError(
                f"{path}: weight {'/'.join(map(str, name))} holds NaN or infinity; fetch or export "
                "the checkpoint again"
            )
    most = model.config.max_length
    if config.data.length > most:
        raise UserError(
            f"data.length: {config.data.length} is more than the {most} tokens that {path} was made "
            f"for; give data.length={most} or less"
        )
    largest = int(max(part.max() for part in (text.windows, text.calibration) if part.size))
    if largest >= model.config.vocab_size:
        raise UserError(
            f"{path}: its tokenizer gives token {largest}, but the model knows only "
            f"{model.config.vocab_size}; use the tokenizer that belongs to the weights"
        )


def load_model(config: settings.Model) -> tuple[Any, Any]:
    """The model and its tokenizer, from a fetched artifact or a path."""
    with user_errors(data.FetchError, models.CheckpointError, OSError, ValueError, ImportError):
        source = user_path("model.path", config.path) if config.path else str(config.artifact)
        return models.load(source, scan_layers=config.scan_layers)


@dataclasses.dataclass(frozen=True)
class Text:
    """Token windows to evaluate ``[n, length]``, one batch to calibrate on, and what they are."""

    windows: np.ndarray
    calibration: np.ndarray
    description: str


def load_text(config: Any, tokenizer: Any) -> Text:
    """Non-overlapping windows of several documents, or of one stream; the last are for calibration."""
    of: settings.Data = config.data
    count = config.windows + config.calibration.windows
    with user_errors(data.FetchError, ValueError, OSError):
        corpus = data.load_corpus(of.corpus)
    with user_errors(ValueError, prefix=f"{of.corpus}: "):
        if of.documents is None:
            start = data.start_tokens(tokenizer)
            needed = count * (of.length - len(start))
            if needed < 1:
                raise UserError(
                    f"data.length: {of.length} leaves no room for text: this tokenizer puts {len(start)} "
                    "special tokens before it; raise it"
                )
            tokens, counted = data.tokenize_counted(corpus, tokenizer, limit=needed)
            if tokens.size < needed:
                raise UserError(
                    f"{of.corpus}: the text is too short: {tokens.size:,} tokens, but "
                    f"{config.windows} windows of {of.length} to evaluate and "
                    f"{config.calibration.windows} to calibrate are asked for; lower windows or data.length"
                )
            cut = data.windows(tokens, of.length, count=count, start=start)
            counted = counted.windowed(cut)
        elif of.documents > len(corpus):
            raise UserError(
                f"data.documents: {of.documents} are asked for, but {of.corpus} has {len(corpus)}; lower it, "
                "or take the corpus as one stream with data.documents=null"
            )
        else:
            cut, counted = data.document_windows(
                corpus, tokenizer, of.length, count=count, documents=min(of.documents, count)
            )
    return Text(cut[: config.windows], cut[config.windows :], f"{of.corpus}: {counted}")
