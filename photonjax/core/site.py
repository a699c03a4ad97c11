"""Which weight on which die: where static errors are drawn from."""

from __future__ import annotations

import numbers
import zlib
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.limits import allowed
from photonjax.core.pytree import brief

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
    key = jax.random.fold_in(random.new_key(core.chip_seed), _STATIC)
    for part in jax.tree.leaves(site, is_leaf=lambda part: part is None):
        part = site_number(part) if isinstance(part, str) else part
        key = jax.random.fold_in(
            key, check_site_number("site", part, "neither a parameter's path nor an integer")
        )
    return key if slice_ == 0 else jax.random.fold_in(key, 0x100 + slice_)


def check_site_number(name: str, number: Any, not_a: str = "not an integer") -> Any:
    """The number of a site, or of a part of one.

    Raises:
      TypeError: no integer, or several. ValueError: not of 32 bits.
    """
    whole = isinstance(number, numbers.Integral) and not isinstance(number, bool)
    dtype = getattr(number, "dtype", float)
    if not whole and not (jnp.issubdtype(dtype, jnp.integer) and jnp.ndim(number) == 0):
        raise TypeError(f"{name} = {brief(number)} is {not_a}")
    if whole and not 0 <= number < 2**32:
        raise ValueError(f"{name} = {number} is not {allowed('an integer', 0, 2**32 - 1)}")
    return number


def columns_key(core: OpticalCore, site: Site) -> jax.Array:
    """Where the static errors of a site's columns come from."""
    return jax.random.fold_in(die_key(core, site), _COLUMNS)
