"""Energy that a receiver limited by its amplifier needs per symbol, from the noise model."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

import photonjax as pj
from experiments.fidelity.rows import Row, derived_row, row
from photonjax.core.moments import Moments
from photonjax.core.receiver import ELEMENTARY_CHARGE_C

NOISE_A_PER_RTHZ = 5e-12
RATE_HZ = 1e9
RESPONSIVITY_A_PER_W = 1.0
BITS = (4, 8)
NUMBERS = (((1,), (0,)), ((), ()))

# One detector, one product, no converters: all that the noise of a receiver depends on.
DETECTOR = pj.OpticalCore(
    rows=1,
    cols=1,
    encoding="offset",
    input={"bits": None},
    array={"bits": None},
    adc={"bits": None},
    photons=1.0,
    receiver={"noise_a_per_rthz": NOISE_A_PER_RTHZ},
    symbol_rate_hz=RATE_HZ,
)


def receiver_rows(samples: int, seed: int) -> list[Row]:
    """Published energies, in the convention they were made in and in ours."""
    rows = []
    # White noise over B = symbol rate instead of half of it: twice the variance.
    whole = DETECTOR.replace(receiver={"noise_a_per_rthz": math.sqrt(2) * NOISE_A_PER_RTHZ})
    conventions = {
        "B = symbol rate": (
            whole,
            "for an SNR of 1.5 x 4^{bits}; receiver_variance with the noise density times sqrt(2), "
            "which is B = symbol rate",
        ),
        "integrate and dump": (
            DETECTOR,
            "by this project's convention, B = 1/(2 tau) = half the symbol rate: sqrt(2) less",
        ),
    }
    for convention, (core, note) in conventions.items():
        for bits in BITS:
            electrons = needed_electrons(core, bits)
            rows.append(
                row(
                    f"receiver energy, {bits} bits, {convention}",
                    f"receiver_{bits}bit",
                    1e15 * energy_j(electrons),
                    f"{electrons:.4g} electrons {note.format(bits=bits)}",
                )
            )
    for bits in BITS:
        electrons = needed_electrons(DETECTOR, bits, shot=True)
        found = measured_snr(electrons, samples, jax.random.fold_in(jax.random.key(seed), bits))
        rows.append(
            derived_row(
                f"full-scale SNR at {energy_j(electrons) * 1e15:.3g} fJ, sampled",
                1.5 * 4.0**bits,
                found,
                "",
                f"6.02 b + 1.76 dB at {bits} bits (derived)",
                "integrate and dump; the energy with the light's own shot noise counted as well; "
                f"{samples} samples of optical_dot_general",
                within=5 * math.sqrt(2 / samples),
            )
        )
    return rows


def needed_electrons(core: pj.OpticalCore, bits: int, *, shot: bool = False) -> float:
    """Detected electrons at which full scale stands ``sqrt(1.5) 2**bits`` above the noise.

    The SNR is that of a b-bit quantizer, 6.02 b + 1.76 dB. With M electrons at full scale, receiver
    noise of variance R and shot noise of variance s M (s = 1 from Poisson): M**2 = SNR (R + s M).

    >>> round(needed_electrons(DETECTOR, 4), -2)
    13700.0
    """
    # One electron at full scale: p's variance in units of electrons is its variance over what one
    # count is worth, which the shot noise of that one electron gives away.
    one = jnp.ones((1, 1))
    moments = Moments(one, one, one, one, 1)
    light = core.encoding.light(core, one, moments)
    count = core.encoding.shot_variance(core, light, moments) / (light * core.photons)
    receiver = float((core.receiver.variance(core) / count)[0, 0])
    snr = 1.5 * 4.0**bits
    half = snr / 2 if shot else 0.0
    return half + math.sqrt(half**2 + snr * receiver)


def energy_j(electrons: float) -> float:
    """Received optical energy that yields this many electrons [J]."""
    return electrons * ELEMENTARY_CHARGE_C / RESPONSIVITY_A_PER_W


def measured_snr(electrons: float, samples: int, key: jax.Array) -> float:
    """Full scale squared over the variance of sampled products 1 x 1, receiver and shot noise."""
    core = dataclasses.replace(DETECTOR, photons=electrons)
    x, w = jnp.ones((samples, 1)), jnp.ones((1, 1))
    y = pj.optical_dot_general(x, w, NUMBERS, core=core, key=key)
    # On one rail p = 4 counts / m - 3: full scale of the light is 4 in units of p.
    return 4.0**2 / float(np.var(np.asarray(y, np.float64) - 1))
