"""Families of Hugging Face checkpoints: config.json as published, and tensors by their names."""

import dataclasses
import json
import math
import pathlib

import numpy as np
import pytest
from safetensors import numpy as safetensors

from photonjax.models import CheckpointError, load_config, load_huggingface, named, names
from photonjax.models.config_json import read_config

# The keys that matter of the files on the Hugging Face hub, in the form they were published in.
PUBLISHED = json.loads(pathlib.Path(__file__).with_name("published.json").read_text())
COUNTS = dict(num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1)
TINY = COUNTS | dict(vocab_size=10, hidden_size=8, intermediate_size=6, max_position_embeddings=32)
TINY |= dict(rms_norm_eps=1e-6, rope_theta=1e4)


def write(directory, raw, tensors=None):
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(raw))
    if tensors is not None:
        safetensors.save_file(tensors, directory / "model.safetensors")
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


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def llama_tensors(**changes):
    """Two layers of a Llama with heads of 4, by the names that transformers gives."""
    found = {"model.embed_tokens.weight": numbers(10, 8), "model.norm.weight": numbers(8)}
    found["lm_head.weight"] = numbers(10, 8) + 1
    for i in range(2):
        sizes = {"q": (8, 8), "k": (4, 8), "v": (4, 8), "o": (8, 8)}
        layer = {f"self_attn.{p}_proj.weight": numbers(*size) + i for p, size in sizes.items()}
        layer |= {f"{norm}_layernorm.weight": numbers(8) for norm in ("input", "post_attention")}
        layer |= {f"mlp.{p}_proj.weight": numbers(6, 8) for p in ("gate", "up")}
        layer["mlp.down_proj.weight"] = numbers(8, 6)
        layer |= {name: value + i for name, value in changes.items()}
        found |= {f"model.layers.{i}.{n}": v for n, v in layer.items() if not np.isnan(v).all()}
    return found


def same(param, expected):
    np.testing.assert_array_equal(param[...], expected)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_biases_of_qwen2(tmp_path, scan_layers):
    sizes = {"q": 8, "k": 4, "v": 4}
    tensors = llama_tensors(**{f"self_attn.{p}_proj.bias": numbers(n) for p, n in sizes.items()})
    raw = TINY | dict(model_type="qwen2", architectures=["Qwen2ForCausalLM"])
    model = load_huggingface(write(tmp_path, raw, tensors), scan_layers=scan_layers)
    attn = model.layers.block.attn if scan_layers else model.layers[1].attn
    for name in ("q", "k", "v"):
        bias, kernel = (
            getattr(attn, f"{name}_proj").bias[...],
            getattr(attn, f"{name}_proj").kernel[...],
        )
        prefix = f"model.layers.1.self_attn.{name}_proj."
        same(bias[1] if scan_layers else bias, tensors[prefix + "bias"])
        same(kernel[1] if scan_layers else kernel, tensors[prefix + "weight"].T)
    assert model.config.qkv_bias and attn.o_proj.bias is None


def test_norms_of_gemma_3(tmp_path):
    norms = {f"{n}_feedforward_layernorm.weight": numbers(8) + 2 for n in ("pre", "post")}
    norms |= {f"self_attn.{n}_norm.weight": numbers(4) + 3 for n in "qk"}
    tensors = llama_tensors(**norms)
    del tensors["lm_head.weight"]  # tied unless said otherwise
    raw = TINY | dict(model_type="gemma3_text", head_dim=4, sliding_window=5)
    model = load_huggingface(write(tmp_path, raw, tensors), scan_layers=False)
    block = model.layers[1]
    places = {
        "input_layernorm": block.attn_norm,
        "post_attention_layernorm": block.attn_post_norm,
        "pre_feedforward_layernorm": block.mlp_norm,
        "post_feedforward_layernorm": block.mlp_post_norm,
        "self_attn.q_norm": block.attn.q_norm,
        "self_attn.k_norm": block.attn.k_norm,
    }
    for name, norm in places.items():
        same(norm.scale, tensors[f"model.layers.1.{name}.weight"])
        assert norm.offset
    assert model.config.global_every == 6 and model.config.local_rope_theta == 1e4


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe"])
def test_experts(tmp_path, kind, scan_layers):
    shapes = {"gate": (6, 8), "down": (8, 6), "up": (6, 8)}
    dense = {f"mlp.{p}_proj.weight": numbers(*shape) * np.nan for p, shape in shapes.items()}
    names = [f"mlp.experts.{{}}.{p}_proj.weight" for p in shapes]
    router, extra, sizes = "mlp.gate.weight", {}, dict(num_experts=3, moe_intermediate_size=6)
    if kind == "mixtral":
        names = [f"block_sparse_moe.experts.{{}}.{w}.weight" for w in ("w1", "w2", "w3")]
        router, sizes = "block_sparse_moe.gate.weight", dict(num_local_experts=3)
    else:
        extra = {f"self_attn.{n}_norm.weight": numbers(4) for n in "qk"}
    experts = {
        name.format(e): numbers(*shape) + 10 * e
        for e in range(3)
        for name, shape in zip(names, shapes.values(), strict=True)
    }
    tensors = llama_tensors(**dense, **extra, **experts, **{router: numbers(3, 8)})
    raw = TINY | dict(model_type=kind, num_experts_per_tok=2, head_dim=4, **sizes)
    model = load_huggingface(write(tmp_path, raw, tensors), scan_layers=scan_layers)
    mlp = model.layers.block.mlp if scan_layers else model.layers[1].mlp
    for name, own in zip(names, shapes, strict=True):
        kernel = getattr(mlp, f"{own}_proj").kernel[...]
        kernel = kernel[1] if scan_layers else kernel
        assert kernel.shape == (3, *shapes[own][::-1])
        for e in range(3):
            same(kernel[e], tensors["model.layers.1." + name.format(e)].T)
    kernel = mlp.router.kernel[...]
    same(kernel[1] if scan_layers else kernel, tensors["model.layers.1." + router].T)


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_gpt2_with_and_without_its_prefix(tmp_path, prefix):
    """The first files have no prefix, and carry the mask as a buffer."""
    found = {"wte.weight": numbers(10, 8), "wpe.weight": numbers(16, 8)}
    found |= {f"ln_f.{p}": numbers(8) for p in ("weight", "bias")}
    for i in range(2):
        found |= {
            f"h.{i}.{n}.{p}": numbers(8) for n in ("ln_1", "ln_2") for p in ("weight", "bias")
        }
        shapes = {"attn.c_attn": (8, 24), "attn.c_proj": (8, 8)}
        shapes |= {"mlp.c_fc": (8, 32), "mlp.c_proj": (32, 8)}
        for name, shape in shapes.items():
            found |= {f"h.{i}.{name}.weight": numbers(*shape) + i}
            found |= {f"h.{i}.{name}.bias": numbers(shape[1])}
        found[f"h.{i}.attn.bias"] = np.tril(np.ones((1, 1, 16, 16), np.float32))
    tensors = {prefix + name: value for name, value in found.items()}
    if prefix:
        tensors["lm_head.weight"] = found["wte.weight"].copy()
    raw = dict(model_type="gpt2", vocab_size=10, n_embd=8, n_layer=2, n_head=2, n_positions=16)
    raw["layer_norm_epsilon"] = 1e-5
    model = load_huggingface(write(tmp_path, raw, tensors), scan_layers=False)
    same(model.layers[1].attn.qkv_proj.kernel, found["h.1.attn.c_attn.weight"])
    same(model.layers[1].mlp.down_proj.bias, found["h.1.mlp.c_proj.bias"])
    same(model.positions.embedding, found["wpe.weight"])
    assert dataclasses.asdict(model.config)["intermediate_size"] == 32
    del tensors[prefix + "h.1.mlp.c_proj.bias"]
    with pytest.raises(CheckpointError, match=r"h\.1\.mlp\.c_proj\.bias' is missing"):
        load_huggingface(write(tmp_path, raw, tensors))
