"""Where a smoothly falling curve meets a level: the light at which perplexity has risen by so much.

At little noise the rise of log-perplexity is proportional to the noise variance, hence to 1/light; far
from that it is steeper or flatter. Points are added in log light, log rise, until one is close enough.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

STEPS = (1.05, 1000.0)  # bounds of a step that is not between two known points
UNREACHABLE = (1e-3, 1e15)  # light beyond which nobody looks


def solve(
    rise: Callable[[float], float],
    target: float,
    start: float,
    *,
    tolerance: float = 0.05,
    most: int = 10,
    seen: dict[float, float] | None = None,
) -> float | None:
    """Light at which ``rise`` equals ``target``, or None if it was not found.

    Args:
      rise: falls with light; may be negative or infinite.
      target: above 0.
      start: light to begin with, if nothing is known yet.
      tolerance: stop at a point where ``|log(rise / target)|`` is below it, then interpolate.
      most: points to add at most.
      seen: points known already; new ones are added to it.

    Example:
      >>> round(solve(lambda light: 50 / light, 0.01, 1e3), 6)
      5000.0
    """
    seen = {} if seen is None else seen
    for _ in range(most):
        if any(_distance(r, target) <= tolerance for r in seen.values()):
            break
        light = _next(seen, target) if seen else start
        if not UNREACHABLE[0] <= light <= UNREACHABLE[1]:
            break
        seen[light] = rise(light)
    return crossing(seen, target)


def crossing(seen: Mapping[float, float], target: float) -> float | None:
    """Interpolate points (linear in log light, log rise) to the last one above the target.

    Where no two points enclose the target the law ``rise ~ 1/light`` carries the nearest one over, if it
    is within a factor of e; otherwise None.
    """
    points = sorted((light, r) for light, r in seen.items() if 0 < r < math.inf)
    for (low, above), (high, below) in reversed(list(itertools.pairwise(points))):
        if above >= target >= below and above > below:
            share = math.log(above / target) / math.log(above / below)
            return low * (high / low) ** share
    nearest = min(points, key=lambda p: _distance(p[1], target), default=None)
    if nearest is None or _distance(nearest[1], target) > 1:
        return None
    return nearest[0] * nearest[1] / target


def _distance(rise: float, target: float) -> float:
    return abs(math.log(rise / target)) if 0 < rise < math.inf else math.inf


def _next(seen: Mapping[float, float], target: float) -> float:
    """The next light to try."""
    dim = [light for light, r in seen.items() if not r <= target]
    bright = [light for light, r in seen.items() if r <= target]
    if not bright:
        ratio = seen[max(dim)] / target
        return max(dim) * min(max(ratio, STEPS[0]), STEPS[1])
    if not dim:
        ratio = target / max(seen[min(bright)], 1e-12)
        return min(bright) / min(max(ratio, STEPS[0]), STEPS[1])
    low = max(dim)
    high = min((light for light in bright if light > low), default=2 * low)
    guess = crossing({k: v for k, v in seen.items() if k in (low, high)}, target)
    share = 0.5 if guess is None else math.log(guess / low) / math.log(high / low)
    return low * (high / low) ** min(max(share, 0.1), 0.9)
