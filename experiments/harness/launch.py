"""From the command line to a checked config: Hydra, its sweeps and launchers, and errors of one line."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import re
import sys
import traceback
import typing
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import hydra
import jax
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from experiments.harness.errors import FinishedRun, UserError
from experiments.harness.schema import (
    check,
    check_given,
    check_truths,
    describe,
    open_mappings,
    shown,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIGS = str(ROOT / "configs")


def main(experiment: str, schema: type, run: Callable[[Any], None]) -> None:
    """Run an experiment from the command line: ``key=value`` overrides of its config.

    User errors end the program with one line and exit status 1 (2 for the command line itself).

    Args:
      experiment: its name, which is that of its folder and of its file in ``configs/``.
      schema: dataclass of its settings (:mod:`experiments.harness.schema`); ``run`` is given one.
      run: the experiment.
    """
    with _one_line(schema, experiment, sys.argv[1:]):
        arguments = [o for each in sys.argv[1:] for o in _spell(each, schema)]
        # Hydra 1.3 takes overrides on one side of it only.
        sys.argv[1:] = sorted(arguments, key=lambda a: a not in ("-m", "--multirun"))
        register(experiment, schema)
        with _quiet_plugins():
            hydra.main(version_base="1.3", config_path=CONFIGS, config_name=experiment)(
                _job(experiment, schema, run)
            )()


def _job(experiment: str, schema: type, run: Callable[[Any], None]) -> Callable[[DictConfig], None]:
    """What Hydra calls with a composed config: here, or in a process that a launcher has started."""

    def job(config: DictConfig) -> None:
        sweep = HydraConfig.get().mode is RunMode.MULTIRUN
        widen_vectors()
        try:
            with _one_line(schema, experiment, leave=False):
                settings = checked(config, schema)
            run(settings)
        except FinishedRun as error:
            if not sweep:
                sys.exit(f"error: {error}")
            print(f"done before: job {HydraConfig.get().job.num}", file=sys.stderr)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            text = "memory: there is too little; lower windows, lengths or at_once, or take a smaller model"
            if sweep:
                raise UserError(text) from None
            sys.exit(f"error: {text}")
        except UserError as error:
            if sweep:  # the other jobs go on; Hydra names this one's overrides at the end
                raise
            sys.exit(f"error: {error}")

    return job


@functools.cache  # Hydra warns of a name that is given twice
def register(experiment: str, schema: type) -> None:
    """Make a schema known to Hydra, as ``<experiment>_schema`` in a config's defaults."""
    ConfigStore.instance().store(name=f"{experiment}_schema", node=schema)


def load_config(experiment: str, schema: type, overrides: Sequence[str] = ()) -> Any:
    """The experiment's settings as the command line would have them: composed, typed and checked.

    Raises:
      UserError: naming the override that does not fit.
    """
    register(experiment, schema)
    with _one_line(schema, experiment, overrides, leave=False), _quiet_plugins():
        GlobalHydra.instance().clear()
        with hydra.initialize_config_dir(CONFIGS, version_base="1.3"):
            config = hydra.compose(
                experiment, [o for each in overrides for o in _spell(each, schema)]
            )
        return checked(config, schema)


def checked(config: DictConfig, schema: type) -> Any:
    """A composed config as an instance of its schema, every value within its range."""
    for key in sorted(OmegaConf.missing_keys(config)):
        parent, _, name = key.rpartition(".")
        if not OmegaConf.is_interpolation(
            OmegaConf.select(config, parent) if parent else config, name
        ):
            raise UserError(f"config: {key} is not set; give {key}=VALUE")
    OmegaConf.resolve(config)
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, schema), f"no {schema.__name__} in this config's defaults"
    check(settings)
    return settings


def widen_vectors() -> None:
    """Let XLA use vectors of 512 bits where the processor has them, unless ``XLA_FLAGS`` says otherwise.

    It stops at 256 by default, for processors that slow down with more; noise, worked out element by
    element, gains most (``experiments.benchmark`` with either flag). To be called before XLA compiles.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    try:
        wide = "avx512f" in pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        wide = False
    if wide and "xla_cpu_prefer_vector_width" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_prefer_vector_width=512".strip()


@contextlib.contextmanager
def _one_line(
    schema: type, experiment: str, overrides: Sequence[str] = (), leave: bool = True
) -> Iterator[None]:
    """Tell what is wrong with a config in one line, and leave the program or raise :class:`UserError`."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what it would otherwise print on many lines
    try:
        yield
    except KeyboardInterrupt:
        if not leave:
            raise
        sys.exit(
            "interrupted; to go on from what was written, repeat the command with run=NAME, NAME "
            "being the last part of the results directory"
        )
    except Exception as error:
        if not isinstance(error, UserError):
            if not _about_config(error):
                raise
            keys = f" (see the keys with --help, or read configs/{experiment}.yaml)"
            reason = _misfit(schema, overrides) or _reason(error, schema)
            error = UserError(reason + (keys if reason.startswith("config: ") else ""))
        if not leave:
            raise error from None
        sys.exit(f"error: {error}")
    finally:
        if before is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


def _about_config(error: Exception) -> bool:
    """Whether Hydra or OmegaConf raised it; they use plain exceptions too."""
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return True
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("hydra", "omegaconf")


def _misfit(schema: type, overrides: Sequence[str]) -> str | None:
    """Which of the values given does not fit its place, and why; None where it is something else."""
    for argument in overrides:
        try:
            given = OverridesParser.create().parse_override(argument)
        except HydraException:
            continue
        key, value = given.key_or_group, given.value()
        if given.is_delete() or given.is_sweep_override():
            continue
        files = sorted(file.stem for file in (pathlib.Path(CONFIGS) / key).glob("*.yaml"))
        if files and isinstance(value, str):
            continue
        if files and not isinstance(value, dict):
            return f"{key}: {shown(value)} is not a mapping, or one of {', '.join(files)}"
        try:
            check_given(schema, key, value)
        except UserError as error:
            return str(error)
    return None


def _reason(error: Exception, schema: type) -> str:
    """Hydra's message on one line, without advice that does not fit here."""
    cause = error
    while not isinstance(cause, OmegaConfBaseException) and cause.__cause__ is not None:
        cause = typing.cast(Exception, cause.__cause__)
    text = " ".join(str(error).split())
    if found := re.search(r"Missing mandatory value: (\S+)", text):
        return f"config: {found[1]} is not set; give {found[1]}=VALUE"
    if isinstance(cause, ConfigKeyError) and cause.full_key:
        return f"config: there is no key {cause.full_key!r}"
    if found := re.match(r"Could not override '([^']*)'", text):
        key = found[1]
        if re.search(r"Key .* not in|Could not append", text + str(cause)):
            return f"config: there is no key {key!r}"
    key = getattr(cause, "full_key", None) or ""
    wanted = describe(schema, key) if key else None
    if wanted and (
        value := re.search(r"[Vv]alue (.+?)(?: of type .*)? (?:could not|is not)", str(cause))
    ):
        return f"{key}: {value[1]} is not {wanted}"
    if wanted:
        return f"{key}: give {wanted}"
    text = re.sub(
        r" (full_key: |See https|Config search path|Set the environment variable).*", "", text
    )
    if override := getattr(error, "override", None):
        text = re.sub(r"^\w+Exception: .*", "cannot be read", text)
        return (
            f"config: {override.lstrip('+')!r}: {text}; write key=value, and quote unusual values: "
            "\"key='a=b'\""
        )
    return f"config: {text}"


def _check_truths(argument: str, schema: type) -> None:
    """Refuse an override with 1 or "yes" for true."""
    try:
        given = OverridesParser.create().parse_override(argument)
    except HydraException:
        return  # said when it is composed
    if given.is_delete():
        return
    values = [given.value()]
    if given.is_choice_sweep():
        values = [v.value() if hasattr(v, "value") else v for v in given.value().list]
    for value in values:
        check_truths(schema, given.key_or_group, value)


def _spell(argument: str, schema: type) -> list[str]:
    """An override as Hydra wants it: what is in an open mapping may be new, nothing else may."""
    if argument.startswith("-"):
        if "=" in argument:
            raise UserError(f"config: {argument!r}: write key=value, without dashes")
        return [argument]
    _check_truths(argument, schema)
    mark, key, value = re.fullmatch(r"([+~]*)([^=]*)(.*)", argument, re.S).groups()  # type: ignore[union-attr]
    if key == "hydra" or key.startswith(("hydra.", "hydra/")):
        return [argument]
    free = list(open_mappings(schema))
    mapping = value.removeprefix("=").lstrip().startswith("{")
    if not mark and key in free and (pathlib.Path(CONFIGS) / key).is_dir():
        # of a group: a mapping stands in for the file, a name chooses one
        return [f"~{key}", f"+{key}{value}"] if mapping else [argument]
    if any(key == name or key.startswith(f"{name}.") for name in free):
        return [argument if mark else f"++{argument}"]
    if mark:
        raise UserError(
            f"config: {argument!r}: keys can be added and removed in {' and '.join(free) or 'no section'} "
            f"only; leave out {mark!r}"
        )
    return [argument]


@contextlib.contextmanager
def _quiet_plugins() -> Iterator[None]:
    """Without warnings of Hydra's own, and of launchers that are installed but not used."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="hydra")
        # Hydra 1.3 warns where no version is named, 1.4 where one is.
        warnings.filterwarnings("ignore", message="The version_base parameter is deprecated")
        warnings.filterwarnings("ignore", message="register_new_resolver")
        yield
