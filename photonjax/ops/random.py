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

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
from jax import lax

from photonjax.ops.quantize import rounded

_F32, _U32 = np.float32, np.uint32
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Standard normal deviates, bit-identical to ``jax.random.normal(key, shape)`` in float32.

    Args:
      key: a typed or raw threefry key.
      shape: output shape, fewer than 2**32 elements.

    Returns:
      float32 array of ``shape``.

    Raises:
      ValueError: for another key implementation or for 2**32 elements and more.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11 (Threefry-2x32-20);
    the uniform and the inverse error function are those of ``jax.random``.

    Example:
      >>> import jax, photonjax.ops as ops
      >>> key = jax.random.key(0)
      >>> bool((ops.random.normal(key, (3, 5)) == jax.random.normal(key, (3, 5))).all())
      True
    """
    size = int(np.prod(shape, dtype=np.int64))
    if size >= 2**32:
        raise ValueError(
            f"normal: shape {shape} has {size} elements; fewer than 2**32 are possible"
        )
    words = _key_words(key)
    index = jnp.zeros(shape, jnp.uint32)
    for axis, stride in enumerate(_strides(shape)):
        index = index + lax.broadcasted_iota(jnp.uint32, shape, axis) * _U32(stride)
    first, second = _threefry_2x32(words[0], words[1], jnp.zeros_like(index), index)
    # Without the barrier XLA copies 120 integer operations into every consumer and compiles for minutes.
    bits = lax.optimization_barrier(first ^ second)
    unit = lax.bitcast_convert_type((bits >> _U32(9)) | _U32(0x3F800000), jnp.float32) - _F32(1)
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
      key: a typed or raw threefry key.
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
    """Uniform deviates in (0, 1), multiples of 2**-24 plus 2**-25, from :func:`mixed_words`."""
    return ((_mix(*words) >> _U32(8)).astype(jnp.float32) + _F32(0.5)) * _F32(2.0**-24)


def random_words(key: jax.Array, count: int, *, stream: int, sets: int = 1) -> jax.Array:
    """64 random bits for each of ``count`` indices: uint32 ``[sets, 2, count]``.

    By threefry-2x32-20: word pair ``[s, :, i]`` is the cipher of the counter
    ``(i, 2 s + stream)``, whatever ``count`` and ``sets``.
    """
    counters = jnp.broadcast_to(lax.iota(jnp.uint32, count), (sets, count))
    tags = jnp.broadcast_to(_U32(2) * lax.iota(jnp.uint32, sets) + _U32(stream), (count, sets)).T
    both = jnp.concatenate([counters.ravel(), tags.ravel()])
    # The library call is a loop on CPU: slow per word, but it stays out of the fused kernels.
    words = jax.extend.random.threefry_2x32(_key_words(key), both)
    return words.reshape(2, sets, count).swapaxes(0, 1)


def inverse_normal(bits: jax.Array) -> jax.Array:
    """Map uint32 to standard normal deviates through the top 24 bits, by a rational approximation.

    With ``v`` uniform on the odd multiples of 2**-24 in (-1, 1), the deviate is
    ``sqrt(2) erfinv(v) = v R(-log2(1 - v**2))``. ``R`` is a (3, 3) rational function fitted for
    least maximal error, 4e-5, the logarithm a quintic on the mantissa, 2e-5; both fits are reproduced
    by ``tests/ops/test_random.py``. Every product is a power of two times its operand, or rounded
    before anything is added to it: the compiler would fuse the rest in one program and not in another.

    Args:
      bits: uint32, any shape.

    Returns:
      float32 of the same shape, |value| <= 5.42.
    """
    half = (lax.bitcast_convert_type(bits, jnp.int32) >> 8).astype(jnp.float32) + _F32(0.5)
    magnitude = jnp.abs(half) * _F32(2.0**-23)
    q = (_F32(1) - magnitude) * (_F32(1) + magnitude)
    pattern = lax.bitcast_convert_type(q, jnp.int32)
    # A float's bits, read as an integer, are its logarithm with straight lines between powers of two.
    line = (pattern - np.int32(127 << 23)).astype(jnp.float32) * _F32(2.0**-23)
    t = lax.bitcast_convert_type((pattern & 0x7FFFFF) | 0x3F800000, jnp.float32) - _F32(1)
    square = rounded(t * t)
    w = -(line + rounded((t - square) * _F32(_BEND[3]) * _monic(t, square, _BEND)))
    square = rounded(w * w)
    ratio = _F32(_TOP[3] / _BOTTOM[3] * 2.0**-23)
    return half * ratio * _monic(w, square, _TOP) / _monic(w, square, _BOTTOM)


# Coefficients of x**0 ... x**3.
_BEND = (0.44191735, -0.26718191, 0.14843097, -0.04515121)
_TOP = (1.25347976, 0.29688322, 0.03722357, 0.00258088)
_BOTTOM = (1.0, 0.0556607631, 0.0132769884, 0.000132672025)


def _monic(x: jax.Array, square: jax.Array, coefficients: tuple[float, ...]) -> jax.Array:
    """A cubic over its leading coefficient, with one product: ``(x**2 + a) (x + b) + c`` (after Knuth,
    "The Art of Computer Programming", volume 2, section 4.6.4, adaptation of coefficients)."""
    constant, a, b, _ = (c / coefficients[3] for c in coefficients)
    return rounded((square + _F32(a)) * (x + _F32(b))) + _F32(constant - a * b)


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


def _key_words(key: jax.Array) -> jax.Array:
    words = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    if words.shape != (2,) or words.dtype != jnp.uint32:
        raise ValueError(
            f"key: expected one threefry key, got key data {words.dtype}{list(words.shape)}; "
            "make it with jax.random.key(seed)"
        )
    return words


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
