"""Maximum likelihood, component by component, judged on symbols that were held out."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from photonjax.core import fit_likelihood as lik
from photonjax.core.fit_likelihood import Free, Readings, Values
from photonjax.core.fit_statistics import Estimate

COMPONENTS = (
    "gains",
    "cycle",
    "fixed_weight",
    "column_noise",
    "bend",
    "common",
    "relative",
    "tails",
)
"""What is tried in turn: gain and offset of each column; offsets for each place of a cycle; errors of one
fixed weight matrix; noise of each column; a cubic; common noise; noise in proportion; heavy tails.
"""
SIMPLEST = "independent"
_FREE = {"bend": "bend", "common": "common", "relative": "relative", "tails": "tail"}
_STRICT = 1.645  # standard errors by which a component has to raise the held-out likelihood: 5 % by chance


@dataclasses.dataclass(frozen=True)
class Rung:
    """One model beside those before it.

    Attributes:
      added: the component. parameters: numbers that the whole model fits, fixed linear map included.
      nats: log-likelihood of a held-out reading. gain: its difference to the best simpler model, nats a
        reading, standard error from the symbols' differences. kept: whether that is above chance.
    """

    added: str
    parameters: int
    nats: float
    gain: Estimate
    kept: bool


@dataclasses.dataclass(frozen=True)
class Model:
    """A fitted model: values of the likelihood, and what they were fitted to.

    Attributes:
      components: of :data:`COMPONENTS`. values: of :func:`photonjax.core.fit_likelihood.log_likelihood`.
      leak: ``[N, N]``, or None. leak_variance: ``[N]`` of the columns' errors from it, without the noise of
        its fit.
      free: how values are varied. data: arrays of all readings.
    """

    components: tuple[str, ...]
    values: Values
    leak: np.ndarray | None
    leak_variance: np.ndarray
    free: Free
    data: Values

    @property
    def tails(self) -> bool:
        return "tails" in self.components

    @property
    def parameters(self) -> int:
        fixed = 0 if self.leak is None else self.leak.size - len(self.leak)
        return sum(self.free.sizes) + fixed

    def nats(self) -> np.ndarray:
        """Log-likelihood of every symbol ``[T]``."""
        with jax.enable_x64(True):
            return np.asarray(lik.likelihood_of_symbols(self.values, self.data, self.tails))

    def errors(self) -> Values:
        """Standard errors of the values: the inverse of the information, which is the sum over symbols of the
        outer product of their slopes (Berndt, Hall, Hall and Hausman 1974).
        """
        with jax.enable_x64(True):
            found = lik.slopes_of_symbols(self.values, self.data, self.tails)
        slopes = self.free.slopes(found, len(self.data["e"]))
        spread, direction = np.linalg.eigh(slopes.T @ slopes)
        if spread[0] < 1e-9 * spread[-1]:
            raise ValueError(
                f"fit_core: these measurements do not determine {', '.join(self.components)}; give more "
                "symbols, or fewer components"
            )
        errors = np.sqrt((direction**2 / spread).sum(axis=1))
        moved = self.free.values(errors)
        still = self.free.values(np.zeros_like(errors))
        return {name: np.abs(moved[name] - still[name]) for name in moved}


def climb(
    readings: Readings, wanted: tuple[str, ...], held: np.ndarray
) -> tuple[tuple[str, ...], list[Rung]]:
    """The components that raise the likelihood of held-out symbols, and every model tried.

    Args:
      wanted: components to try. held: ``[T]``, which symbols are held out.
    """
    count = readings.there[held].sum()
    train = (~held).astype(float)
    best = fit(readings, (), train)
    scores = best.nats()[held]
    rungs = [Rung(SIMPLEST, best.parameters, scores.sum() / count, Estimate(0.0, 0.0), True)]
    for component in wanted:
        model = fit(readings, (*best.components, component), train, best)
        found = model.nats()[held]
        difference = found - scores
        error = difference.std(ddof=1) * np.sqrt(len(difference)) / count
        gained = Estimate(float(difference.sum() / count), float(error))
        kept = gained.value > _STRICT * gained.error
        rungs.append(Rung(component, model.parameters, float(found.sum() / count), gained, kept))
        if kept:
            best, scores = model, found
    return best.components, rungs


def fit(
    readings: Readings, components: tuple[str, ...], weights: np.ndarray, like: Model | None = None
) -> Model:
    """Maximum likelihood of one model on the weighted symbols (0 or 1), by L-BFGS on exact gradients.

    The fixed linear map has N x N numbers; as all columns have the same regressors, ordinary least squares
    is its maximum likelihood whatever the noise (Zellner 1962), and it is solved beforehand.

    Args:
      like: a fitted model to start from.

    Raises:
      ValueError: the search did not arrive.
    """
    from scipy import optimize  # with the package's other imports it would take half a second

    if "cycle" not in components:
        readings = dataclasses.replace(readings, cycle=1)
    leak, variance = None, np.zeros(readings.expected.shape[1])
    if "fixed_weight" in components:
        leak, variance = fixed_map(readings, weights)
    data = readings.arrays(leak)
    start, steps = _start(data, weights, components)
    names = [_FREE[c] for c in components if c in _FREE]
    if like is not None:
        known = [n for n in names if _component(n) in like.components]
        if components[-1] in _FREE:  # nothing else changes: its neighbours are where they were
            known += ["gain", "offset", "log_noise"]
        start |= {name: like.values[name] for name in known}
    if "gains" in components:
        names = ["gain", "offset", *names]
    free = Free(start, steps, ("log_noise", *names), "column_noise" not in components)
    tails = "tails" in components

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        with jax.enable_x64(True):
            value, slope = lik.loss_and_slope(free.values(vector), data, weights, tails)
        return float(value), free.slopes(slope, 1)[0]

    found = optimize.minimize(
        loss,
        np.zeros(sum(free.sizes)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 1000, "maxcor": 30, "ftol": 1e-10, "gtol": 0.02},
    )
    left = float(np.abs(found.jac).max())
    # A step is about a standard error, so that this is about how many are missing.
    if not left < 0.3:
        name = (SIMPLEST, *components)[-1]
        raise ValueError(
            f"fit_core: the likelihood of {name!r} found no maximum ({found.message}); "
            "are there outliers, or symbols in another order?"
        )
    return Model(components, free.values(found.x), leak, variance, free, data)


def fixed_map(readings: Readings, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What of each column's error is a fixed linear map of the expected row, in units of ``expected``.

    From symbols without gaps, and without what a gain of its own explains, so that the map's error in a
    column is uncorrelated with what was expected of that column.

    Returns:
      The map ``[N, N]``, and the variance of each column's error by it, less that of the fit's noise.
    """
    chosen = readings.there.all(axis=1) & (weights > 0)
    groups, e, y = (of[chosen] for of in (readings.groups, readings.expected, readings.observed))
    count, columns = e.shape
    if count < 2 * (columns + readings.cycle):
        raise ValueError(
            f"fit_core: {count} symbols have no gaps; fixed_weight = True needs "
            f"{2 * (columns + readings.cycle)} for {columns} columns, the held-out ones apart"
        )
    inside = lambda of: of - groups @ np.linalg.lstsq(groups, of, rcond=None)[0]  # noqa: E731
    e, y = inside(e), inside(y)
    slope = (e * y).sum(axis=0) / (e * e).sum(axis=0)
    whole = np.linalg.lstsq(e, y, rcond=None)[0]
    rest = ((y - e @ whole) ** 2).sum(axis=0) / (count - columns - readings.cycle)
    found = (whole - np.diag(slope)) / slope
    variance = ((e @ found) ** 2).mean(axis=0) - rest / slope**2 * (columns - 1) / count
    return found, variance


def _start(
    data: Values, weights: np.ndarray, components: tuple[str, ...]
) -> tuple[Values, dict[str, float]]:
    """Least squares for what is linear, and about how far each number may move."""
    used = data["there"] * weights[:, None]
    columns, cycle = used.shape[1], data["groups"].shape[1]
    gain, offset = np.ones(columns), np.zeros((cycle, columns))
    meant = data["e"] + data["leak"]
    if "gains" in components:
        count = np.maximum(data["groups"].T @ used, 1)
        means = [(data["groups"].T @ (used * of)) / count for of in (meant, data["y"])]
        de, dy = (
            used * (of - data["groups"] @ mean)
            for of, mean in zip((meant, data["y"]), means, strict=True)
        )
        gain = (de * dy).sum(axis=0) / (de**2).sum(axis=0)
        offset = means[1] - gain * means[0]
    rest = used * ((data["y"] - data["groups"] @ offset) / gain - meant)
    noise = np.sqrt((rest**2).sum(axis=0) / used.sum(axis=0))
    if "column_noise" not in components:
        noise = np.full(columns, np.sqrt((noise**2).mean()))
    readings, symbols = used.sum(), weights.sum()
    typical, size = np.median(noise), np.sqrt((used * data["e"] ** 2).sum() / readings)
    one = np.sqrt(symbols)
    start = {
        "gain": gain,
        "offset": offset,
        "log_noise": np.log(noise),
        "bend": 0.0,
        "common": 0.3 * typical if "common" in components else 0.0,
        "relative": 0.3 * typical / size if "relative" in components else 0.0,
        "tail": lik.real_of_tail(0.1),
    }
    steps = {
        "gain": typical / size / one,
        "offset": typical * np.sqrt(cycle) / one,
        "log_noise": 1 / np.sqrt(2 * symbols * (1 if "column_noise" in components else columns)),
        "bend": typical / size / np.sqrt(readings),
        "common": 0.3 * typical / one,
        "relative": 0.3 * typical / size / np.sqrt(readings) ** 0.5,
        "tail": 3 / np.sqrt(readings) ** 0.5,
    }
    return start, {name: float(step) for name, step in steps.items()}


def _component(name: str) -> str:
    return next(c for c, n in _FREE.items() if n == name)


def simulate(values: Values, data: Values, rng: Any, tails: bool) -> np.ndarray:
    """Readings ``[T, N]`` drawn from the model, NaN where there are gaps."""
    shape = data["e"].shape
    if tails:
        nu = 1 / float(lik.tail_of_real(values["tail"]))
        own = rng.standard_t(nu, shape) * np.sqrt((nu - 2) / nu)
    else:
        own = rng.standard_normal(shape)
    size = np.exp(2 * values["log_noise"]) + values["relative"] ** 2 * data["e"] ** 2
    shared = values["common"] * rng.standard_normal((shape[0], 1))
    meant = data["e"] + values["bend"] * data["cube"] + data["leak"]
    drawn = data["groups"] @ values["offset"] + values["gain"] * (
        meant + shared + np.sqrt(size) * own
    )
    return np.where(data["there"] > 0, drawn, np.nan)
