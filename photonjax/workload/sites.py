"""What a workload holds: matrix products, and everything else."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["MatmulSite", "Operation", "Workload"]


@dataclasses.dataclass(frozen=True)
class MatmulSite:
    """One matrix product of a program: ``count`` times ``batch`` products ``[M, K] x [K, N]``.

    Attributes:
      path: of the parameter that is multiplied with, joined by ``/``
        (``layers/0/mlp/up_proj/kernel``); for a product of two computed operands the named scope it
        was traced in, or ``dot_general:<number>``.
      batch: product of the batch dimensions; each has operands of its own.
      M: rows of the operand that streams through (tokens, if the other one is a parameter).
      K: contracted size.
      N: columns of the operand that stays in the array.
      count: how often the site is executed: trip counts of the loops around it, multiplied (of a
        ``while``, which does not tell them, one; the workload's notes say so).
      dtype: of the operands (of the wider one, if they differ).
      stationary: whether one operand is a parameter, so that it can stay on the array while tokens
        stream.
      scope: named scopes around the product, joined by ``/``.

    >>> MatmulSite("mlp/up/kernel", batch=1, M=10, K=4, N=8, count=2, dtype="float32", stationary=True).macs
    640
    """

    path: str
    batch: int
    M: int
    K: int
    N: int
    count: int
    dtype: str
    stationary: bool
    scope: str = ""

    @property
    def complex(self) -> bool:
        """Whether its numbers are complex, so that it cannot run on light, which carries real ones."""
        return self.dtype.startswith("complex")

    @property
    def macs(self) -> int:
        """Real multiply-accumulates of all executions; a complex one is four.

        ``(a + ib)(c + id) = (ac - bd) + i(ad + bc)``; ways with three multiplies add more often.
        """
        parts = 4 if self.complex else 1
        return self.count * self.batch * self.M * self.K * self.N * parts


@dataclasses.dataclass(frozen=True)
class Operation:
    """All executions of one primitive that is not a matrix product.

    Attributes:
      kind: ``elementwise``, ``transcendental``, ``reduction``, ``movement`` (gather, scatter,
        concatenation, sort), ``layout`` (reshape, transpose, broadcast, slice: usually free),
        ``random``, ``communication``, ``other``.
      primitive: JAX's name of it.
      elements: numbers produced; for a reduction, numbers reduced.
      bytes: operands and results, each once, as if nothing were fused.
      count: executions.
    """

    kind: str
    primitive: str
    elements: int
    bytes: int
    count: int


@dataclasses.dataclass(frozen=True)
class Workload:
    """What one call of a program does, from its shapes alone.

    Attributes:
      matmuls: every matrix product, in program order.
      operations: everything else, by primitive.
      unsupported: what was found but could not be counted or entered (kernels, callbacks,
        factorisations).
      notes: what was assumed while counting (a loop of unknown length counted once, a branch chosen).
    """

    matmuls: list[MatmulSite]
    operations: list[Operation]
    unsupported: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def macs(self) -> int:
        """Real multiply-accumulates of all matrix products."""
        return sum(site.macs for site in self.matmuls)

    def elements(self, kind: str) -> int:
        """Elements of all operations of a kind (see :class:`Operation`)."""
        return sum(o.elements for o in self.operations if o.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """A table of the products, one line each, then the other operations by kind."""
        width = max([len(s.path) for s in self.matmuls] + [4])
        lines = [
            f"{'path':{width}}  {'count':>6} {'batch':>6} {'M':>8} {'K':>8} {'N':>8} {'MACs':>10}  operands"
        ]
        for s in self.matmuls:
            what = f"{s.dtype}, {'parameter' if s.stationary else 'both computed'}"
            sizes = f"{s.count:>6} {s.batch:>6} {s.M:>8} {s.K:>8} {s.N:>8} {s.macs:>10.4g}"
            lines.append(f"{s.path:{width}}  {sizes}  {what}")
        lines.append(f"{'total':{width}}  {'':>41} {self.macs:>10.4g}")
        for kind in dict.fromkeys(o.kind for o in self.operations):
            lines.append(f"{kind}: {self.elements(kind):.4g} elements")
        lines += [f"not counted: {u}" for u in self.unsupported] + [
            f"note: {n}" for n in self.notes
        ]
        return "\n".join(lines)
