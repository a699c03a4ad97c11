"""Names of parameters: their places in the trees that hold them, and those that layers of a stack would
have by themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.workload.jaxprs import join_path, weighs
from photonjax.workload.origin import COMPUTED, Origin

__all__ = ["Parameters", "fill", "leaves_of"]

# A container with one stacked child of such a name stands for a list: layers/block is layers/0, ...
_ONE_OF_A_STACK = ("block", "layer")


def leaves_of(args: Sequence[Any], places: Sequence[int]) -> Iterable[tuple[Any, Origin]]:
    """Every leaf of a function's arguments, with its origin.

    Args:
      args: the arguments. places: which of them hold parameters: their floating-point and one-byte
        leaves are parameters, named by their paths in the tree (``argument/<position>`` for a bare array).
    """
    for i, arg in enumerate(args):
        for path, leaf in jax.tree_util.tree_leaves_with_path(arg):
            name = join_path(path) or f"argument/{i}"
            known = i in places and weighs(leaf)
            yield leaf, Origin(True, name, jnp.shape(leaf)) if known else COMPUTED


@dataclasses.dataclass(frozen=True)
class Parameters:
    """The parameters of a program or model: path to shape."""

    shapes: Mapping[str, tuple[int, ...]]

    def template(self, path: str, size: int, depth: int = 1) -> str:
        """The path that layer ``{}`` of a stack would have if the stack were a list of layers.

        The stack is the outermost place below the root all of whose parameters have the leading size
        ``size``; ``layers/block`` and ``layers/layer`` stand for ``layers/{}``. Numbers of further
        stacked axes (``depth`` in all) come last.

        >>> shapes = {"layers/block/up/kernel": (3, 4, 8), "layers/block/up/bias": (3, 8), "head": (8, 5)}
        >>> Parameters(shapes).template("layers/block/up/kernel", 3)
        'layers/{}/up/kernel'
        """
        parts = path.split("/")
        level = 1
        while level < len(parts) and self._leading("/".join(parts[:level])) != {size}:
            level += 1
        rest = parts[level:]
        rest = rest[1:] if len(rest) > 1 and rest[0] in _ONE_OF_A_STACK else rest
        return "/".join([*parts[:level], "{}", *rest, *["{}"] * (depth - 1)])

    def _leading(self, place: str) -> set[int | None]:
        """The leading sizes of all parameters at or below a place."""
        below = (s for p, s in self.shapes.items() if p == place or p.startswith(place + "/"))
        return {shape[0] if shape else None for shape in below}


def fill(template: str, layer: Sequence[int]) -> str:
    """A template with the numbers of a layer.

    >>> fill("layers/{}/up", [3])
    'layers/3/up'
    """
    for number in layer:
        template = template.replace("{}", str(number), 1)
    return template
