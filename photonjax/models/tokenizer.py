"""Tokenizers through the `tokenizers` package: from a Hugging Face directory, or rebuilt from a GGUF file."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from photonjax.extras import need
from photonjax.models.bounded import endless_rule
from photonjax.models.gguf_tokenizer import gguf_tokenizer
from photonjax.models.weights import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["load_tokenizer"]


def load_tokenizer(path: str | PathLike[str]) -> Tokenizer:
    """The tokenizer of a model: a .gguf file, a tokenizer.json, or a directory that holds one.

    Of a GGUF file, control tokens become special tokens; where it says ``add_bos_token``, ``encode``
    puts the BOS token first (unless it is called with ``add_special_tokens=False``). Padding and
    truncation that a tokenizer.json asks for are switched off; a pattern that some texts would keep busy
    without end is refused.

    Raises:
      CheckpointError: there is none, it cannot be parsed, or it is of a kind that is not known here.
      ImportError: the extra ``photonjax[models]`` is not installed.

    Example::

        tokens = load_tokenizer("SmolLM2-135M-Instruct.Q4_1.gguf").encode("Light is fast.").ids
    """
    need("tokenizers", "models")
    from tokenizers import Tokenizer

    path = Path(path)
    if path.is_dir():
        path = path / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file: give a tokenizer.json, its directory or a .gguf file"
        )
    if path.suffix == ".gguf":
        return gguf_tokenizer(path)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(
            f"{path}: not a tokenizer.json ({str(error).splitlines()[0]}): fetch it again"
        ) from None
    if (why := endless_rule(tokenizer)) is not None:
        raise CheckpointError(f"{path}: {why}: use the tokenizer.json of the model's publisher")
    tokenizer.no_padding()  # a text is what it is, however long
    tokenizer.no_truncation()
    return tokenizer
