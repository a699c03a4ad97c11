"""Package managers are asked for one exact archive, and say in one line why they failed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

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


CLIENT = """
    import os, subprocess, sys, time
    own = [sys.executable, "-S", "-c", "import time; time.sleep(300)"]
    child = subprocess.Popen(own)
    print(os.getpid(), child.pid, flush=True)
    with open("pids.part", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename("pids.part", "pids")
    time.sleep(300)
"""
PARENT = """
    import pathlib, signal, sys
    from photonjax.data import clients
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    clients.command = lambda *_: [sys.executable, "-S", "-c", sys.argv[2]]
    place = pathlib.Path(sys.argv[1])
    clients.download("pip", "thing==1", place, size=1, label="", progress=False)
"""


def _until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def _gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_client_outlives_us(tmp_path, how):
    """Neither it nor what it started, however we end."""
    program, client = textwrap.dedent(PARENT), textwrap.dedent(CLIENT)
    ours = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), client], stderr=subprocess.DEVNULL
    )
    assert _until((tmp_path / "pids").exists)
    pids = (tmp_path / "pids").read_text().split()
    assert not any(map(_gone, pids))
    ours.send_signal(how)
    ours.wait(240)
    assert _until(lambda: all(map(_gone, pids)), 20)


def test_a_client_that_fails_says_why(tmp_path, monkeypatch):
    script = "import sys; print('error: no such thing'); sys.exit(3)"
    monkeypatch.setattr(clients, "command", lambda *_: [sys.executable, "-S", "-c", script])
    options = dict(size=1, label="", progress=False)
    with pytest.raises(FetchError, match=r"could not download thing==1 \(error: no such thing\)"):
        clients.download("pip", "thing==1", tmp_path, **options)
