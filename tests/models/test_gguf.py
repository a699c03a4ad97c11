"""GGUF files: small ones written here, and what is refused."""

import dataclasses

import gguf
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from gguf import GGMLQuantizationType as Kind
from gguf import quants

from photonjax.models import CheckpointError, Decoder, DecoderConfig, gguf_config, load_gguf

CONFIG = DecoderConfig(
    vocab_size=48,
    hidden_size=64,
    intermediate_size=96,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    rope_theta=5000.0,
    norm_eps=2.0**-17,
    tie_embeddings=True,
    max_length=128,
)
NAMES = {
    "attn_norm/scale": "attn_norm",
    "attn/q_proj/kernel": "attn_q",
    "attn/k_proj/kernel": "attn_k",
    "attn/v_proj/kernel": "attn_v",
    "attn/o_proj/kernel": "attn_output",
    "mlp_norm/scale": "ffn_norm",
    "mlp/gate_proj/kernel": "ffn_gate",
    "mlp/up_proj/kernel": "ffn_up",
    "mlp/down_proj/kernel": "ffn_down",
}
TOKENS = jnp.arange(20).reshape(2, 10)


def _permute(weight, heads):
    """What llama.cpp's converter does to the rows of Q and K."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def write(path, config=CONFIG, *, kinds=None, drop=(), extra=None, metadata=None, arch="llama"):
    """Writes a random decoder as a GGUF file; returns the decoder with the weights as stored."""
    model = Decoder(config, rngs=nnx.Rngs(0))
    state = nnx.state(model)
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(config.num_layers)
    writer.add_context_length(config.max_length)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_heads)
    writer.add_head_count_kv(config.num_kv_heads)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    for key, value in (metadata or {}).items():
        add = {str: writer.add_string, float: writer.add_float32, int: writer.add_uint32}
        add[type(value)](key, value)

    def put(name, variable, heads=0):
        value = variable[...]
        weight = np.asarray(value.T if name.startswith(("blk", "output.")) else value)
        weight = _permute(weight, heads) if heads else weight
        kind = (kinds or {}).get(name.split(".")[-2], Kind.F32)
        data = quants.quantize(np.ascontiguousarray(weight), kind)
        stored = quants.dequantize(data, kind) if kind != Kind.F32 else weight
        if heads:
            stored = stored.reshape(heads, -1, 2, stored.shape[1]).swapaxes(1, 2)
        stored = stored.reshape(weight.shape)
        variable[...] = jnp.asarray(stored.T if name.startswith(("blk", "output.")) else stored)
        if name not in drop:
            writer.add_tensor(name, data, raw_dtype=kind)

    put("token_embd.weight", state["embed"]["embedding"])
    put("output_norm.weight", state["norm"]["scale"])
    if not config.tie_embeddings:
        put("output.weight", state["head"]["kernel"])
    for i in range(config.num_layers):
        for own, name in NAMES.items():
            variable = state["layers"][i]
            for part in own.split("/"):
                variable = variable[part]
            heads = {"attn_q": config.num_heads, "attn_k": config.num_kv_heads}.get(name, 0)
            put(f"blk.{i}.{name}.weight", variable, heads)
    for name, data in (extra or {}).items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    nnx.update(model, state)
    return model


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("scan_layers", [False, True])
def test_loads_what_was_written(tmp_path, tied, scan_layers):
    config = dataclasses.replace(CONFIG, tie_embeddings=tied)
    written = write(tmp_path / "m.gguf", config)
    loaded = load_gguf(tmp_path / "m.gguf", scan_layers=scan_layers)
    assert loaded.config == config == gguf_config(tmp_path / "m.gguf")
    assert loaded.scan_layers == scan_layers
    forward = nnx.jit(lambda m: m(TOKENS))
    np.testing.assert_allclose(forward(loaded), forward(written), rtol=1e-5, atol=1e-5)


def test_dequantizes(tmp_path):
    kinds = {
        "token_embd": Kind.Q8_0,
        "attn_q": Kind.Q4_1,
        "attn_k": Kind.F16,
        "ffn_up": Kind.Q4_1,
        "ffn_down": Kind.BF16,
    }
    written = write(tmp_path / "m.gguf", kinds=kinds)
    loaded = load_gguf(tmp_path / "m.gguf")
    for (path, ours), (_, stored) in zip(
        nnx.to_flat_state(nnx.state(loaded)), nnx.to_flat_state(nnx.state(written)), strict=True
    ):
        np.testing.assert_array_equal(ours[...], stored[...], err_msg=str(path))
    low = load_gguf(tmp_path / "m.gguf", dtype=jnp.bfloat16)
    assert low.embed.embedding.dtype == jnp.bfloat16


def test_llama_rotary_order_is_undone(tmp_path):
    """Weights permuted as llama.cpp does give, turned as llama.cpp turns, the same scores."""
    model = write(tmp_path / "m.gguf")
    x = np.random.default_rng(0).normal(size=(7, 64))
    angle = np.arange(7)[:, None] * 5000.0 ** (-np.arange(0, 16, 2) / 16)

    def neighbours(weight, heads):
        y = (x @ _permute(np.asarray(weight, np.float64).T, heads).T).reshape(7, heads, 8, 2)
        z = (y[..., 0] + 1j * y[..., 1]) * np.exp(1j * angle)[:, None]
        return np.stack([z.real, z.imag], -1).reshape(7, heads, 16)

    attn = load_gguf(tmp_path / "m.gguf").layers[0].attn
    q = neighbours(model.layers[0].attn.q_proj.kernel[...], 4)[:, 0]
    k = neighbours(model.layers[0].attn.k_proj.kernel[...], 2)[:, 0]

    def halves(projection, heads):
        y = (x @ np.asarray(projection.kernel[...], np.float64)).reshape(7, heads, 2, 8)
        z = (y[:, :, 0] + 1j * y[:, :, 1]) * np.exp(1j * angle)[:, None]
        return np.concatenate([z.real, z.imag], -1)[:, 0]

    np.testing.assert_allclose(halves(attn.q_proj, 4) @ halves(attn.k_proj, 2).T, q @ k.T)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (dict(arch="qwen2"), ["architecture 'qwen2'"]),
        (dict(metadata={"llama.rope.scaling.type": "yarn"}), ["rope scaling 'yarn'"]),
        (dict(metadata={"llama.rope.scaling.factor": 8.0}), ["rope.scaling.factor=8.0"]),
        (dict(metadata={"llama.expert_count": 8}), ["expert_count=8"]),
        (dict(metadata={"llama.rope.dimension_count": 8}), ["dimension_count=8"]),
        (dict(extra={"rope_freqs.weight": np.ones(8, np.float32)}), ["rope_freqs.weight"]),
        (dict(extra={"blk.0.attn_q.bias": np.ones(64, np.float32)}), ["bias", "blk.0.attn_q.bias"]),
        (dict(extra={"blk.0.odd.weight": np.ones(64, np.float32)}), ["blk.0.odd.weight"]),
        (dict(drop=["blk.1.ffn_up.weight"]), ["blk.1.ffn_up.weight", "missing"]),
        (dict(drop=["token_embd.weight"]), ["token_embd.weight", "missing"]),
        (
            dict(
                drop=["blk.1.ffn_up.weight"],
                extra={"blk.1.ffn_up.weight": np.ones((64, 96), np.float32)},
            ),
            ["blk.1.ffn_up.weight", "[64, 96]", "[96, 64]"],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_refuses_by_name(tmp_path, options, names):
    write(tmp_path / "m.gguf", **options)
    with pytest.raises(CheckpointError) as error:
        load_gguf(tmp_path / "m.gguf")
    message = str(error.value)
    assert "\n" not in message and "m.gguf" in message
    assert all(name in message for name in names), message


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.02, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_a_one_line_error(tmp_path, share):
    path = tmp_path / "m.gguf"
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"m\.gguf: .*") as error:
        load_gguf(path)
    assert "\n" not in str(error.value)


def test_no_file_and_no_gguf(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        load_gguf(tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_text("hello, this is text")
    with pytest.raises(CheckpointError, match="not a GGUF file"):
        load_gguf(tmp_path / "text.gguf")
