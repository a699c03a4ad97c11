"""Frozen dataclasses as pytrees: continuous fields are leaves, everything else is static.

``jax.tree_util.register_dataclass`` rebuilds objects through ``__init__``, which would run validation
on gradients and on tracers (the gradient of a loss in ``photons`` may well be negative). Here the
constructor validates and the pytree machinery does not.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any, TypeVar

import jax

T = TypeVar("T", bound=type)


def leaf(default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A dataclass field that JAX differentiates, maps and traces.

    ``limits`` may hold ``low``, ``high``, ``above`` (exclusive lower limit) and ``optional``; they are
    checked by :func:`check_leaves` when the object is constructed from plain numbers.
    """
    return dataclasses.field(default=default, metadata={"leaf": True, **limits})


def static_or_leaf(default: Any) -> Any:
    """A field that is static while it is a plain Python value, and a leaf once it is an array."""
    return dataclasses.field(default=default, metadata={"either": True})


def register(cls: T) -> T:
    """Register a frozen dataclass as a pytree whose leaves are the fields made by :func:`leaf`."""
    names = [f.name for f in dataclasses.fields(cls)]
    leaves = tuple(f.name for f in dataclasses.fields(cls) if f.metadata.get("leaf"))
    either = tuple(f.name for f in dataclasses.fields(cls) if f.metadata.get("either"))
    static = tuple(n for n in names if n not in leaves and n not in either)

    def flatten_with_keys(obj: Any):
        values, aux = flatten(obj)
        keys = [jax.tree_util.GetAttrKey(n) for n in (*leaves, *aux[0])]
        return list(zip(keys, values, strict=True)), aux

    def flatten(obj: Any):
        """Children, and (fields of ``either`` among them, the static rest)."""
        arrays = tuple(n for n in either if not isinstance(getattr(obj, n), (int, float, str)))
        fixed = (*static, *(n for n in either if n not in arrays))
        children = [getattr(obj, n) for n in (*leaves, *arrays)]
        return children, (arrays, tuple((n, getattr(obj, n)) for n in fixed))

    def unflatten(aux: Any, children: Any):
        obj: Any = object.__new__(cls)
        arrays, fixed = aux
        for name, value in zip((*leaves, *arrays), children, strict=True):
            object.__setattr__(obj, name, value)
        for name, value in fixed:
            object.__setattr__(obj, name, value)
        return obj

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def check_leaves(obj: Any) -> None:
    """Raise ``ValueError`` for a plain number outside the limits of its field; arrays pass."""
    kind = type(obj).__name__
    for field in dataclasses.fields(obj):
        if not field.metadata.get("leaf"):
            continue
        value, limits = getattr(obj, field.name), field.metadata
        if value is None:
            if not limits.get("optional"):
                raise ValueError(f"{kind}.{field.name} is None; give a number ({_allowed(limits)})")
            continue
        if isinstance(value, (bool, str, bytes)):
            raise TypeError(f"{kind}.{field.name} = {value!r} is not a number ({_allowed(limits)})")
        if not isinstance(value, numbers.Real):
            continue  # an array, a tracer, or a nested pytree
        number = float(value)
        low, high = limits.get("low", -math.inf), limits.get("high", math.inf)
        above = limits.get("above", -math.inf)
        if not (low <= number <= high and number > above and math.isfinite(number)):
            raise ValueError(f"{kind}.{field.name} = {value!r} is outside {_allowed(limits)}")


def _allowed(limits: Any) -> str:
    opening = f"({limits['above']}" if "above" in limits else f"[{limits.get('low', '-inf')}"
    closing = f"{limits['high']}]" if "high" in limits else "inf)"
    return f"{opening}, {closing}" + (", or None to leave it out" if limits.get("optional") else "")
