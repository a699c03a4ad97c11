"""Where a product lies: in which stack of layers, and at which place on a die."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from flax import nnx

from photonjax.core import site_number
from photonjax.nn.optical_dot import OF_HARDWARE
from photonjax.workload.jaxprs import weighs
from photonjax.workload.parameters import Parameters, fill

if TYPE_CHECKING:
    from photonjax.nn.sites import Product


def find_stacks(products: Sequence[Product]) -> None:
    """Leading layer axes of each product: read off weights, or as of all products beside it."""
    known = {
        p.path: p.weight.shape[: len(p.weight.shape) - p.weight.ndim]
        for p in products
        if p.weight is not None and p.weight.ndim is not None
    }
    for product in products:
        if product.path in known:
            product.stack = known[product.path]
            continue
        parent = product.path.split("/")[:-1]
        beside = {
            stack
            for path, stack in known.items()
            if path.split("/")[: len(parent)] == parent and (parent or "/" not in path)
        }
        if len(beside) == 1:
            (stack,) = beside
            weight = product.weight
            if weight is None or weight.shape[: len(stack)] == stack:
                product.stack = stack


def number(model: nnx.Module, products: Sequence[Product]) -> None:
    """Give each product, and each of its layers, the number of its parameter's path.

    A parameter that several modules share has the path at which the state of the model keeps it.
    """
    paths, shapes = {}, {}
    for parts, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Variable) and not isinstance(node, OF_HARDWARE):
            value = node.get_value()
            if weighs(value):
                paths[id(node)] = path = "/".join(map(str, parts))
                shapes[path] = tuple(value.shape)
    parameters = Parameters(shapes)
    for product in products:
        path, stack = product.path, product.stack
        if product.weight is not None:
            path = paths.get(id(product.weight.variable), product.weight.path)
        if not stack:
            product.number, product.named = site_number(path), path
            continue
        product.unrolled = parameters.template(product.path, stack[0], len(stack))
        product.named = template = parameters.template(path, stack[0], len(stack))
        layers = [site_number(fill(template, layer)) for layer in np.ndindex(*stack)]
        product.number = np.array(layers, np.uint32).reshape(stack)
