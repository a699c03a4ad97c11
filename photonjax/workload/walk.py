"""The walk through a program's jaxpr: every matrix product with its parameter, and everything else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core as jex

from photonjax.workload.analysis import Analysis, Body
from photonjax.workload.jaxprs import itemsize, scope_of, site_of
from photonjax.workload.kinds import UNSUPPORTED, kind_of
from photonjax.workload.origin import Origin
from photonjax.workload.parameters import leaves_of
from photonjax.workload.products import PRODUCTS, Sizes, product_sizes, weight_operand
from photonjax.workload.sites import MatmulSite, Operation, Workload

__all__ = ["matmuls", "trace_workload"]


def trace_workload(f: Callable[..., Any], *args: Any, params: int | Sequence[int] = 0) -> Workload:
    """Everything that ``f(*args)`` does, from shapes alone: nothing is computed or allocated.

    The function is traced, and its jaxpr walked through jit, scan (counts multiplied by the
    length), while (counted once, with a note), cond (the branch with most multiply-accumulates),
    remat, custom derivatives and shard_map (counted for all devices together). What is traced is
    counted: code whose result is unused is not taken out. Convolutions are counted as products of
    patches with the kernel, a transposed one without the zeros between its inputs, ragged products
    (mixtures of experts) with their rows spread evenly. Of a converted model the simulation's own work
    is counted, with a note: trace the digital model.

    A product is *stationary* if one of its operands comes from the parameters alone, however it was
    transposed, cast, sliced, scaled or masked on the way. It is then named after the parameter's
    place in its tree, with the names of the tree: ``layers/0/mlp/gate_proj/kernel``; a final
    ``.value`` (Flax NNX Variables) and a leading ``params`` (Flax Linen's collection) are dropped.
    Layers run by a scan have one site with ``count`` layers. An argument that is a bare array is named
    ``argument/<position>``. Matrices that ``f`` closes over are parameters too, ``constant/<number>``.

    Args:
      f: a function that JAX can trace.
      *args: its arguments: arrays, ``jax.ShapeDtypeStruct`` or pytrees of either.
      params: which arguments hold the parameters, by position: their floating-point and one-byte
        leaves are parameters, other leaves (tokens, positions) are inputs. ``()``: none does.

    Raises:
      ValueError: ``params`` is not the position of an argument.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from photonjax.workload import trace_workload
      >>> params = {"up": jax.ShapeDtypeStruct((4, 8), jnp.float32)}
      >>> x = jax.ShapeDtypeStruct((10, 4), jnp.float32)
      >>> inv = trace_workload(lambda p, x: jnp.exp(x @ p["up"]), params, x)
      >>> inv.matmuls[0].path, inv.matmuls[0].macs, inv.elements("transcendental")
      ('up', 320, 80)

      For a Flax NNX model: ``graphdef, state = nnx.split(model)`` (of ``nnx.eval_shape(...)``, so
      that no weights are made), then ``trace_workload(lambda state, x: nnx.merge(graphdef,
      state)(x), state, x)``.
    """
    places = (params,) if isinstance(params, int) else tuple(params)
    if args and not all(0 <= i < len(args) for i in places):
        raise ValueError(
            f"params = {params!r}: there are {len(args)} arguments; give positions 0 ... {len(args) - 1}"
        )
    closed = jax.make_jaxpr(f)(*args)
    return workload_of(closed, [origin for _, origin in leaves_of(args, places)])


def workload_of(closed: Any, origins: Sequence[Origin]) -> Workload:
    """The workload of a closed jaxpr, given the origins of its inputs."""
    walk = _Walk()
    walk.enter(closed, origins, 1, "")
    operations = [
        Operation(kind, name, *sums) for (kind, name), sums in walk.found.operations.items()
    ]
    return Workload(
        walk.found.sites, operations, walk.found.unsupported, list(dict.fromkeys(walk.found.notes))
    )


def matmuls(f: Callable[..., Any], *args: Any, params: int | Sequence[int] = 0) -> list[MatmulSite]:
    """The matrix products of :func:`trace_workload`, which see.

    >>> import jax.numpy as jnp
    >>> [s.N for s in matmuls(lambda w, x: x @ w.T, jnp.ones((8, 4)), jnp.ones((10, 4)))]
    [8]
    """
    return trace_workload(f, *args, params=params).matmuls


_SIMULATED = (
    "optical products were counted as they are simulated (patches, noise), not as a machine makes them; "
    "trace the model before it is converted (pj.revert), or the function without pj.optical"
)


@dataclasses.dataclass
class _Found:
    sites: list[MatmulSite] = dataclasses.field(default_factory=list)
    operations: dict[tuple[str, str], list[int]] = dataclasses.field(default_factory=dict)
    unsupported: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def weight(self) -> tuple[int, int]:
        return sum(s.macs for s in self.sites), sum(v[0] for v in self.operations.values())

    def add(self, other: _Found) -> None:
        self.sites += other.sites
        for key, sums in other.operations.items():
            mine = self.operations.setdefault(key, [0, 0, 0])
            mine[:] = [a + b for a, b in zip(mine, sums, strict=True)]
        self.unsupported += other.unsupported
        self.notes += other.notes


class _Walk:
    """Walks a program and what is inside its equations; what it meets is in ``found``."""

    def __init__(self) -> None:
        self.found = _Found()
        self.analysis = Analysis()

    def enter(self, jaxpr: Any, ins: Sequence[Origin], count: int, scope: str) -> None:
        """Counts a jaxpr (open or closed) executed ``count`` times."""
        for eqn, origins in self.analysis.equations(jaxpr, ins):
            self.equation(eqn, origins, count, scope_of(scope, eqn))

    def equation(self, eqn: Any, ins: list[Origin], count: int, scope: str) -> None:
        name = eqn.primitive.name
        times = f" x {count}" + (f" in {scope}" if scope else "")
        if name in PRODUCTS:
            sizes, notes = product_sizes(eqn)
            if sizes:
                self.found.notes += notes
                return self.product(eqn, sizes, ins, count, scope)
        if name in UNSUPPORTED:
            shapes = ", ".join(str(v.aval) for v in eqn.invars[:3])
            self.found.unsupported.append(f"{name}({shapes}){times}")
            return None
        bodies = self.analysis.bodies(eqn, ins)
        if name == "cond":
            return self.branches(bodies, count, scope)
        if name == "shard_map":
            self.found.notes.append(
                f"shard_map: counted for all {bodies[0].turns} devices together, from local shapes"
            )
        known = len(self.found.sites)
        for body in bodies:
            self.enter(body.jaxpr, body.ins, count * body.turns, scope)
        if name == "while":
            macs = sum(site.macs for site in self.found.sites[known:])
            self.found.notes.append(
                f"while{f' in {scope}' if scope else ''}: number of turns unknown before running; counted "
                f"once, at {macs:.4g} MACs"
            )
        if bodies:
            return None
        if jex.jaxprs_in_params(eqn.params) and kind_of(name) == "other":
            self.found.unsupported.append(f"{name} (not entered){times}")
        return self.operation(eqn, name, count)

    def product(
        self, eqn: Any, sizes: list[Sizes], ins: list[Origin], count: int, scope: str
    ) -> None:
        """Notes the sites of one product (several if it falls into products of unequal sizes)."""
        side = weight_operand(eqn, ins)
        path = self.analysis.name(ins[side], scope)
        if (site_of(scope) or ("",))[0] == "on_light":
            self.found.notes.append(_SIMULATED)
        dtype = str(max((v.aval.dtype for v in eqn.invars[:2]), key=lambda d: d.itemsize))
        for batch, M, K, N in sizes:
            M, N = (N, M) if side == 0 else (M, N)
            site = MatmulSite(path, batch, M, K, N, count, dtype, ins[side].fixed, scope)
            self.found.sites.append(site)

    def operation(self, eqn: Any, name: str, count: int) -> None:
        outs = [v.aval for v in eqn.outvars if hasattr(v.aval, "shape")]
        ins = [v.aval for v in eqn.invars if hasattr(v.aval, "shape")]
        kind = kind_of(name)
        if kind == "other":
            self.found.notes.append(
                f"{name}: not a known primitive; counted as elementwise work of its results"
            )
        counted = ins[:1] if kind == "reduction" else outs
        elements = sum(math.prod(a.shape) for a in counted)
        size = sum(math.prod(a.shape) * itemsize(a.dtype) for a in (*ins, *outs))
        sums = self.found.operations.setdefault((kind, name), [0, 0, 0])
        sums[:] = [sums[0] + count * elements, sums[1] + count * size, sums[2] + count]

    def branches(self, branches: Sequence[Body], count: int, scope: str) -> None:
        """Counts the branch with most multiply-accumulates."""
        outer, options = self.found, []
        for branch in branches:
            self.found = _Found()
            self.enter(branch.jaxpr, branch.ins, count, scope)
            options.append(self.found)
        self.found = outer
        outer.add(max(options, key=_Found.weight))
        outer.notes.append(f"cond: the heaviest of {len(options)} branches counted")
