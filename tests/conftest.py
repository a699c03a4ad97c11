"""What every test runs under."""

from __future__ import annotations

import gc
import os
import pathlib
from collections.abc import Callable, Iterator

import jax
import pytest

from photonjax import data


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


@pytest.fixture
def real_artifact() -> Callable[..., pathlib.Path]:
    """Fetch an artifact into the ordinary cache; without it skip, but fail where CI is set.

    Those that only npm delivers are not `required`: it may be missing anywhere.
    """

    def fetch(artifact: str | data.Artifact, *, required: bool = True) -> pathlib.Path:
        try:
            return data.fetch(artifact, progress=False)
        except data.FetchError as error:
            if required and os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))

    return fetch
