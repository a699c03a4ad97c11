"""How rotary frequencies change for sequences longer than those of pre-training.

Each kind gives `frequencies(plain, theta, length)`, radians per token of every pair, from those
without scaling, their base and the length of the sequence; and `magnitude`, the factor of the
turned components.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core.limits import allowed

__all__ = ["LongRopeScaling", "RopeScaling", "YarnScaling", "positive"]


def positive(value: Any) -> bool:
    """Whether it is a finite number above 0, as float has it.

    >>> [positive(value) for value in (1, 0.5, 0, float("inf"), True, "1", 10**400)]
    [True, True, False, False, False, False, False]
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value)) and value > 0
    except OverflowError:
        return False


def _check(scaling: Any, *values: Any) -> None:
    for value in values:
        if not positive(value):
            raise ValueError(f"{scaling!r:.300}: each must be {allowed('a number', above=0)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """Rotary frequencies divided by a factor.

    With `factor` alone every frequency is divided (positions are interpolated). With the other
    three (Llama 3.1), only the slow ones are: those with less than `low` turns in
    `original_length` tokens; those with more than `high` stay, and in between the two are mixed
    linearly in the number of turns.

    Sources: Chen et al., arXiv 2306.15595 (interpolation); the Llama 3.1 reference code (the mix).

    >>> RopeScaling(factor=8.0, low=1.0, high=4.0, original_length=8192).factor
    8.0
    """

    factor: float
    low: float | None = None
    high: float | None = None
    original_length: int | None = None

    magnitude = 1.0

    def __post_init__(self) -> None:
        given = [v for v in (self.low, self.high, self.original_length) if v is not None]
        if len(given) not in (0, 3):
            raise ValueError("RopeScaling: give all of low, high and original_length, or none")
        _check(self, self.factor, *given)
        if given and not self.low < self.high:  # type: ignore[operator]
            raise ValueError(f"RopeScaling.high={self.high!r}: must be above low={self.low!r}")

    def frequencies(self, plain: jax.Array, theta: float, length: int) -> jax.Array:
        """Of all pairs; whatever the base and the length."""
        slow = plain / self.factor
        if self.original_length is None:
            return slow
        assert self.low is not None and self.high is not None
        turns = self.original_length * plain / (2 * math.pi)
        fraction = jnp.clip((turns - self.low) / (self.high - self.low), 0, 1)
        return fraction * plain + (1 - fraction) * slow


@dataclasses.dataclass(frozen=True, kw_only=True)
class YarnScaling:
    """YaRN: the slow frequencies are divided by a factor, in between a mix, linear in the number of
    the pair; and the scores grow with the factor's logarithm.

    The pairs with more than `fast` turns in `original_length` tokens stay, those with fewer than
    `slow` are divided. Both limits are rounded outwards to whole pairs if `whole_pairs`.

    Args:
      factor: by which frequencies are divided.
      original_length: tokens of pre-training.
      fast, slow: turns.
      magnitude: of the turned components. None: 0.1 ln(factor) + 1.
      whole_pairs: see above.

    Source: Peng et al., arXiv 2309.00071, equations 19 to 24 and section 3.4.

    >>> round(YarnScaling(factor=4.0, original_length=32_768).magnitude, 4)
    1.1386
    """

    factor: float
    original_length: int
    fast: float = 32.0
    slow: float = 1.0
    magnitude: float = None  # type: ignore[assignment]
    whole_pairs: bool = True

    def __post_init__(self) -> None:
        _check(self, self.factor, self.original_length, self.fast, self.slow)
        if self.magnitude is None:
            object.__setattr__(self, "magnitude", 0.1 * math.log(max(self.factor, 1.0)) + 1.0)
        _check(self, self.magnitude)
        if not self.slow < self.fast:
            raise ValueError(f"YarnScaling.fast={self.fast!r}: must be above slow={self.slow!r}")

    def frequencies(self, plain: jax.Array, theta: float, length: int) -> jax.Array:
        """Of all pairs; the same at every `length`."""
        pairs = plain.shape[0]

        def pair_with(turns: float) -> float:
            return pairs * math.log(self.original_length / (turns * 2 * math.pi)) / math.log(theta)

        low, high = pair_with(self.fast), pair_with(self.slow)
        if self.whole_pairs:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, 2 * pairs - 1)
        width = high - low or 0.001
        divided = jnp.clip((jnp.arange(pairs, dtype=jnp.float32) - low) / width, 0, 1)
        return plain * (1 - divided + divided / self.factor)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongRopeScaling:
    """LongRoPE: every pair's frequency is divided by a number of its own, found by search: one set
    for sequences up to `original_length`, one for longer ones (Phi-3 with 128k).

    Args:
      short, long: divisors, one for each pair.
      original_length: tokens.
      magnitude: of the turned components.

    Source: Ding et al., arXiv 2402.13753.

    >>> scaling = LongRopeScaling(short=(1.0, 1.0), long=(1.0, 8.0), original_length=4)
    >>> scaling.frequencies(jnp.ones(2), 1e4, length=5).tolist()
    [1.0, 0.125]
    """

    short: tuple[float, ...]
    long: tuple[float, ...]
    original_length: int
    magnitude: float = 1.0

    def __post_init__(self) -> None:
        if not all(isinstance(factors, tuple) for factors in (self.short, self.long)):
            raise ValueError("LongRopeScaling: short and long must be tuples of numbers")
        _check(self, *self.short, *self.long, self.original_length, self.magnitude)

    def frequencies(self, plain: jax.Array, theta: float, length: int) -> jax.Array:
        """Of all pairs, in a sequence of this length."""
        factors = self.long if length > self.original_length else self.short
        return plain / jnp.asarray(factors, plain.dtype)
