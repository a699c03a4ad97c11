"""Decoders from and to Hugging Face directories: config.json and safetensors, whole or sharded.

Weights are memory-mapped and cast on the way, one tensor at a time: the peak is the target weights
plus one tensor's buffer. What config.json asks for and this decoder is not, is refused by name
before anything is allocated.
Format: https://huggingface.co/docs/transformers/model_doc/llama
"""

from __future__ import annotations

import json
import os
from os import PathLike
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.models.config import DecoderConfig
from photonjax.models.decoder import Decoder
from photonjax.models.safetensors import SafetensorsFile, write_safetensors
from photonjax.models.weights import (
    CheckpointError,
    check_shapes,
    fill_decoder,
    layer_of,
    parameter_shapes,
    source_name,
    source_shapes,
)

__all__ = ["huggingface_config", "load_huggingface", "save_huggingface"]

_NAMES = {
    "embed/embedding": "model.embed_tokens.weight",
    "norm/scale": "model.norm.weight",
    "head/kernel": "lm_head.weight",
    "layers/{}/attn_norm/scale": "model.layers.{}.input_layernorm.weight",
    "layers/{}/attn/q_proj/kernel": "model.layers.{}.self_attn.q_proj.weight",
    "layers/{}/attn/k_proj/kernel": "model.layers.{}.self_attn.k_proj.weight",
    "layers/{}/attn/v_proj/kernel": "model.layers.{}.self_attn.v_proj.weight",
    "layers/{}/attn/o_proj/kernel": "model.layers.{}.self_attn.o_proj.weight",
    "layers/{}/mlp_norm/scale": "model.layers.{}.post_attention_layernorm.weight",
    "layers/{}/mlp/gate_proj/kernel": "model.layers.{}.mlp.gate_proj.weight",
    "layers/{}/mlp/up_proj/kernel": "model.layers.{}.mlp.up_proj.weight",
    "layers/{}/mlp/down_proj/kernel": "model.layers.{}.mlp.down_proj.weight",
}
_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "num_key_value_heads": "num_kv_heads",
    "head_dim": "head_dim",
    "rms_norm_eps": "norm_eps",
    "tie_word_embeddings": "tie_embeddings",
    "max_position_embeddings": "max_length",
}
_REQUIRED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)
# Keys whose other values mean another network. Absent is fine.
_ONLY: dict[str, tuple[Any, ...]] = {
    "model_type": ("llama",),
    "hidden_act": ("silu",),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "quantization_config": (None,),
    "sliding_window": (None,),
    "rope_interleaved": (False, None),
    "partial_rotary_factor": (1, None),
}


def huggingface_config(directory: str | PathLike[str]) -> DecoderConfig:
    """The configuration in a directory's config.json.

    Raises:
      CheckpointError: there is none, or it describes something this decoder is not, by name.
    """
    path = Path(directory) / "config.json"
    raw = _json(path)

    def refuse(what: str) -> None:
        raise CheckpointError(
            f"{path}: {what} is not supported: use a plain LlamaForCausalLM checkpoint"
        )

    for architecture in raw.get("architectures") or []:
        if architecture != "LlamaForCausalLM":
            refuse(f"architecture {architecture!r}")
    for key, allowed in _ONLY.items():
        if key in raw and raw[key] not in allowed:
            refuse(f"{key}={raw[key]!r}")
    if "architectures" not in raw and "model_type" not in raw:
        refuse("a configuration without architectures or model_type")
    rope: dict[str, Any] = {}
    for key in ("rope_scaling", "rope_parameters"):  # before and since transformers 5
        rope = raw.get(key) or rope
        kind = (
            rope.get("rope_type", rope.get("type", "default")) if isinstance(rope, dict) else rope
        )
        if kind != "default" or rope.get("partial_rotary_factor", 1) != 1:
            refuse(f"{key}={raw[key]!r}")
    for key in _REQUIRED:
        if key not in raw:
            raise CheckpointError(f"{path}: key {key!r} is missing: fetch the file again")
    fields = {own: raw[key] for key, own in _FIELDS.items() if raw.get(key) is not None}
    theta = rope.get("rope_theta", raw.get("rope_theta"))
    if theta is not None:
        fields["rope_theta"] = theta
    fields.setdefault("norm_eps", 1e-6)  # LlamaConfig's defaults where config.json leaves them out
    fields.setdefault("max_length", 2048)
    try:
        return DecoderConfig(**fields)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None


def load_huggingface(
    directory: str | PathLike[str], *, scan_layers: bool = False, dtype: Any = jnp.float32
) -> Decoder:
    """A decoder from a directory with config.json and model.safetensors, or shards and their index.

    Args:
      directory: a local one; `huggingface_hub.snapshot_download` fetches a model into one.
      scan_layers: stack the layers and scan over them.
      dtype: of the weights and of the products' operands, float32 or bfloat16.

    Raises:
      CheckpointError: a missing, truncated or corrupt file; a feature or tensor that is not
        supported; a missing tensor or a wrong shape. Nothing has been allocated then.

    Example::

        model = load_huggingface("SmolLM2-135M", dtype=jnp.bfloat16)
    """
    directory = Path(directory)
    config = huggingface_config(directory)
    tensors = _tensors(directory)
    found = {
        name: file.shapes[name]
        for name, file in tensors.items()
        if not name.endswith("rotary_emb.inv_freq")  # a buffer that old files keep
        and not (config.tie_embeddings and name == "lm_head.weight")  # the same table again
    }
    check_shapes(directory, config, _NAMES, found)

    def read(own: str, out: np.ndarray) -> None:
        name = source_name(_NAMES, own)
        tensors[name].copy(name, out.T if own.endswith("kernel") else out)

    return fill_decoder(config, read, scan_layers=scan_layers, dtype=dtype)


def save_huggingface(model: Decoder, directory: str | PathLike[str]) -> None:
    """Writes config.json and model.safetensors, in the weights' own dtype, as `transformers` reads
    them.

    Each file appears whole or not at all, config.json last. Files of the same names are replaced.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    state = {
        "/".join(map(str, path)): value
        for path, value in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }
    paths = {source_name(_NAMES, own): own for own in parameter_shapes(model.config)}

    def read(name: str) -> np.ndarray:
        own = paths[name]
        layer, template = layer_of(own)
        if layer and model.scan_layers:
            weight = np.asarray(state[template.format("block")][int(layer)])
        else:
            weight = np.asarray(state[own][...])
        return weight.T if own.endswith("kernel") else weight

    dtype = state["embed/embedding"].dtype
    write_safetensors(
        directory / "model.safetensors", source_shapes(model.config, _NAMES), dtype, read
    )
    raw = {key: getattr(model.config, own) for key, own in _FIELDS.items()}
    raw |= {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "rope_theta": model.config.rope_theta,
        "torch_dtype": jnp.dtype(dtype).name,
    }
    part = directory / "config.json.part"
    part.write_text(json.dumps(raw, indent=2) + "\n")
    os.replace(part, directory / "config.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}): give a Hugging Face directory"
        ) from None
    except ValueError:
        raise CheckpointError(f"{path}: not JSON: fetch it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: not a JSON object: fetch it again")
    return value


def _tensors(directory: Path) -> dict[str, SafetensorsFile]:
    """Tensor name to the open file that holds it."""
    index = directory / "model.safetensors.index.json"
    if not index.is_file():
        file = SafetensorsFile(directory / "model.safetensors")
        return dict.fromkeys(file.shapes, file)
    places = _json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        raise CheckpointError(f"{index}: has no weight_map: fetch it again")
    files = {}
    for place in sorted(set(places.values())):
        if Path(place).name != place:
            raise CheckpointError(
                f"{index}: shard {place!r} is not a file of this directory: fetch it again"
            )
        files[place] = SafetensorsFile(directory / place)
    for name, place in places.items():
        if name not in files[place].shapes:
            raise CheckpointError(
                f"{directory / place}: tensor {name!r} is missing: fetch the shard again"
            )
    return {name: files[place] for name, place in places.items()}
