"""Models from GGUF files (llama.cpp's format), through the `gguf` package.

Quantized tensors are dequantized: say so wherever the result is shown ("Q4_1 dequantized", not
fp16). What a converter did to a family's tensors is undone by the family's file (see families/).
What a file does not say is not guessed: a missing key is an error, unless it is a constant of the
architecture, or has a default in the format.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from os import PathLike
from typing import Any, NoReturn

import jax.numpy as jnp
import numpy as np

from photonjax.core.limits import allowed
from photonjax.models.abstract import ModelConfig
from photonjax.models.config import DecoderConfig, LongRopeScaling
from photonjax.models.families import families
from photonjax.models.family import GGUF, Family, global_every
from photonjax.models.ggml import GGUFFile
from photonjax.models.gguf_rope import FACTORS, ROPE_KEYS, rope_scaling
from photonjax.models.memory import enough_memory
from photonjax.models.weights import (
    CheckpointError,
    Layout,
    check_shapes,
    check_spelling,
    fill_model,
    weight_bytes,
)

__all__ = ["gguf_config", "load_gguf"]

_EMBEDDING, _HEAD = "token_embd.weight", "output.weight"
_OTHER_KEYS = (
    "attention.value_length rope.dimension_count attention.sliding_window expert_count"
).split()  # read here, whatever the family
_FLOATS = ("norm_eps", "rope_theta", "local_rope_theta", "scores_cap", "logits_cap")


def gguf_config(path: str | PathLike[str]) -> ModelConfig:
    """The configuration that a GGUF file describes.

    Raises:
      CheckpointError: the file is broken, or describes something these models are not, by name.
    """
    return _read_config(GGUFFile(path))[1]


def load_gguf(
    path: str | PathLike[str], *, scan_layers: bool = True, dtype: Any = jnp.float32
) -> Any:
    """A model from a GGUF file, its tensors dequantized.

    The families are those of `load_huggingface`; each in any quantization that `gguf` can decode
    (F32, F16, BF16, Q4_0 to Q8_0, the K-quants and others).

    Args:
      path: of the .gguf file.
      scan_layers: stack the layers and scan over them: programs compile in the time of one layer.
      dtype: of the weights and of the products' operands, float32 or bfloat16.

    Raises:
      CheckpointError: a missing, truncated or corrupt file; an architecture, feature, tensor or
        quantization that is not supported; a missing key or tensor or a wrong shape; too little
        memory. Nothing has been allocated then.

    Example::

        model = load_gguf("SmolLM2-135M-Instruct.Q4_1.gguf")
        logits = nnx.jit(model)(tokens)
    """
    file = GGUFFile(path)
    form, config = _read_config(file)
    names = form.names_in(file.shapes)
    layout = Layout(names, config=config)
    scaling = getattr(config, "rope_scaling", None)
    read_already = {*form.consumed, *(FACTORS if isinstance(scaling, LongRopeScaling) else ())}
    found = {name: shape for name, shape in file.shapes.items() if name not in read_already}
    if _HEAD in found and _HEAD not in names.values() and file.same(_HEAD, _EMBEDDING):
        del found[_HEAD]  # a tied head, written twice
    check_shapes(path, config, layout, found)
    file.check_kinds()

    def read(name: str, out: np.ndarray) -> None:
        out[...] = form.restore(name, file.dequantized(name), config)

    with enough_memory(path, weight_bytes(config, dtype)):
        return fill_model(
            config,
            lambda path, out: layout.copy(path, out, read),
            scan_layers=scan_layers,
            dtype=dtype,
        )


def _read_config(file: GGUFFile) -> tuple[GGUF, ModelConfig]:
    family, form = _family(file)
    if _EMBEDDING not in file.shapes:
        raise CheckpointError(
            f"{file.path}: tensor {_EMBEDDING!r} is missing: fetch the file again"
        )
    fields = {**family.flags, "vocab_size": file.shapes[_EMBEDDING][0]}
    if family.config is DecoderConfig:
        fields |= _derived(file, form)
    prefix = f"{form.architecture}."
    known = [prefix + key for key in (*form.keys, *ROPE_KEYS, *_OTHER_KEYS)]
    check_spelling(file.path, (key for key in file.metadata if "." in key), known)
    for key, field in form.keys.items():
        if field in fields and f"{form.architecture}.{key}" not in file.metadata:
            continue
        fields[field] = _value(file, form, key, field)
    try:
        if family.config is DecoderConfig:
            fields["rope_scaling"] = rope_scaling(file, form.architecture, fields["max_length"])
        fields |= form.complete(fields, file)
        config = family.config(**fields)
    except CheckpointError:
        raise
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file.path}: metadata of no model: {error}") from None
    if isinstance(config, DecoderConfig):
        _check_rotary(file, form, config)
    return form, config


def _family(file: GGUFFile) -> tuple[Family, GGUF]:
    architecture = file.get("general.architecture")
    known = [(family, family.gguf) for family in families() if family.gguf is not None]
    of_it = [(family, form) for family, form in known if form.architecture == architecture]
    if not of_it:
        names = ", ".join(dict.fromkeys(form.architecture for _, form in known))
        raise CheckpointError(
            f"{file.path}: architecture {architecture!r} is not supported: use one of {names}"
        )
    experts = file.get(f"{architecture}.expert_count", 0)
    for family, form in of_it:
        if form.experts == bool(experts):
            return family, form
    _refuse(file, f"{architecture}.expert_count={experts!r}")


def _value(file: GGUFFile, form: GGUF, key: str, field: str) -> Any:
    key = f"{form.architecture}.{key}"
    value = file.get(key, form.defaults.get(field, ...))
    if field == "global_every" and isinstance(value, list):
        try:
            return global_every(value)
        except (TypeError, ValueError):
            _refuse(file, f"{key}={value!r}")
    if isinstance(value, list):
        _refuse(file, f"a different {key} per layer")
    kinds = (int, float) if field in _FLOATS else int
    if isinstance(value, bool) or not isinstance(value, kinds) or not value > 0:
        what = "a number" if field in _FLOATS else "an integer"
        raise CheckpointError(f"{file.path}: {key}={value!r}: must be {allowed(what, above=0)}")
    return value


def _derived(file: GGUFFile, form: GGUF) -> dict[str, Any]:
    """What the format lets a decoder's file leave out, because it follows from the rest."""
    hidden, heads = (
        _value(file, form, key, "") for key in ("embedding_length", "attention.head_count")
    )
    return dict(
        head_dim=max(1, hidden // heads),
        num_kv_heads=heads,
        tie_embeddings=_HEAD not in file.shapes,
    )


def _check_rotary(file: GGUFFile, form: GGUF, config: DecoderConfig) -> None:
    """Heads are turned as far as the configuration says, and values are as long as keys."""
    turned = config.rotary_dim or config.head_dim
    for key, size in (
        ("attention.value_length", config.head_dim),
        ("rope.dimension_count", turned),
    ):
        key = f"{form.architecture}.{key}"
        if file.get(key, size) != size:
            _refuse(file, f"{key}={file.get(key)} beside a head size of {config.head_dim}")
    window = f"{form.architecture}.attention.sliding_window"
    if file.get(window, 0) and config.sliding_window is None:
        _refuse(file, f"sliding-window attention ({window})")


def _refuse(file: GGUFFile, what: str) -> NoReturn:
    raise CheckpointError(
        f"{file.path}: {what} is not supported: load the model's Hugging Face directory"
    )
