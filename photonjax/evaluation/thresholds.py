"""Where a falling curve that is expensive to evaluate meets a level: how much light a loss of quality allows.

At little noise the rise of log-perplexity is proportional to the noise variance, hence to 1/light; far
from that it is steeper or flatter. So roots are sought in log light, log rise, where the curve is nearly a
line: the law leads to two points that enclose the level, and Brent's method on from there.

Far from the law the curve may turn: a model near chance level has little perplexity to lose, and a
few draws of noise may even help it. So only the bright branch counts, from abundant light down to where
the rise falls again; a level that it does not reach has no threshold, whatever the curve does in the
dark.

A point below the level may lie on either side of such a turn, whatever its sign: the search may have begun
in the dark. So there is always one with a thousand times as much light, where no turn is expected, and what
lies between two points is taken for monotonic only if it can be: where the law leads from the brighter one
to twice the level or more, and the darker one is not even half of that, the curve has turned in between.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

__all__ = ["highest_rise", "interpolate_threshold", "solve_threshold"]

STEPS = (1.05, 1000.0)  # bounds of a step that is not between two known points
LIGHT = (1e-3, 1e15)  # nobody looks beyond
TURN = 0.25  # of the target: by how much the rise falls where the curve has turned, and not just jitters
CLOSE = 4.0  # ratio of two points of light between which no top of the curve is looked for
BRIGHT = 1000.0  # ratio of light at which a point below the level is compared with another
FAR = 10.0  # what counts as the logarithm of zero, negative and infinite rises


def solve_threshold(
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
      rise: falls with light, as far down as the target; may be negative or infinite.
      target: above 0.
      start: light to begin with, if nothing is known yet; in the dark too (see the module).
      tolerance: stop at a point where ``|log(rise / target)|`` is below it, then interpolate.
      most: points to add at most.
      seen: points known already; new ones are added to it.

    Example:
      >>> round(solve_threshold(lambda light: 50 / light, 0.01, 1e3), 6)
      5000.0
    """
    from scipy.optimize import brentq

    seen = {} if seen is None else seen
    known = len(seen)

    def add(light: float) -> float:
        """Log of rise over target, zero where it is close enough."""
        if light not in seen:
            if len(seen) - known >= most:
                raise _Spent
            seen[light] = rise(light)
        return _gap(seen[light], target, tolerance)

    try:
        bracket = _enclose(add, seen, target, start, tolerance)
        if bracket:
            ends = {math.log(light): light for light in bracket}  # as they are, not exp(log(light))
            brentq(lambda x: add(ends.get(x) or math.exp(x)), *ends)
    except _Spent:
        pass
    return interpolate_threshold(seen, target)


class _Spent(Exception):
    """As many points were added as allowed."""


def _enclose(
    add: Callable[[float], float],
    seen: Mapping[float, float],
    target: float,
    start: float,
    tolerance: float,
) -> tuple[float, float] | None:
    """Neighbouring points above and below the target; None if one is close enough or none is found."""
    while True:
        low = min((x for x, r in seen.items() if _gap(r, target, tolerance) <= 0), default=None)
        if low is not None and max(seen) < BRIGHT * low <= LIGHT[1]:
            add(BRIGHT * low)  # on the bright branch, or past the turn in the dark?
            continue
        branch = _branch(seen, target)
        gaps = {light: _gap(r, target, tolerance) for light, r in branch}
        if 0.0 in gaps.values():
            return None
        for (low, above), (high, below) in reversed(list(itertools.pairwise(gaps.items()))):
            if above > 0 > below:
                return low, high
        if len(branch) < len(seen) and all(gap < 0 for gap in gaps.values()):
            end = min(gaps)
            dark = max(light for light in seen if light < end)
            if end <= CLOSE * dark:
                return None  # it has turned below the target
            light = math.sqrt(dark * end)  # its top may lie in between
        elif not gaps:
            light = start
        else:  # all on one side: as the law 1/light says from the nearest
            light = max(gaps) if next(iter(gaps.values())) > 0 else min(gaps)
            step = min(max(math.exp(abs(gaps[light])), STEPS[0]), STEPS[1])
            light *= step if gaps[light] > 0 else 1 / step
        if not LIGHT[0] <= light <= LIGHT[1]:
            return None
        add(light)


def interpolate_threshold(seen: Mapping[float, float], target: float) -> float | None:
    """Interpolate points (linear in log light, log rise) where, from the bright end, they first pass it.

    Where no two points enclose the target the law ``rise ~ 1/light`` carries the nearest one over, if it
    is within a factor of e; otherwise None.

    >>> round(interpolate_threshold({100.0: 0.04, 400.0: 0.01}, 0.02))
    200
    """
    branch = _branch(seen, target)
    points = [(light, r) for light, r in branch if 0 < r < math.inf]
    for (low, above), (high, below) in reversed(list(itertools.pairwise(points))):
        if above >= target >= below and above > below:
            fraction = math.log(above / target) / math.log(above / below)
            return low * (high / low) ** fraction
    if len(branch) < len(seen) and all(r < target for _, r in branch):
        return None
    nearest = min(points, key=lambda p: abs(_gap(p[1], target)), default=None)
    if nearest is None or abs(_gap(nearest[1], target)) > 1:
        return None
    return nearest[0] * nearest[1] / target


def highest_rise(seen: Mapping[float, float], target: float) -> tuple[float, float] | None:
    """Light and rise where the curve has turned below the target; None if it has not.

    >>> highest_rise({1e3: 0.001, 1e2: 0.006, 1e1: -0.02}, 0.01)
    (100.0, 0.006)
    """
    branch = _branch(seen, target)
    if len(branch) == len(seen) or any(r >= target for _, r in branch):
        return None
    return max(branch, key=lambda point: point[1])


def _branch(seen: Mapping[float, float], target: float) -> list[tuple[float, float]]:
    """Points by light, from the brightest to where the rise has fallen again, that one left out."""
    branch: list[tuple[float, float]] = []
    top = -math.inf
    for light, r in sorted(seen.items(), reverse=True):
        before, rise = branch[-1] if branch else (light, r)
        law = rise * before / light
        missed = before > CLOSE * light and law > 2 * target and r < min(2 * target, law / 2)
        if r < top - TURN * target or missed:
            break
        top = max(top, r)
        branch.append((light, r))
    return branch[::-1]


def _gap(rise: float, target: float, tolerance: float = 0.0) -> float:
    """Log of rise over target, within +-FAR; zero within the tolerance."""
    if not 0 < rise < math.inf:
        return -FAR if rise <= 0 else FAR  # not a number: the model is broken by noise
    gap = math.log(rise / target)
    return 0.0 if abs(gap) <= tolerance else max(-FAR, min(gap, FAR))
