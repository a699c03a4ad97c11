"""How the log-perplexity of a model rises as light is taken from its optical products.

Perplexity rises by an average part, proportional to 1/light at little noise, and one that changes sign with
the noise, proportional to its standard deviation. The second vanishes on average but dominates a few
windows. It is taken out: at much more light r the rise of the same draw is almost all of the second kind,
so with ``q = sqrt(r / light)`` the corrected rise ``(rise(light) - q rise(r)) / (1 - 1/q)`` has the same
mean to second order in the noise, and far less spread.

Not so where operands are rounded: the faintest noise tips some roundings over, whose effect does not shrink
with it. There the rise is taken as it is, and the standard errors say what that costs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import MutableMapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import photonjax.nn.nnx as optics
from photonjax.core import random
from photonjax.evaluation.thresholds import interpolate_threshold

__all__ = ["LightCurve", "scale_light"]


def scale_light(model: nnx.Module, light: Any) -> None:
    """Multiply the photons of every optical product; in place, also under jit."""
    for _, dot in optics.optical_dots(model):
        photons = dot.hardware["photons"]
        photons[...] = photons[...] * light


@functools.partial(jax.jit, static_argnums=0)
def window_loss(
    graph: Any, state: nnx.State, light: jax.Array, key: jax.Array, tokens: jax.Array
) -> jax.Array:
    """Negative log-likelihood of one window, the photons of every site times ``light``."""
    model = nnx.merge(graph, state)
    optics.set_noise_key(model, key)
    scale_light(model, light)
    scores = jax.nn.log_softmax(model(tokens[None])[0, :-1])
    return -jnp.take_along_axis(scores, tokens[1:, None], 1).sum()


class LightCurve:
    """The rise of a model's log-perplexity against light.

    Args:
      model: on light, or digital; its cores' photons are what a light of 1 stands for.
      windows: tokens ``[n, length]``.
      noise_seeds: how many draws of noise each window is evaluated with.
      seed: that they follow from.
      rounded: operands are rounded, so that the rise is taken as it is (see the module).
      known: losses ``[noise seeds, windows]`` of each light that was evaluated before; new ones are
        added. A mapping of the caller's own can keep them on disk.

    Attributes:
      lights: where the rise was asked for.

    Example:
      >>> curve = LightCurve(None, np.zeros((1, 11), int), known={
      ...     math.inf: np.array([[30.0]]), 1e3: np.array([[30.4]]), 1e8: np.array([[30.0]])})
      >>> round(curve.rise(1e3), 3)  # 0.4 nats over ten predictions
      0.04
    """

    def __init__(
        self,
        model: nnx.Module | None,
        windows: np.ndarray,
        *,
        noise_seeds: int = 1,
        seed: int = 0,
        rounded: bool = False,
        known: MutableMapping[float, np.ndarray] | None = None,
    ):
        self.model = model
        self.windows = jnp.asarray(windows, jnp.int32)
        self.noise_seeds, self.seed, self.rounded = noise_seeds, seed, rounded
        self.known = {} if known is None else known
        self.lights: list[float] = []

    def losses(self, light: float) -> np.ndarray:
        """Negative log-likelihood ``[noise seeds, windows]``; without noise one seed is enough."""
        if light not in self.known:
            graph, state = nnx.split(self.model)
            base = random.new_key(self.seed)
            losses = np.empty((1 if math.isinf(light) else self.noise_seeds, len(self.windows)))
            for s, w in np.ndindex(losses.shape):
                key = jax.random.fold_in(jax.random.fold_in(base, s), w)
                losses[s, w] = window_loss(graph, state, light, key, self.windows[w])
            self.known[light] = losses
        return self.known[light]

    def perplexity(self) -> float:
        """Without noise."""
        return float(np.exp(self.losses(math.inf).mean() / self._predictions))

    def rise(
        self, light: float, seeds: list[int] | None = None, windows: list[int] | None = None
    ) -> float:
        """Mean rise of log-perplexity, corrected as the module says; over all draws by default."""
        if light not in self.lights:
            self.lights.append(light)
        chosen = zip((self.noise_seeds, len(self.windows)), (seeds, windows), strict=True)
        pick = np.ix_(*(list(range(n)) if p is None else p for n, p in chosen))

        def raw(at: float) -> float:
            change = self.losses(at) - self.losses(math.inf)
            return float(change[pick].mean()) / self._predictions

        rise = raw(light)
        if not self.rounded:
            reference = 10.0 ** (4 * math.ceil(math.log10(30 * light) / 4))
            q = math.sqrt(reference / light)
            rise = (rise - q * raw(reference)) / (1 - 1 / q)
        return rise if math.isfinite(rise) else math.inf

    def crossing(
        self, target: float, seeds: list[int] | None = None, windows: list[int] | None = None
    ) -> float | None:
        """Where the rise over these draws meets the target, from the points there are."""
        return interpolate_threshold({x: self.rise(x, seeds, windows) for x in self.lights}, target)

    def errors(self, target: float) -> tuple[float | None, float | None]:
        """Relative standard errors of the crossing: from the noise draws, and from the text (jackknife)."""
        seeds, windows = self.noise_seeds, len(self.windows)
        each = [self.crossing(target, seeds=[s]) for s in range(seeds)]
        without = [
            self.crossing(target, windows=[w for w in range(windows) if w != left])
            for left in range(windows if windows > 1 else 0)
        ]
        return _spread(each, 1 / seeds), _spread(without, (windows - 1) ** 2 / windows)

    @property
    def _predictions(self) -> int:
        return self.windows.shape[1] - 1


def _spread(values: list[float | None], weight: float) -> float | None:
    """``sqrt(weight)`` standard deviations of the logarithms; None if any is missing or there is one."""
    known = [math.log(v) for v in values if v is not None]
    if len(known) < max(2, len(values)):
        return None
    return math.sqrt(weight) * float(np.std(known, ddof=1))
