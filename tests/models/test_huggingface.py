"""Hugging Face directories: whole, sharded, bfloat16, memory, and what is refused."""

import dataclasses
import json
import subprocess
import sys
import textwrap
from pathlib import Path

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
    memory,
    prefill_workload,
    save_huggingface,
)
from photonjax.models.safetensors import SafetensorsFile
from tests.tiny import tiny_decoder

WIDTHS = dict(vocab_size=40, intermediate_size=24, head_dim=6, max_length=64)
CONFIG = tiny_decoder(**WIDTHS, num_heads=4, rope_theta=1234.0, tie_embeddings=False)
Q = "model.layers.1.self_attn.q_proj.weight"


def _save(directory, config=CONFIG, **kwargs):
    model = Decoder(config, rngs=nnx.Rngs(0), **kwargs)
    save_huggingface(model, directory)
    return model


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
    model = _save(tmp_path, config, scan_layers=scan_layers)
    loaded = load_huggingface(tmp_path, scan_layers=scan_layers)
    assert loaded.config == config
    _assert_same_weights(model, loaded)
    other = load_huggingface(tmp_path, scan_layers=not scan_layers)
    forward = nnx.jit(lambda m: m(jnp.arange(9)[None]))
    np.testing.assert_allclose(forward(other), forward(model), rtol=1e-5, atol=1e-5)


def test_bfloat16_is_read_and_written(tmp_path):
    model = _save(tmp_path, param_dtype=jnp.bfloat16)
    stored = safetensors.load_file(tmp_path / "model.safetensors")[Q]
    assert stored.dtype == jnp.bfloat16
    np.testing.assert_array_equal(stored.T, model.layers[1].attn.q_proj.kernel[...])
    _assert_same_weights(load_huggingface(tmp_path, scan_layers=False, dtype=jnp.bfloat16), model)
    wide = load_huggingface(tmp_path, scan_layers=False)
    assert wide.embed.embedding.dtype == jnp.float32
    _assert_same_weights(wide, model)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_shards(tmp_path, scan_layers):
    model = _save(tmp_path, scan_layers=scan_layers)
    _shard(tmp_path)
    _assert_same_weights(load_huggingface(tmp_path, scan_layers=scan_layers), model)


def test_a_missing_shard_and_a_shard_without_its_tensor(tmp_path):
    _save(tmp_path)
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
    model = _save(tmp_path)
    rope = {"rope_type": "default", "rope_theta": 99.0}
    _edit_config(tmp_path, rope_theta=..., rope_parameters=rope)
    assert load_huggingface(tmp_path).config == dataclasses.replace(model.config, rope_theta=99.0)


def test_a_tied_file_may_keep_the_head(tmp_path):
    model = _save(tmp_path, dataclasses.replace(CONFIG, tie_embeddings=True))
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
    _save(tmp_path)
    _edit_config(tmp_path, **changes)
    with pytest.raises(CheckpointError) as error:
        load_huggingface(tmp_path)
    assert name in str(error.value) and str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_sizes_alone_of_a_quantized_model_with_yarn(tmp_path):
    """What its prefill multiplies is what that of the plain one does."""
    model = _save(tmp_path)
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
    _save(tmp_path)
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


def _edit_header(path, change):
    """Rewrites a safetensors file with its header changed; the tensors' bytes stay."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    text = change(json.loads(data[8:end])).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])


def _moved(header, by):
    """The header with Q's bytes further on or back, and Q's neighbours."""
    order = sorted((e["data_offsets"], name) for name, e in header.items() if name[0] != "_")
    at = [name for _, name in order].index(Q)
    header[Q]["data_offsets"] = [n + by for n in header[Q]["data_offsets"]]
    return json.dumps(header), (order[at - 1][1], Q, order[at + 1][1])


@pytest.mark.parametrize(("by", "neighbour"), [(-4, 0), (4, 2)])
def test_tensors_that_overlap_are_named(tmp_path, by, neighbour):
    _save(tmp_path)
    names = []

    def change(header):
        text, near = _moved(header, by)
        names.extend([Q, near[neighbour]])
        return text

    _edit_header(tmp_path / "model.safetensors", change)
    with pytest.raises(CheckpointError, match="overlap") as error:
        load_huggingface(tmp_path)
    assert all(repr(name) in str(error.value) for name in names), error.value


def test_a_hole_and_a_tensor_that_is_there_twice(tmp_path):
    _save(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    _edit_header(path, lambda h: json.dumps({name: e for name, e in h.items() if name != Q}))
    with pytest.raises(CheckpointError, match="begins at .*, but the one before ends at"):
        load_huggingface(tmp_path)
    path.write_bytes(whole)
    _edit_header(path, lambda h: json.dumps(h)[:-1] + f', "{Q}": {json.dumps(h[Q])}}}')
    with pytest.raises(CheckpointError, match=rf"tensor '{Q}' is there twice"):
        load_huggingface(tmp_path)


def _entry(kind, shape, first, last):
    return {"dtype": kind, "shape": shape, "data_offsets": [first, last]}


@pytest.mark.parametrize(
    ("entries", "size", "culprit"),
    [
        (
            {"a": _entry("F16", [1], 0, 2), "b": _entry("F32", [1], 2, 6)},
            6,
            "'b' of F32 begins at 2, not a multiple of 4",
        ),
        ({"a": _entry("F32", [2], 0, 4)}, 4, "'a' has 4 bytes for F32[2]"),
        ({"a": _entry("F32", [1], 0, 4)}, 9, "5 bytes follow the last tensor"),
        ({"a": _entry("F32", [1], 0, 4)}, 3, "'a' ends after the file does"),
        ({"a": _entry("F32", [1.5], 0, 4)}, 4, "'a' has no valid entry"),
        ({"a": _entry(["F32"], [1], 0, 4)}, 4, "'a' has no valid entry"),
        ({"a": _entry("F32", 1, 0, 4)}, 4, "'a' has no valid entry"),
        ({"a": 3}, 4, "'a' has no valid entry"),
    ],
)
def test_entries_that_do_not_fit_their_bytes(tmp_path, entries, size, culprit):
    path, header = tmp_path / "m.safetensors", json.dumps(entries).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(CheckpointError) as error:
        SafetensorsFile(path)
    assert culprit in str(error.value) and "\n" not in str(error.value)


def test_too_little_memory_is_one_line(tmp_path, monkeypatch):
    """Told before anything is read, or when the system gives no more."""
    _save(tmp_path)
    size = sum(t.nbytes for t in safetensors.load_file(tmp_path / "model.safetensors").values())
    monkeypatch.setattr(memory, "memory_bytes", lambda: size)
    load_huggingface(tmp_path)
    monkeypatch.setattr(SafetensorsFile, "copy", lambda *_: 1 / 0)
    monkeypatch.setattr(memory, "memory_bytes", lambda: size - 1)
    with pytest.raises(CheckpointError, match="GiB of memory, and there are .* dtype=bfloat16"):
        load_huggingface(tmp_path)

    def none_left(*_):
        raise MemoryError

    monkeypatch.setattr(SafetensorsFile, "copy", none_left)
    monkeypatch.setattr(memory, "memory_bytes", lambda: size)
    with pytest.raises(CheckpointError, match="GiB of memory, and it ran out"):
        load_huggingface(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json"])
def test_a_key_that_is_there_twice_is_named(tmp_path, name):
    _save(tmp_path)
    _shard(tmp_path)
    path = tmp_path / name
    key = "vocab_size" if name == "config.json" else Q
    text = path.read_text().replace(f'"{key}"', f'"{key}": 7, "{key}"')
    path.write_text(text)
    with pytest.raises(CheckpointError, match=rf"{name}: key '{key}' is there twice"):
        load_huggingface(tmp_path)


@pytest.mark.parametrize("text", ['{"a":' * 50_000, "[" * 50_000 + "]" * 50_000])
def test_json_nested_too_deep_is_no_traceback(tmp_path, text):
    _save(tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json: not JSON"):
        load_huggingface(tmp_path)
    (tmp_path / "config.json").write_text(config)
    _edit_header(tmp_path / "model.safetensors", lambda _: text)
    with pytest.raises(CheckpointError, match="the header is not JSON"):
        load_huggingface(tmp_path)


@pytest.mark.parametrize("number", ["0", "-1", "1e999", "NaN", '"8"', "true", "[8]", "{}"])
@pytest.mark.parametrize(
    "key", ["factor", "rope_theta", "rms_norm_eps", "num_hidden_layers", "max_position_embeddings"]
)
def test_numbers_that_are_none_are_one_line(tmp_path, key, number):
    """In JSON as Python reads it: with infinity and not-a-number."""
    _save(tmp_path)
    text = (tmp_path / "config.json").read_text()
    raw = json.loads(text) | {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}
    (raw["rope_scaling"] if key == "factor" else raw)[key] = "HERE"
    (tmp_path / "config.json").write_text(json.dumps(raw).replace('"HERE"', number))
    with pytest.raises(CheckpointError) as error:
        load_huggingface(tmp_path)
    assert "\n" not in str(error.value) and "config.json" in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.05, 0.5, 0.999])
def test_truncated_weights(tmp_path, share):
    _save(tmp_path)
    path = tmp_path / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: truncated or corrupt"):
        load_huggingface(tmp_path)


def test_integer_weights_and_broken_json(tmp_path):
    _save(tmp_path)
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
    model = _save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_huggingface(model, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stored", "dtype", "scan_layers"),
    [("float32", "float32", True), ("bfloat16", "float32", False), ("float32", "bfloat16", False)],
)
def test_peak_memory_is_below_1_3_times_the_weights(tmp_path, stored, dtype, scan_layers):
    """Resident memory of a process that loads some 200 MB, beyond what a tiny load needed."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    big = dataclasses.replace(CONFIG, hidden_size=768, intermediate_size=2048, vocab_size=16_384)
    big = dataclasses.replace(big, num_layers=6 if dtype == "float32" else 14, head_dim=96)
    _save(tmp_path / "big", big, param_dtype=stored)
    _save(tmp_path / "tiny")
    program = f"""
        import re
        import jax, jax.numpy as jnp
        from flax import nnx
        from photonjax.models import load_huggingface

        def load(name):
            options = dict(dtype=jnp.{dtype}, scan_layers={scan_layers})
            return load_huggingface("{tmp_path}/" + name, **options)

        def peak():  # not getrusage: its maximum survives exec, so a child starts with its parent's
            return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

        load("tiny")
        before = peak()
        leaves = jax.tree.leaves(nnx.state(load("big"), nnx.Param))
        print((peak() - before) / sum(leaf.nbytes for leaf in leaves))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert 0.9 < float(done.stdout) < 1.3
