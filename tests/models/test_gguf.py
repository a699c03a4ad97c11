"""GGUF files: small ones written here, and what is refused."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from gguf import GGMLQuantizationType as Kind

from photonjax.models import load_config, load_gguf
from tests.models.gguf_files import CONFIG, NAMES, permute, write

TOKENS = jnp.arange(20).reshape(2, 10)


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
        y = (x @ permute(np.asarray(weight, np.float64).T, heads).T).reshape(7, heads, 8, 2)
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
