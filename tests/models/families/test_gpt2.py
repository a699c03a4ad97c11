"""GPT-2: kernels turned, biases everywhere, a head that may be written twice."""

import numpy as np
import pytest

from photonjax.models import CheckpointError, load_gguf, load_huggingface

RAW = dict(model_type="gpt2", vocab_size=24, n_embd=32, n_inner=96, n_layer=2, n_head=4)
RAW |= dict(n_positions=40, layer_norm_epsilon=2.0**-18)
KEYS = {
    "block_count": 2,
    "context_length": 40,
    "embedding_length": 32,
    "feed_forward_length": 96,
    "attention.head_count": 4,
    "attention.layer_norm_epsilon": 2.0**-18,
}


def turned(name, weight):
    """llama.cpp's converter turns what Hugging Face keeps as [in, out]."""
    return weight.T if name.startswith("h.") and weight.ndim == 2 else weight


@pytest.mark.parametrize("scan_layers", [False, True])
def test_both_files_make_the_same(huggingface, as_gguf, assert_same, scan_layers):
    folder, tensors = huggingface(RAW)
    path = as_gguf("gpt2", tensors, KEYS, convert=turned)
    assert_same(
        load_gguf(path, scan_layers=scan_layers), load_huggingface(folder, scan_layers=scan_layers)
    )


def test_the_head_is_the_embedding(huggingface, as_gguf, assert_same):
    folder, tensors = huggingface(RAW)
    head = tensors["wte.weight"]
    again = as_gguf("gpt2", tensors, KEYS, convert=turned, extra={"output.weight": head})
    assert_same(load_gguf(again), load_huggingface(folder))
    other = as_gguf("gpt2", tensors, KEYS, convert=turned, extra={"output.weight": np.sin(head)})
    with pytest.raises(CheckpointError, match=r"no place for: tensor 'output\.weight'"):
        load_gguf(other)


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_named(huggingface, as_gguf, key):
    _, tensors = huggingface(RAW)
    keys = {k: value for k, value in KEYS.items() if k != key}
    with pytest.raises(CheckpointError, match=f"metadata key 'gpt2.{key}' is missing"):
        load_gguf(as_gguf("gpt2", tensors, keys, convert=turned))
