"""Tokenizers rebuilt from a GGUF file's metadata, which holds one of three kinds.

``tokenizer.ggml.model = gpt2`` is a byte-level BPE: vocabulary, merges, and the *name* of its
pre-tokenizer (the rule that cuts text into words before merging). The names known here are in
`_PRE_TOKENIZERS`; others are refused, because a wrong cut gives plausible but wrong tokens.

``llama`` is SentencePiece's BPE (Llama 1 and 2, Gemma): pieces with scores, spaces written as
U+2581, and bytes for what no piece covers. Of all neighbours in the text, the two that make the
piece with the highest score are joined first, so every way to cut a piece in two is a merge, with
the rank of its score.

``t5`` is SentencePiece's Unigram: scores are logarithms of probabilities, and of all ways to cut a text
the most likely one is taken. A table that maps characters to others may stand before it.

Names and patterns: llama.cpp, src/llama-vocab.cpp, and the models' own tokenizer.json; Kudo &
Richardson, arXiv 1808.06226 (SentencePiece); Kudo, arXiv 1804.10959 (Unigram).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any

from photonjax.core.limits import allowed
from photonjax.models.ggml import GGUFFile
from photonjax.models.weights import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["gguf_tokenizer"]

_WORDS = (  # with {} for what is a number
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {  # of the values below tokenizer.ggml
    "model": ((str,), "a text"),
    "pre": ((str,), "a text"),
    "tokens": ((str,), "a list of texts"),
    "merges": ((str,), "a list of texts"),
    "scores": ((float,), "a list of numbers"),
    "token_type": ((int,), "a list of integers"),
    "bos_token_id": ((int,), "an integer"),
    "unknown_token_id": ((int,), "an integer"),
    "precompiled_charsmap": ((int,), "a list of bytes"),
    "remove_extra_whitespaces": ((bool,), "True or False"),
    "add_bos_token": ((bool,), "True or False"),
    "add_space_prefix": ((bool,), "True or False"),
}
_LISTS = ("tokens", "merges", "scores", "token_type", "precompiled_charsmap")
_LONGEST = 4096
"""Characters of the longest piece; all ways to cut one in two are tried."""
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6  # gguf.TokenType
_SPACE = "▁"  # U+2581, SentencePiece's


def _gpt2(space: bool) -> list[Any]:
    from tokenizers import pre_tokenizers

    return [pre_tokenizers.ByteLevel(add_prefix_space=space, use_regex=True)]


def _smollm(space: bool) -> list[Any]:
    from tokenizers import pre_tokenizers

    return [pre_tokenizers.Digits(individual_digits=True), *_gpt2(space)]


def _falcon(space: bool) -> list[Any]:
    from tokenizers import Regex, pre_tokenizers

    return [
        pre_tokenizers.Punctuation(behavior="contiguous"),
        *_gpt2(space),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), behavior="isolated"),
    ]


def _words(numbers: str, space: bool) -> list[Any]:
    from tokenizers import Regex, pre_tokenizers

    return [
        pre_tokenizers.Split(Regex(_WORDS.format(numbers)), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=space, use_regex=False),
    ]


_PRE_TOKENIZERS: dict[str, Callable[[bool], list[Any]]] = {
    "gpt-2": _gpt2,
    "smollm": _smollm,
    "falcon": _falcon,
    "llama-bpe": functools.partial(_words, r"\p{N}{1,3}"),  # Llama 3
    "qwen2": functools.partial(_words, r"\p{N}"),
}


def gguf_tokenizer(path: str | PathLike[str]) -> Tokenizer:
    """The tokenizer in a GGUF file; see `load_tokenizer`."""
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
            what = allowed(what, 0, len(get("tokens")) - 1) if key.endswith("_id") else what
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
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

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
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def _pieces(path: Any, get: Callable[..., Any]) -> tuple[list[str], list[float], list[int]]:
    """Tokens, their scores and types; as many of each."""
    tokens, scores, kinds = get("tokens"), get("scores"), get("token_type")
    if not len(tokens) == len(scores) == len(kinds):
        raise CheckpointError(
            f"{path}: {len(tokens)} tokens with {len(scores)} scores and {len(kinds)} types: "
            "fetch the file again"
        )
    return tokens, scores, kinds


def _sentence_piece(path: Any, get: Callable[..., Any]) -> Tokenizer:
    from tokenizers import Tokenizer, models

    tokens, scores, kinds = _pieces(path, get)
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
    _spaces(tokenizer, [], get("add_space_prefix", True))
    return tokenizer


def _unigram(path: Any, get: Callable[..., Any]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, normalizers

    tokens, scores, kinds = _pieces(path, get)
    unknown = kinds.index(_UNKNOWN) if _UNKNOWN in kinds else get("unknown_token_id")
    pieces = list(zip(tokens, scores, strict=True))
    table = get("precompiled_charsmap", [])
    steps: list[Any] = []
    try:
        tokenizer = Tokenizer(
            models.Unigram(vocab=pieces, unk_id=unknown, byte_fallback=_BYTE in kinds)
        )
        if table:
            steps.append(normalizers.Precompiled(bytes(table)))
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(
            f"{path}: not a Unigram tokenizer ({' '.join(str(error).split())}): fetch the file again"
        ) from None
    if get("remove_extra_whitespaces", False):
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    _spaces(tokenizer, steps, get("add_space_prefix", True))
    return tokenizer


def _spaces(tokenizer: Tokenizer, steps: list[Any], prefix: bool) -> None:
    """Spaces are written as SentencePiece writes them, with one more before the text if `prefix`; after
    `steps` of normalization."""
    from tokenizers import decoders, normalizers

    first = [normalizers.Prepend(_SPACE)] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, *first, normalizers.Replace(" ", _SPACE)])
    back = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(
        [*back, *([decoders.Strip(content=" ", left=1)] if prefix else [])]
    )


# What makes each kind, and whether it puts BOS first where the file does not say.
_MODELS = {
    "gpt2": (_byte_level, False),
    "llama": (_sentence_piece, True),
    "t5": (_unigram, False),
}
