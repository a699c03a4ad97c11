"""A small product, cores without and with errors, and what tests of its properties ask of both."""

import jax
import numpy as np

import photonjax as pj

MATRIX = (((1,), (0,)), ((), ()))


KEY = jax.random.key(7)


M, K, N = 5, 20, 7


X = jax.random.normal(jax.random.key(0), (M, K))


W = jax.random.normal(jax.random.key(1), (K, N))


ENCODINGS = ["differential", "offset", "homodyne", "quadrature"]


BALANCED = ["differential", "homodyne", "quadrature"]


IDEAL = pj.OpticalCore(
    rows=8, cols=4, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)


INT8 = pj.OpticalCore(rows=8, cols=4, adc={"bits": None})


DIE = dict(
    array={
        "noise": 0.02, "seconds_since_programming": 1e4, "drift_exponent": 0.02, "drift_spread": 0.01,
        "flicker_noise": 0.01, "dead_fraction": 0.1, "stuck_fraction": 0.1, "crosstalk_rows": 0.03,
        "crosstalk_cols": 0.02,
    },
    receiver={"gain_error": 0.05},
)  # fmt: skip


# What multiplies weights, takes them away or spreads them is the same for both signs.
EVEN = DIE | {"array": {**DIE["array"], "noise": None, "stuck_fraction": None}}


def product(x, w, core, key=None, **options):
    y = pj.optical_dot_general(x, w, MATRIX, core=core, key=key, **options)
    return np.asarray(y)


def change(core, **fields):
    return core.replace(**fields)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
