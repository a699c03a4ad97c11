"""What Hugging Face's config.json says of each family of models.

A family is the decoder with some flags. What a config.json asks for beyond that is refused by name.
Format: https://huggingface.co/docs/transformers/model_doc/llama and its neighbours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from photonjax.models.abstract import ModelConfig
from photonjax.models.config import DecoderConfig, RopeScaling
from photonjax.models.gpt2 import GPT2Config
from photonjax.models.weights import CheckpointError

__all__ = ["LLAMA_FIELDS", "config_of"]

LLAMA_FIELDS = {
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
"""Keys of config.json, and our names, that the decoder's families share."""

_REQUIRED = tuple(LLAMA_FIELDS)[:5]
_GPT2_FIELDS = {
    "vocab_size": "vocab_size",
    "n_embd": "hidden_size",
    "n_inner": "intermediate_size",
    "n_layer": "num_layers",
    "n_head": "num_heads",
    "n_positions": "max_length",
    "layer_norm_epsilon": "norm_eps",
}
_EXPERTS = {
    "num_experts_per_tok": "experts_per_token",
    "num_local_experts": "num_experts",
    "num_experts": "num_experts",
}
# Keys whose other values mean another network, whatever the family. Absent is fine.
_ONLY: dict[str, tuple[Any, ...]] = {
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "quantization_config": (None,),
    "rope_interleaved": (False, None),
    "partial_rotary_factor": (1, None),
    "use_sliding_window": (False, None),
    "use_bidirectional_attention": (False, None),
    "add_cross_attention": (False, None),
}
_ACTIVATIONS = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh"}
_LOCAL, _GLOBAL = "sliding_attention", "full_attention"


@dataclasses.dataclass(frozen=True)
class _Family:
    """How a model_type becomes a DecoderConfig.

    Attributes:
      architecture: the only one that is read.
      flags: fields that all its models have.
      keys: of config.json beyond `LLAMA_FIELDS`, to fields.
      defaults: fields where config.json leaves the key out.
      only: keys with the values that are allowed.
    """

    architecture: str
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    only: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)


_GEMMA = dict(activation="gelu_tanh", embedding_scale=True, norm_offset=True)
_GEMMA_2_KEYS = {
    "sliding_window": "sliding_window",
    "attn_logit_softcapping": "scores_cap",
    "final_logit_softcapping": "logits_cap",
}
_GEMMA_DEFAULTS = dict(head_dim=256, tie_embeddings=True)
_FAMILIES = {
    "llama": _Family(
        "LlamaForCausalLM", defaults=dict(max_length=2048), only={"sliding_window": (None,)}
    ),
    "mistral": _Family("MistralForCausalLM", keys={"sliding_window": "sliding_window"}),
    "mixtral": _Family(
        "MixtralForCausalLM",
        keys={**_EXPERTS, "sliding_window": "sliding_window"},
        defaults=dict(norm_eps=1e-5, rope_theta=1e6),
    ),
    "qwen2": _Family("Qwen2ForCausalLM", dict(qkv_bias=True), defaults=dict(max_length=32_768)),
    "qwen3": _Family(
        "Qwen3ForCausalLM", dict(qk_norm=True), defaults=dict(max_length=32_768, head_dim=128)
    ),
    "qwen3_moe": _Family(
        "Qwen3MoeForCausalLM",
        dict(qk_norm=True),
        keys={
            **_EXPERTS,
            "moe_intermediate_size": "intermediate_size",
            "norm_topk_prob": "normalize_experts",
        },
        defaults=dict(max_length=32_768, normalize_experts=False),
        only={"decoder_sparse_step": (1,), "mlp_only_layers": ([], None)},
    ),
    "gemma": _Family("GemmaForCausalLM", _GEMMA, defaults=dict(**_GEMMA_DEFAULTS, max_length=8192)),
    "gemma2": _Family(
        "Gemma2ForCausalLM",
        dict(**_GEMMA, post_norms=True, global_every=2),
        keys=_GEMMA_2_KEYS,
        defaults=dict(**_GEMMA_DEFAULTS, max_length=8192),
    ),
    "gemma3_text": _Family(
        "Gemma3ForCausalLM",
        dict(**_GEMMA, post_norms=True, qk_norm=True, global_every=6),
        keys=_GEMMA_2_KEYS,
        defaults=dict(**_GEMMA_DEFAULTS, rope_theta=1e6, local_rope_theta=1e4),
    ),
}
_GPT2 = {"gpt2": "GPT2LMHeadModel"}
_GPT2_ONLY = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "tie_word_embeddings": (True,),
}


def config_of(path: Path, raw: Mapping[str, Any]) -> ModelConfig:
    """The configuration in a parsed config.json.

    Args:
      path: of the file, for messages.
      raw: its content.

    Raises:
      CheckpointError: it describes something that these models are not, by name.
    """

    def refuse(what: str) -> NoReturn:
        known = ", ".join(family.architecture for family in _FAMILIES.values())
        raise CheckpointError(
            f"{path}: {what} is not supported: use a plain checkpoint of {known} or {_GPT2['gpt2']}"
        )

    architectures = raw.get("architectures") or []
    kind = raw.get("model_type")
    owns = {kind: family.architecture for kind, family in _FAMILIES.items()} | _GPT2
    if kind is None:
        kind = next((k for k, own in owns.items() if own in architectures), "")
    if not kind and not architectures:
        refuse("a configuration without architectures or model_type")
    for architecture in architectures:
        if architecture != owns.get(kind):  # of this model_type
            refuse(f"architecture {architecture!r}")
    if kind not in owns:
        refuse(f"model_type={kind!r}")
    only = _GPT2_ONLY if kind == "gpt2" else _FAMILIES[kind].only
    for key, allowed in {**_ONLY, **only}.items():
        if key in raw and raw[key] not in allowed:
            refuse(f"{key}={raw[key]!r}")
    try:
        if kind == "gpt2":
            fields = {o: raw[key] for key, o in _GPT2_FIELDS.items() if raw.get(key) is not None}
            return GPT2Config(**fields)
        return DecoderConfig(**_fields(path, raw, _FAMILIES[kind], refuse))
    except CheckpointError:
        raise
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from None


def _fields(
    path: Path, raw: Mapping[str, Any], family: _Family, refuse: Callable[[str], NoReturn]
) -> dict[str, Any]:
    for key in _REQUIRED:
        if key not in raw:
            raise CheckpointError(f"{path}: key {key!r} is missing: fetch the file again")
    keys = {**LLAMA_FIELDS, **family.keys}
    fields = {"norm_eps": 1e-6, **family.defaults, **family.flags}
    fields |= {own: raw[key] for key, own in keys.items() if raw.get(key) is not None}
    activation = raw.get("hidden_activation") or raw.get("hidden_act")
    if activation is not None:
        if family.flags.get("activation") == "gelu_tanh" and activation == "gelu":
            activation = "gelu_pytorch_tanh"  # what Gemma's first files mean by it
        if _ACTIVATIONS.get(activation) != family.flags.get("activation", "silu"):
            refuse(f"hidden_act={activation!r}")
    if raw.get("query_pre_attn_scalar") is not None:
        fields["query_scale"] = raw["query_pre_attn_scalar"] ** -0.5
    if "sliding_window" in family.keys.values():
        fields |= _windows(raw, fields, refuse)
    elif any(kind != _GLOBAL for kind in raw.get("layer_types") or []):
        refuse(f"layer_types={raw['layer_types']!r}")
    if fields.get("sliding_window") is None:
        for key in ("global_every", "local_rope_theta"):
            fields.pop(key, None)
    return fields | _rope(raw, fields, refuse)


def _windows(
    raw: Mapping[str, Any], fields: Mapping[str, Any], refuse: Callable[[str], NoReturn]
) -> dict[str, Any]:
    """Which layers are local, from a list of them or a period."""
    found: dict[str, Any] = {}
    for key in ("sliding_window_pattern", "_sliding_window_pattern"):
        if raw.get(key) is not None:
            found["global_every"] = raw[key]
    types = raw.get("layer_types")
    if types is None:
        return found
    if _LOCAL not in types:
        return {"sliding_window": None}
    every = types.index(_GLOBAL) + 1 if _GLOBAL in types else None
    alternating = [_GLOBAL if every and (i + 1) % every == 0 else _LOCAL for i in range(len(types))]
    if types != alternating or len(types) != fields["num_layers"]:
        refuse(f"layer_types={types!r}")
    return {"global_every": every}


def _rope(
    raw: Mapping[str, Any], fields: Mapping[str, Any], refuse: Callable[[str], NoReturn]
) -> dict[str, Any]:
    """Bases and scaling: one set of rope_parameters, or one for each kind of layer."""
    found: dict[str, Any] = {}
    if raw.get("rope_theta") is not None:
        found["rope_theta"] = raw["rope_theta"]
    if raw.get("rope_local_base_freq") is not None and fields.get("sliding_window") is not None:
        found["local_rope_theta"] = raw["rope_local_base_freq"]
    for key in ("rope_scaling", "rope_parameters"):  # before and since transformers 5
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, dict):
            refuse(f"{key}={value!r}")
        everywhere, near = value, None
        if {_LOCAL, _GLOBAL} & value.keys():
            everywhere, near = value.get(_GLOBAL) or {}, value.get(_LOCAL) or {}
        for rope in (everywhere, near or {}):
            kind = rope.get("rope_type", rope.get("type", "default"))
            allowed = ("default",) if rope is near else ("default", "linear", "llama3")
            if kind not in allowed or rope.get("partial_rotary_factor", 1) != 1:
                refuse(f"{key}={value!r}")
        if everywhere.get("rope_theta") is not None:
            found["rope_theta"] = everywhere["rope_theta"]
        if near and near.get("rope_theta") and fields.get("sliding_window") is not None:
            found["local_rope_theta"] = near["rope_theta"]
        found["rope_scaling"] = _scaling(everywhere, f"{key}={value!r}", refuse)
    return found


def _scaling(
    rope: Mapping[str, Any], what: str, refuse: Callable[[str], NoReturn]
) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    keys = {"factor": "factor"}
    if kind == "llama3":
        keys |= {
            "low_freq_factor": "low",
            "high_freq_factor": "high",
            "original_max_position_embeddings": "original_length",
        }
    if any(key not in rope for key in keys):
        refuse(what)
    return RopeScaling(**{own: rope[key] for key, own in keys.items()})
