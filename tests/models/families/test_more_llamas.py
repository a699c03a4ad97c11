"""Families a few flags away from Llama: fused tensors, norms elsewhere, layers without positions, biases."""

import dataclasses
import math

import numpy as np
import pytest

from photonjax.models import CheckpointError, load_config, load_gguf, load_huggingface

FAMILIES = {  # architecture in GGUF, more of config.json, more of the metadata
    "phi3": (dict(sliding_window=9), {"attention.sliding_window": 9, "rope.dimension_count": 8}),
    "phi3, a part turned": (
        dict(partial_rotary_factor=0.75),
        {"rope.dimension_count": 6, "attention.sliding_window": 0},
    ),
    "olmo2": ({}, {}),
    "smollm3": (dict(num_hidden_layers=5, no_rope_layers=[1, 1, 1, 0, 1]), {}),
    "llama": (dict(attention_bias=True, mlp_bias=True), {}),
}


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_both_files_make_the_same(
    sizes, huggingface, as_gguf, metadata, permuted, assert_same, family, scan_layers
):
    more, keys = FAMILIES[family]
    kind = family.split(",")[0]
    raw = sizes | dict(model_type=kind, rope_theta=3e4) | more
    folder, tensors = huggingface(raw)
    path = as_gguf(
        kind,
        tensors,
        metadata(raw, **{"rope.freq_base": 3e4}, **keys),
        convert=permuted if kind in ("smollm3", "llama") else lambda name, weight: weight,
    )
    model = load_huggingface(folder, scan_layers=scan_layers)
    assert_same(load_gguf(path, scan_layers=scan_layers), model)


def test_long_rope_of_phi_3(sizes, huggingface, as_gguf, metadata, assert_same):
    """Its GGUF files say so with two tensors alone."""
    short, long = [1.0, 1.5, 2.0, 2.5], [1.5, 3.0, 6.0, 12.0]
    rope = dict(type="longrope", short_factor=short, long_factor=long)
    raw = sizes | dict(model_type="phi3", rope_theta=1e4, original_max_position_embeddings=16)
    folder, tensors = huggingface(raw | dict(rope_scaling=rope))
    model = load_huggingface(folder, scan_layers=False)
    magnitude = model.config.rope_scaling.magnitude
    assert magnitude == pytest.approx(math.sqrt(1 + math.log(48 / 16) / math.log(16)))
    keys = {"original_context_length": 16, "attn_factor": magnitude}
    keys = {f"rope.scaling.{key}": value for key, value in keys.items()}
    more = {"rope.freq_base": 1e4, "rope.dimension_count": 8, "attention.sliding_window": 0}
    extra = {
        f"rope_factors_{name}.weight": np.float32(numbers)
        for name, numbers in (("short", short), ("long", long))
    }
    path = as_gguf("phi3", tensors, metadata(raw, **keys, **more), extra=extra)
    found = load_gguf(path, scan_layers=False)
    scaling = dataclasses.replace(found.config.rope_scaling, magnitude=magnitude)  # of float32
    assert found.config.rope_scaling.magnitude == pytest.approx(magnitude, rel=1e-7)
    found.config = dataclasses.replace(found.config, rope_scaling=scaling)
    assert_same(found, model)


def test_rows_of_phi_3(sizes, huggingface):
    """All of q, all of k, all of v; gate, then up."""
    folder, tensors = huggingface(sizes | dict(model_type="phi3"))
    block = load_huggingface(folder, scan_layers=False).layers[1]
    qkv = tensors["model.layers.1.self_attn.qkv_proj.weight"]
    gate_up = tensors["model.layers.1.mlp.gate_up_proj.weight"]
    assert qkv.shape == (32 + 16 + 16, 32) and gate_up.shape == (128, 32)
    for projection, rows in (
        (block.attn.q_proj, qkv[:32]),
        (block.attn.k_proj, qkv[32:48]),
        (block.attn.v_proj, qkv[48:]),
        (block.mlp.gate_proj, gate_up[:64]),
        (block.mlp.up_proj, gate_up[64:]),
    ):
        np.testing.assert_array_equal(projection.kernel[...], rows.T)


def test_norms_of_olmo_2_span_all_heads(sizes, huggingface):
    block = load_huggingface(
        huggingface(sizes | dict(model_type="olmo2"))[0], scan_layers=False
    ).layers[0]
    assert block.attn.q_norm.scale.shape == (32,) and block.attn.k_norm.scale.shape == (16,)
    assert not hasattr(block, "attn_norm") and not hasattr(block, "mlp_norm")


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        (dict(no_rope_layers=[1, 0, 0, 1, 1]), "fixed interval"),
        (dict(no_rope_layers=[1, 0]), "no_rope_layers=[1, 0]"),
        (dict(no_rope_layers=5), "no_rope_layers=5"),
        (dict(no_rope_layer_interval=0), "no_rope_every=0"),
    ],
    ids=str,
)
def test_layers_without_positions_come_at_an_interval(sizes, huggingface, changes, culprit):
    with pytest.raises(CheckpointError) as error:
        huggingface(sizes | dict(model_type="smollm3", num_hidden_layers=5) | changes)
    assert culprit in str(error.value) and "\n" not in str(error.value)


def test_the_fourth_layer_turns_nothing_unless_said(sizes, huggingface):
    folder, _ = huggingface(sizes | dict(model_type="smollm3"))
    config = load_config(folder)
    assert [config.turned(i) for i in range(8)] == [True, True, True, False] * 2
    assert config.tie_embeddings and config.period == 4
