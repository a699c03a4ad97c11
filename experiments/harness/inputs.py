"""What an experiment works on: cores, rules, model and text, made from its config and checked."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from omegaconf import DictConfig, OmegaConf

import photonjax as pj
from experiments.harness import settings
from experiments.harness.errors import UserError, user_errors
from photonjax import data, models


def check_counts(
    config: DictConfig, get: Callable[[str], Any], least_of: Mapping[str, int]
) -> None:
    """Refuse settings that are no integers of so many or more, the seed and the windows among them."""
    for key, least in least_of.items():
        value = get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"{key}: {value!r} is not an integer of {least} or more")
    if config.seed >= 2**32:
        raise UserError(f"seed: {config.seed} is above 2**32 - 1; choose a smaller one")
    if config.measure_windows > config.windows:
        raise UserError(
            f"measure_windows: {config.measure_windows} is more than windows = {config.windows}; "
            "lower the one or raise the other"
        )


def make_core(
    group: settings.Core, fields: Mapping[str, Any], where: str = "core.fields"
) -> pj.OpticalCore:
    """The named machine of the core group with the group's fields and the rung's on top."""
    rung = {name: value for name, value in fields.items() if name != "only"}
    changes = OmegaConf.to_container(OmegaConf.merge(dict(group.fields), rung))
    with user_errors(ValueError, TypeError, prefix=f"{where}: "):
        return pj.machines.optical(group.name).replace(**changes)


def make_rules(rules: Any, only: str | None, core: pj.OpticalCore) -> list[pj.Rule]:
    """Rules for one rung; ``only`` replaces them."""
    if only is not None and only != "*":
        return [pj.Rule(only, core)]
    return [pj.Rule(r.pattern, core if r.optical else None, dynamic=r.dynamic) for r in rules]


def check_fit(config: Any, model: models.Decoder, text: Text) -> None:
    """Refuse weights that are not numbers, and a text or tokenizer of another model."""
    path = config.model.path or config.model.artifact
    for name, value in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        if not bool(jnp.isfinite(value[...]).all()):
            raise UserError(
                f"{path}: weight {'/'.join(map(str, name))} holds NaN or infinity; fetch or export "
                "the checkpoint again"
            )
    most = model.config.max_length
    if config.data.length > most:
        raise UserError(
            f"data.length: {config.data.length} is more than the {most} tokens that {path} was made "
            f"for; give data.length={most} or less"
        )
    largest = int(max(text.windows.max(), text.calibration.max()))
    if largest >= model.config.vocab_size:
        raise UserError(
            f"{path}: its tokenizer gives token {largest}, but the model knows only "
            f"{model.config.vocab_size}; use the tokenizer that belongs to the weights"
        )


def load_model(config: settings.Model) -> tuple[models.Decoder, Any]:
    """The model and its tokenizer, from a fetched artifact or a path."""
    with user_errors(data.FetchError, models.CheckpointError, OSError, ValueError):
        path = pathlib.Path(config.path) if config.path else data.fetch(config.artifact)
        if not path.exists():
            raise UserError(f"model.path: {path} does not exist; give a .gguf file or a directory")
        options = dict(scan_layers=config.scan_layers, dtype=jnp.float32)
        if path.is_dir():
            return models.load_huggingface(path, **options), models.load_tokenizer(path)
        return models.load_gguf(path, **options), models.load_tokenizer(path)


@dataclasses.dataclass(frozen=True)
class Text:
    """Token windows to evaluate ``[n, length]``, one batch to calibrate on, and what they are."""

    windows: np.ndarray
    calibration: np.ndarray
    description: str


def load_text(config: Any, tokenizer: Any) -> Text:
    """Non-overlapping windows; the calibration's follow the evaluated ones."""
    count, length = config.windows + config.calibration.windows, config.data.length
    with user_errors(data.FetchError, ValueError, OSError):
        corpus = data.load_corpus(config.data.corpus)
    with user_errors(ValueError, prefix=f"{config.data.corpus}: "):
        tokens, counted = data.tokenize_counted(corpus, tokenizer, limit=count * length)
    if tokens.size < count * length:
        raise UserError(
            f"{config.data.corpus}: the text is too short: {tokens.size:,} tokens, but "
            f"{config.windows} windows of {length} to evaluate and {config.calibration.windows} to "
            "calibrate are asked for; lower windows or data.length"
        )
    cut = data.windows(tokens, length, count=count)
    description = f"{config.data.corpus}: {counted.windowed(cut)}"
    return Text(cut[: config.windows], cut[config.windows :], description)
