"""Which weight on which die: where static errors are drawn from."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import jax

if TYPE_CHECKING:
    from photonjax.core.core import OpticalCore

# A number, a parameter's path, or several one within another.
Site = int | str | jax.Array | tuple[Any, ...]

# Keeps a die's errors apart from dynamic noise started from a key of the same seed.
_STATIC = 0x5747
_COLUMNS = 6  # after the streams of the cells


def site_number(path: str) -> int:
    """The number by which a site that is named by its parameter's path draws its static errors.

    >>> site_number("layers/0/mlp/kernel")
    1436686161
    """
    return zlib.crc32(path.encode())


def die_key(core: OpticalCore, site: Site, slice_: int = 0) -> jax.Array:
    """Where the static errors of the cells of one site and bit slice come from."""
    key = jax.random.fold_in(jax.random.key(core.chip_seed), _STATIC)
    for number in jax.tree.leaves(site):
        key = jax.random.fold_in(key, site_number(number) if isinstance(number, str) else number)
    return key if slice_ == 0 else jax.random.fold_in(key, 0x100 + slice_)


def columns_key(core: OpticalCore, site: Site) -> jax.Array:
    """Where the static errors of a site's columns come from."""
    return jax.random.fold_in(die_key(core, site), _COLUMNS)
