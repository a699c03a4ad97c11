"""What every experiment needs: its config, its results directory, and errors a user can act on."""

from __future__ import annotations

import contextlib
import csv
import datetime
import fcntl
import functools
import importlib.metadata
import io
import json
import os
import pathlib
import platform
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

# Hydra 1.3 warns where no version is named, 1.4 where one is.
warnings.filterwarnings("ignore", message="The version_base parameter is deprecated")

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Mappings without fixed keys: overrides may add to them, or replace them, without Hydra's "+".
OPEN = ("ladder", "core.fields")
PACKAGES = ("photonjax", "jax", "jaxlib", "flax", "numpy", "datasets", "tokenizers", "gguf")


class UserError(Exception):
    """Something the user can mend; its message names the culprit and the remedy in one line."""


def main(experiment: str, run: Callable[[DictConfig], None]) -> None:
    """Run an experiment from the command line: ``key=value`` overrides of its config.

    User errors end the program with one line and exit status 1 (2 for the command line itself).
    """
    arguments = sys.argv[1:]
    if any(a in ("-h", "--help") for a in arguments):
        print(_help(experiment))
        return
    widen_vectors()
    try:
        run(load_config(experiment, arguments))
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(
            "interrupted; to go on from what was written, repeat the command with run=NAME, NAME "
            "being the last part of the results directory"
        )


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


def load_config(experiment: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The experiment's config, composed by Hydra; unknown keys and groups are errors.

    Raises:
      UserError: naming the override that does not fit.
    """
    keys = f"see the keys with --help, or read configs/{experiment}.yaml"
    try:
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            config = compose(experiment, overrides=[o for each in overrides for o in _spell(each)])
        for key in sorted(OmegaConf.missing_keys(config)):
            raise UserError(f"config: {key} is not set; give {key}=VALUE")
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(f"config: {_reason(error)} ({keys})") from None
    return config


def _reason(error: Exception) -> str:
    """Hydra's message on one line, without advice that does not fit here."""
    text = " ".join(str(error).split())
    if found := re.search(r"Missing mandatory value: (\S+)", text):
        return f"{found[1]} is not set; give {found[1]}=VALUE"
    if found := re.match(r"Could not override '([^']*)'", text):
        return f"there is no key {found[1]!r}"
    text = re.sub(
        r" (full_key: |See https|Config search path|Set the environment variable).*", "", text
    )
    if override := getattr(error, "override", None):
        return f"{override!r}: {text}; write key=value, and quote unusual values: \"key='a=b'\""
    return text


def _spell(override: str) -> list[str]:
    """An override as Hydra wants it: what is in an open mapping may be new, nothing else may."""
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


def _help(experiment: str) -> str:
    config = OmegaConf.to_yaml(load_config(experiment))
    return f"usage: python -m experiments.{experiment} [key=value ...]\n\nconfig:\n\n{config}"


@contextlib.contextmanager
def user_errors(*kinds: type[Exception], prefix: str = "") -> Iterator[None]:
    """Turn errors that libraries raise about what the user gave them into :class:`UserError`."""
    try:
        yield
    except kinds as error:
        raise UserError(prefix + " ".join(str(error).split())) from error


class RunDirectory:
    """``results/<experiment>/<run>/``, used by one process at a time and never half-written.

    An interrupted run is taken up again by the same config; another config, or a finished run, is
    refused, so that nothing written before is lost. As a context it lets go of the directory.

    Args:
      experiment: its name.
      config: resolved; ``config.results_dir`` and ``config.run`` say where (run ``null``: the time).

    Raises:
      UserError: unwritable, in use, finished, or begun with another config.
    """

    def __init__(self, experiment: str, config: DictConfig):
        name = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
        name = name if config.run in (None, "") else str(config.run)
        self.path = pathlib.Path(config.results_dir).expanduser() / experiment / name
        named = OmegaConf.merge(config, {"run": name})
        self._config = OmegaConf.to_yaml(named, resolve=True, sort_keys=False)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / ".lock", "w")
        except OSError as error:
            raise UserError(
                f"results_dir: cannot write to {self.path} ({error.strerror}); "
                "choose another with results_dir=PATH"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"run: {self.path} is in use by another process; wait for it, or choose another "
                "name with run=NAME"
            ) from None
        try:
            self._claim()
        except UserError:
            self._lock.close()
            raise

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.close()

    def _claim(self) -> None:
        known = self.path / "config.yaml"
        if (self.path / "metrics.json").exists():
            raise UserError(
                f"run: {self.path} already holds a finished run; choose another name with run=NAME"
            )
        before = {".lock", "config.yaml", "versions.json"}  # there before there is any result
        begun = {f.name for f in self.path.iterdir() if not f.name.startswith(".partial-")} - before
        if begun and not known.exists():
            raise UserError(
                f"run: {self.path} holds files of something else ({min(begun)}); choose another "
                "name with run=NAME"
            )
        if begun and _settings(known.read_text()) != _settings(self._config):
            raise UserError(
                f"run: {self.path} was begun with another config; choose another name with run=NAME, "
                f"or repeat the settings in its config.yaml"
            )
        self.write("config.yaml", self._config)
        self.write_json("versions.json", versions())

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        data = content.encode() if isinstance(content, str) else content
        try:
            handle, temporary = tempfile.mkstemp(dir=self.path, prefix=".partial-")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o644)
            os.replace(temporary, self.path / name)
        except OSError as error:
            raise UserError(
                f"results: cannot write {self.path / name} ({error.strerror})"
            ) from None

    def write_json(self, name: str, content: Any) -> None:
        """Write JSON; not-a-number and infinity become null."""
        self.write(name, json.dumps(_plain(content), indent=2) + "\n")

    def write_csv(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows with the first one's keys as the header."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write(name, text.getvalue())

    def write_plot(self, name: str, figure: Any) -> None:
        """Write a matplotlib figure as PNG."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
        self.write(name, buffer.getvalue())

    def read_json(self, name: str) -> Any | None:
        """What an interrupted run left, or None."""
        file = self.path / name
        try:
            return json.loads(file.read_text()) if file.exists() else None
        except ValueError:
            raise UserError(
                f"run: {file} is not JSON any more; delete it to begin anew, or choose another name "
                "with run=NAME"
            ) from None


def _settings(text: str) -> Any:
    """What a run's results follow from: its config but for where they are written."""
    try:
        settings = OmegaConf.to_container(OmegaConf.create(text))
    except Exception:  # not ours, or edited: whatever it is, it is another config
        return None
    places = ("results_dir", "run")
    return {k: v for k, v in settings.items() if k not in places} if settings else None


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result, the machine's kind, XLA's flags."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    found["xla_flags"] = os.environ.get("XLA_FLAGS", "")
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found | {"written": time.strftime("%Y-%m-%dT%H:%M:%S%z")}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of text as an aligned table, the first column to the left and the others to the right."""
    names = list(rows[0])
    cells = [names, *[[str(row[n]) for n in names] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    lines = [
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *[c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)],
            ]
        )
        for line in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    number = float(value)
    return number if abs(number) < float("inf") else None
