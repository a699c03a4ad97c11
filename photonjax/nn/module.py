"""What functions for Flax NNX models may be given, and where else to go with it."""

from __future__ import annotations

from typing import Any

from flax import nnx

from photonjax.core.pytree import brief


def check_module(model: Any, further: str = "") -> None:
    """Raise ``TypeError`` for what is no NNX module, naming what takes it, and ``further``.

    >>> check_module(lambda w, x: x @ w)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    TypeError: <function <lambda> at ...> is not a Flax NNX module; pj.optical takes any function
    """
    if isinstance(model, nnx.Module):
        return
    kinds = model.__mro__ if isinstance(model, type) else type(model).__mro__
    if any(kind.__module__ == "flax.linen.module" for kind in kinds):
        remedy = "pj.linen.Optical takes Linen modules"
    elif isinstance(model, type):
        remedy = "give an instance of it"
    elif callable(model):
        remedy = "pj.optical takes any function"
    else:
        remedy = "pj.models.load gives one, pj.optical takes any function"
    raise TypeError(f"{brief(model)} is not a Flax NNX module; {remedy}{further}")
