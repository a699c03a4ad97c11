"""Fixtures of the data room: a cache of one's own, a package manager and a hub that are none."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import sys
import zipfile

import pytest
from huggingface_hub import constants

from photonjax.data import artifacts, clients


@pytest.fixture
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """An empty cache directory that does not exist yet."""
    monkeypatch.setenv("PHOTONJAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@dataclasses.dataclass
class FakeRegistry:
    """Stands in for pip: a subprocess that copies `archive`, or runs `script` instead."""

    archive: pathlib.Path
    payload: bytes
    script: str | None = None
    asked: int = 0

    def deliver(self, payload: bytes) -> None:
        """Let the registry hand out a wheel that holds this."""
        with zipfile.ZipFile(self.archive, "w") as wheel:
            wheel.writestr("inside/thing.bin", payload)

    def command(self, client: str, package: str, directory: pathlib.Path) -> list[str]:
        self.asked += 1
        copy = f"import shutil; shutil.copy({str(self.archive)!r}, {str(directory)!r})"
        return [sys.executable, "-S", "-c", self.script or copy]


@pytest.fixture
def registry(
    tmp_path: pathlib.Path, cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> FakeRegistry:
    """A registry with one artifact called "thing"."""
    payload = bytes(range(256)) * 40
    fake = FakeRegistry(tmp_path / "thing-1.0-py3-none-any.whl", payload)
    fake.deliver(payload)
    thing = artifacts.Artifact(
        filename="thing.bin",
        size=len(payload),
        sha256=hashlib.sha256(payload).hexdigest(),
        licence="none",
        packages=(
            artifacts.Package("pip", "thing==1.0", fake.archive.stat().st_size, "inside/thing.bin"),
        ),
    )
    monkeypatch.setitem(artifacts.ARTIFACTS, "thing", thing)
    monkeypatch.setattr(clients, "command", fake.command)
    return fake


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that refuses every connection at once, whatever the network here."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
