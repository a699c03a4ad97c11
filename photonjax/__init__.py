"""PhotonJAX: what happens to a transformer whose matrix products run on light.

An optical prefill engine as one differentiable JAX program: cores with physical noise and
quantization and the products on them (:mod:`photonjax.core`), named machines
(:mod:`photonjax.machines`), what a program multiplies (:mod:`photonjax.workload`), adapters for models
and functions (:mod:`photonjax.nn`), and what it all costs (:mod:`photonjax.cost`).
"""

import importlib
from typing import Any

from photonjax import cost, machines
from photonjax.core import (
    CoreCosts,
    OpticalCore,
    ProgrammedWeight,
    QuantizedArray,
    characterize,
    fit_core,
    optical_conv,
    optical_dot_general,
    optical_einsum,
    optical_matmul,
    program,
    quantize,
)
from photonjax.nn import nnx
from photonjax.nn.calibrate import calibrate
from photonjax.nn.convert import convert, program_weights, revert, unprogram_weights
from photonjax.nn.ranges import UncalibratedWarning
from photonjax.nn.transform import optical
from photonjax.rules import ConversionReport, Rule
from photonjax.workload import MatmulSite, Workload, matmuls, trace_workload

__version__ = "0.1.0"

# Imported when they are asked for: they bring Flax Linen, loaders of models, corpora.
_LATER = {
    "data": "photonjax.data",
    "evaluation": "photonjax.evaluation",
    "linen": "photonjax.nn.linen",
    "models": "photonjax.models",
}

__all__ = [
    "ConversionReport",
    "CoreCosts",
    "MatmulSite",
    "OpticalCore",
    "ProgrammedWeight",
    "QuantizedArray",
    "Rule",
    "UncalibratedWarning",
    "Workload",
    "calibrate",
    "characterize",
    "convert",
    "cost",
    "data",
    "evaluation",
    "fit_core",
    "linen",
    "machines",
    "matmuls",
    "models",
    "nnx",
    "optical",
    "optical_conv",
    "optical_dot_general",
    "optical_einsum",
    "optical_matmul",
    "program",
    "program_weights",
    "quantize",
    "revert",
    "trace_workload",
    "unprogram_weights",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(_LATER[name])
    raise AttributeError(f"module 'photonjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
