"""Falcon's two generations: how many norms, how many key-value heads, where their rows lie."""

import numpy as np
import pytest
from safetensors import numpy as safetensors

from photonjax.models import CheckpointError, load_gguf, load_huggingface

RAW = dict(
    model_type="falcon",
    vocab_size=24,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    layer_norm_epsilon=2.0**-20,
    alibi=False,
)
FIRST = dict(multi_query=True, parallel_attn=True, new_decoder_architecture=False)
SECOND = dict(new_decoder_architecture=True, num_kv_heads=2)


@pytest.mark.parametrize(
    ("more", "kv_heads", "norms"),
    [
        (FIRST, 1, 1),
        (FIRST | dict(multi_query=False), 4, 1),
        (FIRST | dict(parallel_attn=False, bias=True), 1, 2),
        (SECOND, 2, 2),
        (SECOND | dict(num_ln_in_parallel_attn=1), 2, 1),
        (dict(new_decoder_architecture=True), 4, 2),
    ],
    ids=str,
)
def test_rows_of_one_tensor(huggingface, more, kv_heads, norms):
    """For each key-value head the queries that read it, its key, its value."""
    folder, tensors = huggingface(RAW | more)
    if norms == 2 and more.get("new_decoder_architecture"):  # their names in these
        theirs = {"input_layernorm": "ln_attn", "post_attention_layernorm": "ln_mlp"}
        for own, name in theirs.items():
            tensors = {key.replace(own, name): value for key, value in tensors.items()}
        safetensors.save_file(tensors, folder / "model.safetensors")
    model = load_huggingface(folder, scan_layers=False)
    config, block = model.config, model.layers[1]
    assert config.num_kv_heads == kv_heads and config.intermediate_size == 128
    assert config.parallel == more.get("parallel_attn", True)
    assert hasattr(block, "mlp_norm") == (norms == 2)
    assert config.qkv_bias == config.mlp_bias == more.get("bias", False)
    fused = tensors["transformer.h.1.self_attention.query_key_value.weight"]
    grouped = fused.reshape(kv_heads, 4 // kv_heads + 2, 8, 32)
    for projection, rows in (
        (block.attn.q_proj, grouped[:, :-2]),
        (block.attn.k_proj, grouped[:, -2]),
        (block.attn.v_proj, grouped[:, -1]),
    ):
        np.testing.assert_array_equal(projection.kernel[...], rows.reshape(-1, 32).T)


@pytest.mark.parametrize(
    ("more", "kv_heads", "second"),
    [(FIRST, 1, False), (SECOND, 2, True), (SECOND | dict(num_ln_in_parallel_attn=1), 2, False)],
    ids=["7B", "40B", "11B"],
)
def test_both_files_make_the_same(huggingface, as_gguf, assert_same, more, kv_heads, second):
    folder, tensors = huggingface(RAW | more)
    if second:
        tensors = {
            key.replace("input_layernorm", "ln_attn").replace(
                "post_attention_layernorm", "ln_mlp"
            ): w
            for key, w in tensors.items()
        }
        safetensors.save_file(tensors, folder / "model.safetensors")

    def in_turn(name, weight):  # as llama.cpp's converter has it
        if "query_key_value" not in name:
            return weight
        rows = weight.reshape(kv_heads, 4 // kv_heads + 2, 8, 32)
        return np.concatenate(
            [part.reshape(-1, 32) for part in (rows[:, :-2], rows[:, -2], rows[:, -1])]
        )

    keys = {
        "block_count": 2,
        "context_length": 2048,
        "embedding_length": 32,
        "feed_forward_length": 128,
        "attention.head_count": 4,
        "attention.head_count_kv": kv_heads,
        "attention.layer_norm_epsilon": 2.0**-20,
    }
    path = as_gguf("falcon", tensors, keys, convert=in_turn)
    assert_same(load_gguf(path, scan_layers=False), load_huggingface(folder, scan_layers=False))


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        (dict(alibi=True), "alibi=True"),
        (dict(activation="relu"), "activation='relu'"),
        (dict(num_ln_in_parallel_attn=3), "num_ln_in_parallel_attn=3"),
        (SECOND | dict(num_kv_heads=3), "num_kv_heads=3"),
        (dict(layer_norm_epsilon=None), "'layer_norm_epsilon' is missing"),
    ],
    ids=str,
)
def test_refuses_by_name(huggingface, changes, culprit):
    with pytest.raises(CheckpointError) as error:
        huggingface(RAW | changes)
    assert culprit in str(error.value) and "\n" not in str(error.value)
