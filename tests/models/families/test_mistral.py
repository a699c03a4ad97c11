"""Mixtral's experts, in one tensor a layer; Mistral's GGUF files are Llama's."""

import pytest

from photonjax.models import CheckpointError, load_gguf, load_huggingface


@pytest.fixture
def raw(sizes):
    experts = dict(num_local_experts=3, num_experts_per_tok=2)
    return sizes | dict(model_type="mixtral", rope_theta=1e6, **experts)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_both_files_make_the_same(
    raw, huggingface, as_gguf, metadata, permuted, assert_same, scan_layers
):
    folder, tensors = huggingface(raw)
    keys = metadata(raw, **{"rope.freq_base": 1e6, "expert_count": 3, "expert_used_count": 2})
    path = as_gguf("llama", tensors, keys, convert=permuted)
    model = load_gguf(path, scan_layers=scan_layers)
    assert model.config.num_experts == 3
    assert_same(model, load_huggingface(folder, scan_layers=scan_layers))


@pytest.mark.parametrize("key", ["expert_used_count", "rope.freq_base"])
def test_a_missing_key_is_named(raw, huggingface, as_gguf, metadata, key):
    _, tensors = huggingface(raw)
    keys = metadata(raw, **{"rope.freq_base": 1e6, "expert_count": 3, "expert_used_count": 2})
    del keys[key]
    with pytest.raises(CheckpointError, match=f"metadata key 'llama.{key}' is missing"):
        load_gguf(as_gguf("llama", tensors, keys))
