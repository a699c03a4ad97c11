"""Files with one bit wrong: refused in one line, or the same model but for a number's value."""

import dataclasses
import json
import random

import numpy as np
import pytest
from flax import nnx

from photonjax.models import (
    CheckpointError,
    Decoder,
    load_config,
    load_tokenizer,
    save_huggingface,
)
from photonjax.models.safetensors import SafetensorsFile
from tests.models.gguf_files import begin, finish
from tests.tiny import tiny_decoder

WIDTHS = dict(vocab_size=8, hidden_size=4, intermediate_size=8, max_length=128, num_kv_heads=1)
CONFIG = tiny_decoder(**WIDTHS, tie_embeddings=False, rope_theta=5000.0, norm_eps=2.0**-17)
NUMBERS = {"rope_theta", "norm_eps", "max_length"}  # which nothing else in the file repeats


def write_gguf(path):
    """A head of metadata and names; no tensors behind but the embedding."""
    writer = begin(path, CONFIG)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "ab", "a", "b", "c", "▁", "▁a"])
    writer.add_token_scores([0.0, 0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -0.5])
    writer.add_token_types([2, 3, 1, 1, 1, 1, 1, 1])
    writer.add_bos_token_id(1)
    writer.add_tensor("token_embd.weight", np.zeros((8, 4), np.float32))
    writer.add_tensor("output.weight", np.zeros((8, 4), np.float32))
    finish(writer)
    return path


def flipped(data, end, seed):
    """The data with one bit of a byte before `end` flipped: of every third byte in turn."""
    draws = random.Random(seed)
    for at in range(seed, end, 3):
        wrong = bytearray(data)
        wrong[at] ^= 1 << draws.randrange(8)
        yield bytes(wrong)


def readings(path, end, seed, read):
    """What a reader makes of the file with each bit flipped; every refusal is one line, and None here."""
    for wrong in flipped(path.read_bytes(), end, seed):
        path.write_bytes(wrong)
        try:
            yield read(path)
        except CheckpointError as error:
            assert "\n" not in str(error) and len(str(error)) < 1500
            yield None


@pytest.mark.parametrize("seed", range(3))
def test_gguf(tmp_path, seed):
    """Sizes may not change: of these only those are free that stand in no shape here."""
    path = write_gguf(tmp_path / "m.gguf")
    end = path.read_bytes().index(b"tokenizer.ggml.model")
    base = load_config(path)
    assert base == CONFIG
    free = NUMBERS | {"num_layers", "hidden_size", "intermediate_size", "num_heads", "head_dim"}
    free |= {"num_kv_heads"}
    found = list(readings(path, end, seed, load_config))
    read = [config for config in found if config is not None]
    for config in read:
        for field in dataclasses.fields(config):
            if field.name not in free:
                assert getattr(config, field.name) == getattr(base, field.name), field.name
    assert found.count(None) > 100 > sum(config != base for config in read)


@pytest.mark.parametrize("seed", range(3))
def test_gguf_tokenizer(tmp_path, seed):
    path = write_gguf(tmp_path / "m.gguf")
    end = path.read_bytes().index(b"token_embd.weight")
    found = list(readings(path, end, seed, load_tokenizer))
    accepted = [tokenizer for tokenizer in found if tokenizer is not None]
    assert all(max(tokenizer.encode("ab abc").ids) < 8 for tokenizer in accepted)
    assert min(found.count(None), len(accepted)) > 60


@pytest.mark.parametrize("seed", range(3))
def test_safetensors(tmp_path, seed):
    """No two tensors share a byte, and every shape fills what the header gives it."""
    save_huggingface(Decoder(CONFIG, rngs=nnx.Rngs(0)), tmp_path)
    path = tmp_path / "model.safetensors"
    end = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    base = SafetensorsFile(path).shapes
    found = list(readings(path, end, seed, lambda path: SafetensorsFile(path).shapes))
    accepted = [s for s in found if s is not None]  # another name, or a dtype of the same size
    assert all(sorted(shapes.values()) == sorted(base.values()) for shapes in accepted)
    assert min(found.count(None), len(accepted)) > 60


@pytest.mark.parametrize("seed", range(3))
def test_config_json(tmp_path, seed):
    save_huggingface(Decoder(CONFIG, rngs=nnx.Rngs(0)), tmp_path)
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text())
    refused = 0
    for config in readings(path, len(path.read_bytes()), seed, lambda _: load_config(tmp_path)):
        refused += config is None
        if config not in (None, CONFIG):  # then a value was changed, not a key
            found = json.loads(path.read_bytes())
            assert found.keys() == raw.keys(), found
    assert refused > 60
