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

import csv
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from omegaconf import DictConfig

import photonjax as pj
from experiments.evaluate.run import Rung
from experiments.harness import RunDirectory, UserError
from experiments.photons.threshold import crossing


def scale_light(model: nnx.Module, light: Any) -> None:
    """Multiply the photons of every optical product; in place, also under jit."""
    for _, dot in pj.nnx.optical_dots(model):
        photons = dot.hardware["photons"]
        photons[...] = photons[...] * light


@functools.partial(jax.jit, static_argnums=0)
def window_loss(
    graph: Any, state: nnx.State, light: jax.Array, key: jax.Array, tokens: jax.Array
) -> jax.Array:
    """Negative log-likelihood of one window, the photons of every site times ``light``."""
    model = nnx.merge(graph, state)
    pj.nnx.set_noise_key(model, key)
    scale_light(model, light)
    scores = jax.nn.log_softmax(model(tokens[None])[0, :-1])
    return -jnp.take_along_axis(scores, tokens[1:, None], 1).sum()


class Points:
    """Losses ``[noise seeds, windows]`` of every rung and light, kept in points.csv as they come."""

    def __init__(self, run: RunDirectory):
        self.run = run
        self.rows: list[dict[str, Any]] = []
        self.known: dict[tuple[str, float], np.ndarray] = {}
        file = run.path / "points.csv"
        if not file.exists():
            return
        groups: dict[tuple[str, float], dict[tuple[int, int], float]] = {}
        try:
            with open(file, newline="") as lines:
                for r in csv.DictReader(lines):
                    group = groups.setdefault((r["rung"], float(r["light"])), {})
                    group[int(r["noise_seed"]), int(r["window"])] = float(r["loss_nats"])
            for (rung, light), group in groups.items():
                shape = tuple(1 + max(place[i] for place in group) for i in (0, 1))
                losses = np.array([group[place] for place in np.ndindex(shape)])
                self._keep(rung, light, losses.reshape(shape))
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"run: {file} is not a table of points any more; delete it, or choose another name "
                "with run=NAME"
            ) from None

    def add(self, rung: str, light: float, losses: np.ndarray) -> None:
        """Keep one point, on disk too."""
        self._keep(rung, light, losses)
        self.run.write_csv("points.csv", self.rows)

    def _keep(self, rung: str, light: float, losses: np.ndarray) -> None:
        self.known[rung, light] = losses
        self.rows += [
            {"rung": rung, "light": light, "noise_seed": s, "window": w, "loss_nats": float(loss)}
            for (s, w), loss in np.ndenumerate(losses)
        ]


class Curve:
    """How the log-perplexity of one rung rises as light is taken away."""

    def __init__(
        self,
        name: str,
        rung: Rung,
        points: Points,
        windows: np.ndarray,
        config: DictConfig,
        *,
        rounded: bool = False,
    ):
        self.name, self.rung, self.points, self.config = name, rung, points, config
        self.rounded = rounded
        self.windows = jnp.asarray(windows, jnp.int32)
        self.predictions = windows.shape[1] - 1
        self.lights: list[float] = []  # where the corrected rise was asked for

    def losses(self, light: float) -> np.ndarray:
        """Negative log-likelihood ``[noise seeds, windows]``; without noise one seed is enough."""
        if (self.name, light) not in self.points.known:
            seeds = 1 if math.isinf(light) else self.config.noise_seeds
            base = jax.random.key(self.config.seed)
            losses = np.empty((seeds, len(self.windows)))
            for s, w in np.ndindex(losses.shape):
                key = jax.random.fold_in(jax.random.fold_in(base, s), w)
                state, tokens = self.rung.state, self.windows[w]
                losses[s, w] = window_loss(self.rung.graph, state, light, key, tokens)
            self.points.add(self.name, light, losses)
        return self.points.known[self.name, light]

    def perplexity(self) -> float:
        """Without noise."""
        return float(np.exp(self.losses(math.inf).mean() / self.predictions))

    def rise(
        self, light: float, seeds: list[int] | None = None, windows: list[int] | None = None
    ) -> float:
        """Mean rise of log-perplexity, corrected as the module says; over all draws by default."""
        if light not in self.lights:
            self.lights.append(light)
        chosen = zip(self._shape, (seeds, windows), strict=True)
        pick = np.ix_(*(list(range(n)) if p is None else p for n, p in chosen))

        def raw(at: float) -> float:
            change = self.losses(at) - self.losses(math.inf)
            return float(change[pick].mean()) / self.predictions

        rise = raw(light)
        if not self.rounded:
            reference = 10.0 ** (4 * math.ceil(math.log10(30 * light) / 4))
            q = math.sqrt(reference / light)
            rise = (rise - q * raw(reference)) / (1 - 1 / q)
        return rise if math.isfinite(rise) else math.inf

    @property
    def _shape(self) -> tuple[int, int]:
        return self.config.noise_seeds, len(self.windows)

    def crossing(
        self, target: float, seeds: list[int] | None = None, windows: list[int] | None = None
    ) -> float | None:
        """Where the rise over these draws meets the target, from the points there are."""
        return crossing({x: self.rise(x, seeds, windows) for x in self.lights}, target)

    def errors(self, target: float) -> tuple[float | None, float | None]:
        """Relative standard errors of the crossing: from the noise draws, and from the text (jackknife)."""
        seeds, windows = self._shape
        each = [self.crossing(target, seeds=[s]) for s in range(seeds)]
        without = [
            self.crossing(target, windows=[w for w in range(windows) if w != left])
            for left in range(windows if windows > 1 else 0)
        ]
        return _spread(each, 1 / seeds), _spread(without, (windows - 1) ** 2 / windows)


def _spread(values: list[float | None], weight: float) -> float | None:
    """``sqrt(weight)`` standard deviations of the logarithms; None if any is missing or there is one."""
    known = [math.log(v) for v in values if v is not None]
    if len(known) < max(2, len(values)):
        return None
    return math.sqrt(weight) * float(np.std(known, ddof=1))
