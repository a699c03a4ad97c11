"""How good a model on light is, what light it needs, and how all of this grows with size.

What light a model needs: :class:`LightCurve` with :func:`solve_threshold`, and :func:`photons_needed` for
single products. How costs grow: :func:`sweep` traces programs and estimates their costs size by size,
:func:`fit_exponent` and :func:`crossings` say what follows::

    both = SweepMachines(pj.machines.optical("display-1024"), pj.machines.digital("h100-sxm"))
    rows = sweep("L", [512, 4096, 32768], lambda n: model_workload("llama-3-8b", n), both)
    exponent_table(rows, ["macs", "light_j", "digital_j"])
    crossings(rows, "optical_j", "digital_j")
"""

from photonjax.evaluation.crossings import Crossing, crossings, solve_crossing
from photonjax.evaluation.exponents import (
    Exponent,
    exponent_table,
    fit_exponent,
    local_exponents,
    mean_exponent,
)
from photonjax.evaluation.fan_in import (
    Product,
    model_products,
    photons_needed,
    random_products,
    series_exponents,
)
from photonjax.evaluation.light_curve import LightCurve, scale_light
from photonjax.evaluation.sweeps import (
    SweepMachines,
    component_columns,
    matrix_workload,
    model_workload,
    overtakings,
    sweep,
    switched,
)
from photonjax.evaluation.thresholds import interpolate_threshold, solve_threshold

__all__ = [
    "Crossing",
    "Exponent",
    "LightCurve",
    "Product",
    "SweepMachines",
    "component_columns",
    "crossings",
    "exponent_table",
    "fit_exponent",
    "interpolate_threshold",
    "local_exponents",
    "matrix_workload",
    "mean_exponent",
    "model_products",
    "model_workload",
    "overtakings",
    "photons_needed",
    "random_products",
    "scale_light",
    "series_exponents",
    "solve_crossing",
    "solve_threshold",
    "sweep",
    "switched",
]
