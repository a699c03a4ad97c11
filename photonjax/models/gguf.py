"""Decoders from GGUF files (llama.cpp's format), through the `gguf` package.

Quantized tensors are dequantized: say so wherever the result is shown ("Q4_1 dequantized", not
fp16). A llama file keeps the rows of Q and K in the order of llama.cpp's rotary layout, which turns
neighbours (2i, 2i+1); this decoder turns (i, i + D/2), so the rows are put back. Format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from photonjax.models.config import DecoderConfig
from photonjax.models.decoder import Decoder
from photonjax.models.weights import (
    CheckpointError,
    check_shapes,
    fill_decoder,
    layer_of,
    parameter_shapes,
)

__all__ = ["gguf_config", "load_gguf"]

_NAMES = {
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


def open_gguf(path: str | PathLike[str]) -> Any:
    """A memory-mapped `gguf.GGUFReader`; CheckpointError if the file is missing or broken."""
    import gguf

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file: give the path of a .gguf file")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic != b"GGUF":
            raise CheckpointError(
                f"{path}: not a GGUF file (starts with {magic!r}): give a .gguf file"
            )
        return gguf.GGUFReader(path)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}): check its permissions"
        ) from None
    except (
        Exception
    ) as error:  # the reader indexes into what it read, so a short file shows as almost anything
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: truncated or corrupt GGUF ({line}): fetch it again"
        ) from None


def metadata(reader: Any, path: Any, key: str, default: Any = ...) -> Any:
    """The value of a metadata key; CheckpointError if it is absent and has no default."""
    field = reader.get_field(key)
    if field is not None:
        return field.contents()
    if default is ...:
        raise CheckpointError(f"{path}: metadata key {key!r} is missing: convert the model again")
    return default


def gguf_config(path: str | PathLike[str]) -> DecoderConfig:
    """The configuration that a llama GGUF file describes.

    Raises:
      CheckpointError: the file is broken, or describes something this decoder is not, by name.
    """
    return _config(open_gguf(path), path)


def _config(reader: Any, path: Any) -> DecoderConfig:
    def get(key: str, default: Any = ...) -> Any:
        return metadata(reader, path, key, default)

    def refuse(what: str) -> None:
        raise CheckpointError(f"{path}: {what} is not supported: use a plain Llama checkpoint")

    architecture = get("general.architecture")
    if architecture != "llama":
        refuse(f"architecture {architecture!r}")
    shapes = {tensor.name: _shape(tensor) for tensor in reader.tensors}
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
    hidden, heads = get("llama.embedding_length"), get("llama.attention.head_count")
    kv_heads = get("llama.attention.head_count_kv", heads)
    for key, value in (
        ("head_count", heads),
        ("head_count_kv", kv_heads),
        ("feed_forward_length", None),
    ):
        if isinstance(value, list):
            refuse(f"a different {key} per layer")
    head_dim = get("llama.attention.key_length", hidden // heads if heads else 0)
    for key in ("llama.attention.value_length", "llama.rope.dimension_count"):
        if get(key, head_dim) != head_dim:
            refuse(f"{key}={get(key)} beside a head size of {head_dim}")
    try:
        return DecoderConfig(
            vocab_size=shapes["token_embd.weight"][0],
            hidden_size=hidden,
            intermediate_size=get("llama.feed_forward_length"),
            num_layers=get("llama.block_count"),
            num_heads=heads,
            num_kv_heads=kv_heads,
            head_dim=head_dim,
            rope_theta=float(get("llama.rope.freq_base", 10_000.0)),
            norm_eps=float(get("llama.attention.layer_norm_rms_epsilon")),
            tie_embeddings="output.weight" not in shapes,
            max_length=get("llama.context_length", 131_072),
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
    reader = open_gguf(path)
    config = _config(reader, path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    expected = {}
    for own, shape in parameter_shapes(config).items():
        expected[_name(own)] = shape[::-1] if own.endswith("kernel") else shape
    check_shapes(path, expected, {name: _shape(tensor) for name, tensor in tensors.items()})
    _check_quantization(path, tensors)

    def read(own: str, out: np.ndarray) -> None:
        tensor = tensors[_name(own)]
        weight = _dequantize(tensor.data, tensor.tensor_type).reshape(_shape(tensor))
        if own.endswith(("q_proj/kernel", "k_proj/kernel")):
            weight = _unpermute(weight, config.head_dim)
        out[...] = weight.T if own.endswith("kernel") else weight

    return fill_decoder(config, read, scan_layers=scan_layers, dtype=dtype)


def _name(own: str) -> str:
    layer, template = layer_of(own)
    return _NAMES[template].format(layer)


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in reversed(tensor.shape))  # GGUF lists the fastest axis first


def _dequantize(data: np.ndarray, kind: Any) -> np.ndarray:
    from gguf import quants

    return quants.dequantize(data, kind)


def _check_quantization(path: Any, tensors: dict[str, Any]) -> None:
    """Refuses what `gguf` cannot dequantize: tries one row of one tensor of each kind."""
    for tensor in {tensor.tensor_type: tensor for tensor in tensors.values()}.values():
        try:
            _dequantize(tensor.data[:1], tensor.tensor_type)
        except (NotImplementedError, ValueError):
            raise CheckpointError(
                f"{path}: tensor {tensor.name!r}: quantization {tensor.tensor_type.name} is not "
                "supported: use a file in F16, BF16, Q8_0 or Q4_1"
            ) from None


def _unpermute(weight: np.ndarray, head_dim: int) -> np.ndarray:
    """Rows of Q or K [heads·D, hidden] from llama.cpp's order (pairs side by side) to halves."""
    rows, columns = weight.shape
    return (
        weight.reshape(rows // head_dim, head_dim // 2, 2, columns)
        .swapaxes(1, 2)
        .reshape(rows, columns)
    )
