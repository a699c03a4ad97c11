"""Tokenizers of GGUF files against SentencePiece itself: BPE and Unigram vocabularies trained here.

Opt-in: ``pytest -m parity tests/parity/test_sentencepiece.py``; needs the `parity` extra.
"""

from __future__ import annotations

import io
import random

import gguf
import pytest

from photonjax.models import load_tokenizer

sentencepiece = pytest.importorskip("sentencepiece")
pytestmark = pytest.mark.parity

TEXT = """Light carries numbers: an amplitude modulated by one operand passes a mask that holds
another, and a detector adds what arrives. Nothing is switched on the way, so a vector passes a
matrix in the time that light needs to cross it. What is paid for is turning numbers into light and
light into numbers, and the photons themselves, whose count fluctuates by its square root. Naïve
estimates forget that; 3.14 photons are 3 or 4. Größe, café, 光は粒子か波か, привет.""".split("\n")
SAMPLES = [
    *TEXT,
    "",
    " ",
    "the light",
    "  two spaces and\nlines\n\n\tand tabs ",
    "😀 ½ ٣ is not in the vocabulary",
    "aaaaaaaaaaaa lightlightlight 1234567890",
    "ﬁne ｗｉｄｅ ① ﾊﾝｶｸ e\u0301",
]


KINDS = {  # model, normalization rule, space first, extra whitespaces removed
    "bpe, space first": ("bpe", "identity", True, False),
    "bpe": ("bpe", "identity", False, False),
    "unigram, space first": ("unigram", "identity", True, False),
    "unigram": ("unigram", "identity", False, False),
    "unigram, as T5": ("unigram", "nmt_nfkc", True, True),
}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS.keys())
def peer(request):
    """A SentencePiece model, the bytes of it, and what it was trained with."""
    kind, rule, space_first, stripped = request.param
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT * 20),
        model_writer=out,
        model_type=kind,
        vocab_size=460 if kind == "bpe" else 340,
        byte_fallback=True,
        normalization_rule_name=rule,
        add_dummy_prefix=space_first,
        remove_extra_whitespaces=stripped,
        character_coverage=0.98,
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    return model, out.getvalue(), request.param


def field(message, number):
    """The bytes of a field of a protobuf message; of what has a length only."""

    def whole(at):
        value = shift = 0
        while True:
            value, shift, at = value | (message[at] & 127) << shift, shift + 7, at + 1
            if message[at - 1] < 128:
                return value, at

    at = 0
    while at < len(message):
        tag, at = whole(at)
        size, at = whole(at) if tag % 8 in (0, 2) else (4, at)
        if tag % 8 != 0:
            if tag == 8 * number + 2:
                return message[at : at + size]
            at += size
    return b""


@pytest.fixture(scope="module")
def ours(peer, tmp_path_factory):
    """The same vocabulary as llama.cpp's converter writes it."""
    model, proto, (kind, _, space_first, stripped) = peer
    path = tmp_path_factory.mktemp("gguf") / "t.gguf"
    kinds = []
    for i in range(len(model)):
        form = 2 if model.is_unknown(i) else 3 if model.is_control(i) else 1
        kinds.append(6 if model.is_byte(i) else form)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama" if kind == "bpe" else "t5")
    writer.add_token_list([model.id_to_piece(i) for i in range(len(model))])
    writer.add_token_scores([model.get_score(i) for i in range(len(model))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(model.bos_id())
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(space_first)
    if kind == "unigram":
        writer.add_remove_extra_whitespaces(stripped)
        if table := field(field(proto, 3), 2):  # normalizer_spec.precompiled_charsmap
            writer.add_precompiled_charsmap(table)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return load_tokenizer(path)


def words():
    draws = random.Random(0)
    alphabet = "aeilnrstghpo  \n.3é光"
    return ["".join(draws.choices(alphabet, k=draws.randrange(1, 60))) for _ in range(500)]


@pytest.mark.parametrize("texts", [SAMPLES, words()], ids=["text", "random letters"])
def test_the_same_tokens(peer, ours, texts):
    """Of two cuts that are as likely as each other, Unigram may take either."""
    model, _, (kind, *_) = peer
    ties = 0
    for text in texts:
        found, right = ours.encode(text).ids, [model.bos_id(), *model.encode(text)]
        if found != right and kind == "unigram":
            ties += 1
            scores = (sum(map(model.get_score, ids)) for ids in (found, right))
            assert next(scores) == pytest.approx(next(scores), abs=1e-9), text
            assert sorted(found) == sorted(right), text
        else:
            assert found == right, text
    assert ties <= len(texts) / 100


def test_the_same_text_back(peer, ours):
    model, *_ = peer
    for text in SAMPLES + words():
        ids = model.encode(text)
        assert ours.decode(ids) == model.decode(ids), text
