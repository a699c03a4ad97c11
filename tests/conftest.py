"""What every test runs under."""

from __future__ import annotations

import gc
import pathlib
from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def room_for_programs() -> Iterator[None]:
    """Forget compiled programs between files, before they take up all of a process's memory mappings.

    Each program of XLA's CPU backend maps memory several times; Linux allows a process 65,530 mappings,
    and compiling crashes beyond.
    """
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 15_000:
        jax.clear_caches()
        gc.collect()
