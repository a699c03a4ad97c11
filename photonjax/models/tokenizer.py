"""Tokenizers through the `tokenizers` package: from a Hugging Face directory, or rebuilt from a
GGUF file's metadata, which holds one of two kinds.

``tokenizer.ggml.model = gpt2`` is a byte-level BPE: vocabulary, merges, and the *name* of its
pre-tokenizer (the rule that cuts text into words before merging). The names known here are in
`_PRE_TOKENIZERS`; others are refused, because a wrong cut gives plausible but wrong tokens.

``llama`` is SentencePiece's BPE (Llama 1 and 2, Gemma): pieces with scores, spaces written as
U+2581, and bytes for what no piece covers. Of all neighbours in the text, the two that make the
piece with the highest score are joined first, so every way to cut a piece in two is a merge, with
the rank of its score.

Names and patterns: llama.cpp, src/llama-vocab.cpp, and the models' own tokenizer.json; Kudo &
Richardson, arXiv 1808.06226 (SentencePiece).
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photonjax.extras import need
from photonjax.models.ggml import GGUFFile
from photonjax.models.weights import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["load_tokenizer"]

_LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {  # of the values below tokenizer.ggml
    "model": ((str,), "a text"),
    "pre": ((str,), "a text"),
    "tokens": ((str,), "a list of texts"),
    "merges": ((str,), "a list of texts"),
    "scores": ((float,), "a list of numbers"),
    "token_type": ((int,), "a list of integers"),
    "bos_token_id": ((int,), "an integer below the number of tokens"),
    "unknown_token_id": ((int,), "an integer below the number of tokens"),
    "add_bos_token": ((bool,), "True or False"),
    "add_space_prefix": ((bool,), "True or False"),
}
_LISTS = ("tokens", "merges", "scores", "token_type")
_LONGEST = 4096
"""Characters of the longest piece; all ways to cut one in two are tried."""
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4  # gguf.TokenType
_SPACE = "▁"  # U+2581, SentencePiece's


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


def _from_gguf(path: str | PathLike[str]) -> Tokenizer:
    from tokenizers import AddedToken, processors

    file = GGUFFile(path)

    def get(key: str, default: Any = ...) -> Any:
        value = file.get(f"tokenizer.ggml.{key}", default)
        kind, what = _KINDS[key]
        values = value if isinstance(value, list) else [value]
        if (
            isinstance(value, list) != (key in _LISTS)
            or not all(type(each) in kind for each in values)
            or (key.endswith("_id") and not 0 <= value < len(get("tokens")))
        ):
            shown = f"[{value[0]!r}, ...]" if isinstance(value, list) and value else repr(value)
            raise CheckpointError(
                f"{path}: tokenizer.ggml.{key}={shown:.200}: must be {what}: fetch the file again"
            )
        return value

    model = get("model")
    if model not in _MODELS:
        raise CheckpointError(
            f"{path}: tokenizer model {model!r:.200} is not one of {', '.join(_MODELS)}: "
            "give the model's tokenizer.json to load_tokenizer"
        )
    make, bos_by_default = _MODELS[model]
    tokens, kinds = get("tokens"), get("token_type", [])
    if len(kinds) not in (0, len(tokens)):
        raise CheckpointError(
            f"{path}: {len(tokens)} tokens with {len(kinds)} types: fetch the file again"
        )
    tokenizer = make(path, get)
    special = [tokens[i] for i, kind in enumerate(kinds) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    own = [tokens[i] for i, kind in enumerate(kinds) if kind == _USER_DEFINED]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in own])
    if get("add_bos_token", bos_by_default):
        bos = get("bos_token_id")
        tokenizer.post_processor = processors.TemplateProcessing(
            single="bos $A",  # by a name of our own: whatever its text, a template can hold it
            pair="bos $A $B",
            special_tokens=[{"id": "bos", "ids": [bos], "tokens": [tokens[bos]]}],
        )
    return tokenizer


def _byte_level(path: Any, get: Callable[..., Any]) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pre = get("pre", "gpt-2")
    if pre not in _PRE_TOKENIZERS:
        raise CheckpointError(
            f"{path}: pre-tokenizer {pre!r:.200} is not one of {', '.join(_PRE_TOKENIZERS)}: "
            "give the model's tokenizer.json to load_tokenizer"
        )
    vocabulary = {token: i for i, token in enumerate(get("tokens"))}
    merges = []
    for merge in get("merges"):
        left, _, right = merge.partition(" ")
        if not {left, right, left + right} <= vocabulary.keys():
            raise CheckpointError(
                f"{path}: merge {merge!r:.200} gives no token of the vocabulary: fetch the file again"
            )
        merges.append((left, right))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        _PRE_TOKENIZERS[pre](get("add_space_prefix", False))
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentence_piece(path: Any, get: Callable[..., Any]) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    tokens, scores, kinds = get("tokens"), get("scores"), get("token_type")
    if not len(tokens) == len(scores) == len(kinds):
        raise CheckpointError(
            f"{path}: {len(tokens)} tokens with {len(scores)} scores and {len(kinds)} types: "
            "fetch the file again"
        )
    vocabulary = {token: i for i, token in enumerate(tokens)}
    pieces = {token for token, kind in zip(tokens, kinds, strict=True) if kind == _NORMAL}
    merges = []
    for i in sorted(
        (i for i, kind in enumerate(kinds) if kind == _NORMAL), key=lambda i: (-scores[i], i)
    ):
        token = tokens[i]
        if len(token) > _LONGEST:
            raise CheckpointError(
                f"{path}: token {i} has {len(token):,} characters, more than {_LONGEST:,}: "
                "fetch the file again"
            )
        cuts = ((token[:at], token[at:]) for at in range(1, len(token)))
        merges += [cut for cut in cuts if cut[0] in pieces and cut[1] in pieces]
    unknown = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _UNKNOWN]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=merges,
            unk_token=unknown[0] if unknown else tokens[get("unknown_token_id")],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    prefix = get("add_space_prefix", True)
    spaces = normalizers.Replace(" ", _SPACE)
    tokenizer.normalizer = (
        normalizers.Sequence([normalizers.Prepend(_SPACE), spaces]) if prefix else spaces
    )
    steps = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix:
        steps.append(decoders.Strip(content=" ", left=1))
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


# What makes each kind, and whether it puts BOS first where the file does not say.
_MODELS = {"gpt2": (_byte_level, False), "llama": (_sentence_piece, True)}


def load_tokenizer(path: str | PathLike[str]) -> Tokenizer:
    """The tokenizer of a model: a .gguf file, a tokenizer.json, or a directory that holds one.

    Of a GGUF file, control tokens become special tokens; where it says ``add_bos_token``, ``encode``
    puts the BOS token first (unless it is called with ``add_special_tokens=False``). Padding and
    truncation that a tokenizer.json asks for are switched off.

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
        return _from_gguf(path)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(
            f"{path}: not a tokenizer.json ({str(error).splitlines()[0]}): fetch it again"
        ) from None
    tokenizer.no_padding()  # a text is what it is, however long
    tokenizer.no_truncation()
    return tokenizer
