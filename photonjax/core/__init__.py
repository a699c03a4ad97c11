"""What light does to one matrix product: a core of stages, and the products on it."""

from photonjax.core import random as random
from photonjax.core.characterize import Correction as Correction
from photonjax.core.characterize import characterize as characterize
from photonjax.core.convolution import optical_conv as optical_conv
from photonjax.core.core import OpticalCore as OpticalCore
from photonjax.core.costs import CoreCosts as CoreCosts
from photonjax.core.fields import get_field as get_field
from photonjax.core.fields import set_fields as set_fields
from photonjax.core.fit import Fit as Fit
from photonjax.core.fit import fit_core as fit_core
from photonjax.core.fixed_point import arithmetic as arithmetic
from photonjax.core.measure import Measurement as Measurement
from photonjax.core.measure import measured_dot_general as measured_dot_general
from photonjax.core.product import optical_dot_general as optical_dot_general
from photonjax.core.product import optical_einsum as optical_einsum
from photonjax.core.product import optical_matmul as optical_matmul
from photonjax.core.programming import ProgrammedWeight as ProgrammedWeight
from photonjax.core.programming import program as program
from photonjax.core.quantize import QuantizedArray as QuantizedArray
from photonjax.core.quantize import quantize as quantize
from photonjax.core.site import site_number as site_number
