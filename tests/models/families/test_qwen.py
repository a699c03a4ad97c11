"""Qwen2 with biases, Qwen3 with norms of q and k, and its experts; rows stay in order."""

import pytest

from photonjax.models import CheckpointError, load_gguf, load_huggingface

FAMILIES = {
    "qwen2": ("qwen2", dict(model_type="qwen2"), {}),
    "qwen2, untied": ("qwen2", dict(model_type="qwen2", tie_word_embeddings=False), {}),
    "qwen3": ("qwen3", dict(model_type="qwen3", head_dim=12), {"attention.key_length": 12}),
    "qwen3 moe": (
        "qwen3moe",
        dict(
            model_type="qwen3_moe",
            head_dim=12,
            num_experts=3,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            norm_topk_prob=True,
        ),
        {
            "attention.key_length": 12,
            "expert_count": 3,
            "expert_used_count": 2,
            "expert_feed_forward_length": 32,
        },
    ),
}


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_both_files_make_the_same(
    sizes, huggingface, as_gguf, metadata, assert_same, family, scan_layers
):
    arch, raw, keys = FAMILIES[family]
    raw = sizes | raw | dict(rope_theta=3e4)
    folder, tensors = huggingface(raw)
    path = as_gguf(arch, tensors, metadata(raw, **keys, **{"rope.freq_base": 3e4}))
    assert_same(
        load_gguf(path, scan_layers=scan_layers), load_huggingface(folder, scan_layers=scan_layers)
    )


@pytest.mark.parametrize(
    ("family", "key"),
    [
        ("qwen2", "rope.freq_base"),
        ("qwen3", "rope.freq_base"),
        ("qwen3 moe", "expert_feed_forward_length"),
    ],
)
def test_a_missing_key_is_named(sizes, huggingface, as_gguf, metadata, family, key):
    arch, raw, keys = FAMILIES[family]
    raw = sizes | raw
    _, tensors = huggingface(raw)
    keys = metadata(raw, **keys, **{"rope.freq_base": 1e6})
    del keys[key]
    with pytest.raises(CheckpointError, match=f"metadata key '{arch}.{key}' is missing"):
        load_gguf(as_gguf(arch, tensors, keys))


def test_dense_files_with_experts_are_refused(sizes, huggingface, as_gguf, metadata):
    raw = sizes | dict(model_type="qwen2")
    _, tensors = huggingface(raw)
    keys = metadata(raw, **{"rope.freq_base": 1e6, "expert_count": 4})
    with pytest.raises(CheckpointError, match="qwen2.expert_count=4 is not supported"):
        load_gguf(as_gguf("qwen2", tensors, keys))
