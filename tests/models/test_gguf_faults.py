"""GGUF files that are refused, and by what name."""

import gguf
import numpy as np
import pytest

from photonjax.models import CheckpointError, load_config, load_gguf
from tests.models.gguf_files import write


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (dict(arch="phi2"), ["architecture 'phi2'", "gemma3, gpt2, gptneox, llama"]),
        (dict(extra={"blk.1.attn_q.bias": np.ones(64, np.float32)}), ["bias", "blk.1.attn_q.bias"]),
        (
            dict(extra={"blk.0.attn_q.bias": np.ones(64, np.float32)}),
            ["blk.0.attn_k.bias", "missing"],
        ),
        (dict(extra={"blk.0.odd.weight": np.ones(64, np.float32)}), ["blk.0.odd.weight"]),
        (dict(drop=["blk.1.ffn_up.weight"]), ["blk.1.ffn_up.weight", "missing"]),
        (dict(drop=["token_embd.weight"]), ["token_embd.weight", "missing"]),
        (
            dict(
                drop=["blk.1.ffn_up.weight"],
                extra={"blk.1.ffn_up.weight": np.ones((64, 96), np.float32)},
            ),
            ["blk.1.ffn_up.weight", "[64, 96]", "[96, 64]"],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_refuses_by_name(tmp_path, options, names):
    write(tmp_path / "m.gguf", **options)
    with pytest.raises(CheckpointError) as error:
        load_gguf(tmp_path / "m.gguf")
    message = str(error.value)
    assert "\n" not in message and "m.gguf" in message
    assert all(name in message for name in names), message


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.02, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_a_one_line_error(tmp_path, share):
    path = tmp_path / "m.gguf"
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"m\.gguf: .*") as error:
        load_gguf(path)
    assert "\n" not in str(error.value)


def test_no_file_and_no_gguf(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        load_gguf(tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_text("hello, this is text")
    with pytest.raises(CheckpointError, match="not a GGUF file"):
        load_gguf(tmp_path / "text.gguf")


def _offsets(path):
    """Where the file says its tensors begin: name to the place of that number, and the number."""
    data, found = path.read_bytes(), {}
    for name in gguf.GGUFReader(path).tensors:
        text = name.name.encode()
        at = data.index(len(text).to_bytes(8, "little") + text) + 8 + len(text)
        at += 4 + 8 * int.from_bytes(data[at : at + 4], "little") + 4
        found[name.name] = (at, int.from_bytes(data[at : at + 8], "little"))
    return found


@pytest.mark.parametrize(
    ("offset", "culprit"),
    [
        (lambda own, other: other, "overlap"),
        (lambda own, other: other + 32, "overlap"),
        (lambda own, other: own + 4, "not a multiple of 32"),
    ],
    ids=["same place", "shifted", "not aligned"],
)
def test_tensors_that_overlap_or_are_not_aligned_are_named(tmp_path, offset, culprit):
    path = tmp_path / "m.gguf"
    write(path)
    places = _offsets(path)
    one, other = "blk.1.ffn_up.weight", "blk.0.ffn_up.weight"
    data = bytearray(path.read_bytes())
    at, own = places[one]
    data[at : at + 8] = offset(own, places[other][1]).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=culprit) as error:
        load_gguf(path)
    assert one in str(error.value) and ("not" in culprit or other in str(error.value))


@pytest.mark.parametrize(
    ("one", "other", "culprit"),
    [
        (
            "blk.0.ffn_up.weight",
            "blk.1.ffn_up.weight",
            "tensor 'blk.1.ffn_up.weight' is there twice",
        ),
        (
            "llama.block_count",
            "llama.vocab_sizes",
            "metadata key 'llama.vocab_sizes' is there twice",
        ),
    ],
)
def test_names_that_are_there_twice(tmp_path, one, other, culprit):
    path = tmp_path / "m.gguf"
    write(path, metadata={"llama.vocab_sizes": 48})
    path.write_bytes(path.read_bytes().replace(one.encode(), other.encode()))
    with pytest.raises(CheckpointError, match=culprit):
        load_gguf(path)


@pytest.mark.parametrize(
    "key",
    [
        "context_length",
        "rope.freq_base",  # without it a Llama's is 10,000
        "attention.head_count_kv",  # without it there are as many as heads
        "attention.layer_norm_rms_epsilon",
    ],
)
def test_no_key_with_a_wrong_letter_takes_a_default(tmp_path, key):
    path = tmp_path / "m.gguf"
    write(path)
    right = f"llama.{key}"
    for at in (6, len(right) // 2, len(right) - 1):
        wrong = right[:at] + chr(ord(right[at]) ^ 1) + right[at + 1 :]
        data = path.read_bytes()
        path.write_bytes(data.replace(right.encode(), wrong.encode()))
        with pytest.raises(CheckpointError, match=f"'{right}' is missing"):
            load_config(path)
        path.write_bytes(data)
