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
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

ROOT = pathlib.Path(__file__).resolve().parents[1]
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
    try:
        run(load_config(experiment, arguments))
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; run the same command again to go on from what was written")


def load_config(experiment: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The experiment's config, composed by Hydra; unknown keys and groups are errors.

    Raises:
      UserError: naming the override that does not fit.
    """
    try:
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            config = compose(experiment, overrides=list(overrides))
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split("\n full_key")[0].split()).replace("See ", "see ")
        keys = "see the keys with --help, or read configs/" + experiment + ".yaml"
        raise UserError(f"config: {reason.split(' Set the environment')[0]} ({keys})") from None
    return config


def _help(experiment: str) -> str:
    config = OmegaConf.to_yaml(load_config(experiment))
    return f"usage: python experiments/{experiment}.py [key=value ...]\n\nconfig:\n\n{config}"


@contextlib.contextmanager
def user_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors that libraries raise about what the user gave them into :class:`UserError`."""
    try:
        yield
    except kinds as error:
        raise UserError(" ".join(str(error).split())) from error


class RunDirectory:
    """``results/<experiment>/<run>/``, used by one process at a time and never half-written.

    An interrupted run is taken up again by the same config; another config, or a finished run, is
    refused, so that nothing written before is lost.

    Args:
      experiment: its name.
      config: resolved; ``config.results_dir`` and ``config.run`` say where (run ``null``: the time).

    Raises:
      UserError: unwritable, in use, finished, or begun with another config.
    """

    def __init__(self, experiment: str, config: DictConfig):
        name = config.run or datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
        self.path = pathlib.Path(config.results_dir).expanduser() / experiment / str(name)
        self._config = OmegaConf.to_yaml(config, resolve=True, sort_keys=False)
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
        self._claim()

    def _claim(self) -> None:
        known = self.path / "config.yaml"
        if (self.path / "metrics.json").exists():
            raise UserError(
                f"run: {self.path} already holds a finished run; choose another name with run=NAME"
            )
        if known.exists() and known.read_text() != self._config:
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
        return json.loads(file.read_text()) if file.exists() else None


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result, and the machine's kind."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
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
