"""Gemma 1 to 3: norms without their offset, and constants that no file says."""

import pytest

from photonjax.models import CheckpointError, RopeScaling, load_config, load_gguf, load_huggingface

FAMILIES = {
    "gemma": (dict(model_type="gemma", head_dim=12), {}),
    "gemma2": (
        dict(model_type="gemma2", head_dim=12, query_pre_attn_scalar=12, sliding_window=9)
        | dict(attn_logit_softcapping=50.0, final_logit_softcapping=30.0),
        {
            "attention.sliding_window": 9,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
        },
    ),
    "gemma3": (
        dict(model_type="gemma3_text", head_dim=12, query_pre_attn_scalar=12, num_hidden_layers=7)
        | dict(
            sliding_window=9, sliding_window_pattern=6, rope_theta=1e6, rope_local_base_freq=1e4
        ),
        {"attention.sliding_window": 9, "rope.freq_base": 1e6},
    ),
}


def one_more(name, weight):
    """llama.cpp's converter adds 1 to every norm's scale."""
    return weight + 1 if name.endswith("norm.weight") else weight


@pytest.fixture
def write(sizes, huggingface, as_gguf, metadata):
    """Both files of a family: write(family, without=..., **more) -> (directory, .gguf)."""

    def both(family, *, without=(), **more):
        raw, keys = FAMILIES[family]
        raw = sizes | raw
        folder, tensors = huggingface(raw)
        keys = metadata(raw, **{"attention.key_length": 12}, **keys) | more
        keys = {key: value for key, value in keys.items() if key not in without}
        return folder, as_gguf(family, tensors, keys, convert=one_more)

    return both


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_both_files_make_the_same(write, assert_same, family, scan_layers):
    """To float32's rounding of 1 + scale."""
    folder, path = write(family)
    ours, theirs = (
        load_gguf(path, scan_layers=scan_layers),
        load_huggingface(folder, scan_layers=scan_layers),
    )
    assert_same(ours, theirs, rtol=3e-7)


def test_gemma_3_says_its_pattern_in_three_ways(write):
    _, without = write("gemma3")
    expected = load_config(without)
    assert expected.global_every == 6 and expected.local_rope_theta == 1e4
    layers = [True] * 5 + [False, True]
    assert (
        load_config(write("gemma3", **{"attention.sliding_window_pattern": layers})[1]) == expected
    )
    own = {"attention.sliding_window_pattern": 3, "rope.freq_base_swa": 500.0}
    config = load_config(write("gemma3", **own)[1])
    assert (config.global_every, config.local_rope_theta) == (3, 500.0)
    wrong = {"attention.sliding_window_pattern": [False, True, True, False, False, True, True]}
    with pytest.raises(CheckpointError, match="sliding_window_pattern="):
        load_config(write("gemma3", **wrong)[1])


def test_only_global_layers_are_scaled(write):
    keys = {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
    config = load_config(write("gemma3", **keys)[1])
    assert config.rope_scaling == RopeScaling(factor=8.0) and config.local_rope_theta == 1e4


@pytest.mark.parametrize(("family", "layers"), [("gemma2", 46), ("gemma3", 62)])
def test_the_27b_models_divide_by_the_width_of_a_head(write, family, layers):
    """Hidden 32 over 4 heads; others, by the size of a head, 12."""
    assert load_config(write(family)[1]).query_scale == 12**-0.5
    assert load_config(write(family, block_count=layers)[1]).query_scale == 8**-0.5


@pytest.mark.parametrize(
    ("family", "key"),
    [
        ("gemma2", "attention.sliding_window"),
        ("gemma2", "attn_logit_softcapping"),
        ("gemma3", "attention.sliding_window"),
        ("gemma3", "rope.freq_base"),
    ],
)
def test_a_missing_key_is_named(write, family, key):
    with pytest.raises(CheckpointError, match=f"metadata key '{family}.{key}' is missing"):
        load_gguf(write(family, without=[key])[1])
