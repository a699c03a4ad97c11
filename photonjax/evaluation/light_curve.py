"""How the log-perplexity of a model rises as light is taken from its optical products.

Perplexity rises by an average part, proportional to 1/light at little noise, and one that changes sign with
the noise, proportional to its standard deviation. The second vanishes on average but dominates a few
windows. It is taken out: at much more light r the rise of the same draw is almost all of the second kind,
so with ``q = sqrt(r / light)`` the corrected rise ``(rise(light) - q rise(r)) / (1 - 1/q)`` has the same
mean to second order in the noise, and far less spread.

Not so where operands are rounded: the faintest noise tips some roundings over, whose effect does not shrink
with it. Nor where noise is left at any light, as that of a finite local oscillator: ``q`` would multiply it.
There (:func:`noise_vanishes` says where) the rise is taken as it is (``corrected=False``), and the standard
errors say what that costs.

On several dies the rise is the mean of each die's own, against that die without noise: static errors cost
what they cost whatever the light. Draws of noise are then taken die by die, and a die is what the standard
error counts.
"""

from __future__ import annotations

import functools
import math
from collections.abc import MutableMapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import photonjax.nn.nnx as optics
from photonjax.core import OpticalCore, random
from photonjax.evaluation.intervals import CONFIDENCE
from photonjax.evaluation.thresholds import interpolate_threshold

__all__ = ["LightCurve", "noise_vanishes", "scale_light"]


def scale_light(model: nnx.Module, light: Any) -> None:
    """Multiply the photons of every optical product; in place, also under jit."""
    for _, dot in optics.optical_dots(model):
        photons = dot.hardware["photons"]
        photons[...] = photons[...] * light


def noise_vanishes(core: OpticalCore) -> bool:
    """Whether a core's noise goes away with ever more light, so that a rise may be corrected.

    >>> plain = {"input": {"bits": None}, "array": {"bits": None}}
    >>> noise_vanishes(OpticalCore(**plain)), noise_vanishes(OpticalCore())  # rounds
    (True, False)
    >>> noise_vanishes(OpticalCore(**plain, encoding={"kind": "quadrature", "oscillator": 1e5}))
    False
    """
    rounded = core.input.bits is not None or core.array.bits is not None
    return not rounded and core.encoding.oscillator_electrons(core) is None


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
      model: on light, or digital; its cores' photons are what a light of 1 stands for. Or the same on
        several dies.
      windows: tokens ``[n, length]``.
      noise_seeds: how many draws of noise each window is evaluated with, on each die.
      seed: that they follow from.
      corrected: all noise shrinks with light, so that the odd part can be taken out (see the module).
      known: losses ``[dies x noise seeds, windows]``, die by die, of each light that was evaluated before
        (``[dies, windows]`` of infinite light, without noise); new ones are added. A mapping of the
        caller's own can keep them on disk.

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
        model: nnx.Module | Sequence[nnx.Module] | None,
        windows: np.ndarray,
        *,
        noise_seeds: int = 1,
        seed: int = 0,
        corrected: bool = True,
        known: MutableMapping[float, np.ndarray] | None = None,
    ):
        self.models = list(model) if isinstance(model, Sequence) else [model]
        self.windows = jnp.asarray(windows, jnp.int32)
        self.noise_seeds, self.seed, self.corrected = noise_seeds, seed, corrected
        self.known = {} if known is None else known
        self.lights: list[float] = []

    @property
    def model(self) -> Any:
        """On the first die."""
        return self.models[0]

    def losses(self, light: float) -> np.ndarray:
        """Negative log-likelihood ``[dies x noise seeds, windows]``; without noise one seed is enough."""
        if light not in self.known:
            base = random.new_key(self.seed)
            seeds = 1 if math.isinf(light) else self.noise_seeds
            losses = np.empty((len(self.models) * seeds, len(self.windows)))
            for die, model in enumerate(self.models):
                graph, state = nnx.split(model)
                for s, w in np.ndindex(seeds, len(self.windows)):
                    row = die * seeds + s  # of all draws, on whichever die
                    key = jax.random.fold_in(jax.random.fold_in(base, row), w)
                    losses[row, w] = window_loss(graph, state, light, key, self.windows[w])
            self.known[light] = losses
        return self.known[light]

    def perplexity(self) -> float:
        """Without noise."""
        return float(np.exp(self.losses(math.inf).mean() / self._predictions))

    def rise(
        self, light: float, draws: list[int] | None = None, windows: list[int] | None = None
    ) -> float:
        """Mean rise of log-perplexity, corrected as the module says; over all draws by default.

        Args:
          light: what the photons of every site are multiplied by.
          draws: which rows of the losses. windows: which windows.
        """
        if light not in self.lights:
            self.lights.append(light)
        shape = len(self.models) * self.noise_seeds, len(self.windows)
        chosen = zip(shape, (draws, windows), strict=True)
        pick = np.ix_(*(list(range(n)) if p is None else p for n, p in chosen))

        def raw(at: float) -> float:
            without = np.repeat(self.losses(math.inf), self.noise_seeds, axis=0)
            change = self.losses(at) - without
            return float(change[pick].mean()) / self._predictions

        rise = raw(light)
        if self.corrected:
            reference = 10.0 ** (4 * math.ceil(math.log10(30 * light) / 4))
            q = math.sqrt(reference / light)
            rise = (rise - q * raw(reference)) / (1 - 1 / q)
        return rise if math.isfinite(rise) else math.inf

    def crossing(
        self, target: float, draws: list[int] | None = None, windows: list[int] | None = None
    ) -> float | None:
        """Where the rise over these draws meets the target, from the points there are."""
        return interpolate_threshold({x: self.rise(x, draws, windows) for x in self.lights}, target)

    def errors(self, target: float) -> tuple[float | None, float | None]:
        """Relative standard errors of the crossing: from dies and noise, and from the text (jackknife).

        The first is the spread of the dies, each with its draws, or of the draws where there is one die.
        """
        windows, (groups, size) = len(self.windows), self._groups
        each = [self.crossing(target, [g * size + s for s in range(size)]) for g in range(groups)]
        without = [
            self.crossing(target, windows=[w for w in range(windows) if w != left])
            for left in range(windows if windows > 1 else 0)
        ]
        return _spread(each, 1 / groups), _spread(without, (windows - 1) ** 2 / windows)

    def interval(
        self, target: float, confidence: float = CONFIDENCE
    ) -> tuple[float | None, float | None]:
        """Lowest and highest ratio of the true crossing to the one found; None where it is not known.

        Student's t of both standard errors together, in logarithms, with Satterthwaite's degrees of freedom
        (as in :mod:`photonjax.evaluation.intervals`).
        """
        from scipy.stats import t

        free = self._groups[0] - 1, len(self.windows) - 1
        known = [(e, f) for e, f in zip(self.errors(target), free, strict=True) if f > 0]
        if not known or any(e is None for e, _ in known):
            return None, None
        parts = np.array([[e**2, f] for e, f in known])  # type: ignore[operator]
        variance = parts[:, 0].sum()
        if variance == 0.0:
            return 1.0, 1.0
        freedom = variance**2 / np.sum(parts[:, 0] ** 2 / parts[:, 1])
        half = float(t.ppf(0.5 + confidence / 2, freedom)) * math.sqrt(variance)
        return math.exp(-half), math.exp(half)

    @property
    def _groups(self) -> tuple[int, int]:
        """How many independent groups of draws there are, and draws in each: dies, if there are several."""
        return (
            (len(self.models), self.noise_seeds) if len(self.models) > 1 else (self.noise_seeds, 1)
        )

    @property
    def _predictions(self) -> int:
        return self.windows.shape[1] - 1


def _spread(values: list[float | None], weight: float) -> float | None:
    """``sqrt(weight)`` standard deviations of the logarithms; None if any is missing or there is one."""
    known = [math.log(v) for v in values if v is not None]
    if len(known) < max(2, len(values)):
        return None
    return math.sqrt(weight) * float(np.std(known, ddof=1))
