"""Families of Hugging Face checkpoints: tensors by their names, into the right parameters."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors import numpy as safetensors

from photonjax.models import CheckpointError, load_huggingface

COUNTS = dict(num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1)


TINY = COUNTS | dict(vocab_size=10, hidden_size=8, intermediate_size=6, max_position_embeddings=32)


TINY |= dict(rms_norm_eps=1e-6, rope_theta=1e4)


def write(directory, raw, tensors=None):
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(raw))
    if tensors is not None:
        safetensors.save_file(tensors, directory / "model.safetensors")
    return directory


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
