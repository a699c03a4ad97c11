"""Models from and to Hugging Face directories: config.json and safetensors, whole or sharded.

Weights are memory-mapped and cast on the way, one tensor at a time: the peak is the target weights
plus one tensor's buffer. What config.json asks for and these models are not, is refused by name
before anything is allocated (see config_json.py).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from os import PathLike
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.files import write_whole
from photonjax.models.abstract import ModelConfig
from photonjax.models.config import DecoderConfig
from photonjax.models.config_json import read_config
from photonjax.models.decoder import Decoder
from photonjax.models.families import llama
from photonjax.models.family import HF_KEYS, HuggingFace
from photonjax.models.memory import enough_memory
from photonjax.models.safetensors import SafetensorsFile, TwiceError, once, write_safetensors
from photonjax.models.weights import (
    CheckpointError,
    Layout,
    check_shapes,
    fill_model,
    layer_of,
    parameter_shapes,
    weight_bytes,
)

__all__ = ["huggingface_config", "load_huggingface", "save_huggingface"]

# Buffers that old files keep beside the parameters.
_BUFFERS = ("rotary_emb.inv_freq",) + tuple(
    f".{attention}.{buffer}"
    for attention in ("attn", "attention")
    for buffer in ("bias", "masked_bias")
)


def huggingface_config(directory: str | PathLike[str]) -> ModelConfig:
    """The configuration in a directory's config.json; weights may be quantized in any form (GPTQ, AWQ).

    Raises:
      CheckpointError: there is none, or it describes something these models are not, by name.
    """
    path = Path(directory) / "config.json"
    raw = _json(path)
    raw.pop("quantization_config", None)  # the same sizes, whatever holds the numbers
    return read_config(path, raw)[1]


def load_huggingface(
    directory: str | PathLike[str], *, scan_layers: bool = True, dtype: Any = jnp.float32
) -> Any:
    """A model from a directory with config.json and model.safetensors, or shards and their index.

    Llama, Mistral, Mixtral, Qwen2, Qwen3 (with experts or without), Gemma 1 to 3 (text), GPT-NeoX
    (Pythia), Falcon, Phi-3, OLMo 2 and SmolLM3 make a `Decoder`, GPT-2 makes a `GPT2`.

    Args:
      directory: a local one; `huggingface_hub.snapshot_download` fetches a model into one.
      scan_layers: stack the layers and scan over them: programs compile in the time of one layer.
      dtype: of the weights and of the products' operands, float32 or bfloat16.

    Raises:
      CheckpointError: a missing, truncated or corrupt file; a feature or tensor that is not
        supported; a missing tensor or a wrong shape; too little memory. Nothing has been allocated
        then.

    Example::

        model = load_huggingface("SmolLM2-135M", dtype=jnp.bfloat16)
    """
    directory = Path(directory)
    path = directory / "config.json"
    raw = _json(path)
    if (quantized := raw.get("quantization_config")) is not None:
        method = quantized.get("quant_method") if isinstance(quantized, dict) else quantized
        raise CheckpointError(
            f"{path}: quantization_config: weights quantized by {method!r} are not supported: use the "
            "plain checkpoint, or a GGUF file (load_config reads the sizes alone)"
        )
    family, config = read_config(path, raw)
    tensors = _tensors(directory)
    layout = _layout(family.huggingface, tensors, config)
    head = layout.names.get("head/kernel", "lm_head.weight")
    tied = getattr(config, "tie_embeddings", True)
    found = {
        name: file.shapes[name]
        for name, file in tensors.items()
        if not (tied and name == head)  # the same table again
    }
    check_shapes(directory, config, layout, found)

    def read(own: str, out: np.ndarray) -> None:
        layout.copy(own, out, lambda name, part: tensors[name].copy(name, part))

    with enough_memory(directory, weight_bytes(config, dtype)):
        return fill_model(config, read, scan_layers=scan_layers, dtype=dtype)


def save_huggingface(model: Decoder, directory: str | PathLike[str]) -> None:
    """Writes config.json and model.safetensors, in the weights' own dtype, as `transformers` reads
    them.

    Each file appears whole or not at all, config.json last. Files of the same names are replaced.

    Raises:
      CheckpointError: the model is not a plain Llama, naming what it has beyond one.
    """
    config = model.config
    for field in dataclasses.fields(config):
        plain = field.name in ("rope_theta", *HF_KEYS.values())
        if not isinstance(config, DecoderConfig) or not (
            plain or getattr(config, field.name) == field.default
        ):
            raise CheckpointError(
                f"{directory}: cannot be written: {type(config).__name__}.{field.name}="
                f"{getattr(config, field.name)!r}: only plain Llama decoders can"
            )
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    state = {
        "/".join(map(str, path)): value
        for path, value in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }
    layout = _layout(llama.FAMILIES[0].huggingface, (), config)
    paths, shapes = {}, {}
    for own, shape in parameter_shapes(config).items():
        ((name, stored, _),) = layout.tensors(own, shape)
        paths[name], shapes[name] = own, stored

    def read(name: str) -> np.ndarray:
        own = paths[name]
        layer, template = layer_of(own)
        if layer and model.scan_layers:
            weight = np.asarray(state[template.format("block")][int(layer)])
        else:
            weight = np.asarray(state[own][...])
        return weight.T if own.endswith("kernel") else weight

    dtype = state["embed/embedding"].dtype
    write_safetensors(directory / "model.safetensors", shapes, dtype, read)
    raw: dict[str, Any] = {key: getattr(config, own) for key, own in HF_KEYS.items()}
    raw |= {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "rope_theta": config.rope_theta,
        "torch_dtype": jnp.dtype(dtype).name,
    }
    write_whole(directory / "config.json", (json.dumps(raw, indent=2) + "\n").encode())


def _layout(form: HuggingFace, names: Collection[str], config: ModelConfig) -> Layout:
    """Where a file with tensors of these names keeps the parameters of a family."""
    return Layout(form.names_in(names), form.transposed, form.groups(config), config)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}): give a Hugging Face directory"
        ) from None
    except TwiceError as error:
        raise CheckpointError(f"{path}: key {error} is there twice: fetch it again") from None
    except (ValueError, RecursionError):  # the latter: nested a thousand deep
        raise CheckpointError(f"{path}: not JSON: fetch it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: not a JSON object: fetch it again")
    return value


def _tensors(directory: Path) -> dict[str, SafetensorsFile]:
    """Tensor name to the open file that holds it."""
    index = directory / "model.safetensors.index.json"
    if not index.is_file():
        file = SafetensorsFile(directory / "model.safetensors", ignored=_BUFFERS)
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
        files[place] = SafetensorsFile(directory / place, ignored=_BUFFERS)
    places = {name: place for name, place in places.items() if not name.endswith(_BUFFERS)}
    for name, place in places.items():
        if name not in files[place].shapes:
            raise CheckpointError(
                f"{directory / place}: tensor {name!r} is missing: fetch the shard again"
            )
    return {name: files[place] for name, place in places.items()}
