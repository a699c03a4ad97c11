"""Photons that an output needs for a wanted signal-to-noise ratio, sampled and in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import photonjax as pj
from experiments.fidelity.rows import Row, derived_row, row
from photonjax.core import measured_dot_general

NUMBERS = (((1,), (0,)), ((), ()))
ENCODINGS = ("differential", "offset", "homodyne")
REFERENCE_DB = 43.0

# No converters: shot noise alone.
ANALOG = pj.OpticalCore(
    input={"bits": None},
    array={"bits": None},
    adc={"bits": None},
    photons=1.0,
    encoding={"shot_estimate": "exact"},
)

measure = jax.jit(
    lambda core, x, w, key: measured_dot_general(x, w, NUMBERS, core=core, key=key)[1]
)


def snr_of_bits(bits: int) -> float:
    """Power SNR of a b-bit quantizer's full-scale sine, ``1.5 4**b`` (6.02 b + 1.76 dB).

    >>> round(snr_of_bits(8))
    98304
    """
    return 1.5 * 4.0**bits


def snr_rows(
    terms: Sequence[int], bits: Sequence[int], tokens: int, outputs: int, seed: int
) -> tuple[list[Row], list[dict[str, Any]]]:
    """The table's lines, and the curve behind them."""
    targets = {f"{b} bits": snr_of_bits(b) for b in bits} | {"43 dB": 10 ** (REFERENCE_DB / 10)}
    curve = [
        {"operands": kind, "encoding": encoding, "K": k, "target": name, **point}
        for kind in OPERANDS
        for encoding in ENCODINGS
        for k in terms
        for name, point in _points(kind, encoding, k, targets, tokens, outputs, seed).items()
    ]
    # Signal and noise powers, each over all outputs; a variance of n normal samples scatters by sqrt(2/n).
    within = 5 * float(np.sqrt(2 / (tokens * outputs)))
    return [*_published_rows(curve, within), *_derived_rows(curve, bits, within)], curve


def _pick(curve: list[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    return [p for p in curve if all(p[name] == value for name, value in wanted.items())]


def _published_rows(curve: list[dict[str, Any]], within: float) -> list[Row]:
    rows = []
    for kind, about in (
        ("full scale", "every operand at full scale"),
        ("non-negative", "operands uniform in 0 ... 1; the signal is the output with its mean"),
        ("signed", "normal operands; signal and noise both add up as sqrt(K)"),
    ):
        for k in (1024, 4096):
            for point in _pick(curve, operands=kind, encoding="differential", K=k, target="43 dB"):
                rows.append(
                    row(
                        f"detected photons per MAC for 43 dB, {kind}, K = {k}",
                        f"snr_k{k}",
                        point["photons_per_mac"],
                        f"differential; {about}; {point['photons_per_mac'] * k:.3g} photons per output",
                    )
                )
    for point in _pick(
        curve, operands="full scale", encoding="differential", K=1024, target="43 dB"
    ):
        rows.append(
            row(
                "detected photons per output for 43 dB, full scale",
                "snr_electrons",
                point["photons_per_mac"] * 1024,
                f"K = 1024; sampling error {within / 5:.1%}",
            )
        )
    return rows


def _derived_rows(curve: list[dict[str, Any]], bits: Sequence[int], within: float) -> list[Row]:
    rows = []
    for encoding in ENCODINGS:
        for b in bits:
            points = _pick(curve, operands="signed", encoding=encoding, target=f"{b} bits")
            worst = max(abs(p["photons_per_mac"] / p["closed_form"] - 1) for p in points)
            spread = [p["photons_per_mac"] for p in points]
            last = points[-1]
            rows.append(
                derived_row(
                    f"detected photons per MAC for {b} bits, signed, {encoding}, K = {last['K']}",
                    last["closed_form"],
                    last["photons_per_mac"],
                    "photons/MAC",
                    f"closed form for an SNR of 1.5 x 4^{b} = {last['target_db']:.1f} dB (derived)",
                    f"K = {points[0]['K']} to {last['K']}: {min(spread):.3g} to {max(spread):.3g}, at most "
                    f"{worst:.1%} from the closed form",
                    within=within,
                )
            )
    return rows


def _points(
    kind: str,
    encoding: str,
    k: int,
    targets: dict[str, float],
    tokens: int,
    outputs: int,
    seed: int,
) -> dict[str, dict[str, float]]:
    """For each wanted SNR: photons per MAC found by measuring, and the closed form's."""
    x, w = OPERANDS[kind](np.random.default_rng([seed, k]), tokens, k, outputs)
    x32, w32 = jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32)
    signal, noise_at_one, light = closed_form(encoding, x, w)
    key = jax.random.fold_in(jax.random.key(seed), 3 * k + ENCODINGS.index(encoding))
    core = ANALOG.replace(encoding=encoding, rows=k)
    points = {}
    for i, (name, target) in enumerate(targets.items()):
        full_scale = target * noise_at_one / signal  # photons of a full-scale multiply
        found = measure(
            core.replace(photons=float(full_scale)),
            x32,
            w32,
            jax.random.fold_in(key, i),
        )
        snr = float(found.signal) / float(found.error)
        # Measured at the closed form's light; shot noise power goes as one over the light.
        points[name] = {
            "target_db": float(10 * np.log10(target)),
            "measured_db": float(10 * np.log10(snr)),
            "photons_per_mac": float(found.photons_per_multiply) * target / snr,
            "closed_form": float(full_scale * light / k),
        }
    return points


def closed_form(encoding: str, x: np.ndarray, w: np.ndarray) -> tuple[float, float, float]:
    """Signal power, noise power at one photon per full-scale multiply, and the mean light per output.

    Worked out here from counts on detectors, apart from :mod:`photonjax.core.encoding`. With a and b the
    operands over their full scales (each token's, each column's largest magnitude) and m photons per
    full-scale multiply, counts and variance of ``p = sum a b`` are

    * differential: m sum |a||b| counts, each worth 1/m;
    * offset: (m/4) sum (1 + a)(1 + b) counts, each worth 4/m;
    * homodyne: (m/2) sum (a**2 + b**2) counts, each worth 1/m.
    """
    scale_x, scale_w = np.abs(x).max(1, keepdims=True), np.abs(w).max(0, keepdims=True)
    a, b = x / scale_x, w / scale_w
    if encoding == "differential":
        counts, worth = np.abs(a) @ np.abs(b), 1.0
    elif encoding == "offset":
        counts, worth = (1 + a) @ (1 + b) / 4, 4.0
    else:
        counts, worth = (np.sum(a**2, 1)[:, None] + np.sum(b**2, 0)) / 2, 1.0
    noise = worth**2 * counts * (scale_x * scale_w) ** 2
    return float(np.mean((x @ w) ** 2)), float(np.mean(noise)), float(np.mean(counts))


OPERANDS = {
    "signed": lambda rng, t, k, n: (rng.normal(size=(t, k)), rng.normal(size=(k, n))),
    "non-negative": lambda rng, t, k, n: (rng.uniform(size=(t, k)), rng.uniform(size=(k, n))),
    "full scale": lambda rng, t, k, n: (np.ones((t, k)), np.ones((k, n))),
}
