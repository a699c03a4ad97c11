"""Llama: rows of Q and K put back, three ways to say how positions are scaled."""

import math

import numpy as np
import pytest

from photonjax.models import CheckpointError, RopeScaling, load_config, load_gguf, load_huggingface

LLAMA_3 = dict(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)


def divisors(theta, head_dim, factor=8.0):
    """The tensor that llama.cpp's converter writes for Llama 3.1, as it computes it."""
    found = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * theta ** (i / head_dim)
        if wavelength < 8192 / 4:
            found.append(1.0)
        elif wavelength > 8192 / 1:
            found.append(factor)
        else:
            smooth = (8192 / wavelength - 1) / (4 - 1)
            found.append(1 / ((1 - smooth) / factor + smooth))
    return np.asarray(found, np.float32)


@pytest.fixture
def raw(sizes):
    return sizes | dict(model_type="llama", rope_theta=2000.0)


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_both_files_make_the_same(
    raw, huggingface, as_gguf, metadata, permuted, assert_same, tied, scan_layers
):
    raw["tie_word_embeddings"] = tied
    folder, tensors = huggingface(raw)
    path = as_gguf("llama", tensors, metadata(raw, **{"rope.freq_base": 2000.0}), convert=permuted)
    assert_same(
        load_gguf(path, scan_layers=scan_layers), load_huggingface(folder, scan_layers=scan_layers)
    )


def test_old_files_leave_the_base_out(raw, huggingface, as_gguf, metadata):
    _, tensors = huggingface(raw)
    assert load_config(as_gguf("llama", tensors, metadata(raw))).rope_theta == 10_000


@pytest.mark.parametrize("factor", [8.0, 32.0], ids=["llama 3.1", "llama 3.2"])
def test_the_scaling_of_llama_3(raw, huggingface, as_gguf, metadata, assert_same, factor):
    """500,000 and heads of 64: some wavelengths are short, some long, some in between."""
    raw |= dict(rope_theta=5e5, hidden_size=128, num_attention_heads=2, num_key_value_heads=1)
    folder, tensors = huggingface(raw | dict(rope_scaling=LLAMA_3 | dict(factor=factor)))
    theirs = divisors(5e5, 64, factor)
    assert len(set(theirs)) > 4

    write = lambda divisors: as_gguf(
        "llama",
        tensors,
        metadata(raw, **{"rope.freq_base": 5e5}),
        extra={"rope_freqs.weight": divisors},
    )
    config = load_config(write(theirs))
    assert config == load_huggingface(folder).config
    assert load_gguf(write(theirs)).config.rope_scaling.factor == factor
    assert load_config(write(np.ones_like(theirs))).rope_scaling is None
    for wrong in (theirs[::-1].copy(), theirs[1:].copy(), np.full_like(theirs, np.nan)):
        with pytest.raises(CheckpointError, match="rope_freqs.weight"):
            load_config(write(wrong))


@pytest.mark.parametrize(
    "keys",
    [
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
        {"rope.scaling.factor": 4.0},
        {"rope.scale_linear": 4.0},
    ],
)
def test_positions_divided_by_a_factor(raw, huggingface, as_gguf, metadata, keys):
    _, tensors = huggingface(raw)
    path = as_gguf("llama", tensors, metadata(raw, **keys))
    assert load_config(path).rope_scaling == RopeScaling(factor=4.0)


YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}


@pytest.mark.parametrize(
    ("scaling", "keys"),
    [
        ({}, {"original_context_length": 16}),
        ({"original_max_position_embeddings": 48}, {}),  # as many as the model was made for
        ({"beta_fast": 16.0, "beta_slow": 2.0}, {"yarn_beta_fast": 16.0, "yarn_beta_slow": 2.0}),
        ({"attention_factor": 1.5}, {"yarn_attn_factor": 1.5}),
        ({"attention_factor": 2 * (0.1 * math.log(4) + 1)}, {"attn_factor": 2.0}),
    ],
)
def test_yarn_from_both_files(raw, huggingface, as_gguf, metadata, scaling, keys):
    """What YaRN asks for is multiplied with attn_factor, and replaced by yarn_attn_factor."""
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16} | scaling
    folder, tensors = huggingface(raw | {"rope_scaling": rope})
    if scaling.keys() != {"original_max_position_embeddings"}:
        keys = {"original_context_length": 16} | keys
    keys = YARN | {f"rope.scaling.{key}": value for key, value in keys.items()}
    path = as_gguf("llama", tensors, metadata(raw, **keys, **{"rope.freq_base": raw["rope_theta"]}))
    assert load_config(path) == load_config(folder)


@pytest.mark.parametrize(
    ("keys", "culprit"),
    [
        ({"rope.scaling.type": "ntk"}, "llama.rope.scaling.type='ntk'"),
        ({"rope.scaling.type": "yarn"}, "YarnScaling(factor=None"),
        (YARN | {"rope.scaling.yarn_ext_factor": 0.5}, "rope.scaling.yarn_ext_factor=0.5"),
        (YARN | {"rope.scaling.yarn_log_multiplier": 0.1}, "yarn_log_multiplier=0.1"),
        (YARN | {"rope.scaling.original_context_length": 0}, "original_context_length=0"),
        (YARN | {"rope.scaling.attn_factor": float("nan")}, "rope.scaling.attn_factor=nan"),
        ({"rope.scaling.type": "longrope"}, "tensor 'rope_factors_short.weight' is missing"),
        ({"rope.scaling.factor": -1.0}, "rope.scaling.factor=-1.0"),
        ({"rope.dimension_count": 4}, "dimension_count=4"),
        ({"attention.value_length": 4}, "value_length=4"),
        ({"attention.sliding_window": 16}, "attention.sliding_window"),
        (
            {"attention.head_count_kv": [2, 1]},
            "a different llama.attention.head_count_kv per layer",
        ),
        ({"attention.head_count_kv": 3}, "num_kv_heads=3"),
        ({"block_count": 0}, "llama.block_count=0: must be an integer"),
        ({"attention.layer_norm_rms_epsilon": "a"}, "epsilon='a': must be a number"),
        ({"block_count": 3}, "blk.2."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refuses_by_name(raw, huggingface, as_gguf, metadata, keys, culprit):
    _, tensors = huggingface(raw)
    with pytest.raises(CheckpointError) as error:
        load_gguf(as_gguf("llama", tensors, metadata(raw) | keys))
    assert culprit in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "key",
    ["block_count", "context_length", "feed_forward_length", "attention.layer_norm_rms_epsilon"],
)
def test_a_missing_key_is_named(raw, huggingface, as_gguf, metadata, key):
    _, tensors = huggingface(raw)
    keys = metadata(raw)
    del keys[key]
    with pytest.raises(CheckpointError, match=f"metadata key 'llama.{key}' is missing"):
        load_gguf(as_gguf("llama", tensors, keys))
