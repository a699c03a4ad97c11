"""PhotonJAX: what happens to a transformer whose matrix products run on light.

An optical prefill engine as one differentiable JAX program: cores with physical noise and
quantization (:mod:`photonjax.hardware`), products on them (:mod:`photonjax.ops`), adapters for Flax
models (:mod:`photonjax.nn`), and what it all costs (:mod:`photonjax.cost`).
"""

from photonjax import cost, nn
from photonjax.hardware import CoreCosts, DigitalAccelerator, OpticalCore, presets
from photonjax.inventory import Inventory, MatmulSite, matmuls, take_inventory
from photonjax.nn import nnx
from photonjax.nn.calibrate import calibrate
from photonjax.nn.convert import ConversionReport, Rule, convert, hold_weights, release_weights
from photonjax.ops import (
    ProgrammedWeight,
    QuantizedArray,
    optical_dot_general,
    optical_einsum,
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
    "convert",
    "cost",
    "hold_weights",
    "matmuls",
    "nn",
    "nnx",
    "optical_dot_general",
    "optical_einsum",
    "presets",
    "program",
    "quantize",
    "release_weights",
    "take_inventory",
]

__version__ = "0.1.0"
