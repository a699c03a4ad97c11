"""Exact products of small integers, in whichever arithmetic this machine does fastest.

Sums of up to ``2**24`` are exact in float32, so int8 -> int32, bfloat16 -> float32 and float32 give
the same numbers for an 8-bit tile of at most 1,040 rows: the choice is one of speed only. Which wins
depends on the processor (AMX, VNNI, AVX512-BF16, none) and on the XLA release, so it is measured once.
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
