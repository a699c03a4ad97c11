"""What an experiment works on: cores, rules, model and text, made from its config and checked."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from omegaconf import DictConfig, ListConfig

import photonjax as pj
from experiments.harness import UserError, user_errors
from photonjax import data, models
from photonjax.ops import arithmetic

DIGITAL = "digital"


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


def check(config: DictConfig) -> None:
    """Refuse what cannot work before anything is loaded."""

    def get(key: str) -> Any:
        value: Any = config
        for part in key.split("."):
            if not isinstance(value, DictConfig):
                raise UserError(f"{key.removesuffix('.' + part)}: {value!r} is not a mapping")
            value = value.get(part)
        return value

    integers = {
        "windows": 1,
        "measure_windows": 1,
        "at_once": 1,
        "calibration.windows": 1,
        "data.length": 2,
        "bill.samples": 1,
        "seed": 0,
    }
    check_counts(config, get, integers)
    margin = get("calibration.margin")
    if isinstance(margin, bool) or not isinstance(margin, (int, float)) or not 1 <= margin < 1e6:
        raise UserError(f"calibration.margin: {margin!r} is not a number of 1 or more")
    if not isinstance(get("model.scan_layers"), bool):
        raise UserError(f"model.scan_layers: {config.model.scan_layers!r} is not true or false")
    for key in ("data.corpus", "core.preset", "digital.preset", "bill.dtype", "results_dir"):
        if not isinstance(get(key), str):
            raise UserError(f"{key}: {get(key)!r} is not text; see the default with --help")
    if not isinstance(get("core.fields"), DictConfig):
        raise UserError(
            f"core.fields: {get('core.fields')!r} is not a mapping of OpticalCore fields"
        )
    _check_ladder(get("ladder"))
    _check_rules(get("rules"))
    with user_errors(ValueError):
        arithmetic()  # measured once; or refuses what the environment asks for


def _check_ladder(ladder: Any) -> None:
    if not ladder or not isinstance(ladder, DictConfig):
        raise UserError(
            "ladder: is empty; name at least one core, as in 'ladder={a: {bits_in: 6}}'"
        )
    if DIGITAL in ladder:
        raise UserError(f"ladder: {DIGITAL!r} is the name of the baseline; choose another")
    for name, fields in ladder.items():
        if not isinstance(fields, DictConfig):
            raise UserError(
                f"ladder.{name}: {fields!r} is not a mapping of OpticalCore fields, such as "
                "{photons: 1e4}"
            )
        only = fields.get("only")
        if only is not None and (not isinstance(only, str) or not only):
            raise UserError(
                f"ladder.{name}.only: {only!r} is not a glob over paths, such as '*/q_proj'"
            )


def _check_rules(rules: Any) -> None:
    form = "{pattern: GLOB, optical: true or false, dynamic: true or false}"
    if not isinstance(rules, ListConfig) or not rules:
        raise UserError(f"rules: {rules!r} is not a list of {form}")
    for rule in rules:
        kinds = {"pattern": str, "optical": bool, "dynamic": bool}
        fits = isinstance(rule, DictConfig) and {k: type(v) for k, v in rule.items()} == kinds
        if not fits:
            raise UserError(f"rules: {rule!r} is not of the form {form}")


def make_core(
    group: DictConfig, fields: Mapping[str, Any], where: str = "core.fields"
) -> pj.OpticalCore:
    """The preset of the core group with the group's fields and the rung's on top."""
    core = pj.machines.optical(group.preset)
    changes = {k: v for k, v in {**group.fields, **fields}.items() if k != "only"}
    known = {f.name for f in dataclasses.fields(core)}
    for name in changes:
        if name not in known:
            raise UserError(
                f"{where}: OpticalCore has no field {name!r}; it has {', '.join(sorted(known))}"
            )
    with user_errors(ValueError, TypeError, prefix=f"{where}: "):
        return dataclasses.replace(core, **changes)


def make_rules(rules: Any, only: str | None, core: pj.OpticalCore) -> list[pj.Rule]:
    """Rules for one rung; ``only`` replaces them."""
    if only is not None and only != "*":
        return [pj.Rule(only, core)]
    return [pj.Rule(r.pattern, core if r.optical else None, dynamic=r.dynamic) for r in rules]


def check_fit(config: DictConfig, model: models.Decoder, text: Text) -> None:
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


def load_model(config: DictConfig) -> tuple[models.Decoder, Any]:
    """The model and its tokenizer, from a fetched artifact or a path."""
    with user_errors(data.FetchError, models.CheckpointError, OSError, ValueError):
        path = pathlib.Path(config.path) if config.path else data.fetch(config.artifact)
        if not path.exists():
            raise UserError(f"model.path: {path} does not exist; give a .gguf file or a directory")
        options = dict(scan_layers=config.scan_layers, dtype=jnp.float32)
        if path.is_dir():
            return models.load_huggingface(path, **options), models.load_tokenizer(path)
        return models.load_gguf(path, **options), models.tokenizer_from_gguf(path)


@dataclasses.dataclass(frozen=True)
class Text:
    """Token windows to evaluate ``[n, length]``, one batch to calibrate on, and what they are."""

    windows: np.ndarray
    calibration: np.ndarray
    description: str


def load_text(config: DictConfig, tokenizer: Any) -> Text:
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
