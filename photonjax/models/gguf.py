"""Decoders from GGUF files (llama.cpp's format), through the `gguf` package.

Quantized tensors are dequantized: say so wherever the result is shown ("Q4_1 dequantized", not
fp16). A llama file keeps the rows of Q and K in the order of llama.cpp's rotary layout, which turns
neighbours (2i, 2i+1); this decoder turns (i, i + D/2), so the rows are put back.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from os import PathLike
from typing import Any

import jax.numpy as jnp
import numpy as np

from photonjax.models.config import DecoderConfig
from photonjax.models.decoder import Decoder
from photonjax.models.ggml import GGUFFile
from photonjax.models.weights import (
    CheckpointError,
    Layout,
    check_shapes,
    fill_model,
)

__all__ = ["gguf_config", "load_gguf"]

_LAYOUT = Layout(
    {
        "embed/embedding": "token_embd.weight",
        "norm/scale": "output_norm.weight",
        "head/kernel": "output.weight",
        "layers/{}/attn_norm/scale": "blk.{}.attn_norm.weight",
        "layers/{}/attn/q_proj/kernel": "blk.{}.attn_q.weight",
        "layers/{}/attn/k_proj/kernel": "blk.{}.attn_k.weight",
        "layers/{}/attn/v_proj/kernel": "blk.{}.attn_v.weight",
        "layers/{}/attn/o_proj/kernel": "blk.{}.attn_output.weight",
        "layers/{}/mlp_norm/scale": "blk.{}.ffn_norm.weight",
        "layers/{}/mlp/gate_proj/kernel": "blk.{}.ffn_gate.weight",
        "layers/{}/mlp/up_proj/kernel": "blk.{}.ffn_up.weight",
        "layers/{}/mlp/down_proj/kernel": "blk.{}.ffn_down.weight",
    }
)


def gguf_config(path: str | PathLike[str]) -> DecoderConfig:
    """The configuration that a llama GGUF file describes.

    Raises:
      CheckpointError: the file is broken, or describes something this decoder is not, by name.
    """
    return _config(GGUFFile(path))


def _config(file: GGUFFile) -> DecoderConfig:
    path, get, shapes = file.path, file.get, file.shapes

    def refuse(what: str) -> None:
        raise CheckpointError(f"{path}: {what} is not supported: use a plain Llama checkpoint")

    architecture = get("general.architecture")
    if architecture != "llama":
        refuse(f"architecture {architecture!r}")
    scaling = get("llama.rope.scaling.type", "none")
    if scaling != "none":
        refuse(f"rope scaling {scaling!r}")
    for key in ("llama.rope.scaling.factor", "llama.rope.scale_linear"):
        if get(key, 1.0) not in (0.0, 1.0):
            refuse(f"{key}={get(key)}")
    if "rope_freqs.weight" in shapes:
        refuse("rope scaling (tensor 'rope_freqs.weight')")
    if get("llama.expert_count", 0):
        refuse(f"a mixture of experts (llama.expert_count={get('llama.expert_count')})")
    if get("llama.attention.sliding_window", 0):
        refuse("sliding-window attention (llama.attention.sliding_window)")
    if "token_embd.weight" not in shapes:
        raise CheckpointError(
            f"{path}: tensor 'token_embd.weight' is missing: fetch the file again"
        )

    def size(key: str, default: Any = ...) -> int:
        value = get(f"llama.{key}", default)
        if isinstance(value, list):
            refuse(f"a different llama.{key} per layer")
        if not isinstance(value, int) or value < 1:
            raise CheckpointError(f"{path}: llama.{key}={value!r}: must be an integer above 0")
        return value

    hidden, heads = size("embedding_length"), size("attention.head_count")
    head_dim = size("attention.key_length", max(1, hidden // heads))
    for key in ("attention.value_length", "rope.dimension_count"):
        if size(key, head_dim) != head_dim:
            refuse(f"llama.{key}={size(key)} beside a head size of {head_dim}")
    try:
        return DecoderConfig(
            vocab_size=shapes["token_embd.weight"][0],
            hidden_size=hidden,
            intermediate_size=size("feed_forward_length"),
            num_layers=size("block_count"),
            num_heads=heads,
            num_kv_heads=size("attention.head_count_kv", heads),
            head_dim=head_dim,
            rope_theta=float(get("llama.rope.freq_base", 10_000.0)),
            norm_eps=float(get("llama.attention.layer_norm_rms_epsilon")),
            tie_embeddings="output.weight" not in shapes,
            max_length=size("context_length", 131_072),
        )
    except CheckpointError:
        raise
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its metadata makes no decoder: {error}") from None


def load_gguf(
    path: str | PathLike[str], *, scan_layers: bool = False, dtype: Any = jnp.float32
) -> Decoder:
    """A decoder from a llama GGUF file, its tensors dequantized.

    Args:
      path: of the .gguf file.
      scan_layers: stack the layers and scan over them.
      dtype: of the weights and of the products' operands, float32 or bfloat16.

    Raises:
      CheckpointError: a missing, truncated or corrupt file; an architecture, feature, tensor or
        quantization that is not supported; a missing tensor or a wrong shape. Nothing has been
        allocated then.

    Example::

        model = load_gguf("SmolLM2-135M-Instruct.Q4_1.gguf")
        logits = nnx.jit(model)(tokens)
    """
    file = GGUFFile(path)
    config = _config(file)
    check_shapes(path, config, _LAYOUT, file.shapes)
    file.check_kinds()

    def read(name: str, out: np.ndarray) -> None:
        weight = file.dequantized(name)
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            weight = _unpermute(weight, config.head_dim)
        out[...] = weight

    return fill_model(
        config,
        lambda path, out: _LAYOUT.copy(path, out, read),
        scan_layers=scan_layers,
        dtype=dtype,
    )


def _unpermute(weight: np.ndarray, head_dim: int) -> np.ndarray:
    """Rows of Q or K [heads·D, hidden] from llama.cpp's order (pairs side by side) to halves."""
    rows, columns = weight.shape
    return (
        weight.reshape(rows // head_dim, head_dim // 2, 2, columns)
        .swapaxes(1, 2)
        .reshape(rows, columns)
    )
