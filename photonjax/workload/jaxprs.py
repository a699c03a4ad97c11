"""Reading equations and leaves: the little that depends on how JAX writes programs down."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

__all__ = [
    "body_of",
    "digital",
    "itemsize",
    "join_path",
    "on_light",
    "scan_parts",
    "scope_of",
    "site_of",
    "weighs",
]


def weighs(leaf: Any) -> bool:
    """Whether a leaf can be a weight: floating-point or one-byte numbers."""
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or jnp.issubdtype(dtype, jax.dtypes.extended):
        return False
    return jnp.issubdtype(dtype, jnp.inexact) or (dtype != jnp.bool_ and dtype.itemsize == 1)


def join_path(path: Sequence[Any]) -> str:
    """A tree path with ``/`` between its names, as the tree of the parameters alone has it.

    The final ``.value`` of a Flax NNX Variable and the collection ``params`` of Flax Linen's variables
    are dropped.
    """
    names = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path]
    if len(names) > 1 and names[-1] == "value" and isinstance(path[-1], jax.tree_util.GetAttrKey):
        names.pop()
    if len(names) > 1 and names[0] == "params" and isinstance(path[0], jax.tree_util.DictKey):
        names.pop(0)
    return "/".join(names)


def scope_of(outer: str, eqn: Any) -> str:
    """Named scopes around an equation, joined by ``/``; transformations of no scope are none."""
    own = re.sub(r"(?:\w+\()+\)+", "", str(eqn.source_info.name_stack)).strip("/")
    return "/".join(s for s in (outer, own) if s)


def on_light(path: str) -> str:
    """The named scope of all that computes an optical product."""
    return f"on_light{{{path}}}"


def digital(path: str) -> str:
    """The named scope of a digital product, where it has none but must be told apart."""
    return f"digital{{{path}}}"


def site_of(scope: str) -> tuple[str, str] | None:
    """Where the product runs that an equation in a scope belongs to, and its path; None: it has no mark.

    >>> site_of("block/" + on_light("layers/0/up"))
    ('on_light', 'layers/0/up')
    """
    found = re.search(r"(on_light|digital){([^}]*)}", scope)
    return None if found is None else (found[1], found[2])


def body_of(eqn: Any) -> Any:
    """The one jaxpr that a call-like primitive runs on its operands, or None."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = eqn.params.get(key)
        if inner is not None and len(getattr(inner, "jaxpr", inner).invars) == len(eqn.invars):
            return inner
    return None


def itemsize(dtype: Any) -> int:
    """Bytes of one element; random keys and tokens, which do not say, count as four."""
    return getattr(dtype, "itemsize", 4)


def scan_parts(eqn: Any) -> tuple[int, int]:
    """Of a scan: how many operands are carried, and where the carried ones end.

    What is sliced or stacked has one axis fewer inside; JAX versions differ in where they keep the
    numbers.
    """
    inner = getattr(eqn.params["jaxpr"], "jaxpr", eqn.params["jaxpr"])
    stacked = [v.aval.ndim > b.aval.ndim for v, b in zip(eqn.outvars, inner.outvars, strict=True)]
    sliced = [v.aval.ndim > b.aval.ndim for v, b in zip(eqn.invars, inner.invars, strict=True)]
    return stacked.count(False), sliced.count(False)
