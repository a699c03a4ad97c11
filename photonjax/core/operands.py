"""What a product is asked for: dimension numbers, einsum subscripts, and operands that it can take."""

from __future__ import annotations

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from photonjax.core.pytree import brief, check_number

DimensionNumbers = tuple[tuple[Any, Any], tuple[Any, Any]]


def normalized(x: Any, w: Any, numbers: DimensionNumbers):
    """Validated, non-negative dimension numbers."""
    try:
        (xc, wc), (xb, wb) = numbers
        xc, wc, xb, wb = (tuple(map(operator.index, axes)) for axes in (xc, wc, xb, wb))
    except (TypeError, ValueError):
        raise ValueError(
            f"dimension_numbers = {numbers!r} is not ((x_contracting, w_contracting), (x_batch, w_batch))"
        ) from None
    for name, array, axes in (("x", x, xc + xb), ("w", w, wc + wb)):
        if any(not 0 <= a < array.ndim for a in axes) or len(set(axes)) != len(axes):
            raise ValueError(
                f"dimension_numbers name axes {axes} of {name}, whose shape is {tuple(array.shape)}; "
                "each must exist and appear once"
            )
    if len(xc) != len(wc) or len(xb) != len(wb):
        raise ValueError(f"dimension_numbers = {numbers!r} pair different numbers of axes")
    for i, j in zip(xc + xb, wc + wb, strict=True):
        if x.shape[i] != w.shape[j]:
            raise ValueError(
                f"x {tuple(x.shape)} and w {tuple(w.shape)} do not fit: axis {i} of x has "
                f"{x.shape[i]} elements, axis {j} of w has {w.shape[j]}"
            )
    return (xc, wc), (xb, wb)


def check_arrays(where: str, **operands: Any) -> None:
    """Raise ``TypeError`` for operands that are no arrays."""
    for name, operand in operands.items():
        if not hasattr(operand, "ndim") or not hasattr(operand, "dtype"):
            raise TypeError(
                f"{where}: {name} = {brief(operand)} is not an array; jnp.asarray makes one of numbers"
            )


def result_dtype(x: Any, w: Any, preferred: Any = None) -> jnp.dtype:
    """Of a product: the one asked for, or as ``lax.dot_general`` has it, the one of larger range, then of
    more digits. Floats of eight bits and fewer are carried exactly.

    Raises:
      TypeError: no real floating dtype is asked for.

    >>> result_dtype(jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.float8_e4m3fn)).name
    'bfloat16'
    """
    if preferred is not None:
        if not jnp.issubdtype(preferred, jnp.floating):
            raise TypeError(
                f"preferred_element_type = {jnp.dtype(preferred).name}: a core gives real "
                "floating-point numbers; convert its result"
            )
        return jax.dtypes.canonicalize_dtype(preferred)

    def size(dtype: Any) -> tuple[int, int]:
        info = jnp.finfo(dtype)
        return info.maxexp, info.nmant

    floating = [a.dtype for a in (x, w) if jnp.issubdtype(a.dtype, jnp.floating)]
    return jax.dtypes.canonicalize_dtype(max(floating, key=size, default=jnp.float32))


def full_scale_of(name: str, given: Any, outputs: int = 1, passes: int = 1) -> Any:
    """A range that a call was given, as the core uses it: None, a number, or float32 for each output, of
    each pass if there are several: ``[passes, 1]`` or ``[passes, outputs]``.

    Raises:
      TypeError: no number. ValueError: as many as there are neither outputs nor one; a concrete one that
        is not positive and finite.
    """
    if given is None:
        return None
    given = np.asarray(given) if isinstance(given, (list, tuple)) else given
    known = given
    if isinstance(given, jax.Array) and not isinstance(given, jax.core.Tracer):
        with jax.ensure_compile_time_eval():
            known = np.asarray(given)
    check_number(name, known, optional=True, above=0.0)
    shape = jnp.shape(given)
    if shape not in {(), (1,), (1, 1), (outputs,), (1, outputs), (passes, 1), (passes, outputs)}:
        more = "" if outputs == 1 else f", or {outputs} of them, one for each output"
        more += "" if passes == 1 else f", or shape ({passes}, 1), one for each pass"
        raise ValueError(f"{name} has shape {shape}; give a number{more}")
    return given if type(given) in (int, float) else jnp.asarray(given, jnp.float32)


def check_input(x: jax.Array) -> None:
    """Floating inputs only."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"x is {x.dtype}; the core modulates real values: convert x to a floating dtype"
        )


def check_finite(name: str, array: jax.Array) -> None:
    """Concrete operands only: under a trace, NaN and infinity pass through to the result instead."""
    if isinstance(array, jax.core.Tracer):
        return
    with jax.ensure_compile_time_eval():  # a trace may close over a concrete operand
        finite = bool(jnp.isfinite(array).all())
    if not finite:
        raise ValueError(
            f"{name} contains NaN or infinity: find where it arises (jax_debug_nans helps) before "
            "it meets a converter, which would hide it"
        )


def einsum_axes(
    subscripts: str, x_ndim: int, w_ndim: int
) -> tuple[list[str], list[str], list[str]]:
    """The axes of x, of w and of the result, named by their letters."""

    def fail(why: str):
        raise ValueError(f"optical_einsum: {subscripts!r} {why}")

    if not isinstance(subscripts, str):
        raise TypeError(f"optical_einsum: subscripts = {brief(subscripts)} is not text")
    compact = subscripts.replace(" ", "")
    if "->" not in compact or compact.count(",") != 1:
        fail("is not of the form 'x,w->out' with two operands and an explicit output")
    inputs, out = compact.split("->")
    x_text, w_text = inputs.split(",")
    if "..." in w_text:
        fail("has an ellipsis in w; name w's axes")
    spare = x_ndim - len(x_text.replace("...", ""))
    if ("..." in x_text) != ("..." in out) or spare < 0 or (spare > 0 and "..." not in x_text):
        fail(f"does not fit x with {x_ndim} axes")
    dots = [f"...{i}" for i in range(spare)]

    def axes(text: str) -> list[str]:
        head, _, tail = text.partition("...")
        return [*head, *(dots if "..." in text else []), *tail]

    x_axes, w_axes, out_axes = axes(x_text), axes(w_text), axes(out)
    if len(w_axes) != w_ndim:
        fail(f"does not fit w with {w_ndim} axes")
    for names in (x_axes, w_axes, out_axes):
        if len(set(names)) != len(names) or not all(
            a.isalpha() or a.startswith("...") for a in names
        ):
            fail("repeats a letter within an operand, or has something that is not a letter")
    once = [a for a in x_axes + w_axes if (a in x_axes) + (a in w_axes) + (a in out_axes) < 2]
    if once:
        fail(f"sums {', '.join(once)} within one operand; sum over it before the product")
    if set(out_axes) - set(x_axes) - set(w_axes):
        fail("has an output letter that no operand has")
    return x_axes, w_axes, out_axes
