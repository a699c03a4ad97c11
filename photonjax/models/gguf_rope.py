"""Rotary scaling in GGUF files: linear, YaRN, and LongRoPE, whose divisors are two tensors.

What the turned components are multiplied with is written in two ways: ``rope.scaling.attn_factor``
multiplies what the kind itself asks for, YaRN's 0.1 ln(factor) + 1; ``yarn_attn_factor`` is
config.json's attention_factor, which stands in its place.
Sources: llama.cpp, conversion/base.py and conversion/phi.py (what is written), src/llama-context.cpp
(what is made of it).
"""

from __future__ import annotations

from typing import Any, NoReturn

from photonjax.core.limits import allowed
from photonjax.models.config import Scaling
from photonjax.models.ggml import GGUFFile
from photonjax.models.scaling import LongRopeScaling, RopeScaling, YarnScaling, positive
from photonjax.models.weights import CheckpointError

__all__ = ["FACTORS", "ROPE_KEYS", "rope_scaling"]

FACTORS = ("rope_factors_short.weight", "rope_factors_long.weight")
"""Tensors of LongRoPE's divisors, for sequences of up to the original length and for longer ones."""

_SCALING = "rope.scaling."
_OURS = ("type", "factor", "original_context_length", "attn_factor")
_YARN = {"yarn_attn_factor": "magnitude", "yarn_beta_fast": "fast", "yarn_beta_slow": "slow"}
_ONLY = {"yarn_ext_factor": (1.0,), "yarn_log_multiplier": (0.0,)}
ROPE_KEYS = ("rope.scale_linear", *(_SCALING + key for key in (*_OURS, *_YARN, *_ONLY)))
"""Metadata keys that are read here, after the architecture's name."""


def rope_scaling(file: GGUFFile, architecture: str, length: int) -> Scaling | None:
    """What a file says of rotary scaling.

    Args:
      file: the file.
      architecture: its metadata keys begin with this.
      length: tokens that the model was made for; of pre-training, where the file does not say.

    Raises:
      CheckpointError: a kind that is not known, or numbers of none, by name.
    """

    def get(key: str, default: Any) -> Any:
        return file.get(f"{architecture}.{_SCALING}{key}", default)

    def refuse(key: str) -> NoReturn:
        key = f"{architecture}.{_SCALING}{key}"
        raise CheckpointError(
            f"{file.path}: {key}={file.get(key, None)!r:.200} is not supported: "
            "load the model's Hugging Face directory"
        )

    kind = get("type", "longrope" if set(FACTORS) <= file.shapes.keys() else "linear")
    if kind == "none":
        return None
    if kind == "linear":
        return _linear(file, architecture)
    for key in ("original_context_length", "attn_factor"):
        if not positive(get(key, 1)):
            refuse(key)
    original, times = get("original_context_length", length), get("attn_factor", 1.0)
    if kind == "longrope":
        short, long = (_divisors(file, name) for name in FACTORS)
        return LongRopeScaling(short=short, long=long, original_length=original, magnitude=times)
    if kind != "yarn":
        refuse("type")
    for key, values in _ONLY.items():
        if get(key, values[0]) not in values:
            refuse(key)
    given = {own: get(key, None) for key, own in _YARN.items() if get(key, None) is not None}
    scaling = YarnScaling(factor=get("factor", None), original_length=original, **given)
    if times == 1.0:
        return scaling
    return YarnScaling(**{**vars(scaling), "magnitude": times * scaling.magnitude})


def _linear(file: GGUFFile, architecture: str) -> RopeScaling | None:
    """Positions divided by a factor, under its new name or its old one."""
    for key in (_SCALING + "factor", "rope.scale_linear"):
        key = f"{architecture}.{key}"
        factor = file.get(key, 1.0)
        if factor not in (0.0, 1.0):
            if not positive(factor):
                raise CheckpointError(
                    f"{file.path}: {key}={factor!r:.200}: must be "
                    f"{allowed('a finite number', above=0)}: fetch the file again"
                )
            return RopeScaling(factor=factor)
    return None


def _divisors(file: GGUFFile, name: str) -> tuple[float, ...]:
    if name not in file.shapes:
        raise CheckpointError(f"{file.path}: tensor {name!r} is missing: fetch the file again")
    return tuple(file.dequantized(name).ravel().tolist())
