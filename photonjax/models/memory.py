"""Whether weights fit into memory, asked before any is allocated: a process that takes more than there is
may be ended without a word.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from photonjax.models.weights import CheckpointError

__all__ = ["enough_memory", "memory_bytes"]

_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@contextlib.contextmanager
def enough_memory(source: Any, size: int) -> Iterator[None]:
    """A context that allocates `size` bytes for the weights in `source`.

    Raises:
      CheckpointError: there is less memory, or it ran out meanwhile.
    """
    remedy = "load it with dtype=bfloat16, take a smaller model, or a machine or limit with more"
    needs = f"{source}: its weights take {size / 2**30:,.2f} GiB of memory"
    if size > (most := memory_bytes()):
        raise CheckpointError(f"{needs}, and there are {most / 2**30:,.2f}: {remedy}")
    try:
        yield
    except MemoryError:
        raise CheckpointError(f"{needs}, and it ran out: {remedy}") from None


def memory_bytes() -> float:
    """The most that this process can have: memory and swap, less where it is limited; infinite where
    the system does not say.

    >>> memory_bytes() > 1e6
    True
    """
    return min(_physical(), *map(_group, _GROUPS), _address_space())


def _physical() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = dict(line.split(":") for line in lines if ":" in line)
        return 1024 * sum(int(sizes[name].split()[0]) for name in ("MemTotal", "SwapTotal"))
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return math.inf


def _group(file: str) -> float:
    """The limit of a control group (containers, batch jobs)."""
    try:
        return float(Path(file).read_text().strip().replace("max", "inf"))
    except (OSError, ValueError):
        return math.inf


def _address_space() -> float:
    try:
        import resource
    except ImportError:  # not on Windows
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit
