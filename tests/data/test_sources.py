"""Where an artifact comes from: the hub, the web, the packages, in this order."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import sys
import threading
import time

import pytest

from photonjax.data import hub
from photonjax.data.artifacts import ARTIFACTS, FetchError
from photonjax.data.download import fetch
from tests.data.faults import names, one_line


@pytest.fixture
def website(registry, tmp_path):
    """The payload on a web server of our own; without the directory it answers 404."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "thing.bin").write_bytes(registry.payload)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/thing.bin"
        yield folder / "thing.bin", dataclasses.replace(ARTIFACTS["thing"], url=url)
        server.shutdown()


def test_the_web_comes_before_the_packages(registry, website, cache):
    _, thing = website
    assert fetch(thing, progress=False).read_bytes() == registry.payload
    assert registry.asked == 0 and names(cache) == ["thing.bin"]


@pytest.mark.parametrize("fault", ["wrong", "missing"])
def test_the_packages_stand_in_for_a_website(registry, website, cache, fault):
    served, thing = website
    served.write_bytes(b"another file") if fault == "wrong" else served.unlink()
    assert fetch(thing, progress=False).read_bytes() == registry.payload
    assert registry.asked == 1 and names(cache) == ["thing.bin"]


def test_every_source_that_was_tried_is_named(registry, website, cache, no_hub):
    served, thing = website
    served.unlink()
    registry.script = "import sys; sys.exit('ERROR: no route to registry')"
    thing = dataclasses.replace(thing, hub="owner/things@v1:thing.bin")
    start = time.monotonic()
    with pytest.raises(FetchError) as caught:
        fetch(thing, progress=False)
    one_line(caught, "hub owner/things: cannot be reached (", f"{thing.url}: cannot be", "404")
    one_line(
        caught, "pip: pip could not download thing==1.0 (ERROR: no route", "go online, or place"
    )
    assert time.monotonic() - start < 10


def test_the_hub_comes_first_and_only_with_the_right_checksum(registry, cache, monkeypatch):
    asked = []

    def verified(place, sha256, work, *, progress):
        asked.append((place, sha256))
        (work / "thing.bin").write_bytes(registry.payload)
        return work / "thing.bin"

    monkeypatch.setattr(hub, "verified", verified)
    thing = dataclasses.replace(ARTIFACTS["thing"], hub="owner/things@v1:thing.bin")
    assert fetch(thing, progress=False).read_bytes() == registry.payload
    assert asked == [("owner/things@v1:thing.bin", thing.sha256)] and registry.asked == 0


def test_clients_that_are_not_installed_are_passed_over(registry, website, cache, monkeypatch):
    _, thing = website
    thing = dataclasses.replace(thing, hub="owner/things:thing.bin")
    for library in ("huggingface_hub", "pooch"):
        monkeypatch.setitem(sys.modules, library, None)
    assert fetch(thing, progress=False).read_bytes() == registry.payload
    (cache / "thing.bin").unlink()
    registry.script = "import sys; sys.exit('ERROR: no route to registry')"
    with pytest.raises(FetchError) as caught:
        fetch(thing, progress=False)
    one_line(caught, "huggingface_hub is not installed: pip install 'photonjax[data]'", "pooch is")
