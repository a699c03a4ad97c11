"""How likely readings of a machine are, given what its errors may be made of.

A symbol t gives a reading ``y`` in each column n where ``e`` was expected:

    y_tn = offset_(n, t mod cycle) + gain_n (e_tn + bend e_tn**3 / rms(e)**2 + (e_t L)_n + u_t + eps_tn)

``u_t`` is common to the columns of a symbol, ``N(0, common**2)``; ``eps`` is independent, of variance
``noise_n**2 + relative**2 e_tn**2``; both stand before the gain, as in :mod:`photonjax.core.receiver`. ``L``
is what
errors of one fixed weight matrix make of the results: where ``e_t = x_t W`` and the cells hold ``W + D``,
readings are off by ``x_t D``, whose part within reach of ``e`` is a linear map of it, the same for every
symbol.

* Without tails the vector of a symbol is Gaussian with covariance ``diag(d) + common**2 1 1^T``. By the
  lemma of Sherman and Morrison, with ``A = sum 1/d``, ``B = sum r/d`` of residuals r:
  ``-2 ln p = sum (r**2/d + ln 2 pi d) - common**2 B**2 / (1 + common**2 A) + ln(1 + common**2 A)``.
* With tails ``eps`` is Student's t of ``nu = 1/tail`` degrees of freedom, scaled to variance d (excess
  kurtosis ``6 / (nu - 4)``), and the integral over ``u_t`` is Gauss-Hermite quadrature about its mode.

Gaps (NaN) are left out of the sums. Everything is in float64, whatever JAX is set to.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Values = dict[str, Any]
MOST_TAIL = 0.45  # 1 / nu: a variance needs nu above 2
_NODES = 9


@dataclasses.dataclass(frozen=True)
class Readings:
    """Measurements in one unit, NaN where there is none.

    Attributes:
      expected, observed: ``[T, N]`` float64. cycle: offsets repeat after this many symbols.
    """

    expected: np.ndarray
    observed: np.ndarray
    cycle: int

    @functools.cached_property
    def there(self) -> np.ndarray:
        """Where both are numbers: ``[T, N]``."""
        return np.isfinite(self.expected) & np.isfinite(self.observed)

    @functools.cached_property
    def groups(self) -> np.ndarray:
        """Place of each symbol in the cycle: ``[T, cycle]``, one-hot."""
        return np.eye(self.cycle)[np.arange(len(self.expected)) % self.cycle]

    def arrays(self, leak: np.ndarray | None) -> Values:
        """What :func:`log_likelihood` takes, gaps filled with zeros."""
        e = np.where(self.there, self.expected, 0.0)
        rms = np.sqrt((e**2).sum() / self.there.sum())
        return {
            "e": e,
            "y": np.where(self.there, self.observed, 0.0),
            "there": self.there.astype(float),
            "groups": self.groups,
            "leak": np.zeros_like(e) if leak is None else e @ leak,
            "cube": (e / rms) ** 2 * e,
        }


def log_likelihood(values: Values, data: Values, tails: bool) -> jax.Array:
    """Of each symbol ``[T]``, in nats.

    Args:
      values: ``gain`` ``[N]``, ``offset`` ``[cycle, N]``, ``log_noise`` ``[N]``, ``bend``, ``common``,
        ``relative``, ``tail`` (scalars; the last by :func:`real_of_tail`). data: :meth:`Readings.arrays`.
        tails: Student's t in place of a Gaussian.
    """
    gain, there = values["gain"], data["there"]
    meant = data["e"] + values["bend"] * data["cube"] + data["leak"]
    rest = (data["y"] - data["groups"] @ values["offset"]) / gain - meant
    d = jnp.exp(2 * values["log_noise"]) + values["relative"] ** 2 * data["e"] ** 2
    scale = jnp.sum(there * jnp.log(jnp.abs(gain)), axis=1)
    common = values["common"] ** 2
    if not tails:
        a = jnp.sum(there / d, axis=1)
        b = jnp.sum(there * rest / d, axis=1)
        own = jnp.sum(there * (rest**2 / d + jnp.log(2 * jnp.pi * d)), axis=1)
        return -scale - 0.5 * (own - common * b**2 / (1 + common * a) + jnp.log1p(common * a))

    nu = 1 / tail_of_real(values["tail"])
    spread = d * (nu - 2) / nu

    def weight(u: jax.Array) -> jax.Array:
        """Of each reading in the estimate of its symbol's u: minus the slope of ln p, over the residual."""
        return there * (nu + 1) / (nu * spread + (rest - u[:, None]) ** 2)

    u = jnp.zeros(rest.shape[0])
    for _ in range(3):
        w = weight(u)
        u = common * jnp.sum(w * rest, axis=1) / (1 + common * jnp.sum(w, axis=1))
    narrow = 1 + common * jnp.sum(there / d, axis=1)
    width = values["common"] / jnp.sqrt(narrow)
    whole = jnp.where(common > 0, common, 1.0)
    constant = (
        jax.lax.lgamma((nu + 1) / 2) - jax.lax.lgamma(nu / 2) - 0.5 * jnp.log(nu * jnp.pi * spread)
    )

    def at(node: jax.Array) -> jax.Array:
        here = u + jnp.sqrt(2.0) * width * node
        z = (rest - here[:, None]) ** 2 / (nu * spread)
        own = jnp.sum(there * (constant - (nu + 1) / 2 * jnp.log1p(z)), axis=1)
        return own - 0.5 * here**2 / whole + node**2

    nodes, weights = np.polynomial.hermite.hermgauss(_NODES)
    terms = jax.lax.map(at, jnp.asarray(nodes)) + jnp.log(jnp.asarray(weights))[:, None]
    # du = sqrt(2) width dnode, over the prior's sqrt(2 pi) common
    total = jax.scipy.special.logsumexp(terms, axis=0) - 0.5 * jnp.log(jnp.pi * narrow)
    return total - scale


def real_of_tail(tail: Any) -> Any:
    """A tail of ``0 ... MOST_TAIL`` as any real number."""
    return np.log(tail / (MOST_TAIL - tail))


def tail_of_real(real: Any) -> Any:
    """The inverse of :func:`real_of_tail`."""
    return MOST_TAIL / (1 + jnp.exp(-real))


@functools.partial(jax.jit, static_argnames="tails")
def likelihood_of_symbols(values: Values, data: Values, tails: bool) -> jax.Array:
    """:func:`log_likelihood`, compiled."""
    return log_likelihood(values, data, tails)


def _loss(values: Values, data: Values, weights: jax.Array, tails: bool) -> jax.Array:
    return -jnp.sum(weights * log_likelihood(values, data, tails))


@functools.partial(jax.jit, static_argnames="tails")
def loss_and_slope(
    values: Values, data: Values, weights: jax.Array, tails: bool
) -> tuple[jax.Array, Values]:
    """Minus the log-likelihood of the weighted symbols, and its derivatives by every value."""
    return jax.value_and_grad(_loss)(values, data, weights, tails)


@functools.partial(jax.jit, static_argnames="tails")
def slopes_of_symbols(values: Values, data: Values, tails: bool) -> Values:
    """Derivatives of each symbol's log-likelihood by every value, stacked along the first axis."""

    def of_one(values: Values, row: Values) -> jax.Array:
        return log_likelihood(values, {name: part[None] for name, part in row.items()}, tails)[0]

    return jax.vmap(jax.grad(of_one), (None, 0))(values, data)


class Free:
    """The values that vary, as one vector: each is its start plus a step times an element.

    A step is about the standard error to expect, so that the loss is about equally curved along all elements.

    Args:
      start, steps: by name, of the same shapes. names: of what varies. shared: one noise for all columns.
    """

    def __init__(self, start: Values, steps: Values, names: tuple[str, ...], shared: bool):
        self.start = {name: np.asarray(value, float) for name, value in start.items()}
        self.steps, self.names, self.shared = steps, names, shared
        self.sizes = [self._width(name) for name in names]

    def _width(self, name: str) -> int:
        return 1 if self.shared and name == "log_noise" else self.start[name].size

    def values(self, vector: np.ndarray) -> Values:
        """Of everything, varied or not."""
        parts = np.split(vector, np.cumsum(self.sizes)[:-1])
        found = dict(self.start)
        for name, part in zip(self.names, parts, strict=True):
            one = self.start[name]
            moved = part[0] if part.size == 1 else part.reshape(one.shape)
            found[name] = np.asarray(one + self.steps[name] * moved)
        return found

    def slopes(self, by_value: Values, count: int) -> np.ndarray:
        """Derivatives by the vector ``[count, size]``, from as many by the values."""
        parts = []
        for name, width in zip(self.names, self.sizes, strict=True):
            part = np.asarray(by_value[name]).reshape(count, -1) * self.steps[name]
            parts.append(part if part.shape[1] == width else part.sum(axis=1, keepdims=True))
        return np.concatenate(parts, axis=1)
