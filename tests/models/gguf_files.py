"""GGUF files of a llama: a writer that has its sizes, and whole files with random weights."""

import gguf
import jax.numpy as jnp
import numpy as np
from flax import nnx
from gguf import GGMLQuantizationType as Kind
from gguf import quants

from photonjax.models import Decoder, DecoderConfig
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


def begin(path, config: DecoderConfig, arch: str = "llama") -> gguf.GGUFWriter:
    """A writer that has the sizes of a decoder."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(config.num_layers)
    writer.add_context_length(config.max_length)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_heads)
    writer.add_head_count_kv(config.num_kv_heads)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    return writer


def finish(writer: gguf.GGUFWriter) -> None:
    """Write everything that was added."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def permute(weight, heads):
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
        weight = permute(weight, heads) if heads else weight
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
