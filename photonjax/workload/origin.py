"""Where a value comes from: a parameter, a constant, or the inputs of the call."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

__all__ = ["COMPUTED", "CONSTANT", "Origin", "combine"]


@dataclasses.dataclass(frozen=True)
class Origin:
    """Whether a value depends on the call's inputs, and which parameter it was made from.

    Attributes:
      fixed: it does not depend on the inputs, only on parameters and constants.
      path: of the parameter it was made from; empty for constants and for computed values.
      shape: of that parameter; of several, the largest names the result.
    """

    fixed: bool
    path: str = ""
    shape: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Elements of the parameter; 0 if there is none."""
        return math.prod(self.shape) if self.path else 0


COMPUTED = Origin(fixed=False)
CONSTANT = Origin(fixed=True)


def combine(operands: Iterable[Origin]) -> Origin:
    """Origin of what an operation makes of its operands, or of a value that may be any of them (after
    a branch, round a loop): fixed if all are; named after the largest parameter.

    So a weight stays a weight through transposes, casts, slices, scales and masks, and stops being
    one where a value that depends on the inputs comes in: a gather of embeddings is computed,
    because the tokens are.

    >>> combine([Origin(True, "w", (3, 4)), Origin(True, "scale", (4,))]).path
    'w'
    >>> combine([Origin(True, "w", (3, 4)), COMPUTED]).fixed
    False
    """
    operands = list(operands)
    if not all(o.fixed for o in operands):
        return COMPUTED
    return max(operands, key=lambda o: o.size, default=CONSTANT)
