"""Package managers are asked for one exact archive, and say in one line why they failed."""

from __future__ import annotations

import sys

import pytest

from photonjax.data import clients
from photonjax.data.artifacts import FetchError


def test_client_commands(tmp_path, monkeypatch):
    pip = clients.command("pip", "thing==1.0", tmp_path)
    assert pip[0] == sys.executable and pip[-1] == "thing==1.0"
    assert "--no-deps" in pip and "--only-binary=:all:" in pip
    monkeypatch.setattr(clients.shutil, "which", lambda program: f"/bin/{program}")
    assert clients.command("npm", "@a/b@1", tmp_path)[:3] == ["/bin/npm", "pack", "@a/b@1"]
    assert clients.command("apt", "a=1", tmp_path) == ["/bin/apt-get", "download", "a=1"]
    monkeypatch.setattr(clients.shutil, "which", lambda program: None)
    with pytest.raises(FetchError, match="npm is not on PATH: install Node.js"):
        clients.command("npm", "@a/b@1", tmp_path)
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FetchError, match="python -m ensurepip"):
        clients.command("pip", "thing==1.0", tmp_path)
    with pytest.raises(ValueError, match="'cargo'"):
        clients.command("cargo", "x", tmp_path)
