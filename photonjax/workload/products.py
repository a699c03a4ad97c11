"""Sizes of what an equation multiplies: ``batch`` products ``[M, K] x [K, N]`` of its operands."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from photonjax.core.phases import phases
from photonjax.workload.origin import Origin

__all__ = ["PRODUCTS", "Sizes", "product_sizes", "weight_operand"]

PRODUCTS = ("dot_general", "conv_general_dilated", "ragged_dot_general")
"""Primitives that are matrix products."""

Sizes = tuple[int, int, int, int]  # batch, M, K, N


def product_sizes(eqn: Any) -> tuple[list[Sizes], list[str]]:
    """The products of an equation, and what was assumed; no products if the form is not known.

    M counts the left operand's rows, N the right operand's columns.
    """
    return _FORMS[eqn.primitive.name](eqn)


def weight_operand(eqn: Any, origins: Sequence[Origin]) -> int:
    """Which operand stays in the array: a parameter, on whichever side einsum has put it, else the right one.

    Of a convolution it is the kernel.
    """
    left = origins[0].fixed and not origins[1].fixed
    return 0 if left and eqn.primitive.name == "dot_general" else 1


def _dot(eqn: Any) -> tuple[list[Sizes], list[str]]:
    (lhs_k, rhs_k), (lhs_b, rhs_b) = eqn.params["dimension_numbers"]
    lhs, rhs = (v.aval.shape for v in eqn.invars)
    K, batch = _product(lhs, lhs_k), _product(lhs, lhs_b)
    return [(batch, _rest(lhs, lhs_k, lhs_b), K, _rest(rhs, rhs_k, rhs_b))], []


def _convolution(eqn: Any) -> tuple[list[Sizes], list[str]]:
    """Patches ``[output positions, window x channels]`` times the kernel, group by group.

    Zeros that ``lhs_dilation`` inserts between inputs are not multiplied: output positions fall into
    phases, each a convolution of its own (:mod:`photonjax.core.phases`). What the patches hold of
    padding is multiplied, as in any convolution.
    """
    numbers, p = eqn.params["dimension_numbers"], eqn.params
    kernel = [eqn.invars[1].aval.shape[d] for d in numbers.rhs_spec]  # out, in of a group, window
    out = [eqn.outvars[0].aval.shape[d] for d in numbers.out_spec]  # batch, out, positions
    groups = p["feature_group_count"] * p["batch_group_count"]
    steps = (p[name] for name in ("window_strides", "padding", "lhs_dilation", "rhs_dilation"))
    axes = [
        phases(positions, taps, stride, before, dilation, spread)
        for positions, taps, stride, (before, _), dilation, spread in zip(
            out[2:], kernel[2:], *steps, strict=True
        )
    ]
    sizes = Counter(
        (math.prod(len(p.positions) for p in phase), math.prod(len(p.taps) for p in phase))
        for phase in itertools.product(*axes)
    )
    N = out[1] // groups
    return [
        (groups * n, out[0] * positions, taps * kernel[1], N)
        for (positions, taps), n in sizes.items()
        if positions * taps
    ], []


def _ragged(eqn: Any) -> tuple[list[Sizes], list[str]]:
    """Rows sorted into groups, each times the matrix of its group (mixtures of experts).

    How many rows a group gets is not known from shapes; they are spread evenly. What does not divide
    makes a second product with one row more.
    """
    numbers = eqn.params["ragged_dot_dimension_numbers"]
    (lhs_k, rhs_k), (lhs_b, rhs_b) = numbers.dot_dimension_numbers
    ragged, grouped = numbers.lhs_ragged_dimensions, numbers.rhs_group_dimensions
    if len(ragged) != 1 or len(grouped) != 1 or ragged[0] in (*lhs_k, *lhs_b):
        return [], []  # the gradients' forms
    lhs, rhs = (v.aval.shape for v in eqn.invars[:2])
    K, batch = _product(lhs, lhs_k), _product(lhs, lhs_b)
    N = _rest(rhs, rhs_k, (*rhs_b, *grouped))
    groups = rhs[grouped[0]]
    rows, more = divmod(_rest(lhs, lhs_k, lhs_b), groups)
    sizes = [(batch * (groups - more), rows, K, N), (batch * more, rows + 1, K, N)]
    notes = [f"ragged_dot_general: rows taken as spread evenly over {groups} groups"]
    return [s for s in sizes if s[0] and s[1]], notes


def _product(shape: tuple[int, ...], axes: Any) -> int:
    return math.prod(shape[d] for d in axes)


def _rest(shape: tuple[int, ...], contracted: Any, batch: Any) -> int:
    return math.prod(s for d, s in enumerate(shape) if d not in (*contracted, *batch))


_FORMS = dict(zip(PRODUCTS, (_dot, _convolution, _ragged), strict=True))
