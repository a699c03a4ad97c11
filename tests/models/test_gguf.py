"""GGUF files: small ones written here, and what is refused."""

import dataclasses

import gguf
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from gguf import GGMLQuantizationType as Kind
from gguf import quants

from photonjax.models import CheckpointError, Decoder, load_config, load_gguf
from tests.models.gguf_files import begin, finish
from tests.tiny import tiny_decoder

WIDTHS = dict(vocab_size=48, hidden_size=64, intermediate_size=96, max_length=128)
CONFIG = tiny_decoder(**WIDTHS, num_heads=4, rope_theta=5000.0, norm_eps=2.0**-17)
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
    writer = begin(path, config, arch)
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
        data, kind = data if isinstance(data, tuple) else (data, None)
        writer.add_tensor(name, data, raw_dtype=kind)
    finish(writer)
    nnx.update(model, state)
    return model


def assert_same(loaded, written):
    for (path, ours), (_, stored) in zip(
        nnx.to_flat_state(nnx.state(loaded)), nnx.to_flat_state(nnx.state(written)), strict=True
    ):
        np.testing.assert_array_equal(ours[...], stored[...], err_msg=str(path))


def test_kinds_side_by_side(tmp_path):
    kinds = {
        "token_embd": Kind.Q8_0,
        "attn_q": Kind.Q4_1,
        "attn_k": Kind.F16,
        "ffn_up": Kind.Q5_0,
        "ffn_down": Kind.BF16,
    }
    written = write(tmp_path / "m.gguf", kinds=kinds)
    loaded = load_gguf(tmp_path / "m.gguf", scan_layers=False)
    assert loaded.config == CONFIG == load_config(tmp_path / "m.gguf")
    assert_same(loaded, written)
    low = load_gguf(tmp_path / "m.gguf", dtype=jnp.bfloat16)
    assert low.embed.embedding.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        (Kind.F16, 2.0**-11),
        (Kind.BF16, 2.0**-8),
        (Kind.Q8_0, 1 / 127 / 2),
        (Kind.Q5_0, 1 / 16),
        (Kind.Q5_1, 2 / 31 / 2),
        (Kind.Q4_0, 1 / 8),
        (Kind.Q4_1, 2 / 15 / 2),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_quantized_weights_come_back_within_half_a_step(tmp_path, kind, step):
    """Of the largest number in the tensor; a whole step where zero is in the middle of
    an even number of levels and the other end of the range is cut. Scales are rounded to float16."""
    exact = write(tmp_path / "exact.gguf")
    matrices = [*NAMES.values(), "token_embd"]
    kinds = {name: kind for name in matrices if not name.endswith("norm")}
    assert_same(load_gguf(tmp_path / "exact.gguf", scan_layers=False), exact)
    stored = write(tmp_path / "m.gguf", kinds=kinds)
    loaded = load_gguf(tmp_path / "m.gguf", scan_layers=False)
    assert_same(loaded, stored)
    for (path, ours), (_, first) in zip(
        nnx.to_flat_state(nnx.state(loaded)), nnx.to_flat_state(nnx.state(exact)), strict=True
    ):
        largest = np.abs(first[...]).max()
        np.testing.assert_allclose(
            ours[...], first[...], rtol=0, atol=(step + 2**-11) * largest, err_msg=str(path)
        )


def half(number):
    return np.frombuffer(np.float16(number).tobytes(), np.uint8).tolist()


# A block of 256 numbers of each kind, and what it means: a scale of 0.5, an offset of 0.25, and inside
# of them scales of 1, 2 or 3 and offsets of 1 or 0 for groups of 16 or 32 numbers.
BLOCKS = {
    # 16 groups: scale in the low half of a byte, offset in the high one; then 2 bits a number
    Kind.Q2_K: (
        [0x12] * 16 + [0b11_10_01_00] * 64 + half(0.5) + half(0.25),
        [-0.25, 0.75, 1.75, 2.75],
        32,
    ),
    # a high bit each (0: 4 less), 2 low bits each, 16 scales of 6 bits less 32: here 33
    Kind.Q3_K: (
        [0xFF] * 32 + [0b11_10_01_00] * 64 + [0x11] * 8 + [0xAA] * 4 + half(0.5),
        [0.0, 0.5, 1.0, 1.5],
        32,
    ),
    # 8 groups of scale and offset in 6 bits each, packed in 12 bytes; 4 bits a number
    Kind.Q4_K: (
        half(0.5) + half(0.25) + [3] * 4 + [1] * 4 + [0x13] * 4 + [0x92] * 128,
        [2.75, 13.25],
        32,
    ),
    # the same, and a fifth bit each
    Kind.Q5_K: (
        half(0.5) + half(0.25) + [3] * 4 + [1] * 4 + [0x13] * 4 + [0xAA] * 32 + [0x92] * 128,
        [2.75, 37.25],
        32,
    ),
    # 4 low bits, 2 high bits, less 32; 16 scales in whole bytes
    Kind.Q6_K: ([0x92] * 128 + [0b11_10_01_00] * 64 + [2] * 16 + half(0.5), [-30, -14, 9, 25], 32),
}


@pytest.mark.parametrize("kind", BLOCKS, ids=lambda kind: kind.name)
def test_k_quants_mean_what_the_format_says(tmp_path, kind):
    """One block in every row of the embedding, in closed form."""
    block, values, run = BLOCKS[kind]
    config = dataclasses.replace(CONFIG, hidden_size=256, head_dim=64, vocab_size=5)
    raw = np.tile(np.asarray(block, np.uint8), (5, 1))
    write(
        tmp_path / "m.gguf",
        config,
        drop=["token_embd.weight"],
        extra={"token_embd.weight": (raw, kind)},
    )
    table = load_gguf(tmp_path / "m.gguf").embed.embedding[...]
    expected = np.resize(np.repeat(values, run), 256)
    np.testing.assert_array_equal(table, np.tile(expected, (5, 1)))


def test_llama_rotary_order_is_undone(tmp_path):
    """Weights permuted as llama.cpp does give, turned as llama.cpp turns, the same scores."""
    model = write(tmp_path / "m.gguf")
    x = np.random.default_rng(0).normal(size=(7, 64))
    angle = np.arange(7)[:, None] * 5000.0 ** (-np.arange(0, 16, 2) / 16)

    def neighbours(weight, heads):
        y = (x @ _permute(np.asarray(weight, np.float64).T, heads).T).reshape(7, heads, 8, 2)
        z = (y[..., 0] + 1j * y[..., 1]) * np.exp(1j * angle)[:, None]
        return np.stack([z.real, z.imag], -1).reshape(7, heads, 16)

    attn = load_gguf(tmp_path / "m.gguf", scan_layers=False).layers[0].attn
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
        (dict(arch="phi2"), ["architecture 'phi2'", "gemma3, gpt2, gptneox, llama"]),
        (dict(extra={"blk.1.attn_q.bias": np.ones(64, np.float32)}), ["bias", "blk.1.attn_q.bias"]),
        (
            dict(extra={"blk.0.attn_q.bias": np.ones(64, np.float32)}),
            ["blk.0.attn_k.bias", "missing"],
        ),
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


def _offsets(path):
    """Where the file says its tensors begin: name to the place of that number, and the number."""
    data, found = path.read_bytes(), {}
    for name in gguf.GGUFReader(path).tensors:
        text = name.name.encode()
        at = data.index(len(text).to_bytes(8, "little") + text) + 8 + len(text)
        at += 4 + 8 * int.from_bytes(data[at : at + 4], "little") + 4
        found[name.name] = (at, int.from_bytes(data[at : at + 8], "little"))
    return found


@pytest.mark.parametrize(
    ("offset", "culprit"),
    [
        (lambda own, other: other, "overlap"),
        (lambda own, other: other + 32, "overlap"),
        (lambda own, other: own + 4, "not a multiple of 32"),
    ],
    ids=["same place", "shifted", "not aligned"],
)
def test_tensors_that_overlap_or_are_not_aligned_are_named(tmp_path, offset, culprit):
    path = tmp_path / "m.gguf"
    write(path)
    places = _offsets(path)
    one, other = "blk.1.ffn_up.weight", "blk.0.ffn_up.weight"
    data = bytearray(path.read_bytes())
    at, own = places[one]
    data[at : at + 8] = offset(own, places[other][1]).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=culprit) as error:
        load_gguf(path)
    assert one in str(error.value) and ("not" in culprit or other in str(error.value))


@pytest.mark.parametrize(
    ("one", "other", "culprit"),
    [
        (
            "blk.0.ffn_up.weight",
            "blk.1.ffn_up.weight",
            "tensor 'blk.1.ffn_up.weight' is there twice",
        ),
        (
            "llama.block_count",
            "llama.vocab_sizes",
            "metadata key 'llama.vocab_sizes' is there twice",
        ),
    ],
)
def test_names_that_are_there_twice(tmp_path, one, other, culprit):
    path = tmp_path / "m.gguf"
    write(path, metadata={"llama.vocab_sizes": 48})
    path.write_bytes(path.read_bytes().replace(one.encode(), other.encode()))
    with pytest.raises(CheckpointError, match=culprit):
        load_gguf(path)


@pytest.mark.parametrize(
    "key",
    [
        "context_length",
        "rope.freq_base",  # without it a Llama's is 10,000
        "attention.head_count_kv",  # without it there are as many as heads
        "attention.layer_norm_rms_epsilon",
    ],
)
def test_no_key_with_a_wrong_letter_takes_a_default(tmp_path, key):
    path = tmp_path / "m.gguf"
    write(path)
    right = f"llama.{key}"
    for at in (6, len(right) // 2, len(right) - 1):
        wrong = right[:at] + chr(ord(right[at]) ^ 1) + right[at + 1 :]
        data = path.read_bytes()
        path.write_bytes(data.replace(right.encode(), wrong.encode()))
        with pytest.raises(CheckpointError, match=f"'{right}' is missing"):
            load_config(path)
        path.write_bytes(data)
