"""Where a run's results go: a directory of its own, never half-written."""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.metadata
import io
import json
import os
import pathlib
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import filelock
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from experiments.harness.errors import FinishedRun, UserError
from experiments.harness.paths import user_path
from photonjax.files import PARTIAL, write_whole

PACKAGES = ("photonjax", "jax", "jaxlib", "flax", "numpy", "datasets", "tokenizers", "gguf")


class RunDirectory:
    """``results/<experiment>/<run>/``, used by one process at a time and never half-written.

    An interrupted run is taken up again by the same config; another config, or a finished run, is
    refused, so that nothing written before is lost. As a context it lets go of the directory. The
    jobs of a sweep (``--multirun``) are ``results/<experiment>/<run>/0``, ``1`` and so on.

    Args:
      experiment: its name.
      config: checked; ``config.results_dir`` and ``config.run`` say where.

    Raises:
      UserError: unwritable, in use, finished (:class:`FinishedRun`), or begun with another config.
    """

    def __init__(self, experiment: str, config: Any):
        self.path, self._name = _place(experiment, config), str(config.run)
        settings = OmegaConf.structured(config) if dataclasses.is_dataclass(config) else config
        self._config = OmegaConf.to_yaml(settings, resolve=True, sort_keys=False)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(self.path / ".lock", timeout=0, thread_local=False)
            self._lock.acquire()
        except filelock.Timeout:
            raise UserError(
                f"run: {self.path} is in use by another process; wait for it, or choose another "
                "name with run=NAME"
            ) from None
        except OSError as error:
            raise UserError(
                f"results_dir: cannot write to {self.path} ({error.strerror}); "
                "choose another with results_dir=PATH"
            ) from None
        try:
            self._claim()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def _claim(self) -> None:
        known = self.path / "config.yaml"
        if (self.path / "metrics.json").exists():
            raise FinishedRun(
                f"run: {self.path} already holds a finished run; choose another name with run=NAME"
            )
        before = {".lock", "config.yaml", "versions.json"}  # there before there is any result
        partial = [f for f in self.path.iterdir() if f.name.startswith(PARTIAL)]
        begun = {f.name for f in self.path.iterdir()} - {f.name for f in partial} - before
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
        for file in partial:  # of a process that was killed while it wrote
            file.unlink(missing_ok=True)
        self.write("config.yaml", self._config)
        self.write_json("versions.json", versions())

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        data = content.encode() if isinstance(content, str) else content
        try:
            write_whole(self.path / name, data)
        except OSError as error:
            raise UserError(
                f"results: cannot write {self.path / name} ({error.strerror}); free space, or make it "
                f"writable, and repeat the command with run={self._name} to go on from what was "
                "written"
            ) from None

    def write_json(self, name: str, content: Any) -> None:
        """Write JSON; not-a-number and infinity become null."""
        self.write(name, json.dumps(_plain(content), indent=2) + "\n")

    def write_csv(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows with the first one's keys as the header; without rows there is no file."""
        if not rows:
            return
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
                f"run: {file} is not JSON any more; delete it to start again, or choose another name "
                "with run=NAME"
            ) from None


def _place(experiment: str, config: Any) -> pathlib.Path:
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        return pathlib.Path(HydraConfig.get().runtime.output_dir)
    return user_path("results_dir", config.results_dir) / experiment / str(config.run)


def peak_memory_bytes() -> int | None:
    """The most memory this process has held; None where the platform does not say."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


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


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    number = float(value)
    return number if abs(number) < float("inf") else None
