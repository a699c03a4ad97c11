"""PhotonJAX: what happens to a transformer whose matrix products run on light.

An optical prefill engine as one differentiable JAX program: cores with physical noise and
quantization (:mod:`photonjax.hardware`), products on them (:mod:`photonjax.ops`), adapters for Flax
models (:mod:`photonjax.nn`), and what it all costs (:mod:`photonjax.cost`).
"""

import importlib
from typing import Any

from photonjax import cost, machines, nn
from photonjax.hardware import CoreCosts, OpticalCore
from photonjax.inventory import Inventory, MatmulSite, matmuls, take_inventory
from photonjax.machines import DigitalAccelerator
from photonjax.nn import nnx
from photonjax.nn.calibrate import calibrate
from photonjax.nn.convert import (
    ConversionReport,
    Rule,
    convert,
    hold_weights,
    release_weights,
    revert,
)
from photonjax.nn.transform import optical
from photonjax.ops import (
    ProgrammedWeight,
    QuantizedArray,
    characterize,
    optical_dot_general,
    optical_einsum,
    over_chips,
    program,
    quantize,
)

__all__ = [
    "ConversionReport",
    "CoreCosts",
    "DigitalAccelerator",
    "Inventory",
    "MatmulSite",
    "OpticalCore",
    "ProgrammedWeight",
    "QuantizedArray",
    "Rule",
    "calibrate",
    "characterize",
    "convert",
    "cost",
    "hold_weights",
    "machines",
    "matmuls",
    "nn",
    "nnx",
    "optical",
    "optical_dot_general",
    "optical_einsum",
    "over_chips",
    "program",
    "quantize",
    "release_weights",
    "revert",
    "take_inventory",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Flax Linen, models and data are imported when they are asked for."""
    if name in ("linen", "models", "data"):
        return importlib.import_module(f"photonjax.{'nn.linen' if name == 'linen' else name}")
    raise AttributeError(f"module 'photonjax' has no attribute {name!r}")
