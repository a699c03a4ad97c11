"""Exact arithmetic in small integers, in whichever form this machine does fastest, and what holds it.

Sums of up to ``2**24`` are exact in float32, so int8 -> int32, bfloat16 -> float32 and float32 give
the same numbers for an 8-bit tile of at most 1,040 rows: the choice is one of speed only. Which wins
depends on the processor (AMX, VNNI, AVX512-BF16, none) and on the XLA release, so it is measured once.

Analog errors move integers off their grid. They are carried on a finer one (:func:`steps`), as a high and
a low small integer, ``(high * BASE + low) / steps``, so that sums stay exact on any mesh.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from photonjax.core.levels import unit_of

BASE = 128
Arithmetic = Literal["int8", "bfloat16", "float32"]
_CARRIERS = {"int8": jnp.int8, "bfloat16": jnp.bfloat16, "float32": jnp.float32}
_EXACT_SUM = 2**24


@functools.cache
def arithmetic() -> Arithmetic:
    """The fastest exact arithmetic for 8-bit products on the default backend, measured once.

    ``PHOTONJAX_ARITHMETIC`` (``int8``, ``bfloat16`` or ``float32``) overrides the measurement, which
    takes about a second on CPU. Elsewhere than on a single-process CPU it is int8, unmeasured.
    """
    forced = os.environ.get("PHOTONJAX_ARITHMETIC")
    if forced is not None:
        if forced not in _CARRIERS:
            raise ValueError(
                f"PHOTONJAX_ARITHMETIC = {forced!r}; choose one of {', '.join(get_args(Arithmetic))}"
            )
        return forced  # type: ignore[return-value]
    if jax.default_backend() != "cpu" or jax.process_count() > 1:
        return "int8"
    times = _time_products()
    return min(times, key=times.__getitem__)


def _time_products() -> dict[Arithmetic, float]:
    with jax.ensure_compile_time_eval():
        ones = np.ones((1024, 1024), np.int8)
        runs: dict[str, Callable[[], jax.Array]] = {}
        for name, dtype in _CARRIERS.items():
            x = jnp.asarray(ones, dtype)
            multiply = jax.jit(
                lambda a, b: lax.dot(a, b, preferred_element_type=_sum_dtype(a.dtype))
            )
            runs[name] = functools.partial(multiply.lower(x, x).compile(), x, x)
        best = dict.fromkeys(runs, float("inf"))
        for _ in range(12):
            for name, run in runs.items():
                start = time.perf_counter()
                run().block_until_ready()
                best[name] = min(best[name], time.perf_counter() - start)
    return best  # type: ignore[return-value]


def carrier(largest_a: int, largest_b: int, terms: int, *, batched: bool = False) -> jnp.dtype:
    """The dtype in which integers up to these magnitudes multiply exactly over ``terms`` terms.

    Batched int8 products leave XLA's fast path on CPU, so ``batched`` prefers bfloat16.
    """
    exact_in_float = largest_a * largest_b * terms <= _EXACT_SUM
    if not exact_in_float:
        return jnp.dtype(jnp.int8)
    choice = arithmetic()
    if batched and choice == "int8" and jax.default_backend() == "cpu":
        choice = "bfloat16"
    return jnp.dtype(_CARRIERS[choice])


def integer_dot(a: jax.Array, b: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """``[M, K] x [K, N]`` product of integer-valued arrays, carried in ``dtype``; exact, int32 or float32.

    Sums beyond 2**24 (int8 carrier only) are rounded once, when int32 becomes float32.
    """
    return lax.dot_general(
        a.astype(dtype),
        b.astype(dtype),
        (((a.ndim - 1,), (0,)), ((), ())),
        preferred_element_type=_sum_dtype(dtype),
    )


def _sum_dtype(dtype) -> jnp.dtype:
    return jnp.dtype(jnp.int32 if dtype == jnp.int8 else jnp.float32)


def steps(bits: int | None, disturbed: bool, slices: int = 1) -> int:
    """How finely an operand's levels are carried: steps per level, or 0 for floating point.

    Analog errors get steps of 1/8192 of 128 levels of 8 bits, of 8 levels of 4 bits and so on, so that
    an error of 1e-4 of full scale survives at any resolution.
    """
    if bits is None or bits > 8:
        return 0
    return 2 ** (13 - (unit_of(bits, slices) - 1).bit_length()) if disturbed else 1


def split(values: jax.Array, steps: int) -> tuple[jax.Array, ...]:
    """The small integers that stand for levels: one array, or high and low between the levels.

    ``values ~ (high * BASE + low) / steps``; beyond twice the largest level the value saturates.
    """
    if steps <= 1:
        return (values,)
    fine = jnp.clip(jnp.round(values * steps), -127 * BASE, 127 * BASE)
    high = jnp.round(fine / BASE)
    return high, fine - high * BASE


def part_weights(steps: int) -> tuple[float, ...]:
    """What the parts of :func:`split` are worth, in levels."""
    return (1.0,) if steps <= 1 else (BASE / steps, 1 / steps)


def whole(parts: tuple[jax.Array, ...], steps: int) -> jax.Array:
    """The float32 levels that the parts stand for."""
    weights = part_weights(steps)
    return sum(
        (w * p.astype(jnp.float32) for w, p in zip(weights, parts, strict=True)), jnp.float32(0)
    )


def exact_sum(values: jax.Array, steps: int, axis: int, *, squares: bool = False) -> jax.Array:
    """Sum of levels (or of their squares) over ``axis``, kept as size 1, whatever the order of the sum.

    The order makes no difference in int32, nor in float32 up to 2**24.
    """
    parts, worth = split(values, steps), part_weights(steps)
    power = 2 if squares else 1
    float_exact = steps == 0 or BASE**power * values.shape[axis] <= 2**24

    def add(terms: jax.Array) -> jax.Array:
        terms = terms if float_exact else terms.astype(jnp.int32)
        if axis == 1 and steps == power == 1:
            terms = _lanes(terms)
        return jnp.sum(terms, axis=axis, keepdims=True).astype(jnp.float32)

    if not squares:
        return sum((w * add(part) for w, part in zip(worth, parts, strict=True)), jnp.float32(0))
    if len(parts) == 1:
        return add(values * values)
    high, low = parts
    cross = 2 * worth[0] * worth[1] * add(high * low)
    return worth[0] ** 2 * add(high * high) + worth[1] ** 2 * add(low * low) + cross


def _lanes(levels: jax.Array) -> jax.Array:
    """``[M, K]`` summed to ``[M, 64]``, exactly, in int16: XLA's CPU backend sums along the fastest axis
    one element after another, in floating point through memory."""
    rows, terms = levels.shape
    if terms % 64 or BASE * (terms // 64) >= 2**15:
        return levels
    lanes = levels.astype(jnp.int16).reshape(rows, -1, 64)
    return lanes.sum(axis=1, dtype=jnp.int16).astype(jnp.int32)


def store(part: jax.Array) -> jax.Array:
    """bfloat16 as its bits: XLA's CPU backend slices a stack of bfloat16 by way of float32."""
    return lax.bitcast_convert_type(part, jnp.uint16) if part.dtype == jnp.bfloat16 else part


def stored(part: jax.Array) -> jax.Array:
    """The integers that :func:`store` keeps, in the dtype they multiply in."""
    return lax.bitcast_convert_type(part, jnp.bfloat16) if part.dtype == jnp.uint16 else part
