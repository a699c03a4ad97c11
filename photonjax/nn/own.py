"""A user's own function in place of ``lax.dot_general``, ``jnp.einsum`` or ``lax.conv_general_dilated``:
what it computes around its product stays, the product goes to light."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from photonjax.nn.interpreter import Interpreter
from photonjax.nn.optical_dot import OpticalDot, scope_of
from photonjax.nn.products import product_of
from photonjax.nn.values import Turn, Value
from photonjax.workload.origin import COMPUTED, Origin
from photonjax.workload.parameters import Parameters
from photonjax.workload.products import weight_operand

_LOOPS = ("scan", "while", "cond", "checkpoint", "remat2", "shard_map")


@dataclasses.dataclass(frozen=True)
class OfClass:
    """What a layer's ``dot_general_cls`` multiplies with: an instance of its own for each call.

    Attributes:
      kind: the class, or what makes an instance. beside: the layer's ``dot_general``, which it overrules.
    """

    kind: Callable[[], Any]
    beside: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.kind()(*args, **kwargs)


class OwnProduct(nnx.Module):
    """A function of its own that multiplies an input with a weight, its one product on a core.

    Attributes:
      dot_general: does the product. function: the user's, called as before; both operands are its
        first arguments but for the subscripts of an einsum.
    """

    def __init__(self, function: Callable[..., Any], dot_general: OpticalDot):
        self.function = nnx.static(function)
        self.dot_general = dot_general

    def __call__(self, *args: Any, **kwargs: Any) -> jax.Array:
        first = 1 if isinstance(args[0], str) else 0
        x, w = args[first : first + 2]

        def call(x: Any, w: Any) -> Any:
            return self.function(*args[:first], x, w, *args[first + 2 :], **kwargs)

        return multiplied_by(call, x, w, self.dot_general)


def multiplied_by(call: Callable[..., Any], x: Any, w: Any, dot: Callable[..., Any]) -> Any:
    """``call(x, w)``, its one product of the two done by ``dot``."""
    (out,) = _run(call, x, w, dot).outs
    return out


def closed_by(function: Callable[..., Any], module: Any) -> str | None:
    """Why the product of a function that a layer of Flax multiplies with cannot be put on a core, or
    ``None``."""
    try:
        made = function.kind() if isinstance(function, OfClass) else function
    except Exception as error:  # whatever a class of the user's may raise
        return f"cannot be made ({str(error).strip().splitlines()[0]:.100})"
    if isinstance(made, nnx.Pytree):
        return f"is a {type(made).__name__}, with variables of its own"
    args, kwargs = arguments(module)
    first = 1 if isinstance(args[0], str) else 0

    def call(x: Any, w: Any) -> Any:
        return function(*args[:first], x, w, *args[first + 2 :], **kwargs)

    found: list[_Walk] = []

    def run(x: Any, w: Any) -> Any:
        found.append(_run(call, x, w, _digital))
        return found[0].outs

    try:
        jax.eval_shape(run, *args[first : first + 2])
    except Exception as error:  # whatever a function of the user's may raise
        return f"cannot be traced ({str(error).strip().splitlines()[0]:.100})"
    walk = found[0]
    if walk.others:
        return f"multiplies in a way that cannot be replaced ({', '.join(walk.others)})"
    if walk.multiplied != 1 or len(walk.outs) != 1:
        return f"has {walk.multiplied} products of the input and the weight, not one"
    return None


def arguments(module: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a layer of Flax calls its function with, for the smallest input."""
    dtype = module.dtype or module.kernel.get_value().dtype
    options: dict[str, Any] = {"precision": module.precision, "out_sharding": None}
    if module.preferred_element_type is not None:
        options["preferred_element_type"] = module.preferred_element_type

    def two(x: Sequence[int], w: Sequence[int]) -> tuple[Any, Any]:
        return jax.ShapeDtypeStruct(tuple(x), dtype), jax.ShapeDtypeStruct(tuple(w), dtype)

    shape = module.kernel.get_value().shape  # behind the axes of a layer stack
    if isinstance(module, nnx.Linear):
        return (*two((1, shape[-2]), shape[-2:]), (((1,), (0,)), ((), ()))), options
    if isinstance(module, nnx.LinearGeneral):
        batch, sums = len(module.batch_axis), len(module.in_features)
        w = shape[-(batch + sums + len(module.out_features)) :]
        x = (*w[:batch], 1, *w[batch : batch + sums])
        before = tuple(range(batch))
        axes = tuple(range(batch + 1, batch + 1 + sums)), tuple(range(batch, batch + sums))
        return (*two(x, w), (axes, (before, before))), options
    if isinstance(module, nnx.Einsum):
        text = module.einsum_str.replace(" ", "")
        w = shape[-len(module.kernel_shape) :]
        left, right = text.split("->")[0].replace("...", "").split(",")
        sizes = dict(zip(right, w, strict=True))
        return (text, *two([sizes.get(letter, 1) for letter in left], w)), options
    window = module.kernel_shape[:-2]
    ones, last = (1,) * len(window), len(window) + 1
    dilation = module.kernel_dilation or 1
    steps = (dilation,) * len(window) if isinstance(dilation, int) else tuple(dilation)
    wide = [(k - 1) * d + 1 for k, d in zip(window, steps, strict=True)]
    space = tuple(range(1, last))
    numbers = lax.ConvDimensionNumbers(
        (0, last, *space), (last, last - 1, *range(last - 1)), (0, last, *space)
    )
    options |= dict(lhs_dilation=ones, rhs_dilation=steps, dimension_numbers=numbers)
    options |= dict(feature_group_count=module.feature_group_count)
    return (*two((1, *wide, module.in_features), module.kernel_shape), ones, "VALID"), options


def _run(call: Callable[..., Any], x: Any, w: Any, dot: Callable[..., Any]) -> _Walk:
    jaxpr = jax.make_jaxpr(call)(x, w)
    walk = _Walk(dot)
    ins = [Value(x, COMPUTED), Value(w, Origin(True, "kernel", np.shape(w)))]
    walk.outs = [v.value for v in walk.enter(jaxpr, ins, Turn(None), "")]
    return walk


def _digital(*args: Any, batch_start: int = 0, **kwargs: Any) -> jax.Array:
    """``lax.dot_general``, whose batches are all alike."""
    return lax.dot_general(*args, **kwargs)


class _Walk(Interpreter):
    """Runs a function's jaxpr, its product of input and weight through a given one."""

    def __init__(self, dot: Callable[..., Any]):
        super().__init__((), Parameters({}))
        self.dot = dot
        self.outs: Sequence[Any] = ()
        self.others: list[str] = []

    def equation(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> list[Value]:
        if eqn.primitive.name in _LOOPS:
            self.others.append(eqn.primitive.name)
            return self.bind(eqn, ins)
        return super().equation(eqn, ins, turn, scope)

    def product(self, eqn: Any, ins: list[Value], turn: Turn, scope: str) -> Value:
        side = weight_operand(eqn, [v.origin for v in ins])
        x, w = ins[1 - side], ins[side]
        kinds = [v.value.dtype for v in (x, w)]
        real = all(jnp.issubdtype(kind, jnp.floating) for kind in kinds)
        if not w.origin.path or x.origin.fixed or not real:
            which = "other operands" if real else " and ".join(kind.name for kind in kinds)
            self.others.append(f"{eqn.primitive.name} of {which}")
            return self.bind(eqn, ins)[0]
        self.multiplied += 1
        with scope_of(self.dot) if isinstance(self.dot, OpticalDot) else contextlib.nullcontext():
            out = product_of(eqn, x.value, w.value, side == 0, self.dot)
        return self.results(eqn, ins, [out.astype(eqn.outvars[0].aval.dtype)])[0]

    def note_closed(self, eqn: Any, turn: Turn, scope: str, ins: list[Value]) -> None:
        before = len(self.engine.sites)
        super().note_closed(eqn, turn, scope, ins)
        self.others += [site.path for site in self.engine.sites[before:]]
