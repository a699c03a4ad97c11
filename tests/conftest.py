"""What every test runs under."""

from __future__ import annotations

import atexit
import gc
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator


def _share_what_is_compiled() -> None:
    """Workers of one run of the tests, and the processes that tests start, have one compilation cache.

    Before JAX is imported, which reads these then; workers inherit them.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        directory = tempfile.mkdtemp(prefix="compiled-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = directory
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


_share_what_is_compiled()

import jax  # noqa: E402, as said above
import pytest  # noqa: E402

from photonjax import data  # noqa: E402

QUICK = "--xla_cpu_use_fusion_emitters=false"


def _compile_quickly() -> None:
    """Compile at XLA's lowest level, by the emitter that is quickest where there is a choice.

    Most of the tests' time is compiling small programs that run once. Flags are read once, with the
    first device; processes that tests start do not inherit this, and compile as a user's program does.
    """
    if jax.__version_info__ < (0, 11):  # later versions know no such flag, and end the process
        flags = os.environ.get("XLA_FLAGS", "")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XLA_FLAGS", f"{flags} {QUICK}")
            jax.devices()
    jax.config.update("jax_disable_most_optimizations", True)


if not os.environ.get("TESTS_COMPILE_AS_USERS_DO"):
    _compile_quickly()


@pytest.fixture
def processes_compile_alike(monkeypatch) -> None:
    """Processes that the test starts compile as the tests do, so that their numbers can be compared."""
    if not os.environ.get("TESTS_COMPILE_AS_USERS_DO"):
        flags = os.environ.get("XLA_FLAGS", "")
        if jax.__version_info__ < (0, 11):
            monkeypatch.setenv("XLA_FLAGS", f"{flags} {QUICK}")
        monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


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
