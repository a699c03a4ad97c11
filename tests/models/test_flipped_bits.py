"""Files with one bit wrong: refused in one line, or the same model but for a number's value."""

import dataclasses
import json
import random

import gguf
import numpy as np
import pytest
from flax import nnx

from photonjax.models import (
    CheckpointError,
    Decoder,
    DecoderConfig,
    load_config,
    load_tokenizer,
    save_huggingface,
)
from photonjax.models.safetensors import SafetensorsFile

CONFIG = DecoderConfig(
    vocab_size=8,
    hidden_size=4,
    intermediate_size=8,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    max_length=128,
    rope_theta=5000.0,
    norm_eps=2.0**-17,
)
NUMBERS = {"rope_theta", "norm_eps", "max_length"}  # which nothing else in the file repeats


def write_gguf(path):
    """A head of metadata and names; no tensors behind but the embedding."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(CONFIG.num_layers)
    writer.add_context_length(CONFIG.max_length)
    writer.add_embedding_length(CONFIG.hidden_size)
    writer.add_feed_forward_length(CONFIG.intermediate_size)
    writer.add_head_count(CONFIG.num_heads)
    writer.add_head_count_kv(CONFIG.num_kv_heads)
    writer.add_rope_freq_base(CONFIG.rope_theta)
    writer.add_layer_norm_rms_eps(CONFIG.norm_eps)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "ab", "a", "b", "c", "▁", "▁a"])
    writer.add_token_scores([0.0, 0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -0.5])
    writer.add_token_types([2, 3, 1, 1, 1, 1, 1, 1])
    writer.add_bos_token_id(1)
    writer.add_tensor("token_embd.weight", np.zeros((8, 4), np.float32))
    writer.add_tensor("output.weight", np.zeros((8, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def flipped(data, end, seed):
    """The data with one bit of a byte before `end` flipped: of every third byte in turn."""
    draws = random.Random(seed)
    for at in range(seed, end, 3):
        wrong = bytearray(data)
        wrong[at] ^= 1 << draws.randrange(8)
        yield bytes(wrong)


def one_line(error):
    assert "\n" not in str(error) and len(str(error)) < 1500


@pytest.mark.parametrize("seed", range(3))
def test_gguf(tmp_path, seed):
    """Sizes may not change: of these only those are free that stand in no shape here."""
    path = write_gguf(tmp_path / "m.gguf")
    data = path.read_bytes()
    end = data.index(b"tokenizer.ggml.model")
    base = load_config(path)
    assert base == CONFIG
    free = NUMBERS | {"num_layers", "hidden_size", "intermediate_size", "num_heads", "head_dim"}
    free |= {"num_kv_heads"}
    values = refused = 0
    for wrong in flipped(data, end, seed):
        path.write_bytes(wrong)
        try:
            config = load_config(path)
        except CheckpointError as error:
            one_line(error)
            refused += 1
            continue
        values += config != base
        for field in dataclasses.fields(config):
            if field.name not in free:
                assert getattr(config, field.name) == getattr(base, field.name), field.name
    assert refused > 100 > values


@pytest.mark.parametrize("seed", range(3))
def test_gguf_tokenizer(tmp_path, seed):
    path = write_gguf(tmp_path / "m.gguf")
    data = path.read_bytes()
    accepted = refused = 0
    for wrong in flipped(data, data.index(b"token_embd.weight"), seed):
        path.write_bytes(wrong)
        try:
            tokenizer = load_tokenizer(path)
        except CheckpointError as error:
            one_line(error)
            refused += 1
            continue
        accepted += 1
        assert max(tokenizer.encode("ab abc").ids) < 8
    assert min(refused, accepted) > 60


@pytest.mark.parametrize("seed", range(3))
def test_safetensors(tmp_path, seed):
    """No two tensors share a byte, and every shape fills what the header gives it."""
    save_huggingface(Decoder(CONFIG, rngs=nnx.Rngs(0)), tmp_path)
    path = tmp_path / "model.safetensors"
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    base = SafetensorsFile(path).shapes
    accepted = refused = 0
    for wrong in flipped(data, end, seed):
        path.write_bytes(wrong)
        try:
            shapes = SafetensorsFile(path).shapes
        except CheckpointError as error:
            one_line(error)
            refused += 1
            continue
        accepted += 1  # another name, or a dtype of the same size
        assert sorted(shapes.values()) == sorted(base.values())
    assert min(refused, accepted) > 60


@pytest.mark.parametrize("seed", range(3))
def test_config_json(tmp_path, seed):
    save_huggingface(Decoder(CONFIG, rngs=nnx.Rngs(0)), tmp_path)
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text())
    data = path.read_bytes()
    refused = 0
    for wrong in flipped(data, len(data), seed):
        path.write_bytes(wrong)
        try:
            config = load_config(tmp_path)
        except CheckpointError as error:
            one_line(error)
            refused += 1
            continue
        if config != CONFIG:  # then a value was changed, not a key
            found = json.loads(path.read_bytes())
            assert found.keys() == raw.keys(), found
    assert refused > 60
