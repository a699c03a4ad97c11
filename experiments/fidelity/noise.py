"""Hamerly's noise law, sampled: counted photons against ``|A| |x| / sqrt(N N' n_mac)``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import photonjax as pj
from experiments.fidelity.rows import Row, row
from photonjax.core import measured_dot_general

NUMBERS = (((1,), (0,)), ((), ()))
# Turns the bound's energy into photons. Assumed: telecom light.
WAVELENGTH_M = 1550e-9

# No converters: shot noise alone. Photons are counted one detector at a time (Poisson), so that the
# law is found and not put in.
COUNTING = pj.OpticalCore(
    encoding={"kind": "homodyne", "photon_statistics": "poisson"},
    input={"bits": None},
    array={"bits": None},
    adc={"bits": None},
    photons=1.0,
)

measure = jax.jit(
    lambda core, x, w, key: measured_dot_general(x, w, NUMBERS, core=core, key=key)[1]
)


def law_rows(
    terms: Sequence[int], photons: Sequence[float], tokens: int, outputs: int, seed: int
) -> tuple[list[Row], list[dict[str, Any]]]:
    """The table's lines, and the curve behind them."""
    curve = [
        point
        for kind in OPERANDS
        for k in terms
        for point in law_points(kind, k, photons, tokens, outputs, seed)
    ]
    scatter = curve[0]["scatter"]
    light = f"{min(photons):g} to {max(photons):g} photons per MAC, counted (Poisson)"

    def worst(kind: str, sizes: Sequence[int]) -> dict[str, Any]:
        points = [p for p in curve if p["operands"] == kind and p["K"] in sizes]
        return max(points, key=lambda p: abs(p["std_over_law"] / p["expected"] - 1))

    rows = []
    for name, kind, sizes in (
        *((f"equal powers, K = {k}", "equal powers", [k]) for k in terms),
        ("signs, every K", "signs", terms),
        (f"unequal powers, K = {max(terms)}", "unequal powers", [max(terms)]),
    ):
        point = worst(kind, sizes)
        note = f"{OPERANDS[kind][1]}; worst point of {light}; sampling error {scatter:.2%}"
        if kind == "unequal powers":
            note = f"{point['expected']:.3f} derived: {note}"
        rows.append(
            row(
                f"homodyne noise over Hamerly's law, {name}",
                "hamerly_law",
                point["std_over_law"],
                note,
                within=4 * scatter,
            )
        )
    rows.append(_bound_row())
    return rows, curve


def law_points(
    kind: str, k: int, photons: Sequence[float], tokens: int, outputs: int, seed: int
) -> list[dict[str, Any]]:
    """Measured standard deviation over the law's, at each number of photons per MAC.

    The operands' full scales are 1 (largest magnitudes), so the product's own scaling changes
    nothing, and the mean light of a multiply is ``core.photons (a**2 + b**2) / 2``.
    """
    # A standard deviation estimated from n normal samples scatters by 1/sqrt(2 n).
    scatter = float(1 / np.sqrt(2 * tokens * outputs))
    make, _ = OPERANDS[kind]
    key = jax.random.fold_in(jax.random.key(seed), 3 * k + list(OPERANDS).index(kind))
    x, w = make(np.random.default_rng([seed, k]), tokens, k, outputs)
    power_x, power_w = np.sum(x**2, 1).mean(), np.sum(w**2, 0).mean()
    points = []
    for i, wanted in enumerate(photons):
        full_scale = float(wanted * k / ((power_x + power_w) / 2))
        core = dataclasses.replace(COUNTING, rows=k, photons=full_scale)
        own = jax.random.fold_in(key, i)
        found = measure(core, jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32), own)
        std = float(jnp.sqrt(found.error / found.outputs))
        n_mac = float(found.photons_per_multiply)
        # Norms of matrix and vector as the paper has them; averaged over the tokens.
        law = np.sqrt(np.sum(w**2) * power_x / (k * outputs * n_mac))
        points.append(
            {
                "operands": kind,
                "K": k,
                "n_mac": n_mac,
                "std": std,
                "law": float(law),
                "std_over_law": std / float(law),
                "scatter": scatter,
                "expected": float((power_x + power_w) / (2 * np.sqrt(power_x * power_w))),
            }
        )
    return points


def _signs(rng: np.random.Generator, tokens: int, k: int, outputs: int):
    return rng.choice([-1.0, 1.0], (tokens, k)), rng.choice([-1.0, 1.0], (k, outputs))


def _equal_powers(rng: np.random.Generator, tokens: int, k: int, outputs: int):
    """Normal numbers of one size: every vector holds the same magnitudes, shuffled, with random signs."""
    magnitudes = np.abs(rng.normal(size=k))
    magnitudes /= magnitudes.max()

    def draw(count: int) -> np.ndarray:
        each = rng.permuted(np.tile(magnitudes, (count, 1)), axis=1)
        return each * rng.choice([-1.0, 1.0], each.shape)

    return draw(tokens), draw(outputs).T


def _unequal_powers(rng: np.random.Generator, tokens: int, k: int, outputs: int):
    """The same, but the tokens have one entry that sets their full scale far above the others."""
    x, w = _equal_powers(rng, tokens, k, outputs)
    x = x / 8
    x[:, 0] = 1
    return x, w


# How the light's split appears: each field carries m/2 photons at its own full scale, so a multiply takes
# (m/2) a**2 from the one and (m/2) b**2 from the other. The product of both is what counts; for a given
# sum it is largest where the powers sum a**2 and sum b**2 are the same, and that is the law's split.
OPERANDS = {
    "signs": (_signs, "+1 and -1: both fields at full scale, equal powers"),
    "equal powers": (
        _equal_powers,
        "normal magnitudes, sum a^2 = sum b^2 in full scales: the optimal split of light",
    ),
    "unequal powers": (
        _unequal_powers,
        "tokens with one outlier of 8: light split at full scale and not optimally costs "
        "(|a|^2 + |b|^2) / (2 |a| |b|)",
    ),
}


def _bound_row() -> Row:
    """The bound follows from a trained network's accuracy, not from one product."""
    joules = energy_per_mac_j(1.0)
    photons = 50e-21 / joules
    return row(
        "standard quantum limit of a large network",
        "hamerly_bound",
        None,
        "follows from how accurately trained digit classifiers answer under the law above, light split "
        "optimally for every product; the abstract, all that was read, gives no criterion, and this core "
        f"splits light at full scale. As light the bound is {photons:.3g} detected photons per MAC "
        f"({1e21 * joules:.0f} zJ each at 1550 nm, by cost.estimate without losses)",
    )


def energy_per_mac_j(photons: float) -> float:
    """Optical energy of one multiply that detects this many photons, losslessly, by the cost model [J]."""
    costs = pj.CoreCosts(wavelength_m=WAVELENGTH_M)
    core = dataclasses.replace(COUNTING, rows=64, cols=64, photons=photons, costs=costs)
    site = pj.MatmulSite("w", 1, M=10, K=64, N=64, count=1, dtype="float32", stationary=True)
    cost = pj.cost.estimate(pj.Workload([site], []), core)
    return float(cost.by_component()["laser"]) / site.macs
