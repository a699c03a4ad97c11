"""Rules of tokenizer.json that never end: refused when it is loaded."""

import json

import pytest
from tokenizers import pre_tokenizers

from photonjax.models import CheckpointError, load_tokenizer
from tests.models.tokenizer_files import write


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "t.gguf")


def with_rule(path, **rules):
    """The directory with these entries in its tokenizer.json."""
    load_tokenizer(path).save(str(path.parent / "tokenizer.json"))
    raw = json.loads((path.parent / "tokenizer.json").read_text()) | rules
    (path.parent / "tokenizer.json").write_text(json.dumps(raw))
    return path.parent


def split(pattern):
    rule = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [rule]}}


def replace(pattern, content):
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


@pytest.mark.parametrize(
    ("rules", "culprit"),
    [
        (split("(a+)+$"), "the pattern '(a+)+$' repeats a group"),
        (split(r"x|(?:(?:[a-z]+){1,}b?){2,}"), "repeats a group"),
        (split("(a|aa)*c"), "repeats a group that repeats or has alternatives"),
        ({"normalizer": replace("(a+)+$", "b")}, "the pattern '(a+)+$'"),
        ({"decoder": replace("(a+)+$", "b")}, "the pattern '(a+)+$'"),
        ({"normalizer": replace("a", "b" * 5000)}, "make 5,000 characters of one"),
        (
            {"normalizer": {"type": "Sequence", "normalizers": [replace("a", "a" * 99)] * 3}},
            "make 970,299 characters of one, more than 4,096",
        ),
    ],
    ids=str,
)
def test_a_rule_without_end_is_refused(path, rules, culprit):
    with pytest.raises(CheckpointError) as error:
        load_tokenizer(with_rule(path, **rules))
    assert culprit in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "pattern",
    [  # of published tokenizers: Llama 3, GPT-4o, Tekken, BLOOM, DeepSeek, Chameleon, Kimi
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\s+(?!\S)",
        r"[\p{Lu}\p{M}]*[\p{Ll}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}",
        r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|\p{N}",
        r" ?[^(\s|[.,!?…。，、।۔،])]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}]?[\p{L}\p{M}]+",
        r"<sentinel:[0-9]+>|(IMGIMG)((A|B|C|D){1,4})Z|([\t\n]|    |  )",
        r"[\p{Han}]+|[^\r\n]?[\p{Lu}\p{M}&&[^\p{Han}]]*[\p{Ll}&&[^\p{Han}]]+(?i:'s|'t)?",
        r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))",
    ],
)
def test_patterns_of_published_tokenizers_pass(path, pattern):
    assert load_tokenizer(with_rule(path, **split(pattern))).encode("a(b) 12").ids


def test_a_pattern_that_never_ends_is_one_line(path):
    """Of a tokenizer that was not loaded here."""
    import datasets
    from tokenizers import Regex

    from photonjax.data import tokenize

    tokenizer = load_tokenizer(path)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(a+)+$"), behavior="isolated")
    corpus = datasets.Dataset.from_dict({"text": ["a" * 40 + "c"]})
    with pytest.raises(ValueError, match="gives up on a text of 41 characters") as error:
        tokenize(corpus, tokenizer)
    assert "\n" not in str(error.value)
