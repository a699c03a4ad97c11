"""Normal deviates counted on global indices: the same value for an element on any mesh.

``jax.random.normal`` costs more than the product it should disturb: on CPUs threefry is lowered as a
rolled loop and the inverse error function is a branchy polynomial. Two samplers stand in for it:

* :func:`normal`, ``threefry``: the same bits as ``jax.random.normal``, written out so that XLA fuses
  and vectorises them.
* :func:`mixed_normal`, the default of :class:`~photonjax.OpticalCore`: threefry gives every row and
  every column 64 random bits of its own; an integer mixer of an element's row and column words gives
  its 32 bits; a rational inverse of the normal distribution, in error by at most 1e-4 sigma out to
  5.42 sigma, gives its deviate.

Both depend on ``(key, row, column)`` and on nothing else that a device could see.
"""

from __future__ import annotations

import functools
import zlib
from typing import Any

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
from jax import lax

from photonjax.core.pytree import brief
from photonjax.core.rounding import no_fma
from photonjax.core.staging import apart

_F32, _U32 = np.float32, np.uint32
_IMPLEMENTATION = "threefry2x32"
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def new_key(seed: Any) -> jax.Array:
    """A threefry key of an integer, whatever ``jax_default_prng_impl`` says; the seed may be traced."""
    return jax.random.key(seed, impl=_IMPLEMENTATION)


def as_threefry(key: Any) -> jax.Array:
    """A key as a typed one of threefry: raw words become one, further words (``rbg`` has four) are folded in.

    Raises:
      TypeError: something that is no key. ValueError: several keys.

    >>> key = as_threefry(jax.random.PRNGKey(3))
    >>> bool((key == jax.random.key(3)).all())
    True
    """
    dtype = key.dtype if isinstance(key, (jax.Array, np.ndarray)) else None
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not typed and (dtype != jnp.uint32 or jnp.ndim(key) < 1):
        raise TypeError(f"key = {brief(key)} is not a key; make one with jax.random.key(seed)")
    if jnp.ndim(key) != (0 if typed else 1):
        raise ValueError(
            f"key: expected one key, got an array of shape {jnp.shape(key)}; take one of them, or map "
            "over them with jax.vmap"
        )
    words = jax.random.key_data(key) if typed else key
    if words.shape[0] < 2:
        raise ValueError(f"key: expected two words of 32 bits or more, got {words.shape[0]}")
    made = jax.random.wrap_key_data(words[:2], impl=_IMPLEMENTATION)
    for i in range(2, words.shape[0]):
        made = jax.random.fold_in(made, words[i])
    return made


def normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Standard normal deviates, bit-identical to ``jax.random.normal(key, shape)`` in float32.

    Args:
      key: a typed or raw key (:func:`as_threefry`).
      shape: output shape, fewer than 2**32 elements.

    Returns:
      float32 array of ``shape``.

    Raises:
      ValueError: for 2**32 elements and more.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11 (Threefry-2x32-20);
    the uniform and the inverse error function are those of ``jax.random``.

    Example:
      >>> import jax
      >>> from photonjax.core.random import normal
      >>> key = jax.random.key(0)
      >>> bool((normal(key, (3, 5)) == jax.random.normal(key, (3, 5))).all())
      True
    """
    size = int(np.prod(shape, dtype=np.int64))
    if size >= 2**32:
        raise ValueError(
            f"normal: shape {shape} has {size} elements; fewer than 2**32 are possible"
        )
    words = jax.random.key_data(as_threefry(key))
    index = jnp.zeros(shape, jnp.uint32)
    for axis, stride in enumerate(_strides(shape)):
        index = index + lax.broadcasted_iota(jnp.uint32, shape, axis) * _U32(stride)
    first, second = _threefry_2x32(words[0], words[1], jnp.zeros_like(index), index)
    # Without the barrier XLA copies 120 integer operations into every consumer and compiles for minutes.
    bits = lax.optimization_barrier(first ^ second)
    unit = _float((bits >> _U32(9)) | _U32(0x3F800000)) - _F32(1)
    low = np.nextafter(_F32(-1), _F32(0))
    uniform = jnp.maximum(low, unit * (_F32(1) - low) + low)
    return _F32(np.sqrt(2)) * lax.erf_inv(uniform)


def mixed_normal(
    key: jax.Array,
    rows: int,
    cols: int,
    tiles: int = 1,
) -> list[jax.Array]:
    """Standard normal deviates for ``tiles`` arrays of ``[rows, cols]``.

    Element ``(r, c)`` of a tile depends on the key, the tile, ``r`` and ``c`` only, not on the shape.
    The deviate is within 1e-4 of the exact inverse of its 24-bit uniform; the largest is 5.42.

    Args:
      key: a typed or raw key (:func:`as_threefry`).
      rows, cols: shape of each array.
      tiles: how many arrays.

    Returns:
      a list of ``tiles`` float32 arrays, lazily fused by XLA into whatever consumes them.

    Source: the mixer is the two-round multiply-xorshift ``lowbias32`` (C. Wellons' hash prospector),
    fed with a threefry-keyed multilinear hash of row and column; the distribution is tested against
    the normal to 4.5 sigma, the correlations between rows and columns against Marchenko-Pastur.
    """
    return [deviate(words) for words in mixed_words(key, rows, cols, tiles)]


def mixed_words(
    key: jax.Array, rows: int, cols: int, tiles: int = 1
) -> list[tuple[jax.Array, jax.Array]]:
    """What :func:`mixed_normal` draws: per tile, two words for each row ``[2, rows, 1]`` and column
    ``[2, 1, cols]``; :func:`deviate` makes normal deviates of them, element by element."""
    row_words = random_words(key, rows, stream=0, sets=tiles)
    col_words = random_words(key, cols, stream=1, sets=tiles)
    return [(row_words[t, :, :, None], col_words[t, :, None, :]) for t in range(tiles)]


def deviate(words: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Standard normal deviates ``[rows, cols]`` from the words of :func:`mixed_words`."""
    return inverse_normal(_mix(*words))


def uniform(words: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Uniform deviates in (0, 1), odd multiples of 2**-24, from :func:`mixed_words`."""
    return ((_mix(*words) >> _U32(9)).astype(jnp.float32) + _F32(0.5)) * _F32(2.0**-23)


# One key, many sources of noise: each has a stream of its own.
_STREAMS = ("output", "source", "input", "photons", "passes")


def stream(key: jax.Array, name: str) -> jax.Array:
    """The key of one source of noise; a name that is not listed above has the number of its letters."""
    known = name in _STREAMS
    return jax.random.fold_in(key, _STREAMS.index(name) if known else zlib.crc32(name.encode()))


# Row and column words (the mixed sampler), or the deviates themselves.
Draw = tuple[jax.Array, jax.Array] | jax.Array


def draws(sampler: str, key: jax.Array, rows: int, cols: int, tiles: int = 1) -> list[Draw]:
    """For each k-tile, what :func:`deviates` makes ``[rows, cols]`` standard normals of."""
    if sampler == "mixed":
        return list(mixed_words(key, rows, cols, tiles))
    keys = [jax.random.fold_in(key, t) for t in range(tiles)]
    return [normal(k, (rows, cols)) for k in keys]


def deviates(draw: Draw) -> jax.Array:
    """Standard normals from one of :func:`draws`."""
    return deviate(draw) if isinstance(draw, tuple) else draw


def uniforms(sampler: str, key: jax.Array, rows: int, cols: int) -> jax.Array:
    """Uniform deviates in [0, 1) ``[rows, cols]``."""
    if sampler == "mixed":
        return uniform(mixed_words(key, rows, cols)[0])
    return jax.random.uniform(key, (rows, cols))


def random_words(key: jax.Array, count: int, *, stream: int, sets: int = 1) -> jax.Array:
    """64 random bits for each of ``count`` indices: uint32 ``[sets, 2, count]``.

    By threefry-2x32-20: word pair ``[s, :, i]`` is the cipher of the counter
    ``(i, 2 s + stream)``, whatever ``count`` and ``sets``.
    """
    words = jax.random.key_data(as_threefry(key))
    if jax.default_backend() == "cpu":
        return _cipher_of(count, stream, sets)(words)
    counters, tags = _counters(count, stream, sets)
    # Out of the consumer's kernel, which would work it out for every element again.
    both = jax.extend.random.threefry_2x32(words, jnp.concatenate([counters.ravel(), tags.ravel()]))
    return both.reshape(2, sets, count).swapaxes(0, 1)


def _counters(count: int, stream: int, sets: int) -> tuple[jax.Array, jax.Array]:
    shape = (sets, count)
    tags = _U32(2) * lax.broadcasted_iota(jnp.uint32, shape, 0) + _U32(stream)
    return lax.broadcasted_iota(jnp.uint32, shape, 1), tags


@functools.cache
def _cipher_of(count: int, stream: int, sets: int):
    """:func:`random_words` of a key's words, on CPU, where the library's cipher is a slow loop."""

    @apart
    def cipher(words: jax.Array) -> jax.Array:
        pair = _threefry_2x32(words[0], words[1], *_counters(count, stream, sets))
        return jnp.stack(pair, axis=1)

    return cipher


def inverse_normal(bits: jax.Array) -> jax.Array:
    """Map uint32 to standard normal deviates through the top 24 bits, by a rational approximation.

    With ``v`` uniform on the odd multiples of 2**-24 in (-1, 1), the deviate is
    ``sqrt(2) erfinv(v) = v R(-log2(1 - v**2))``. ``R`` is a (3, 3) rational function fitted for
    least maximal error, 4e-5, the logarithm a quintic on the mantissa, 2e-5; both fits are reproduced
    by ``tests/core/test_random.py``. Every product is a power of two times its operand, or rounded
    before anything is added to it: the compiler would fuse the rest in one program and not in another.

    Args:
      bits: uint32, any shape.

    Returns:
      float32 of the same shape, |value| <= 5.42.
    """
    folded = bits ^ (lax.bitcast_convert_type(bits, jnp.int32) >> 31).astype(jnp.uint32)
    odd = ((folded >> _U32(7)) & _U32(0xFFFFFE)) ^ _U32(0xFFFFFF)
    tail = odd.astype(jnp.int32).astype(jnp.float32)  # 2**24 (1 - |v|), exact
    scaled = tail * (_F32(2) - tail * _F32(2.0**-24))  # 2**24 (1 - v**2)
    pattern = lax.bitcast_convert_type(scaled, jnp.int32)
    # A float's bits, read as an integer, are its logarithm with straight lines between powers of two.
    line = (pattern - np.int32((127 + 24) << 23)).astype(jnp.float32) * _F32(2.0**-23)
    mantissa = _float((pattern & 0x7FFFFF) | 0x3F800000)
    t = mantissa - _F32(1)
    square = no_fma(t * t)
    w = -(line + no_fma((t - square) * _F32(_BEND[3]) * _monic(mantissa, square, _BEND, 1)))
    square = no_fma(w * w)
    ratio = _F32(_TOP[3] / _BOTTOM[3])
    size = (_F32(1) - tail * _F32(2.0**-24)) * ratio
    size = size * _monic(w, square, _TOP) / _monic(w, square, _BOTTOM)
    return _float(lax.bitcast_convert_type(size, jnp.uint32) | (bits & _U32(0x80000000)))


# Coefficients of x**0 ... x**3.
_BEND = (0.44191735, -0.26718191, 0.14843097, -0.04515121)
_TOP = (1.25347976, 0.29688322, 0.03722357, 0.00258088)
_BOTTOM = (1.0, 0.0556607631, 0.0132769884, 0.000132672025)


def _float(pattern: jax.Array) -> jax.Array:
    return lax.bitcast_convert_type(pattern, jnp.float32)


def _monic(ahead_x, square, coefficients: tuple[float, ...], ahead: int = 0) -> jax.Array:
    """A cubic in x over its leading coefficient, with one product: ``(x**2 + a) (x + b) + c`` (after
    Knuth, "The Art of Computer Programming", volume 2, section 4.6.4, adaptation of coefficients).

    Given are x**2 and ``x + ahead``: of two constants in a row XLA would make one, in some releases.
    """
    constant, a, b, _ = (c / coefficients[3] for c in coefficients)
    product = (square + _F32(a)) * (ahead_x + _F32(b - ahead))
    return no_fma(product) + _F32(constant - a * b)


def _mix(row: jax.Array, col: jax.Array) -> jax.Array:
    x = (col[0] ^ row[0]) * (row[1] | _U32(1)) + col[1]
    x = (x ^ (x >> _U32(16))) * _U32(0x7FEB352D)
    x = (x ^ (x >> _U32(15))) * _U32(0x846CA68B)
    return x ^ (x >> _U32(16))


def _threefry_2x32(key0, key1, x0, x1):
    schedule = (key0, key1, key0 ^ key1 ^ _U32(0x1BD11BDA))
    x0, x1 = x0 + schedule[0], x1 + schedule[1]
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = (x1 << _U32(distance)) | (x1 >> _U32(32 - distance))
            x1 = x1 ^ x0
        x0 = x0 + schedule[(group + 1) % 3]
        x1 = x1 + schedule[(group + 2) % 3] + _U32(group + 1)
    return x0, x1


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
