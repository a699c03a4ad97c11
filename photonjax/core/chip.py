"""One die: the static errors of its cells and of its columns.

Drawn from ``core.chip_seed`` and a site's number, the same at every call. With ``b`` a cell's level, in
full scales, in the order in which they come about:

* Floor (``extinction`` other than ``balanced``): as for inputs (:mod:`photonjax.core.modulator`), the signs
  of dithered cells fixed at programming.
* Programming: ``b + noise eps``.
* Drift: ``b (t / t_c)**-nu`` with ``nu ~ N(drift_exponent, drift_spread**2)`` for each cell and
  ``t_c = 20 s``, from ``t_c`` on; flicker: ``b (1 + q sqrt(ln((t + t_r) / (2 t_r))) eps)`` with
  ``t_r = 250 ns``. The forms, ``t_c`` and ``t_r`` are those published for phase-change cells (Joshi et al.,
  Nat. Commun. 11, 2473 (2020); Nandakumar et al., ICECS 2019), which photonic memories share.
* Dead cells transmit nothing (0; -1 for ``offset``), stuck ones +1 or -1, each with its probability.
  (The fractions are thresholds of draws: derivatives with respect to them are 0.)
* Crosstalk: of a cell's light the share x lands on each neighbour, ``b_k (1 - 2x) + x (b_(k-1) + b_(k+1))``
  (of ``1 + b`` for ``offset``), along the inputs (``crosstalk_rows``) and the outputs
  (``crosstalk_cols``); at an array's edge the light is lost. Two crosstalk kernels commute.
"""

from __future__ import annotations

import zlib
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.core import OpticalCore
from photonjax.core.modulator import at_floor
from photonjax.core.quantize import rounded

DRIFT_START_S = 20.0
FLICKER_READ_S = 250e-9

# A number, a parameter's path, or numbers one within another.
Site = int | str | jax.Array | tuple[Any, ...]

# Keeps a die's errors apart from dynamic noise started from a key of the same seed.
_STATIC = 0x5747
_SLOPES, _FLICKER, _DEFECTS, _SIGNS, _DITHER, _COLUMNS = range(1, 7)


def site_number(path: str) -> int:
    """The number by which a site that is named by its parameter's path draws its static errors.

    >>> site_number("layers/0/mlp/kernel")
    2098062706
    """
    return zlib.crc32(path.encode())


def die_key(core: OpticalCore, site: Site, slice_: int = 0) -> jax.Array:
    """Where the static errors of one site (a number, or numbers within one another) and slice come from."""
    key = jax.random.fold_in(jax.random.key(core.chip_seed), _STATIC)
    for number in jax.tree.leaves(site):
        key = jax.random.fold_in(key, site_number(number) if isinstance(number, str) else number)
    return key if slice_ == 0 else jax.random.fold_in(key, 0x100 + slice_)


def cells(core: OpticalCore, b: jax.Array, unit: int, key: jax.Array) -> jax.Array:
    """Levels ``[K, N]`` (in units of ``unit`` to full scale) as the die's cells hold them."""
    if not core.disturbs_weights:
        return b

    def draw(stream: int) -> jax.Array:
        return random.mixed_normal(jax.random.fold_in(key, stream), *b.shape)[0]

    def uniform(stream: int) -> jax.Array:
        return random.uniform(random.mixed_words(jax.random.fold_in(key, stream), *b.shape)[0])

    dark = unit if core.encoding.kind == "offset" else 0  # b + dark goes with the light of a cell
    if core.input.extinction != "balanced":
        b = at_floor(core, b, unit, uniform(_DITHER) if core.input.extinction == "dither" else None)
    if core.array.noise is not None:
        b = b + rounded(unit * core.array.noise * random.mixed_normal(key, *b.shape)[0])
    if core.array.seconds_since_programming is not None:
        b = aged(core, b, draw)
    if core.array.dead_fraction is not None or core.array.stuck_fraction is not None:
        where = uniform(_DEFECTS)
        dead: Any = 0.0 if core.array.dead_fraction is None else core.array.dead_fraction
        stuck: Any = 0.0 if core.array.stuck_fraction is None else core.array.stuck_fraction
        end = jnp.where(uniform(_SIGNS) < 0.5, -1.0, 1.0) * unit
        b = jnp.where(where < dead, -dark, jnp.where(where > 1 - stuck, end, b))
    for share, size, axis in (
        (core.array.crosstalk_rows, core.rows, 0),
        (core.array.crosstalk_cols, core.cols, 1),
    ):
        if share is not None:
            b = b + _spread(b + dark, share, size, axis)
    return b


def aged(core: OpticalCore, b: jax.Array, draw: Any) -> jax.Array:
    """Drift and flicker; ``draw(stream)`` gives standard normals of ``b``'s shape."""
    t = jnp.float32(core.array.seconds_since_programming)
    if core.array.drift_exponent is not None or core.array.drift_spread is not None:
        nu: Any = 0.0 if core.array.drift_exponent is None else core.array.drift_exponent
        if core.array.drift_spread is not None:
            nu = nu + rounded(core.array.drift_spread * draw(_SLOPES))
        b = rounded(b * jnp.exp(-nu * jnp.log(jnp.maximum(t / DRIFT_START_S, 1.0))))
    if core.array.flicker_noise is not None:
        growth = jnp.log((t + FLICKER_READ_S) / (2 * FLICKER_READ_S))
        spread = core.array.flicker_noise * jnp.sqrt(jnp.maximum(growth, 1e-12))
        b = b + rounded(b * rounded(spread * draw(_FLICKER)))
    return b


def columns(core: OpticalCore, cols: int, key: jax.Array) -> jax.Array | None:
    """Draws ``[3, 1, cols]`` of each column: gain and offset (standard normals), sign of the ADC's bend."""
    if (
        core.receiver.gain_error is None
        and core.receiver.offset_error is None
        and core.adc.inl_lsb is None
    ):
        return None
    gain, offset, bend = random.mixed_normal(jax.random.fold_in(key, _COLUMNS), 3, cols, 1)[0]
    return jnp.stack([gain, offset, jnp.where(bend < 0, -1.0, 1.0)])[:, None, :]


def _spread(b: jax.Array, share: Any, size: int, axis: int) -> jax.Array:
    """What nearest neighbours within arrays of ``size`` cells along ``axis`` change about light ``b``."""
    index = jnp.arange(b.shape[axis])
    index = index[:, None] if axis == 0 else index[None, :]
    first, last = index % size == 0, (index % size == size - 1) | (index == b.shape[axis] - 1)
    neighbours = jnp.where(first, 0.0, jnp.roll(b, 1, axis)) + jnp.where(
        last, 0.0, jnp.roll(b, -1, axis)
    )
    return rounded(share * (neighbours - 2 * b))
