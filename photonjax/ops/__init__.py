"""What light does to one matrix product: pure functions on arrays."""

from photonjax.ops import random as random
from photonjax.ops.dies import Correction as Correction
from photonjax.ops.dies import characterize as characterize
from photonjax.ops.dies import over_chips as over_chips
from photonjax.ops.dot import optical_dot_general as optical_dot_general
from photonjax.ops.dot import optical_einsum as optical_einsum
from photonjax.ops.integers import arithmetic as arithmetic
from photonjax.ops.measure import Measurement as Measurement
from photonjax.ops.measure import measured_dot_general as measured_dot_general
from photonjax.ops.quantize import QuantizedArray as QuantizedArray
from photonjax.ops.quantize import quantize as quantize
from photonjax.ops.weights import ProgrammedWeight as ProgrammedWeight
from photonjax.ops.weights import program as program
