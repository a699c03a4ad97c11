"""Experiments that have no schema yet: their config as Hydra composes it, unchecked."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.harness import launch
from experiments.harness.errors import UserError

OPEN = ("ladder", "core.fields")


def main(experiment: str, schema: Any, run: Callable[[Any], None] | None = None) -> None:
    """With or without a schema."""
    if run is not None:
        return launch.main(experiment, schema, run)
    if any(a in ("-h", "--help") for a in sys.argv[1:]):
        config = OmegaConf.to_yaml(load_config(experiment))
        print(f"usage: python -m experiments.{experiment} [key=value ...]\n\nconfig:\n\n{config}")
        return None
    launch.widen_vectors()
    try:
        schema(load_config(experiment, sys.argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
    return None


def load_config(experiment: str, schema: Any = (), overrides: Sequence[str] = ()) -> Any:
    """With or without a schema."""
    if isinstance(schema, type):
        return launch.load_config(experiment, schema, overrides)
    keys = f"see the keys with --help, or read configs/{experiment}.yaml"
    try:
        with launch._quiet_plugins(), initialize_config_dir(launch.CONFIGS, version_base="1.3"):
            config = compose(experiment, overrides=[o for each in schema for o in _spell(each)])
        for key in sorted(OmegaConf.missing_keys(config)):
            raise UserError(f"config: {key} is not set; give {key}=VALUE")
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(f"config: {_reason(error)} ({keys})") from None
    assert isinstance(config, DictConfig)
    return config


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if found := re.match(r"Could not override '([^']*)'", text):
        return f"there is no key {found[1]!r}"
    return re.sub(r" (full_key: |See https|Config search path|Set the env).*", "", text)


def _spell(override: str) -> list[str]:
    mark, key, value = re.fullmatch(r"([+~]*)([^=]*)(.*)", override, re.S).groups()  # type: ignore[union-attr]
    if not mark and key in OPEN and value.removeprefix("=").lstrip().startswith("{"):
        return [f"~{key}", f"+{key}{value}"]
    if any(key == name or key.startswith(f"{name}.") for name in OPEN):
        return [override if mark or key in OPEN else f"++{override}"]
    if mark:
        raise UserError(
            f"config: {override!r}: keys can be added and removed in {' and '.join(OPEN)} only; "
            f"leave out {mark!r}"
        )
    return [override]
