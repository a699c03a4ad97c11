"""A small Llama's directory, as Hugging Face's libraries write it."""

import json

from flax import nnx

from photonjax.models import (
    Decoder,
    save_huggingface,
)
from tests.tiny import tiny_decoder

WIDTHS = dict(vocab_size=40, intermediate_size=24, head_dim=6, max_length=64)
CONFIG = tiny_decoder(**WIDTHS, num_heads=4, rope_theta=1234.0, tie_embeddings=False)
Q = "model.layers.1.self_attn.q_proj.weight"


def save(directory, config=CONFIG, **kwargs):
    model = Decoder(config, rngs=nnx.Rngs(0), **kwargs)
    save_huggingface(model, directory)
    return model


def edit_header(path, change):
    """Rewrites a safetensors file with its header changed; the tensors' bytes stay."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    text = change(json.loads(data[8:end])).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])
