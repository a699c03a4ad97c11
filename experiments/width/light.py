"""The light that a trained decoder needs: shared among its sites as serves it best, then sought.

At little noise the log-perplexity rises by ``sum_s c_s / m_s``, with ``m_s`` the full-scale photons of site
s, and the light is ``sum_s l_s m_s``. The least light for a rise has (Lagrange)

    m_s ~ sqrt(c_s / l_s),    light = (sum_s sqrt(c_s l_s))**2 / rise,

against ``sum c_s sum l_s / rise`` for the same m everywhere. From any shares, ``m_s`` times
``sqrt((c_s / m_s) / (l_s m_s))`` is there in one step: the square root of what a site's noise costs over
what its light costs. The light is measured. The cost is a gradient: with ``a = m**-0.5``, one draw of noise
eps and the loss's slope g and curvature H,

    G(m) = dloss / dlog m_s = -(a g eps + a**2 eps H eps)_s / 2,

whose first part vanishes on average and is far larger. At r, with ``q = sqrt(r/m)``, the same draw has
``-(a g eps / q + a**2 eps H eps / q**2)_s / 2``. So ``-(G(m) - q G(r)) / (1 - 1/q)`` is
``(a**2 eps H eps)_s / 2``, of mean ``c_s / m_s``, without the first part (as
:mod:`photonjax.evaluation.light_curve` does with the loss itself). Both hold where noise vanishes with
light. A finite local oscillator leaves some at any light: there shares are found without it
(:func:`fading_noise`), and the rise of the loss is taken as it is, over more draws.
"""

from __future__ import annotations

import collections
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import photonjax as pj
import photonjax.nn.nnx as optics
from experiments.width.config import Width
from photonjax.core import Measurement, random
from photonjax.evaluation import measure
from photonjax.evaluation.light_curve import LightCurve, noise_vanishes, scale_light, window_loss
from photonjax.evaluation.thresholds import solve_threshold

LEAST = 1e-3  # of the mean need, for sites whose own is lost in the noise of its estimate
BRIGHT = 1e6  # photons at which sites are compared: hardly any noise reaches the next site
MEASURED = 4  # windows on which photons are counted
Q = 100.0  # root of the ratio of light at which the first order of the noise is taken out


def on_light(model: nnx.Module, core: pj.OpticalCore) -> nnx.Module:
    """Every product of a dressed decoder on light, of one photon a multiply."""
    return pj.convert(model, [pj.Rule("*/layer", core)])[0]


def needs(
    config: Width,
    model: nnx.Module,
    core: pj.OpticalCore,
    windows: np.ndarray,
    seed: int,
) -> list[dict[str, Any]]:
    """Light and photons per multiply for each of ``targets_percent``, a row each.

    Args:
      model: digital, dressed (:func:`experiments.width.operands.dress`).
      windows: tokens ``[n, length]``.
      seed: of the noise.
    """
    fading, lit = on_light(model, fading_noise(core)), on_light(model, core)
    seen = measured(fading, BRIGHT, windows, seed)
    light = {path: float(each.electrons) / BRIGHT for path, each in seen.items()}
    middle = 10 ** (config.solver.snr_db / 10) * _mean_noise(seen) * BRIGHT
    cost = site_costs(fading, middle, windows, seed)
    factors = shares(cost, light, config.solver.shares)
    set_shares(lit, factors)
    shared = {path: light[path] * factors[path] for path in light}
    predictions = windows.shape[0] * (windows.shape[1] - 1)
    # The rise at this light, to second order: where the search begins.
    predicted = sum(max(cost[path], 0.0) / factors[path] for path in cost) / predictions
    corrected = noise_vanishes(core)
    seeds = config.noise_seeds if corrected else config.uncorrected_noise_seeds
    curve = LightCurve(lit, windows, noise_seeds=seeds, seed=seed, corrected=corrected)
    rows: list[dict[str, Any]] = []
    known: dict[float, float] = {}
    for percent in config.targets_percent:
        target = math.log1p(percent / 100)
        found = solve_threshold(
            curve.rise,
            target,
            middle * min(max(predicted / target, 1e-3), 1e3),
            tolerance=config.solver.tolerance,
            most=config.solver.most,
            seen=known,
        )
        row = dict(_NOTHING)
        if found is not None:
            there = measured(lit, found, windows, seed)
            row = at_threshold(there, core, found * sum(shared.values()), curve.interval(target))
        about = {"target_percent": percent, "light": found}
        rows.append(about | {"equal_over_shared": saving(cost, light)} | row)
    return rows


def fading_noise(core: pj.OpticalCore) -> pj.OpticalCore:
    """The core without what keeps its noise up at any light: a finite oscillator, and the receiver it is for.

    What is left, ``1 / 4m``, is in the same ratio to all of the noise that light does take away at every
    site (of a receiver it adds a tenth): so light is shared alike, and found from noise that vanishes.
    """
    if core.encoding.oscillator_electrons(core) is None:
        return core
    silent = {"noise_a_per_rthz": None, "dark_current_a": None}
    return core.replace(encoding={"oscillator": None}, receiver=silent)


_NOTHING: dict[str, Any] = dict.fromkeys(
    ("photons_per_multiply", "oscillator_per_multiply", "signal_per_multiply", "interval_low")
) | dict.fromkeys(("interval_high", "snr_db", "snr", "sites"))


def at_threshold(
    seen: Mapping[str, Measurement],
    core: pj.OpticalCore,
    signal_light: float,
    interval: tuple[float | None, float | None],
) -> dict[str, Any]:
    """What is detected, and at what SNR.

    Args:
      seen: every site's measurement.
      signal_light: electrons without an oscillator's, for where there is one: it has far more, and float32
        does not show a small difference of large sums.
      interval: lowest and highest ratio of light.
    """
    electrons, multiplies, samples = (
        sum(float(getattr(m, name)) for m in seen.values())
        for name in ("electrons", "multiplies", "samples")
    )
    oscillator = oscillator_of(core) * samples / multiplies
    signal = (signal_light if oscillator else electrons) / multiplies
    low, high = (None if x is None else oscillator + signal * x for x in interval)
    snr = 1 / _mean_noise(seen)
    sites = [
        {
            "site": kind_of(path),
            "terms": float(m.multiplies / m.outputs),
            "photons_per_multiply": float(m.photons_per_multiply),
            "snr_db": float(m.snr_db),
        }
        for path, m in seen.items()
    ]
    return {
        "photons_per_multiply": oscillator + signal,
        "oscillator_per_multiply": oscillator,
        "signal_per_multiply": signal,
        "interval_low": low,
        "interval_high": high,
        "snr_db": 10 * math.log10(snr),
        "snr": snr,
        "sites": sites,
    }


def measured(
    lit: nnx.Module, light: float, windows: np.ndarray, seed: int
) -> dict[str, Measurement]:
    """Every site's :class:`Measurement` on the first few windows."""
    lit = nnx.clone(lit)
    scale_light(lit, light)
    return measure(lit, jnp.asarray(windows[:MEASURED], jnp.int32), jax.random.key(seed))


def _mean_noise(seen: Mapping[str, Measurement]) -> float:
    """Noise over signal: geometric mean over sites."""
    return float(np.exp(np.mean([math.log(float(m.error / m.signal)) for m in seen.values()])))


def oscillator_of(core: pj.OpticalCore) -> float:
    """Photons of the local oscillator in each detector sample; 0 without one."""
    return float(core.encoding.oscillator_electrons(core) or 0.0)


def site_costs(lit: nnx.Module, light: float, windows: np.ndarray, seed: int) -> dict[str, float]:
    """What every site's noise adds to the loss at this light: ``c_s / m_s``, in nats over all windows.

    ``lit``: its noise must vanish with light (:func:`fading_noise`), since :data:`Q` multiplies what is left.
    """
    graph, state = nnx.split(lit)
    found: collections.Counter[str] = collections.Counter()
    paths = {path: dot.layer_paths(path) for path, dot in optics.optical_dots(lit)}
    for w, window in enumerate(jnp.asarray(windows, jnp.int32)):
        key = jax.random.fold_in(random.new_key(seed), w)
        bright = _slopes(graph, state, light * Q**2, key, window)
        for path, slope in _slopes(graph, state, light, key, window).items():
            own = -(np.asarray(slope) - Q * np.asarray(bright[path])) / (1 - 1 / Q)
            found.update(dict(zip(paths[path], own.reshape(-1).tolist(), strict=True)))
    return dict(found)


@functools.partial(jax.jit, static_argnums=0)
def _slopes(
    graph: Any, state: nnx.State, light: jax.Array, key: jax.Array, tokens: jax.Array
) -> Any:
    """Slope of one window's loss by the logarithm of every site's photons."""
    sizes = {
        path: dot.hardware["photons"][...].shape
        for path, dot in optics.optical_dots(nnx.merge(graph, state))
    }

    def loss(logs: dict[str, jax.Array]) -> jax.Array:
        # Variables of this trace: those of the state belong to the one around it.
        model = nnx.merge(graph, jax.tree.map(lambda leaf: leaf, state))
        for path, dot in optics.optical_dots(model):
            photons = dot.hardware["photons"]
            photons[...] = photons[...] * jnp.exp(logs[path])
        return window_loss(*nnx.split(model), light, key, tokens)

    return jax.grad(loss)({path: jnp.zeros(shape) for path, shape in sizes.items()})


def shares(cost: Mapping[str, float], light: Mapping[str, float], by: str) -> dict[str, float]:
    """The factor of every site's photons, of geometric mean 1.

    Args:
      cost: what its noise costs (may be below 0: it is an estimate).
      light: what its light costs, both at the same photons.
      by: ``site``; ``kind``, sites of one kind together; ``equal``: 1 everywhere.

    >>> found = shares({"a/q": 4.0, "b/o": 1.0}, {"a/q": 1.0, "b/o": 1.0}, "site")
    >>> round(found["a/q"] / found["b/o"], 6)
    2.0
    """
    if by == "equal":
        return dict.fromkeys(cost, 1.0)
    group = kind_of if by == "kind" else str
    costs, lights = collections.Counter[str](), collections.Counter[str]()
    for path in cost:
        costs[group(path)] += cost[path]  # type: ignore[assignment]
        lights[group(path)] += light[path]  # type: ignore[assignment]
    ratios = {name: costs[name] / lights[name] for name in costs}
    least = LEAST * float(np.mean([max(r, 0.0) for r in ratios.values()]))
    if least == 0.0:  # nothing was seen of anybody's need
        return dict.fromkeys(cost, 1.0)
    roots = {path: math.sqrt(max(ratios[group(path)], least)) for path in cost}
    middle = math.exp(np.mean([math.log(r) for r in roots.values()]))
    return {path: root / middle for path, root in roots.items()}


def saving(cost: Mapping[str, float], light: Mapping[str, float]) -> float:
    """Light at equal photons over light shared by kind, as second order has it."""
    costs, lights = collections.Counter[str](), collections.Counter[str]()
    for path in cost:
        costs[kind_of(path)] += max(cost[path], 0.0)  # type: ignore[assignment]
        lights[kind_of(path)] += light[path]  # type: ignore[assignment]
    shared = sum(math.sqrt(costs[k] * lights[k]) for k in costs) ** 2
    return sum(costs.values()) * sum(lights.values()) / shared if shared else math.nan


def set_shares(lit: nnx.Module, factors: Mapping[str, float]) -> None:
    """Multiply every site's photons by its factor; in place."""
    for path, dot in optics.optical_dots(lit):
        photons = dot.hardware["photons"]
        own = np.reshape([factors[p] for p in dot.layer_paths(path)], photons[...].shape)
        photons[...] = photons[...] * jnp.asarray(own, jnp.float32)


def kind_of(path: str) -> str:
    """``q_proj`` of ``layers/0/attn/q_proj/layer``.

    >>> kind_of("layers/0/attn/q_proj/layer"), kind_of("head/layer")
    ('q_proj', 'head')
    """
    return path.removesuffix("/layer").rpartition("/")[2]
