"""What a family of models says of itself: its flags, and how its files are written.

A family is `Decoder` with some flags (or a model of its own, as GPT-2). Each has a file in
``families/`` that lists it in ``FAMILIES``: the keys of its config.json and of its GGUF metadata, the
names of its tensors in both formats, and what the GGUF converter did to them. Nothing else in this
package knows a family by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from photonjax.models.abstract import ModelConfig
from photonjax.models.config import DecoderConfig

if TYPE_CHECKING:
    from photonjax.models.ggml import GGUFFile

__all__ = [
    "GGUF",
    "GGUF_KEYS",
    "GGUF_NAMES",
    "HF_BIASES",
    "HF_KEYS",
    "HF_NAMES",
    "HF_REQUIRED",
    "Family",
    "HuggingFace",
    "global_every",
]

HF_KEYS = {
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
"""Keys of config.json that decoders share, and the fields of `DecoderConfig` that they give."""

HF_REQUIRED = (*tuple(HF_KEYS)[:5], "rms_norm_eps", "max_position_embeddings")
"""Keys that every published config.json of a decoder has."""

HF_BIASES = {"attention_bias": ("qkv_bias", "o_bias")}
"""The key of families whose attention may have biases."""

_LAYER = "model.layers.{}."
HF_NAMES = {
    "embed/embedding": "model.embed_tokens.weight",
    "norm/scale": "model.norm.weight",
    "head/kernel": "lm_head.weight",
    "layers/{}/attn_norm/scale": _LAYER + "input_layernorm.weight",
    "layers/{}/mlp_norm/scale": _LAYER + "post_attention_layernorm.weight",
    **{
        f"layers/{{}}/{part}/{kind}": f"{_LAYER}{theirs}.{ending}"
        for part, theirs in {
            "attn/q_proj": "self_attn.q_proj",
            "attn/k_proj": "self_attn.k_proj",
            "attn/v_proj": "self_attn.v_proj",
            "attn/o_proj": "self_attn.o_proj",
            "mlp/gate_proj": "mlp.gate_proj",
            "mlp/up_proj": "mlp.up_proj",
            "mlp/down_proj": "mlp.down_proj",
        }.items()
        for kind, ending in (("kernel", "weight"), ("bias", "bias"))
    },
    **{f"layers/{{}}/attn/{p}_norm/scale": f"{_LAYER}self_attn.{p}_norm.weight" for p in "qk"},
}
"""Parameters that decoders share, by path, and their names in Hugging Face's files."""

GGUF_KEYS = {
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "block_count": "num_layers",
    "attention.head_count": "num_heads",
    "attention.head_count_kv": "num_kv_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "norm_eps",
    "rope.freq_base": "rope_theta",
    "context_length": "max_length",
}
"""Metadata keys that decoders share, after the architecture's name, and the fields they give."""

_BLOCK = "blk.{}."
GGUF_NAMES = {
    "embed/embedding": "token_embd.weight",
    "norm/scale": "output_norm.weight",
    "head/kernel": "output.weight",
    "layers/{}/attn_norm/scale": _BLOCK + "attn_norm.weight",
    "layers/{}/mlp_norm/scale": _BLOCK + "ffn_norm.weight",
    **{
        f"layers/{{}}/{part}/{kind}": f"{_BLOCK}{theirs}.{ending}"
        for part, theirs in {
            "attn/q_proj": "attn_q",
            "attn/k_proj": "attn_k",
            "attn/v_proj": "attn_v",
            "attn/o_proj": "attn_output",
            "mlp/gate_proj": "ffn_gate",
            "mlp/up_proj": "ffn_up",
            "mlp/down_proj": "ffn_down",
        }.items()
        for kind, ending in (("kernel", "weight"), ("bias", "bias"))
    },
    **{f"layers/{{}}/attn/{p}_norm/scale": f"{_BLOCK}attn_{p}_norm.weight" for p in "qk"},
}
"""Parameters that decoders share, by path, and their names in GGUF files."""


def _nothing(one: Any, other: Any) -> dict[str, Any]:
    return {}


def _with_others(
    names: Mapping[str, str], others: Mapping[str, str], tensors: Container[str]
) -> dict[str, str]:
    """Names by path, those of `others` where the first layer has them."""
    return {**names, **{path: n for path, n in others.items() if n.format(0) in tensors}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class HuggingFace:
    """How a family's Hugging Face directories are written.

    Attributes:
      model_type: in config.json.
      architecture: in config.json, the only one that is read.
      keys: of config.json, to a field of the configuration or to several.
      required: keys that must be there.
      defaults: fields where config.json leaves the key out.
      only: keys with the values that are allowed.
      rotary_fraction: the key for the fraction of a head that is turned, and its default; None: all
        of it is.
      complete: called as complete(raw, fields) for fields that follow from several keys.
      names: of the tensors, by the parameter's path in the unrolled model; see `Layout`.
      other_names: of some parameters, in files that have these names.
      prefix: that some files put before every name.
      transposed: a kernel [in, out] is stored as [out, in].
      by_head: rows of parameters that share a tensor are stored key-value head by key-value head.
    """

    model_type: str
    architecture: str
    keys: Mapping[str, str | tuple[str, ...]] = dataclasses.field(default_factory=lambda: HF_KEYS)
    required: Sequence[str] = HF_REQUIRED
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    only: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    rotary_fraction: tuple[str, float] | None = None
    complete: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]] = _nothing
    names: Mapping[str, str] = dataclasses.field(default_factory=lambda: HF_NAMES)
    other_names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    prefix: str = ""
    transposed: bool = True
    by_head: bool = False

    def names_in(self, tensors: Collection[str]) -> dict[str, str]:
        """The names of the tensors in a file that has these."""
        start = self.prefix if any(name.startswith(self.prefix) for name in tensors) else ""
        names = {path: start + name for path, name in self.names.items()}
        return _with_others(names, self.other_names, tensors)

    def groups(self, config: Any) -> int:
        """Of the rows of a tensor that several parameters share; see `Layout`."""
        return config.num_kv_heads if self.by_head else 1


def _as_stored(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    return weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class GGUF:
    """How a family's GGUF files are written.

    Attributes:
      architecture: ``general.architecture``, the first part of its metadata keys.
      experts: whether its files hold mixtures of experts; both kinds may go by one architecture.
      keys: the rest of those keys, to fields of the configuration.
      defaults: fields where the file leaves the key out, because they are constants of the
        architecture. A key whose field has none must be there.
      names: of the tensors, by the parameter's path in the unrolled model; see `Layout`.
      other_names: of some parameters, in files that have these names.
      complete: called as complete(fields, file) for fields that follow from others, or from tensors.
      consumed: tensors that `complete` has read, and that are no parameters.
      restore: called as restore(name, weight, config): undoes what the converter did to a tensor.
    """

    architecture: str
    experts: bool = False
    keys: Mapping[str, str] = dataclasses.field(default_factory=lambda: GGUF_KEYS)
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    names: Mapping[str, str] = dataclasses.field(default_factory=lambda: GGUF_NAMES)
    other_names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    complete: Callable[[Mapping[str, Any], GGUFFile], Mapping[str, Any]] = _nothing
    consumed: Sequence[str] = ()
    restore: Callable[[str, np.ndarray, Any], np.ndarray] = _as_stored

    def names_in(self, tensors: Container[str]) -> dict[str, str]:
        """The names of the tensors in a file that has these."""
        return _with_others(self.names, self.other_names, tensors)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models.

    Attributes:
      huggingface: how its Hugging Face directories are written.
      gguf: how its GGUF files are; None where they are another family's (Mistral's are Llama's).
      flags: fields of the configuration that all its models have.
      config: the configuration's class.
    """

    huggingface: HuggingFace
    gguf: GGUF | None = None
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    config: type[ModelConfig] = DecoderConfig


def global_every(local: Sequence[bool]) -> int | None:
    """The period of global layers in a list that says which layers are local; None without any.

    Raises:
      ValueError: they do not come at a fixed interval, each the last of its period.

    >>> global_every([True, True, False, True])
    3
    """
    every = list(local).index(False) + 1 if not all(local) else None
    if list(local) != [every is None or (i + 1) % every != 0 for i in range(len(local))]:
        raise ValueError("global layers must come at a fixed interval, each the last of its period")
    return every


def names_with_biases(
    parts: Mapping[str, tuple[str, str]], outside: Mapping[str, str], layer: str, column: int
) -> dict[str, str]:
    """Names where every part of a layer has a bias: norms a scale beside it, products a kernel.

    Args:
      parts: Hugging Face's name and GGUF's, by path within a layer.
      outside: names outside of the layers, by path.
      layer: what stands before the names of a layer's parts.
      column: which of the two names.

    >>> names_with_biases({"attn/o_proj": ("attn.c_proj", "attn_output")}, {}, "blk.{}.", 1)
    {'layers/{}/attn/o_proj/kernel': 'blk.{}.attn_output.weight',
     'layers/{}/attn/o_proj/bias': 'blk.{}.attn_output.bias'}
    """
    names = dict(outside)
    for path, theirs in parts.items():
        weight = "scale" if path.endswith("norm") else "kernel"
        names[f"layers/{{}}/{path}/{weight}"] = f"{layer}{theirs[column]}.weight"
        names[f"layers/{{}}/{path}/bias"] = f"{layer}{theirs[column]}.bias"
    return names
