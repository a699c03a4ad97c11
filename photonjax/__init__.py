"""PhotonJAX: what happens to a transformer whose matrix products run on light.

An optical prefill engine as one differentiable JAX program: cores with physical noise and
quantization (:mod:`photonjax.core`), products on them (:mod:`photonjax.core`), adapters for Flax
models (:mod:`photonjax.nn`), and what it all costs (:mod:`photonjax.cost`).
"""

import importlib
from typing import Any

from photonjax import cost, machines, nn
from photonjax.core import (
    CoreCosts,
    OpticalCore,
    ProgrammedWeight,
    QuantizedArray,
    characterize,
    optical_dot_general,
    optical_einsum,
    over_chips,
    program,
    quantize,
)
from photonjax.machines import DigitalAccelerator
from photonjax.nn import nnx
from photonjax.nn.calibrate import calibrate
from photonjax.nn.convert import (
    ConversionReport,
    Rule,
    convert,
    program_weights,
    revert,
    unprogram_weights,
)
from photonjax.nn.transform import optical
from photonjax.workload import MatmulSite, Workload, matmuls, trace_workload

__all__ = [
    "ConversionReport",
    "CoreCosts",
    "DigitalAccelerator",
    "MatmulSite",
    "OpticalCore",
    "ProgrammedWeight",
    "QuantizedArray",
    "Rule",
    "Workload",
    "calibrate",
    "characterize",
    "convert",
    "cost",
    "machines",
    "matmuls",
    "nn",
    "nnx",
    "optical",
    "optical_dot_general",
    "optical_einsum",
    "over_chips",
    "program",
    "program_weights",
    "quantize",
    "revert",
    "trace_workload",
    "unprogram_weights",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Flax Linen, models and data are imported when they are asked for."""
    if name in ("linen", "models", "data"):
        return importlib.import_module(f"photonjax.{'nn.linen' if name == 'linen' else name}")
    raise AttributeError(f"module 'photonjax' has no attribute {name!r}")
