"""Products of many columns, without levels, for tests of what each column gets of its own."""

import jax
import numpy as np
from closed_forms import NUMBERS

import photonjax as pj

COLUMNS = 100_000
# A variance estimated from n normal draws scatters by sqrt(2/n): five of these, 2.2 %.
CLOSE = 5 * np.sqrt(2 / COLUMNS)
ANALOG = pj.OpticalCore(
    rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)


@jax.jit
def product(core, x, w, key=None, adc_range=None):
    return pj.optical_dot_general(x, w, NUMBERS, core=core, key=key, adc_range=adc_range)
