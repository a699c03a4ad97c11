"""Tracing a call of an NNX model so that each product says which site it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from photonjax.nn import hooks
from photonjax.nn.arguments import Fixed
from photonjax.nn.attend import OpticalAttention
from photonjax.nn.nnx import optical_dots
from photonjax.nn.ranges import Once
from photonjax.nn.sites import Product, products_of
from photonjax.workload import Workload, trace_workload
from photonjax.workload.jaxprs import digital


def trace_model(model: nnx.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Workload:
    """The workload of ``model(*args, **kwargs)``, its products in scopes that name their sites.

    Weights name theirs by themselves; an optical product, and a digital one of two computed operands,
    is given its name for this call. Nothing is computed, and the model stays as it is.
    """
    model = nnx.clone(model)
    for path, dot in optical_dots(model):
        dot.label, dot.once = path, Once(done=True)
    for product in products_of(model):
        if product.weight is None and hooks.read(product.module, product.name) is None:
            _mark(product)
    graph, state = nnx.split(model)
    fixed, arrays = Fixed.split((args, kwargs))

    def call(state: Any, arrays: list[Any]) -> Any:
        args, kwargs = fixed.join(arrays)
        return nnx.merge(graph, state)(*args, **kwargs)

    return trace_workload(call, state, arrays)


def _mark(product: Product) -> None:
    """Let a digital product be made in a scope with its name."""
    module, name, path = product.module, hooks.attribute_of(product.module), product.path
    held = getattr(module, name)
    if isinstance(held, OpticalAttention):  # of its two products one is on light
        module, name, held = held, product.name, jax.lax.dot_general
    elif isinstance(held, (nnx.Pytree, _Marked)) or not callable(held):
        return
    elif product.name:
        path = path.rpartition("/")[0]
    setattr(module, name, nnx.static(_Marked(held, path)))


class _Marked:
    """A function, in a scope that names the product it makes."""

    def __init__(self, function: Callable[..., Any], path: str):
        self.function, self.path = function, path

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with jax.named_scope(digital(self.path)):
            return self.function(*args, **kwargs)
