"""How a result depends on numbers that are not well known: distributions, elasticities, swings.

A result is any positive function of machines, for instance the energy on a core over that on an accelerator.
All numbers are taken to be independent of each other, log-uniform over their range, and uniform where it
includes zero or is in decibels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from photonjax.core.fields import set_fields
from photonjax.core.limits import allowed
from photonjax.cost.uncertain_machine import UncertainMachine, check_uncertain
from photonjax.machines import Number

__all__ = [
    "MOST_SAMPLES",
    "Swing",
    "draw",
    "elasticities",
    "monte_carlo",
    "quantiles",
    "swings",
]

K = TypeVar("K")

MOST_SAMPLES = 1_000_000
"""Draws at a time: more would take gigabytes, and decide nothing."""


@dataclasses.dataclass(frozen=True)
class Swing:
    """How far one number moves a result, all others as set.

    Attributes:
      machine, field: which number.
      number: its value and range.
      at_low, at_high: the result at the ends of the range.
    """

    machine: str
    field: str
    number: Number
    at_low: float
    at_high: float


def draw(numbers: Mapping[K, Number], samples: int, seed: int = 0) -> dict[K, np.ndarray]:
    """Draws of every number over its range; one without a range is the same in every draw.

    A Latin hypercube (McKay, Beckman and Conover, Technometrics 21, 239 (1979)): each number has one draw in
    each of ``samples`` intervals of equal probability, in an order of its own.

    Raises:
      ValueError: ``samples`` or ``seed`` is out of range.

    >>> found = draw({"watts": Number(3.0, "W", "a guess", 1.0, 9.0)}, samples=4)["watts"]
    >>> [int(n) for n in np.histogram(found, [1, 3**0.5, 3, 3**1.5, 9])[0]]
    [1, 1, 1, 1]
    """
    from scipy.stats import qmc  # takes a third of a second

    if not 1 <= samples <= MOST_SAMPLES:
        raise ValueError(f"samples = {samples} is not {allowed('an integer', 1, MOST_SAMPLES)}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed = {seed} is not {allowed('an integer', 0, 2**32 - 1)}")
    ranged = {name: n for name, n in numbers.items() if n.low is not None and n.high is not None}
    drawn = {name: np.full(samples, float(n.value)) for name, n in numbers.items()}
    if ranged:
        cube = qmc.LatinHypercube(len(ranged), seed=np.random.default_rng(seed)).random(samples)
        drawn |= {n: _placed(ranged[n], column) for n, column in zip(ranged, cube.T, strict=True)}
    return drawn


def monte_carlo(
    f: Callable[..., Any], *machines: UncertainMachine, samples: int = 1000, seed: int = 0
) -> Any:
    """Samples of ``f(*machines)`` with every number drawn from its range (``draw``), in one program.

    Returns:
      What ``f`` returns, each array with a leading axis of ``samples``.

    Raises:
      ValueError: ``samples`` or ``seed`` is out of range.

    Example:
      >>> import photonjax as pj
      >>> h100 = UncertainMachine.named("h100-sxm")
      >>> seconds = monte_carlo(lambda h100: 1.0 / h100.utilisation, h100, samples=100)
      >>> bool(seconds.min() < 1.36), bool(seconds.max() > 2.8)  # utilisation 0.35 ... 0.75
      (True, True)
    """
    check_uncertain("monte_carlo", *machines)
    drawn = draw(
        {(i, field): n for i, u in enumerate(machines) for field, n in u.ranges.items()},
        samples,
        seed,
    )
    values = [
        {field: jnp.asarray(drawn[i, field], jnp.float32) for field in u.ranges}
        for i, u in enumerate(machines)
    ]

    def one(_: jax.Array, values: list[dict[str, jax.Array]]) -> Any:
        return f(*(set_fields(u.machine, v) for u, v in zip(machines, values, strict=True)))

    return jax.jit(jax.vmap(one))(jnp.arange(samples), values)


def quantiles(values: Any, at: Iterable[float] = (0.05, 0.5, 0.95)) -> dict[str, float]:
    """Quantiles of samples, named by their percentage.

    >>> quantiles(np.arange(101.0))
    {'p5': 5.0, 'p50': 50.0, 'p95': 95.0}
    """
    points = list(at)
    found = np.quantile(np.asarray(values, np.float64), points)
    return {f"p{100 * q:.4g}": float(v) for q, v in zip(points, found, strict=True)}


def elasticities(f: Callable[..., Any], *machines: UncertainMachine) -> dict[str, float]:
    """d log f / d log x for every continuous number x of the machines, by automatic differentiation.

    An elasticity of -0.4 means: one percent more of the number, 0.4 percent less of the result. Largest
    first; names are ``machine/field``. A number that is zero has none (0), nor has a result of zero (nan).

    Example:
      >>> h100 = UncertainMachine.named("h100-sxm")
      >>> found = elasticities(lambda c: c.power_w / c.utilisation**2, h100)
      >>> [(name, round(value, 3)) for name, value in found.items()][:2]
      [('h100-sxm/utilisation', -2.0), ('h100-sxm/power_w', 1.0)]
    """
    check_uncertain("elasticities", *machines)
    leaves = [jax.tree_util.tree_flatten_with_path(u.machine) for u in machines]
    sizes = [[value for _, value in flat] for flat, _ in leaves]

    def log_f(factors: list[list[jax.Array]]) -> jax.Array:
        scaled = [
            jax.tree_util.tree_unflatten(tree, [v * x for v, x in zip(values, xs, strict=True)])
            for (_, tree), values, xs in zip(leaves, sizes, factors, strict=True)
        ]
        return jnp.log(f(*scaled))

    slopes = jax.jit(jax.grad(log_f))([[1.0] * len(values) for values in sizes])
    found = {
        f"{u.name}/{_dotted(path)}": float(slope)
        for u, (flat, _), row in zip(machines, leaves, slopes, strict=True)
        for (path, _), slope in zip(flat, row, strict=True)
    }
    return dict(sorted(found.items(), key=lambda item: -abs(item[1])))


def swings(f: Callable[..., Any], *machines: UncertainMachine) -> list[Swing]:
    """The result at both ends of every range, one number at a time, largest swing (as a ratio) first.

    >>> h100 = UncertainMachine.named("h100-sxm")
    >>> first = swings(lambda c: c.power_w / c.utilisation, h100)[0]
    >>> first.field, round(first.at_low), round(first.at_high)
    ('utilisation', 2000, 933)
    """
    found = []
    for i, u in enumerate(machines):
        for field, number in u.ranges.items():
            ends = []
            for value in (number.low, number.high):
                changed = [m.machine for m in machines]
                changed[i] = set_fields(u.machine, {field: value})
                ends.append(float(f(*changed)))
            found.append(Swing(u.name, field, number, *ends))

    def size(swing: Swing) -> float:
        low, high = sorted((abs(swing.at_low), abs(swing.at_high)))
        return math.inf if low == 0.0 < high else math.log(high / low) if high else 0.0

    return sorted(found, key=size, reverse=True)


def _placed(number: Number, quantile: np.ndarray) -> np.ndarray:
    """Where in a number's range its quantiles lie."""
    low, high = float(number.low or 0.0), float(number.high or 0.0)
    if low > 0 and not number.unit.startswith("dB"):
        return low * (high / low) ** quantile
    return low + (high - low) * quantile


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path)
