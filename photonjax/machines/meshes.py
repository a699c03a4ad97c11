"""What imperfect interferometer meshes make of a matrix, as fields of a core.

A real N x N matrix ``W = U S V'`` is held by two rectangular meshes (W. Clements et al., Optica
3, 1460 (2016)), one for each orthogonal factor, and a column of attenuators for the singular values S. A
mesh has N(N-1)/2 interferometers ``B P(theta) B P(phi)``, B being a 50:50 splitter and P a phase on one
arm: two meshes have 2N(N-1) phase shifters and as many splitters, and N phases at each mesh's output.
Errors of standard deviation s_phi (each phase) and s_bs (each splitter's angle, pi/4 when balanced) are
static, independent and not corrected.

*One unitary.* A phase error d anywhere turns ``U = A B`` into ``A (1 + i d e e') B``, e being one
waveguide: ``|dU|**2 = d**2``, whatever U is. A splitter ``exp(i (pi/4 + d) X)`` adds ``i d X``, ``|X|**2 =
2``. With N**2 phases and N(N-1) splitters the mean square error of an element, real and imaginary part, is

    c = s_phi**2 + 2 s_bs**2 (N-1)/N                                        (``unitary_element_error``)

(for splitters alone ``|dU| / sqrt(N) = sqrt(2 N) s_bs``) against a mean square element of 1/N: relative
errors grow as sqrt(N).

*A real matrix read along the real axis.* Inputs are real, and where U is real the light in each waveguide
is real too, but for a phase that is the same for all inputs. A phase error in front of an interferometer or
at the output, and a splitter's error (iX is imaginary) therefore change the product along the imaginary axis,
which a balanced homodyne receiver does not see. What it sees in first order is the internal phase's error
d, half of it: ``diag(e**(id), 1)`` is a common phase d/2 and a turn of ``+-d/2``, which the splitter makes
into a real rotation of the two outputs, ``|dU|**2 = d**2/2``. So of the error of both meshes,

    seen         r = s_phi**2 (N-1) / 2N         in units of the mean square singular value
    not seen     i = 2c - r

In second order two imaginary errors make a real one: each pair of sources, ``i H_a`` before ``i H_b``, adds
``-H_b H_a``, of variance ``N i_a i_b`` if H is isotropic, together ``N i**2 / 2``. Each source with itself
adds ``-H_a**2 / 2``, whose mean is not an error but a loss of the whole matrix, ``1 - N c`` (visible errors
lose as much), that a receiver's gain makes good. The mean square singular value is N times the mean square
element, so relative to the root mean square element

    error = sqrt(N (r + N i**2 / 2))                                        (``mesh_matrix_error``)

*As weight noise.* The field counts in full scales, the largest element of a column. With the crest factor
``k`` = largest over root mean square element, ``array.noise = error / k`` (``mesh_weight_noise``).

*Scale.* A passive mesh has no singular value above 1: it holds ``W / s_max``. For a tile of independent
elements of size w, ``s_max = w (sqrt(rows) + sqrt(cols))`` (Marchenko and Pastur), so an element of full
scale transmits the amplitude ``k / (2 sqrt(N))`` (``mesh_full_scale``), its square in power, however
small or large the weights are. A tile with one outstanding singular value transmits less, in proportion to
``1 / s_max``. Error and signal shrink alike; only light is lost.

*What one number does not say.* Elements' errors are close to normal and nearly uncorrelated in pairs, but
not independent: they are rotations, so singular values stay what they are (in first order), and the error
of the product with the j-th right singular vector has about ``(1 + S_j**2 / mean(S**2)) / 2`` of the
average variance: up to 2.5 times it along the strongest direction of a random square matrix, less than half
along the weakest. The error goes with a tile's own root mean square element; a column with a larger crest
factor than assumed is given too much noise, and columns of one tile share one error in absolute size.
Attenuators' errors, of relative size 1/N, and loss that differs between paths are left out.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

from photonjax.core.limits import allowed

__all__ = [
    "gaussian_crest",
    "mesh_full_scale",
    "mesh_matrix_error",
    "mesh_weight_noise",
    "unitary_element_error",
]


def unitary_element_error(modes: int, phase_error_rad: Any, splitter_error_rad: Any = 0.0) -> Any:
    """Root mean square of ``|dU_ij|`` of one mesh: ``sqrt(s_phi**2 + 2 s_bs**2 (N-1)/N)``, to first order.

    Args:
      modes: N. phase_error_rad: standard deviation of each phase [rad].
      splitter_error_rad: of each splitter's angle [rad]; 0.01 is a power split of 51:49.

    >>> unitary_element_error(64, 0.01)
    0.01
    """
    return _element_variance(modes, phase_error_rad, splitter_error_rad) ** 0.5


def mesh_matrix_error(modes: int, phase_error_rad: Any, splitter_error_rad: Any = 0.0) -> Any:
    """Error of a real matrix held by two meshes, over its root mean square element.

    Root mean square of ``Re(W') / gain - W``, gain the common loss; derived in the module's docstring.

    Args:
      modes, phase_error_rad, splitter_error_rad: as for ``unitary_element_error``.

    >>> round(mesh_matrix_error(64, 0.01), 4), round(mesh_matrix_error(64, 0.01, 0.02), 4)
    (0.0565, 0.0962)
    """
    seen = phase_error_rad**2 * (modes - 1) / (2 * modes)
    unseen = 2 * _element_variance(modes, phase_error_rad, splitter_error_rad) - seen
    return (modes * (seen + modes / 2 * unseen**2)) ** 0.5


def mesh_weight_noise(
    modes: int,
    phase_error_rad: Any,
    splitter_error_rad: Any = 0.0,
    crest: float | None = None,
) -> Any:
    """``OpticalCore.array.noise`` of a matrix held by two meshes, in full scales of the largest element.

    Args:
      modes, phase_error_rad, splitter_error_rad: as for ``unitary_element_error``.
      crest: largest over root mean square element of what shares a full scale; by default that of one
        column of ``modes`` normal weights (``array.scale="per_tile"``).

    Example:
      >>> import jax
      >>> round(mesh_weight_noise(64, 0.01), 4)
      0.0222
      >>> round(float(jax.grad(mesh_weight_noise, argnums=1)(64, 0.01)), 2)  # full scales per radian
      2.25
    """
    k = gaussian_crest(modes) if crest is None else crest
    return mesh_matrix_error(modes, phase_error_rad, splitter_error_rad) / k


def mesh_full_scale(modes: int, crest: float | None = None) -> float:
    """Amplitude that an element of full scale transmits, of a square tile of independent weights.

    ``crest / (2 sqrt(modes))``; its square is the fraction of one input's power that reaches one output.

    >>> round(mesh_full_scale(64), 3)
    0.159
    """
    _check_modes(modes)
    k = gaussian_crest(modes) if crest is None else crest
    return k / (2 * math.sqrt(modes))


def gaussian_crest(count: int) -> float:
    """Largest magnitude among ``count`` standard normals: its median, ``P(|x| > k) = ln(2) / count``.

    >>> round(gaussian_crest(64), 2)
    2.55
    """
    _check_modes(count)
    return -statistics.NormalDist().inv_cdf(math.log(2) / (2 * count))


def _element_variance(modes: int, phase: Any, splitter: Any) -> Any:
    _check_modes(modes)
    return phase**2 + 2 * (modes - 1) / modes * splitter**2


def _check_modes(modes: int) -> None:
    if isinstance(modes, bool) or not isinstance(modes, int) or modes < 2:
        raise ValueError(f"modes = {modes!r} is not {allowed('an integer', 2)}")
