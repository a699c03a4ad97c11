"""Hugging Face directories: whole, sharded, bfloat16, memory, and what is refused."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors import numpy as safetensors

from photonjax.models import (
    CheckpointError,
    Decoder,
    YarnScaling,
    load_config,
    load_huggingface,
    prefill_workload,
    save_huggingface,
)
from tests.models.huggingface_files import CONFIG, Q, edit_header, save


def _assert_same_weights(model, other):
    for (path, ours), (_, theirs) in zip(
        nnx.to_flat_state(nnx.state(model)), nnx.to_flat_state(nnx.state(other)), strict=True
    ):
        np.testing.assert_array_equal(ours[...], theirs[...], err_msg=str(path))


def _edit_config(directory, **changes):
    path = directory / "config.json"
    raw = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in raw.items() if value is not ...}))


def _shard(directory):
    """Splits model.safetensors in two with an index, through the safetensors package."""
    tensors = safetensors.load_file(directory / "model.safetensors")
    places = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(tensors)}
    for place in set(places.values()):
        part = {name: tensor for name, tensor in tensors.items() if places[name] == place}
        safetensors.save_file(part, directory / place)
    index = {"metadata": {}, "weight_map": places}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "model.safetensors").unlink()
    return places


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("scan_layers", [False, True])
def test_round_trip(tmp_path, tied, scan_layers):
    config = dataclasses.replace(CONFIG, tie_embeddings=tied)
    model = save(tmp_path, config, scan_layers=scan_layers)
    loaded = load_huggingface(tmp_path, scan_layers=scan_layers)
    assert loaded.config == config
    _assert_same_weights(model, loaded)
    other = load_huggingface(tmp_path, scan_layers=not scan_layers)
    forward = nnx.jit(lambda m: m(jnp.arange(9)[None]))
    np.testing.assert_allclose(forward(other), forward(model), rtol=1e-5, atol=1e-5)


def test_bfloat16_is_read_and_written(tmp_path):
    model = save(tmp_path, param_dtype=jnp.bfloat16)
    stored = safetensors.load_file(tmp_path / "model.safetensors")[Q]
    assert stored.dtype == jnp.bfloat16
    np.testing.assert_array_equal(stored.T, model.layers[1].attn.q_proj.kernel[...])
    _assert_same_weights(load_huggingface(tmp_path, scan_layers=False, dtype=jnp.bfloat16), model)
    wide = load_huggingface(tmp_path, scan_layers=False)
    assert wide.embed.embedding.dtype == jnp.float32
    _assert_same_weights(wide, model)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_shards(tmp_path, scan_layers):
    model = save(tmp_path, scan_layers=scan_layers)
    _shard(tmp_path)
    _assert_same_weights(load_huggingface(tmp_path, scan_layers=scan_layers), model)


def test_a_missing_shard_and_a_shard_without_its_tensor(tmp_path):
    save(tmp_path)
    places = _shard(tmp_path)
    shard = tmp_path / places[Q]
    tensors = safetensors.load_file(shard)
    safetensors.save_file({name: t for name, t in tensors.items() if name != Q}, shard)
    with pytest.raises(CheckpointError, match=f"{shard.name}.*{Q}.*missing"):
        load_huggingface(tmp_path)
    shard.unlink()
    with pytest.raises(CheckpointError, match=rf"{shard.name}: cannot be read .*fetch"):
        load_huggingface(tmp_path)


def test_config_of_transformers_5(tmp_path):
    model = save(tmp_path)
    rope = {"rope_type": "default", "rope_theta": 99.0}
    _edit_config(tmp_path, rope_theta=..., rope_parameters=rope)
    assert load_huggingface(tmp_path).config == dataclasses.replace(model.config, rope_theta=99.0)


def test_a_tied_file_may_keep_the_head(tmp_path):
    model = save(tmp_path, dataclasses.replace(CONFIG, tie_embeddings=True))
    path = tmp_path / "model.safetensors"
    tensors = safetensors.load_file(path)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    safetensors.save_file(tensors, path)
    _assert_same_weights(load_huggingface(tmp_path, scan_layers=False), model)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"architectures": ["MistralForCausalLM"]}, "architecture 'MistralForCausalLM'"),
        ({"architectures": ["PhiForCausalLM"], "model_type": "phi"}, "'PhiForCausalLM'"),
        ({"architectures": [], "model_type": "phi"}, "model_type='phi'"),
        ({"architectures": ..., "model_type": ...}, "without architectures or model_type"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ({"attention_bias": True}, "self_attn.o_proj.bias"),
        ({"mlp_bias": True}, "mlp.down_proj.bias"),
        ({"mlp_bias": "yes"}, "mlp_bias='yes'"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_scaling="),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_scaling="),
        ({"rope_scaling": "linear"}, "rope_scaling='linear'"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "RopeScaling(factor=0"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters="),
        ({"rope_parameters": {"rope_type": "yarn", "factor": -4.0}}, "YarnScaling(factor=-4.0"),
        (
            {
                "rope_parameters": {
                    "rope_type": "longrope",
                    "short_factor": [1.0],
                    "long_factor": [1.0],
                }
            },
            "must have 3 numbers each",
        ),
        (
            {
                "rope_parameters": {
                    "rope_type": "longrope",
                    "short_factor": 1.0,
                    "long_factor": [1.0],
                }
            },
            "rope_parameters=",
        ),
        (
            {"quantization_config": {"bits": 4, "quant_method": "gptq"}},
            "quantized by 'gptq' are not",
        ),
        ({"quantization_config": 4}, "quantized by 4 are not supported"),
        ({"num_key_value_heads": 3}, "num_kv_heads=3"),
        ({"hidden_size": ...}, "'hidden_size' is missing"),
        ({"intermediate_size": 25}, "but the configuration says"),
        ({"num_hidden_layers": 3}, "model.layers.2."),
        ({"num_hidden_layers": 1}, "no place for: 9 tensors ('model.layers.1."),
        ({"vocab_size": "many"}, "vocab_size='many'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refuses_by_name(tmp_path, changes, name):
    save(tmp_path)
    _edit_config(tmp_path, **changes)
    with pytest.raises(CheckpointError) as error:
        load_huggingface(tmp_path)
    assert name in str(error.value) and str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_sizes_alone_of_a_quantized_model_with_yarn(tmp_path):
    """What its prefill multiplies is what that of the plain one does."""
    model = save(tmp_path)
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
    _edit_config(
        tmp_path, rope_scaling=yarn, quantization_config={"quant_method": "gptq", "bits": 4}
    )
    config = load_config(tmp_path)
    scaling = YarnScaling(factor=4.0, original_length=16)
    assert config == dataclasses.replace(model.config, rope_scaling=scaling)
    plain, other = (prefill_workload(c, tokens=32).matmuls for c in (model.config, config))
    assert plain == other


def test_all_missing_and_extra_tensors_are_listed(tmp_path):
    save(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = safetensors.load_file(path)
    fewer = {name: t for name, t in tensors.items() if name not in (Q, "lm_head.weight")}
    safetensors.save_file(fewer, path)
    with pytest.raises(CheckpointError, match=r"2 tensors \(.*\) are missing") as error:
        load_huggingface(tmp_path)
    assert Q in str(error.value) and "lm_head.weight" in str(error.value)
    more = {Q.replace("weight", "bias"): tensors[Q][0], "vision.patch": tensors[Q]}
    safetensors.save_file(tensors | more, path)
    with pytest.raises(CheckpointError, match="no place for: 2 tensors") as error:
        load_huggingface(tmp_path)
    assert all(repr(name) in str(error.value) for name in more)
    assert str(tmp_path) in str(error.value)


def test_only_plain_llamas_are_written(tmp_path):
    model = Decoder(dataclasses.replace(CONFIG, qk_norm=True), rngs=nnx.Rngs(0))
    with pytest.raises(CheckpointError, match=r"DecoderConfig\.qk_norm=True: only plain Llama"):
        save_huggingface(model, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json"])
def test_a_key_that_is_there_twice_is_named(tmp_path, name):
    save(tmp_path)
    _shard(tmp_path)
    path = tmp_path / name
    key = "vocab_size" if name == "config.json" else Q
    text = path.read_text().replace(f'"{key}"', f'"{key}": 7, "{key}"')
    path.write_text(text)
    with pytest.raises(CheckpointError, match=rf"{name}: key '{key}' is there twice"):
        load_huggingface(tmp_path)


@pytest.mark.parametrize("text", ['{"a":' * 50_000, "[" * 50_000 + "]" * 50_000])
def test_json_nested_too_deep_is_no_traceback(tmp_path, text):
    save(tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json: not JSON"):
        load_huggingface(tmp_path)
    (tmp_path / "config.json").write_text(config)
    edit_header(tmp_path / "model.safetensors", lambda _: text)
    with pytest.raises(CheckpointError, match="the header is not JSON"):
        load_huggingface(tmp_path)


@pytest.mark.parametrize("number", ["0", "-1", "1e999", "NaN", '"8"', "true", "[8]", "{}"])
@pytest.mark.parametrize(
    "key", ["factor", "rope_theta", "rms_norm_eps", "num_hidden_layers", "max_position_embeddings"]
)
def test_numbers_that_are_none_are_one_line(tmp_path, key, number):
    """In JSON as Python reads it: with infinity and not-a-number."""
    save(tmp_path)
    text = (tmp_path / "config.json").read_text()
    raw = json.loads(text) | {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}
    (raw["rope_scaling"] if key == "factor" else raw)[key] = "HERE"
    (tmp_path / "config.json").write_text(json.dumps(raw).replace('"HERE"', number))
    with pytest.raises(CheckpointError) as error:
        load_huggingface(tmp_path)
    assert "\n" not in str(error.value) and "config.json" in str(error.value)


def test_integer_weights_and_broken_json(tmp_path):
    save(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = safetensors.load_file(path)
    safetensors.save_file(tensors | {Q: tensors[Q].astype(np.int8)}, path)
    with pytest.raises(CheckpointError, match=f"{Q}.*I8.*dequantize"):
        load_huggingface(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not JSON"):
        load_huggingface(tmp_path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_huggingface(tmp_path / "none")


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    model = save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_huggingface(model, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
