"""Tokenizers: one written into a GGUF file here, and what is refused."""

import gguf
import pytest

from photonjax.models import CheckpointError, load_tokenizer
from tests.models.gguf_files import finish
from tests.models.tokenizer_files import write

TEXTS = [
    "the  the\n",
    "in 2024, 12 photons; ½ of ٣",
    "naïve café 你好 😀\t",
    " 121",
    "",
]


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "t.gguf")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("pre", ["smollm", "gpt-2", "llama-bpe", "falcon", "qwen2"])
def test_text_comes_back(tmp_path, pre, text):
    tokenizer = load_tokenizer(write(tmp_path / "t.gguf", pre=pre))
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_merges_and_digits_one_by_one(path):
    tokenizer = load_tokenizer(path)
    assert tokenizer.encode("the the").tokens == ["t", "he", "Ġthe"]
    assert tokenizer.encode(" 12").tokens == ["Ġ", "1", "2"]


def test_without_the_digit_rule_numbers_merge(tmp_path):
    tokenizer = load_tokenizer(write(tmp_path / "t.gguf", pre="gpt-2"))
    assert tokenizer.encode("12 1").tokens == ["12", "Ġ1"]


def test_special_tokens_are_one_token_and_skipped_in_decoding(path):
    tokenizer = load_tokenizer(path)
    encoded = tokenizer.encode("<|im_start|>the<own>")
    assert encoded.tokens == ["<|im_start|>", "t", "he", "<own>"]
    assert tokenizer.decode(encoded.ids) == "the<own>"


def test_bos_where_the_file_asks_for_it(tmp_path):
    tokenizer = load_tokenizer(write(tmp_path / "t.gguf", bos=1))
    assert tokenizer.encode("the").tokens == ["<|im_start|>", "t", "he"]
    assert tokenizer.encode("the", add_special_tokens=False).tokens == ["t", "he"]


def test_json_file_and_directory(path, tmp_path):
    tokenizer = load_tokenizer(path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for place in (tmp_path, tmp_path / "tokenizer.json", path):
        assert load_tokenizer(place).encode(TEXTS[1]).ids == tokenizer.encode(TEXTS[1]).ids


PIECES = ["▁t", "he", "▁the", "er", "▁th", "▁there", "t", "h", "e", "r", "▁", "a", "b", "ab", "ba"]


def write_pieces(path, *, model="llama", pieces=PIECES, scores=None, **keys):
    """Writes a SentencePiece vocabulary whose earlier pieces have higher scores."""
    special, own = ["<unk>", "<bos>"], ["<own>", "  "]
    octets = [f"<0x{i:02X}>" for i in range(256)]
    tokens = special + own + octets + pieces
    kinds = [2, 3, 4, 4] + [6] * 256 + [1] * len(pieces)
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_tokenizer_model(model)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_scores([0.0] * 260 + list(scores or (-float(i) for i in range(len(pieces)))))
    writer.add_bos_token_id(1)
    for key, value in keys.items():
        writer.add_bool(f"tokenizer.ggml.{key}", value)
    finish(writer)
    return path


@pytest.mark.parametrize("text", [*TEXTS, "the there", " the\n\n  the", "a\x00b"])
@pytest.mark.parametrize("prefix", [False, True])
def test_pieces_make_the_text_again(tmp_path, prefix, text):
    """Whatever no piece covers, in bytes. The prefix also follows added tokens, here two spaces: as
    llama.cpp has it, and that one space more stays."""
    if prefix:
        text = text.replace("  ", " ")
    tokenizer = load_tokenizer(write_pieces(tmp_path / "t.gguf", add_space_prefix=prefix))
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_pieces_with_the_highest_score_are_joined_first(tmp_path):
    """ "▁t" before "he": so "▁th" + "e" is never tried, and "er" takes its e from "he" only if
    its score is above that of "he"."""
    options = dict(add_space_prefix=True, add_bos_token=False)
    tokenizer = load_tokenizer(write_pieces(tmp_path / "t.gguf", **options))
    assert tokenizer.encode("the there").tokens == ["▁the", "▁the", "r", "e"]
    assert tokenizer.encode("t<own>t").tokens == ["▁t", "<own>", "▁t"]
    better = ["er", *(p for p in PIECES if p != "er")]
    tokenizer = load_tokenizer(write_pieces(tmp_path / "t.gguf", pieces=better, **options))
    assert tokenizer.encode("the there").tokens == ["▁the", "▁th", "er", "e"]
    tokenizer = load_tokenizer(
        write_pieces(tmp_path / "t.gguf", **options | {"add_space_prefix": False})
    )
    assert tokenizer.encode("aba ba").tokens == ["ab", "a", "▁", "ba"]


ONE_BY_ONE = ["Ġ", "1", "9", "Ġ", "1", "2", "1", "2"]
CUTS = {  # of " 19 1212", with merges "1 2" and "Ġ 1"
    "smollm": ONE_BY_ONE,
    "qwen2": ONE_BY_ONE,
    "llama-bpe": ["Ġ", "1", "9", "Ġ", "12", "1", "2"],
    "falcon": ["Ġ", "1", "9", "Ġ", "12", "1", "2"],
    "gpt-2": ["Ġ1", "9", "Ġ", "12", "12"],
}


@pytest.mark.parametrize("pre", CUTS)
def test_numbers_are_cut_as_the_name_says(tmp_path, pre):
    tokenizer = load_tokenizer(write(tmp_path / "t.gguf", pre=pre))
    assert tokenizer.encode(" 19 1212").tokens == CUTS[pre]


def test_qwen_composes_characters(tmp_path):
    tokenizer = load_tokenizer(write(tmp_path / "t.gguf", pre="qwen2"))
    assert tokenizer.encode("e\u0301").ids == tokenizer.encode("é").ids


def test_the_most_likely_pieces(tmp_path):
    """Of all cuts of "abab": "aba" + "b" (-5) is the best; joining neighbours would give "ab" + "ab" (-6)."""
    pieces = ["▁", "a", "b", "ab", "aba"]
    scores = [-1.0, -9.0, -3.0, -3.0, -2.0]
    path = write_pieces(tmp_path / "t.gguf", model="t5", pieces=pieces, scores=scores)
    tokenizer = load_tokenizer(path)
    assert tokenizer.encode("abab").tokens == ["▁", "aba", "b"]  # no BOS unless it is asked for
    assert tokenizer.encode("abé<own>").tokens == ["▁", "ab", "<0xC3>", "<0xA9>", "<own>"]
    assert tokenizer.decode(tokenizer.encode("b aba é").ids) == "b aba é"
    keys = dict(remove_extra_whitespaces=True, add_space_prefix=False)
    path = write_pieces(tmp_path / "t.gguf", model="t5", pieces=pieces, scores=scores, **keys)
    assert load_tokenizer(path).encode(" b a ").tokens == ["b", "▁", "a"]


def test_bytes_spaces_and_bos(tmp_path):
    tokenizer = load_tokenizer(write_pieces(tmp_path / "t.gguf", add_space_prefix=False))
    assert tokenizer.encode("é<own>a  b").tokens == [
        "<bos>",
        "<0xC3>",
        "<0xA9>",
        "<own>",
        "a",
        "  ",
        "b",
    ]
    assert tokenizer.encode("a", add_special_tokens=False).tokens == ["a"]


def test_pieces_without_their_scores(tmp_path):
    with pytest.raises(CheckpointError, match="275 tokens with 261 scores and 275 types"):
        load_tokenizer(write_pieces(tmp_path / "t.gguf", scores=[1.0]))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (dict(model="bert"), "tokenizer model 'bert' is not one of gpt2, llama, t5"),
        (dict(pre="tekken"), "pre-tokenizer 'tekken'"),
        (dict(merges=["q x"]), "merge 'q x'"),
    ],
    ids=["model", "pre-tokenizer", "merge"],
)
def test_refuses_by_name(tmp_path, options, name):
    with pytest.raises(CheckpointError, match=name):
        load_tokenizer(write(tmp_path / "t.gguf", **options))


def test_no_tokenizer(tmp_path):
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: no such file"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"not a tokenizer\.json"):
        load_tokenizer(tmp_path)


def with_metadata(path, model, **values):
    """A file whose tokenizer is right, but for these values."""
    right = dict(
        tokens=["<unk>", "<s>", "aa", "a"],
        token_type=[2, 3, 1, 1],
        scores=[0.0, 0.0, -1.0, -2.0],
        merges=["a a"],
        bos_token_id=1,
        unknown_token_id=0,
        add_bos_token=True,
        add_space_prefix=False,
    )
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in ({"model": model} | right | values).items():
        kind = {bool: "bool", int: "int32", float: "float32", str: "string", list: "array"}
        getattr(writer, f"add_{kind[type(value)]}")(f"tokenizer.ggml.{key}", value)
    finish(writer)
    return path


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("llama", dict(tokens="a")),
        ("llama", dict(tokens=[1, 2, 3, 4])),
        ("llama", dict(tokens=5)),
        ("gpt2", dict(merges=[1])),
        ("gpt2", dict(merges="a a")),
        ("gpt2", dict(pre=3)),
        ("llama", dict(scores=["a", "b", "c", "d"])),
        ("llama", dict(scores=2.0)),
        ("llama", dict(token_type=["a", "b", "c", "d"])),
        ("llama", dict(token_type=1)),
        ("llama", dict(bos_token_id="a")),
        ("llama", dict(bos_token_id=4)),
        ("llama", dict(bos_token_id=-1)),
        ("llama", dict(bos_token_id=True)),
        ("llama", dict(add_bos_token="yes")),
        ("llama", dict(add_space_prefix=[1])),
        ("t5", dict(precompiled_charsmap=5)),
        ("t5", dict(remove_extra_whitespaces="yes")),
        ("t5", dict(scores=2.0)),
    ],
    ids=str,
)
def test_metadata_of_a_wrong_type_is_one_line(tmp_path, model, values):
    with pytest.raises(CheckpointError) as error:
        load_tokenizer(with_metadata(tmp_path / "t.gguf", model, **values))
    (key,) = values
    assert f"tokenizer.ggml.{key}=" in str(error.value) and "must be" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bos", ["<s>", "<s:>", "a $B: 7", "$A"])
def test_whatever_the_text_of_bos_it_comes_first(tmp_path, bos):
    tokens = ["<unk>", bos, "aa", "a"]
    tokenizer = load_tokenizer(with_metadata(tmp_path / "t.gguf", "llama", tokens=tokens))
    assert tokenizer.encode("aaa").ids == [1, 2, 3]
    assert tokenizer.encode("aaa").tokens[0] == bos


def test_types_and_long_pieces_are_counted(tmp_path):
    path = tmp_path / "t.gguf"
    with pytest.raises(CheckpointError, match="4 tokens with 2 types"):
        load_tokenizer(with_metadata(path, "llama", token_type=[2, 3]))
    long = ["<unk>", "<s>", "a" * 5000, "b"]
    with pytest.raises(CheckpointError, match="token 2 has 5,000 characters, more than 4,096"):
        load_tokenizer(with_metadata(path, "llama", tokens=long))


def test_a_table_of_characters_that_is_none(tmp_path):
    path = with_metadata(tmp_path / "t.gguf", "t5", precompiled_charsmap=[1, 2, 3])
    with pytest.raises(CheckpointError, match="not a Unigram tokenizer") as error:
        load_tokenizer(path)
    assert "\n" not in str(error.value)


def test_a_kind_of_model_that_is_no_text(tmp_path):
    with pytest.raises(CheckpointError, match=r"tokenizer.ggml.model=7: must be a text"):
        load_tokenizer(with_metadata(tmp_path / "t.gguf", 7))


def test_padding_and_truncation_are_switched_off(path, tmp_path):
    """A text of a thousand tokens stays one of a thousand; a padding of 10^9 costs no memory."""
    tokenizer = load_tokenizer(path)
    expected = tokenizer.encode("the " * 500).ids
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=1_000_000_000)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path).encode("the " * 500).ids == expected
