"""What a product is asked for: dimension numbers, einsum subscripts, and operands that it can take."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core.pytree import brief

DimensionNumbers = tuple[tuple[Any, Any], tuple[Any, Any]]


def normalized(x: Any, w: Any, numbers: DimensionNumbers):
    """Validated, non-negative dimension numbers."""
    try:
        (xc, wc), (xb, wb) = numbers
        xc, wc, xb, wb = (tuple(int(a) for a in axes) for axes in (xc, wc, xb, wb))
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
