"""The walk through a program's jaxpr: every matrix product with its parameter, and everything else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core as jex

from photonjax.workload.jaxprs import body_of, itemsize, join_path, scan_parts, scope_of, weighs
from photonjax.workload.origin import (
    COMPUTED,
    CONSTANT,
    UNSUPPORTED,
    Origin,
    combine,
    join,
    kind_of,
)
from photonjax.workload.products import PRODUCTS, Sizes, product_sizes
from photonjax.workload.sites import MatmulSite, Operation, Workload

__all__ = ["matmuls", "trace_workload"]


def trace_workload(f: Callable[..., Any], *args: Any, params: int | Sequence[int] = 0) -> Workload:
    """Everything that ``f(*args)`` does, from shapes alone: nothing is computed or allocated.

    The function is traced, and its jaxpr walked through jit, scan (counts multiplied by the
    length), while (counted once, with a note), cond (the branch with most multiply-accumulates),
    remat, custom derivatives and shard_map (counted for all devices together). What is traced is
    counted: code whose result is unused is not taken out. Convolutions are counted as products of
    patches with the kernel, ragged products (mixtures of experts) with their rows spread evenly.

    A product is *stationary* if one of its operands comes from the parameters alone, however it was
    transposed, cast, sliced, scaled or masked on the way. It is then named after the parameter's
    place in its tree, with the names of the tree: ``layers/0/mlp/gate_proj/kernel``; a final
    ``.value`` (Flax NNX Variables) is dropped. Layers run by a scan have one site with ``count``
    layers. An argument that is a bare array is named ``argument/<position>``. Matrices that ``f``
    closes over are parameters too, named ``constant/<number>``.

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
    origins = []
    for i, arg in enumerate(args):
        for path, leaf in jax.tree_util.tree_leaves_with_path(arg):
            name = join_path(path) or f"argument/{i}"
            parameter = Origin(True, name, math.prod(jnp.shape(leaf)))
            origins.append(parameter if i in places and weighs(leaf) else COMPUTED)
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
    """Walks jaxprs with an :class:`Origin` for every variable; what it meets is in ``found``."""

    def __init__(self) -> None:
        self.found = _Found()
        self.dynamic = 0
        self.constants: dict[int, Origin] = {}

    def enter(self, jaxpr: Any, ins: Sequence[Origin], count: int, scope: str) -> list[Origin]:
        """Walks a jaxpr (open or closed) executed ``count`` times; returns the origins of its results."""
        consts = getattr(jaxpr, "consts", ())
        jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
        env: dict[Any, Origin] = {}
        env.update(zip(jaxpr.constvars, [self.constant(c) for c in consts], strict=False))
        env.update(zip(jaxpr.invars, ins, strict=True))

        def read(atom: Any) -> Origin:
            return (
                self.constant(atom.val)
                if isinstance(atom, jex.Literal)
                else env.get(atom, COMPUTED)
            )

        for eqn in jaxpr.eqns:
            outs = self.equation(eqn, [read(v) for v in eqn.invars], count, scope_of(scope, eqn))
            env.update(zip(eqn.outvars, outs, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def constant(self, value: Any) -> Origin:
        """Closed-over matrices of floating-point or one-byte numbers are parameters."""
        if jnp.ndim(value) < 2 or not weighs(value):
            return CONSTANT
        number = len(self.constants)
        return self.constants.setdefault(
            id(value), Origin(True, f"constant/{number}", math.prod(jnp.shape(value)))
        )

    def equation(self, eqn: Any, ins: list[Origin], count: int, scope: str) -> list[Origin]:
        name = eqn.primitive.name
        if name in PRODUCTS:
            sizes, notes = product_sizes(eqn)
            if sizes:
                self.found.notes += notes
                return [self.product(eqn, sizes, ins[:2], count, scope)]
        if name in UNSUPPORTED:
            shapes = ", ".join(str(v.aval) for v in eqn.invars[:3])
            self.found.unsupported.append(
                f"{name}({shapes}) x {count}" + (f" in {scope}" if scope else "")
            )
            return [combine(ins)] * len(eqn.outvars)
        if name == "scan":
            return self.scan(eqn, ins, count, scope)
        if name == "while":
            return self.loop(eqn, ins, count, scope)
        if name == "cond":
            return self.branches(eqn.params["branches"], ins[1:], count, scope)
        inner = body_of(eqn) if kind_of(name) == "other" else None
        if inner is not None:
            if name == "shard_map":
                mesh = eqn.params["mesh"]
                count *= mesh.size
                self.found.notes.append(
                    f"shard_map: counted for all {mesh.size} devices together, from local shapes"
                )
            return self.enter(inner, ins, count, scope)
        if jex.jaxprs_in_params(eqn.params) and kind_of(name) == "other":
            self.found.unsupported.append(
                f"{name} (not entered) x {count}" + (f" in {scope}" if scope else "")
            )
        self.operation(eqn, name, count)
        return [combine(ins)] * len(eqn.outvars)

    def product(
        self, eqn: Any, sizes: list[Sizes], ins: list[Origin], count: int, scope: str
    ) -> Origin:
        """Notes the sites of one product (several if it falls into products of unequal sizes)."""
        lhs, rhs = ins
        left = lhs.fixed and not rhs.fixed  # einsum put the parameter on the left
        weight, stationary = lhs if left else rhs, lhs.fixed or rhs.fixed
        path = weight.path
        if not path:
            path = scope or f"dot_general:{self.dynamic}"
            self.dynamic += 1
        dtypes = [v.aval.dtype for v in eqn.invars[:2]]
        dtype = str(max(dtypes, key=lambda d: d.itemsize))
        for batch, M, K, N in sizes:
            M, N = (N, M) if left else (M, N)
            site = MatmulSite(path, batch, M, K, N, count, dtype, stationary, scope)
            self.found.sites.append(site)
        return combine(ins)

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

    def scan(self, eqn: Any, ins: list[Origin], count: int, scope: str) -> list[Origin]:
        p = eqn.params
        carry, ends = scan_parts(eqn)
        fixed, state, xs = ins[: ends - carry], ins[ends - carry : ends], ins[ends:]
        state = self.settle(p["jaxpr"], fixed, state, xs, scope)
        outs = self.enter(p["jaxpr"], [*fixed, *state, *xs], count * p["length"], scope)
        return [*state, *outs[carry:]]

    def loop(self, eqn: Any, ins: list[Origin], count: int, scope: str) -> list[Origin]:
        p = eqn.params
        of_cond, of_body = p["cond_nconsts"], p["body_nconsts"]
        fixed, state = ins[of_cond : of_cond + of_body], ins[of_cond + of_body :]
        state = self.settle(p["body_jaxpr"], fixed, state, [], scope)
        self.found.notes.append("while: number of turns unknown before running; counted once")
        self.enter(p["cond_jaxpr"], [*ins[:of_cond], *state], count, scope)
        self.enter(p["body_jaxpr"], [*fixed, *state], count, scope)
        return state

    def settle(
        self, body: Any, fixed: list[Origin], state: list[Origin], xs: list[Origin], scope: str
    ) -> list[Origin]:
        """Origins that a loop's carry keeps from turn to turn; the walks made to find out are not counted."""
        while any(o.fixed for o in state):
            found, dynamic, self.found = self.found, self.dynamic, _Found()
            outs = self.enter(body, [*fixed, *state, *xs], 1, scope)
            self.found, self.dynamic = found, dynamic
            after = [join(a, b) for a, b in zip(state, outs, strict=False)]
            if after == state:
                break
            state = after
        return state

    def branches(
        self, branches: Sequence[Any], ins: list[Origin], count: int, scope: str
    ) -> list[Origin]:
        """Counts the branch with most multiply-accumulates; results may come from any of them."""
        outer, options, results = self.found, [], []
        for branch in branches:
            self.found = _Found()
            results.append(self.enter(branch, ins, count, scope))
            options.append(self.found)
        self.found = outer
        outer.add(max(options, key=_Found.weight))
        outer.notes.append(f"cond: the heaviest of {len(options)} branches counted")
        return [combine(origins) for origins in zip(*results, strict=True)]
