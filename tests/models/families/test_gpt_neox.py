"""GPT-NeoX (Pythia): q, k and v are rows of one tensor, a part of each head is turned."""

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as safetensors

from photonjax.models import CheckpointError, load_gguf, load_huggingface

KEYS = {
    "block_count": 2,
    "context_length": 48,
    "embedding_length": 32,
    "feed_forward_length": 64,
    "attention.head_count": 4,
    "attention.layer_norm_epsilon": 2.0**-20,
    "rope.dimension_count": 4,
    "use_parallel_residual": True,
}


@pytest.fixture
def raw():
    return (
        dict(model_type="gpt_neox", vocab_size=24, hidden_size=32, intermediate_size=64)
        | dict(num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=48)
        | dict(layer_norm_eps=2.0**-20, hidden_act="gelu", rotary_pct=0.5, rotary_emb_base=10_000)
    )


def in_turn(name, weight):
    """What llama.cpp's converter does: q, k and v of each head to all of q, all of k, all of v."""
    if "query_key_value" not in name:
        return weight
    return weight.reshape(4, 3, 8, *weight.shape[1:]).swapaxes(0, 1).reshape(weight.shape)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_both_files_make_the_same(raw, huggingface, as_gguf, assert_same, scan_layers):
    folder, tensors = huggingface(raw)
    path = as_gguf("gptneox", tensors, KEYS, convert=in_turn)
    model = load_huggingface(folder, scan_layers=scan_layers)
    assert_same(load_gguf(path, scan_layers=scan_layers), model)
    assert model.config.rotary_dim == 4 and model.config.parallel and model.config.layer_norm


def test_rows_of_one_tensor(raw, huggingface):
    """Head h has rows 24h ... 24h + 23: its q, its k, its v."""
    folder, tensors = huggingface(raw)
    attn = load_huggingface(folder, scan_layers=False).layers[1].attn
    fused = {
        kind: tensors[f"gpt_neox.layers.1.attention.query_key_value.{kind}"]
        for kind in ("weight", "bias")
    }
    for i, name in enumerate("qkv"):
        rows = np.concatenate([24 * h + 8 * i + np.arange(8) for h in range(4)])
        projection = getattr(attn, f"{name}_proj")
        np.testing.assert_array_equal(projection.kernel[...], fused["weight"][rows].T)
        np.testing.assert_array_equal(projection.bias[...], fused["bias"][rows])


def test_masks_kept_beside_the_weights_are_passed_over(raw, huggingface, assert_same):
    """Pythia's own files have them, as booleans."""
    folder, tensors = huggingface(raw)
    expected = load_huggingface(folder)
    masks = {
        f"gpt_neox.layers.{i}.attention.bias": np.tri(48, dtype=bool)[None, None] for i in range(2)
    }
    masks["gpt_neox.layers.0.attention.rotary_emb.inv_freq"] = np.ones(2, np.float32)
    safetensors.save_file(tensors | masks, folder / "model.safetensors")
    assert_same(load_huggingface(folder), expected)


def test_a_fused_tensor_of_a_wrong_size_is_named(raw, huggingface):
    folder, tensors = huggingface(raw)
    name = "gpt_neox.layers.0.attention.query_key_value.weight"
    safetensors.save_file(tensors | {name: tensors[name][:64]}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"{name}' has shape \[64, 32\] .* \[96, 32\]"):
        load_huggingface(folder)


def test_side_by_side_and_in_turn_differ(raw, huggingface):
    tokens = jnp.arange(6)[None]
    beside, after = (
        load_huggingface(huggingface(raw | {"use_parallel_residual": value})[0])(tokens)
        for value in (True, False)
    )
    assert np.abs(beside - after).max() > 0.1
