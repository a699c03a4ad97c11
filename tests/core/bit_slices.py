"""Bit slices in NumPy: operands on a grid, their digits, and what each is worth."""

import jax
import numpy as np
from closed_forms import NUMBERS

import photonjax as pj

DIGITAL = pj.OpticalCore(
    rows=32,
    cols=32,
    input={"bits": 8},
    array={"bits": 8},
    adc={"bits": None},
    encoding={"shot_estimate": "exact"},
)


@jax.jit
def product(core, x, w, key=None):
    return pj.optical_dot_general(x, w, NUMBERS, core=core, key=key)


def largest(bits, slices):
    """The largest integer of either sign that digits of ``2**b`` levels hold, one added after another."""
    if slices == 1:
        return 2 ** (bits - 1) - 1
    base = 2 ** int(np.ceil(bits / slices))
    return min(2 ** (bits - 1) - 1, sum((base // 2 - 1) * base**i for i in range(slices)))


def operands(K, N, bits, seed=0, slices=(1, 1)):
    """A token and a matrix on the grid of ``bits``, full scale 1."""
    q, r = (largest(bits, s) for s in slices)
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-q, q + 1, K) / q, rng.integers(-r, r + 1, (K, N)) / r
    a[0], b[0] = 1, (-1) ** np.arange(N)
    return a, b


def slices_of(values, bits, slices):
    """Digits of ``2**b`` levels in full scales of a pass, and what full scale of each is worth, again."""
    if slices == 1:
        return [values], [1.0]
    q, base = largest(bits, slices), 2 ** int(np.ceil(bits / slices))
    rest, digits, worths = np.round(values * q), [], []
    for i in range(slices):
        higher = (rest + base // 2) // base if i < slices - 1 else 0 * rest
        digits.append((rest - base * higher) / (base / 2))
        worths.append(base**i * (base / 2) / q)
        rest = higher
    np.testing.assert_allclose(
        sum(d * w for d, w in zip(digits, worths, strict=True)), values, atol=1e-12
    )
    return digits, worths
