"""What a function is called with, cut into arrays and all else (functions, strings, Python's numbers)."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments."""


@dataclasses.dataclass(frozen=True)
class Fixed:
    """What of a call is no array, and the places of the arrays."""

    tree: Any
    leaves: tuple[Any, ...]

    @classmethod
    def split(cls, call: Call) -> tuple[Fixed, list[Any]]:
        """And the arrays."""
        leaves, tree = jax.tree.flatten(call)
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        return cls(tree, tuple(_ARRAY if is_array(leaf) else leaf for leaf in leaves)), arrays

    def join(self, arrays: list[Any]) -> Call:
        """The call again."""
        rest = iter(arrays)
        leaves = [next(rest) if leaf is _ARRAY else leaf for leaf in self.leaves]
        return jax.tree.unflatten(self.tree, leaves)


_ARRAY = object()


def is_array(leaf: Any) -> bool:
    """Whether JAX may trace a leaf: an array, or something of its shape."""
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape") and not isinstance(leaf, type)
