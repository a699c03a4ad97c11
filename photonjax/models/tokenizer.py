"""Tokenizers through the `tokenizers` package: from a Hugging Face directory, or rebuilt from a
GGUF file's metadata.

Inside a GGUF lies a byte-level BPE's vocabulary and merges, and the *name* of its pre-tokenizer
(the rule that cuts text into words before merging). The names known here are in `_PRE_TOKENIZERS`;
others are refused, because a wrong cut gives plausible but wrong tokens. Names and patterns:
llama.cpp, src/llama-vocab.cpp, and the models' own tokenizer.json.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photonjax.extras import need
from photonjax.models.ggml import GGUFFile
from photonjax.models.weights import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["load_tokenizer", "tokenizer_from_gguf"]

_LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CONTROL, _USER_DEFINED = 3, 4  # gguf.TokenType


def _gpt2(space: bool) -> list[Any]:
    from tokenizers import pre_tokenizers

    return [pre_tokenizers.ByteLevel(add_prefix_space=space, use_regex=True)]


def _smollm(space: bool) -> list[Any]:
    from tokenizers import pre_tokenizers

    return [pre_tokenizers.Digits(individual_digits=True), *_gpt2(space)]


def _llama3(space: bool) -> list[Any]:
    from tokenizers import Regex, pre_tokenizers

    return [
        pre_tokenizers.Split(Regex(_LLAMA3_WORDS), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=space, use_regex=False),
    ]


_PRE_TOKENIZERS = {"gpt-2": _gpt2, "smollm": _smollm, "llama-bpe": _llama3}


def tokenizer_from_gguf(path: str | PathLike[str]) -> Tokenizer:
    """The tokenizer inside a GGUF file.

    Control tokens become special tokens; ``add_bos_token`` makes ``encode`` put the BOS token first
    (unless it is called with ``add_special_tokens=False``).

    Raises:
      CheckpointError: the file is broken or holds no byte-level BPE with a known pre-tokenizer.

    Example::

        tokens = tokenizer_from_gguf("SmolLM2-135M-Instruct.Q4_1.gguf").encode("Light is fast.").ids
    """
    need("tokenizers", "models")
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    file = GGUFFile(path)

    def get(key: str, default: Any = ...) -> Any:
        return file.get(f"tokenizer.ggml.{key}", default)

    model, pre = get("model"), get("pre", "gpt-2")
    if model != "gpt2":
        raise CheckpointError(
            f"{path}: tokenizer model {model!r} is not supported: "
            "give the model's tokenizer.json to load_tokenizer"
        )
    if pre not in _PRE_TOKENIZERS:
        raise CheckpointError(
            f"{path}: pre-tokenizer {pre!r} is not one of {', '.join(_PRE_TOKENIZERS)}: "
            "give the model's tokenizer.json to load_tokenizer"
        )
    tokens, kinds = get("tokens"), get("token_type", [])
    vocabulary = {token: i for i, token in enumerate(tokens)}
    merges = []
    for merge in get("merges"):
        left, _, right = merge.partition(" ")
        if not {left, right, left + right} <= vocabulary.keys():
            raise CheckpointError(
                f"{path}: merge {merge!r} makes no token of the vocabulary: fetch the file again"
            )
        merges.append((left, right))
    special = {i for i, kind in enumerate(kinds) if kind == _CONTROL}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        _PRE_TOKENIZERS[pre](get("add_space_prefix", False))
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(tokens[i], special=True, normalized=False) for i in sorted(special)]
    )
    own = [i for i, kind in enumerate(kinds) if kind == _USER_DEFINED]
    tokenizer.add_tokens([AddedToken(tokens[i], normalized=False) for i in own])
    if get("add_bos_token", False):
        bos = get("bos_token_id")
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{tokens[bos]} $A",
            pair=f"{tokens[bos]} $A $B",
            special_tokens=[(tokens[bos], bos)],
        )
    return tokenizer


def load_tokenizer(path: str | PathLike[str]) -> Tokenizer:
    """The tokenizer of a model: a .gguf file, a tokenizer.json, or a directory that holds one.

    Raises:
      CheckpointError: there is none, or it cannot be parsed.
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
        return tokenizer_from_gguf(path)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(
            f"{path}: not a tokenizer.json ({str(error).splitlines()[0]}): fetch it again"
        ) from None
