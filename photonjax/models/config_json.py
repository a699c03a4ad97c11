"""What Hugging Face's config.json says of a model, as a configuration.

What a config.json asks for beyond its family is refused by name.
Format: https://huggingface.co/docs/transformers/model_doc/llama and its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from photonjax.models.abstract import ModelConfig
from photonjax.models.config import DecoderConfig, Scaling
from photonjax.models.families import families
from photonjax.models.family import Family, HuggingFace, global_every
from photonjax.models.scaling import LongRopeScaling, RopeScaling, YarnScaling, positive
from photonjax.models.weights import CheckpointError, check_spelling

__all__ = ["read_config"]

# Keys whose other values mean another network, whatever the family. Absent is fine.
_ONLY: dict[str, tuple[Any, ...]] = {
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "rope_interleaved": (False, None),
    "rotary_pct": (1, None),
    "partial_rotary_factor": (1, None),
    "use_sliding_window": (False, None),
    "use_bidirectional_attention": (False, None),
    "add_cross_attention": (False, None),
}
_ACTIVATIONS = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}
_ACTIVATIONS |= dict.fromkeys(("gelu_new", "gelu_fast"), "gelu_tanh")
_OTHER_KEYS = (
    "hidden_act hidden_activation query_pre_attn_scalar sliding_window_pattern layer_types "
    "rope_theta rope_local_base_freq rope_scaling rope_parameters"
).split()  # read here, whatever the family
_LOCAL, _GLOBAL = "sliding_attention", "full_attention"


def read_config(path: Path, raw: Mapping[str, Any]) -> tuple[Family, ModelConfig]:
    """The family and the configuration in a parsed config.json.

    Args:
      path: of the file, for messages.
      raw: its content.

    Raises:
      CheckpointError: it describes something that these models are not, by name.
    """

    def refuse(what: str) -> NoReturn:
        known = ", ".join(family.huggingface.architecture for family in families())
        raise CheckpointError(f"{path}: {what} is not supported: use a plain checkpoint of {known}")

    architectures = raw.get("architectures") or []
    kind = raw.get("model_type")
    if not isinstance(architectures, list):
        refuse(f"architectures={architectures!r:.200}")
    if not isinstance(kind, str | None):
        refuse(f"model_type={kind!r:.200}")
    owns = {family.huggingface.model_type: family for family in families()}
    if kind is None:
        kind = next((k for k, f in owns.items() if f.huggingface.architecture in architectures), "")
    if not kind and not architectures:
        refuse("a configuration without architectures or model_type")
    for architecture in architectures:
        if kind not in owns or architecture != owns[kind].huggingface.architecture:
            refuse(f"architecture {architecture!r:.200}")
    if kind not in owns:
        refuse(f"model_type={kind!r:.200}")
    family = owns[kind]
    form = family.huggingface
    for key, allowed in {**_ONLY, **form.only}.items():
        mapped = key not in form.only and (key in form.keys or key in (form.rotary_fraction or ()))
        if key in raw and raw[key] not in allowed and not mapped:
            refuse(f"{key}={raw[key]!r:.200}")
    known = {*form.keys, *_ONLY, *form.only, *_OTHER_KEYS, *(form.rotary_fraction or ())[:1]}
    for key in form.required:
        if raw.get(key) is None:
            raise CheckpointError(f"{path}: key {key!r} is missing: fetch the file again")
    check_spelling(path, raw, known)
    fields = {**form.defaults, **family.flags}
    for key, own in form.keys.items():
        if raw.get(key) is not None:
            fields |= dict.fromkeys((own,) if isinstance(own, str) else own, raw[key])
    try:
        fields |= form.complete(raw, fields)
        if family.config is DecoderConfig:
            fields = _decoder_fields(raw, fields, family, refuse)
            if "rope_theta" not in fields:
                raise CheckpointError(f"{path}: key 'rope_theta' is missing: fetch the file again")
        return family, family.config(**fields)
    except CheckpointError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{path}: numbers of no model: {error}") from None


def _decoder_fields(
    raw: Mapping[str, Any],
    fields: dict[str, Any],
    family: Family,
    refuse: Callable[[str], NoReturn],
) -> dict[str, Any]:
    activation = raw.get("hidden_activation") or raw.get("hidden_act")
    if activation is not None:
        if family.flags.get("activation") == "gelu_tanh" and activation == "gelu":
            activation = "gelu_pytorch_tanh"  # what Gemma's first files mean by it
        if _ACTIVATIONS.get(activation) != fields.get("activation", "silu"):
            refuse(f"hidden_act={activation!r:.200}")
    if (divisor := raw.get("query_pre_attn_scalar")) is not None:
        if not positive(divisor):
            refuse(f"query_pre_attn_scalar={divisor!r:.200}")
        fields["query_scale"] = divisor**-0.5
    if "sliding_window" in family.huggingface.keys.values():
        fields |= _windows(raw, fields, refuse)
    elif any(kind != _GLOBAL for kind in raw.get("layer_types") or []):
        refuse(f"layer_types={raw['layer_types']!r:.200}")
    if fields.get("sliding_window") is None:
        for key in ("global_every", "local_rope_theta"):
            fields.pop(key, None)
    return fields | _rope(raw, fields, family.huggingface, refuse)


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
    if not set(types) <= {_LOCAL, _GLOBAL} or len(types) != fields["num_layers"]:
        refuse(f"layer_types={types!r:.200}")
    try:
        return {"global_every": global_every([kind == _LOCAL for kind in types])}
    except ValueError:
        refuse(f"layer_types={types!r:.200}")


def _rope(
    raw: Mapping[str, Any],
    fields: Mapping[str, Any],
    form: HuggingFace,
    refuse: Callable[[str], NoReturn],
) -> dict[str, Any]:
    """Bases and scaling: one set of rope_parameters, or one for each kind of layer."""
    found: dict[str, Any] = {}
    fraction = None
    if form.rotary_fraction is not None:
        fraction = raw.get(form.rotary_fraction[0], form.rotary_fraction[1])
    if raw.get("rope_theta") is not None:
        found["rope_theta"] = raw["rope_theta"]
    if raw.get("rope_local_base_freq") is not None and fields.get("sliding_window") is not None:
        found["local_rope_theta"] = raw["rope_local_base_freq"]
    for key in ("rope_scaling", "rope_parameters"):  # before and since transformers 5
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, dict):
            refuse(f"{key}={value!r:.200}")
        everywhere, near = value, None
        if {_LOCAL, _GLOBAL} & value.keys():
            everywhere, near = value.get(_GLOBAL) or {}, value.get(_LOCAL) or {}
        for rope in (everywhere, near or {}):
            if not isinstance(rope, dict):
                refuse(f"{key}={value!r:.200}")
            kind = rope.get("rope_type", rope.get("type", "default"))
            allowed = ("default",) if rope is near else ("default", *_SCALINGS)
            part = rope.get("partial_rotary_factor", 1)
            if kind not in allowed or (fraction is None and part != 1):
                refuse(f"{key}={value!r:.200}")
        if fraction is not None:
            fraction = everywhere.get("partial_rotary_factor", fraction)
        if everywhere.get("rope_theta") is not None:
            found["rope_theta"] = everywhere["rope_theta"]
        if near and near.get("rope_theta") and fields.get("sliding_window") is not None:
            found["local_rope_theta"] = near["rope_theta"]
        found["rope_scaling"] = _scaling(everywhere, raw, fields, f"{key}={value!r:.200}", refuse)
    if fraction is not None:
        if not positive(fraction) or fraction > 1:
            refuse(f"a fraction of {fraction!r:.200} of each head turned")
        if positive(fields["num_heads"]):  # else the configuration says so
            head_dim = fields.get("head_dim") or fields["hidden_size"] // fields["num_heads"]
            found["rotary_dim"] = int(head_dim * fraction)
    return found


def _scaling(
    rope: Mapping[str, Any],
    raw: Mapping[str, Any],
    fields: Mapping[str, Any],
    what: str,
    refuse: Callable[[str], NoReturn],
) -> Scaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    length = fields["max_length"]
    original = raw.get("original_max_position_embeddings") or length
    rope = {"original_max_position_embeddings": original, **rope} if kind in _OWN else dict(rope)
    make, keys, optional = _SCALINGS[kind]
    if any(rope.get(key) is None for key in keys):
        refuse(what)
    found = {own: rope[key] for key, own in (keys | optional).items() if rope.get(key) is not None}
    if kind == "yarn" and rope.get("mscale") and rope.get("mscale_all_dim"):
        refuse(what)
    if kind == "longrope":
        if not all(isinstance(found[own], list) for own in ("short", "long")):
            refuse(what)
        if not positive(found["original_length"]) or found["original_length"] < 2:
            refuse(what)
        found |= {own: tuple(found[own]) for own in ("short", "long")}
        factor = rope.get("factor") or length / found["original_length"]
        found.setdefault(
            "magnitude",
            math.sqrt(1 + math.log(max(factor, 1.0)) / math.log(found["original_length"])),
        )
    return make(**found)


_ORIGINAL = {"original_max_position_embeddings": "original_length"}
_OWN = ("yarn", "longrope")  # of these the length of pre-training may stand elsewhere
# What makes each scaling: keys that must be there, and others.
_SCALINGS: dict[str, tuple[Callable[..., Scaling], dict[str, str], dict[str, str]]] = {
    "linear": (RopeScaling, {"factor": "factor"}, {}),
    "llama3": (
        RopeScaling,
        {"factor": "factor", "low_freq_factor": "low", "high_freq_factor": "high", **_ORIGINAL},
        {},
    ),
    "yarn": (
        YarnScaling,
        {"factor": "factor", **_ORIGINAL},
        {
            "beta_fast": "fast",
            "beta_slow": "slow",
            "attention_factor": "magnitude",
            "truncate": "whole_pairs",
        },
    ),
    "longrope": (
        LongRopeScaling,
        {"short_factor": "short", "long_factor": "long", **_ORIGINAL},
        {"attention_factor": "magnitude"},
    ),
}
