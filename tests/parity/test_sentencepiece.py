"""Tokenizers of GGUF files against SentencePiece itself: BPE vocabularies trained here.

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
]


@pytest.fixture(scope="module", params=[True, False], ids=["space first", "no space first"])
def peer(request):
    """A SentencePiece model, and whether it puts a space before a text."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT * 20),
        model_writer=out,
        model_type="bpe",
        vocab_size=460,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=request.param,
        remove_extra_whitespaces=False,
        character_coverage=0.98,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=out.getvalue()), request.param


@pytest.fixture(scope="module")
def ours(peer, tmp_path_factory):
    """The same vocabulary as llama.cpp's converter writes it."""
    model, space_first = peer
    path = tmp_path_factory.mktemp("gguf") / "t.gguf"
    kinds = []
    for i in range(len(model)):
        kind = 2 if model.is_unknown(i) else 3 if model.is_control(i) else 1
        kinds.append(6 if model.is_byte(i) else kind)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([model.id_to_piece(i) for i in range(len(model))])
    writer.add_token_scores([model.get_score(i) for i in range(len(model))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(model.bos_id())
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(space_first)
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
    model, _ = peer
    for text in texts:
        assert ours.encode(text).ids == [model.bos_id(), *model.encode(text)], text


def test_the_same_text_back(peer, ours):
    model, _ = peer
    for text in SAMPLES + words():
        ids = model.encode(text)
        assert ours.decode(ids) == model.decode(ids), text
