"""Families of Hugging Face checkpoints: config.json as published, and with anything wrong in it."""

import dataclasses
import json
import math
import pathlib

import pytest

from photonjax.models import CheckpointError, load_config, load_huggingface, named, names
from photonjax.models.config_json import read_config

# The keys that matter of the files on the Hugging Face hub, in the form they were published in.
PUBLISHED = json.loads(pathlib.Path(__file__).with_name("published.json").read_text())


def write(directory, raw):
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(raw))
    return directory


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name in names()])
def test_published_configurations_are_the_named_shapes(tmp_path, name):
    assert load_config(write(tmp_path, PUBLISHED[name])) == named(name)


def test_the_form_of_transformers_5_says_the_same(tmp_path):
    newer = {
        k: v for k, v in PUBLISHED["gemma-3-1b"].items() if "rope" not in k and "pattern" not in k
    }
    newer["rope_parameters"] = {
        "full_attention": {"rope_type": "default", "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    kinds = ["sliding_attention"] * 5 + ["full_attention"]
    newer["layer_types"] = (kinds * 5)[:26]
    assert load_config(write(tmp_path, newer)) == named("gemma-3-1b")
    experts = dict(PUBLISHED["qwen3-30b-a3b"])
    experts["num_local_experts"] = experts.pop("num_experts")
    assert load_config(write(tmp_path, experts)) == named("qwen3-30b-a3b")


@pytest.mark.parametrize(
    ("name", "changes", "culprit"),
    [
        ("gemma-3-1b", {"layer_types": ["full_attention"] + ["sliding_attention"] * 25}, None),
        ("gemma-3-1b", {"use_bidirectional_attention": True}, None),
        ("gemma-3-1b", {"hidden_activation": "silu"}, "hidden_act='silu'"),
        ("gemma-3-1b", {"architectures": ["Gemma3ForConditionalGeneration"]}, "ConditionalGen"),
        ("qwen3-8b", {"use_sliding_window": True}, None),
        ("qwen3-8b", {"attention_bias": 1.5}, "qkv_bias=1.5"),
        ("mistral-7b", {"attention_bias": True}, None),
        ("qwen3-8b", {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}, None),
        ("qwen3-30b-a3b", {"mlp_only_layers": [0]}, None),
        ("qwen3-30b-a3b", {"decoder_sparse_step": 2}, None),
        ("mixtral-8x7b", {"num_experts_per_tok": 9}, "must be an integer of 1 ... 8 "),
        (
            "mixtral-8x7b",
            {"num_local_experts": 10**9},
            "num_experts=1000000000: must be an integer of 1 ... 4,096",
        ),
        (
            "llama-3-8b",
            {"num_hidden_layers": 10**9},
            "num_layers=1000000000: must be an integer of 1 ... 10,000",
        ),
        (
            "llama-3-8b",
            {"vocab_size": 10**18},
            "vocab_size=1000000000000000000: must be an integer",
        ),
        ("llama-3-8b", {"max_position_embeddings": 2**40}, "integer of 1 ... 2,147,483,647"),
        (
            "mistral-7b",
            {"sliding_window": 2**40},
            "sliding_window=1099511627776: must be an integer",
        ),
        ("qwen3-8b", {"head_dim": 2**40}, "head_dim=1099511627776: must be an even integer"),
        ("gpt2", {"activation_function": "relu"}, None),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, None),
        ("gpt2", {"tie_word_embeddings": False}, None),
        ("gpt2", {"n_head": 7}, "num_heads=7"),
    ],
)
def test_refuses_by_name(tmp_path, name, changes, culprit):
    """There are no weights to be read: the configuration alone decides."""
    with pytest.raises(CheckpointError) as error:
        load_huggingface(write(tmp_path, PUBLISHED[name] | changes))
    assert (culprit or f"{next(iter(changes))}=") in str(error.value)
    assert str(tmp_path / "config.json") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_key_with_a_wrong_letter_takes_a_default(tmp_path, name):
    """Every key that is read, with any one letter of it wrong: refused, naming the key."""
    raw = PUBLISHED[name]
    free = {"architectures", "model_type", "n_ctx", "pretraining_tp", "max_window_layers"}
    free |= {key for key, value in raw.items() if value is None or value is False}
    if name == "qwen3-30b-a3b":
        free |= {"intermediate_size"}  # of its dense layers: it has none
    for key in raw.keys() - free:
        for at in (0, len(key) // 2, len(key) - 1):
            wrong = key[:at] + chr(ord(key[at]) ^ 1) + key[at + 1 :]
            changed = {wrong if k == key else k: value for k, value in raw.items()}
            with pytest.raises(CheckpointError, match=rf"'{key}' is missing"):
                load_config(write(tmp_path, changed))


OTHERS = {  # what no published configuration above has
    "yarn": PUBLISHED["llama-3-8b"]
    | dict(
        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
        | dict(beta_fast=32, beta_slow=1, attention_factor=1.0, truncate=True)
    ),
    "phi3": PUBLISHED["llama-3-8b"]
    | dict(
        model_type="phi3",
        architectures=["Phi3ForCausalLM"],
        partial_rotary_factor=1.0,
        rope_scaling=dict(
            rope_type="longrope",
            short_factor=[1.0] * 64,
            long_factor=[2.0] * 64,
            original_max_position_embeddings=32,
            factor=2.0,
        ),
    ),
    "gemma3_text": PUBLISHED["gemma-3-1b"]
    | dict(
        layer_types=(["sliding_attention"] * 5 + ["full_attention"]) * 4
        + ["sliding_attention"] * 2,
        rope_parameters=dict(
            full_attention=dict(rope_type="linear", factor=2.0, rope_theta=1e6),
            sliding_attention=dict(rope_type="default", rope_theta=1e4),
        ),
    ),
    "smollm3": PUBLISHED["llama-3-8b"]
    | dict(
        model_type="smollm3",
        architectures=["SmolLM3ForCausalLM"],
        no_rope_layers=[1, 1, 1, 0] * 8,
        no_rope_layer_interval=4,
    ),
    "falcon": dict(model_type="falcon", architectures=["FalconForCausalLM"], activation="gelu")
    | dict(vocab_size=24, hidden_size=32, ffn_hidden_size=96, max_position_embeddings=64)
    | dict(num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2, num_ln_in_parallel_attn=2)
    | dict(alibi=False, bias=False, multi_query=True, parallel_attn=True)
    | dict(new_decoder_architecture=True, layer_norm_epsilon=1e-5, rope_theta=1e4),
}
BAD = [0, -1, 1.5, 10**9, 10**400, math.inf, -math.inf, math.nan, "", "a", "8", True]
BAD += [None, [], [1], [[]], [None], {}, {"a": 1}, "x" * 5000]


def places(raw, path=()):
    for key, value in raw.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


def changed(raw, path, value):
    rest = changed(raw[path[0]], path[1:], value) if path[1:] else value
    return raw | {path[0]: rest}


@pytest.mark.parametrize("name", [*PUBLISHED, *OTHERS])
def test_whatever_stands_in_a_key_the_answer_is_a_model_or_one_line(name):
    """Some 5,000 configurations. What is accepted has sizes that are numbers."""
    raw = {**PUBLISHED, **OTHERS}[name]
    accepted = refused = 0
    for path in places(raw):
        for value in BAD:
            try:
                _, config = read_config(pathlib.Path("config.json"), changed(raw, path, value))
            except CheckpointError as error:
                assert "\n" not in str(error) and len(str(error)) < 1000, (path, value)
                refused += 1
                continue
            accepted += 1
            numbers = [v for v in dataclasses.astuple(config) if type(v) in (int, float)]
            assert all(0 < number < math.inf for number in numbers), (path, value)
    assert refused > accepted > 0
