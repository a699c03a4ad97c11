"""How good a model on light is, what light it needs, and how all of this grows with size.

How good: :func:`evaluate` does it all and prints as a table::

    model, tokenizer = pj.models.load("smollm2-135m-instruct")
    windows, _ = pj.data.document_windows(pj.data.load_corpus("wikipedia-sample"), tokenizer, 512, count=5)
    core = pj.machines.optical("display-1024")
    print(pj.evaluation.evaluate(model, windows[:4], {"display": core}, calibration=windows[4:]))

Its parts can be used by themselves: :class:`Prefill` (compiled programs that models of equal structure
share), :func:`compare` (scores of one window), :func:`measure` (light, SNR and clipping of every site),
:func:`prepare` (many optical versions of one model), :func:`mean_interval`, :func:`crossed_interval` and
:func:`ratio_percent`.

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
from photonjax.evaluation.intervals import (
    Interval,
    crossed_interval,
    mean_interval,
    ratio_percent,
)
from photonjax.evaluation.ladder import evaluate
from photonjax.evaluation.light_curve import LightCurve, scale_light
from photonjax.evaluation.programs import Prefill, measure, pool
from photonjax.evaluation.results import DIGITAL, Evaluation, Result, Window, shown
from photonjax.evaluation.rungs import Converted, prepare, rules_of
from photonjax.evaluation.scores import Scores, compare
from photonjax.evaluation.sweeps import (
    SweepMachines,
    component_columns,
    matrix_workload,
    model_workload,
    overtakings,
    sweep,
    switched,
)
from photonjax.evaluation.thresholds import highest_rise, interpolate_threshold, solve_threshold

__all__ = [
    "DIGITAL",
    "Converted",
    "Crossing",
    "Evaluation",
    "Exponent",
    "Interval",
    "LightCurve",
    "Prefill",
    "Product",
    "Result",
    "Scores",
    "SweepMachines",
    "Window",
    "compare",
    "component_columns",
    "crossed_interval",
    "crossings",
    "evaluate",
    "exponent_table",
    "fit_exponent",
    "highest_rise",
    "interpolate_threshold",
    "local_exponents",
    "matrix_workload",
    "mean_exponent",
    "mean_interval",
    "measure",
    "model_products",
    "model_workload",
    "overtakings",
    "photons_needed",
    "pool",
    "prepare",
    "random_products",
    "ratio_percent",
    "rules_of",
    "scale_light",
    "series_exponents",
    "shown",
    "solve_crossing",
    "solve_threshold",
    "sweep",
    "switched",
]
