"""Finding the products of an NNX model: where they are, what they hold, how layers are stacked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype

from photonjax.nn import hooks, places
from photonjax.nn.attend import OpticalAttention
from photonjax.nn.layers import OpticalConvTranspose, OpticalEmbed, OpticalLoRA
from photonjax.nn.own import OfClass, closed_by
from photonjax.rules import Site


@dataclasses.dataclass(frozen=True)
class Weight:
    """The parameter that a product keeps in its array.

    ``contracting``: the axes it is summed over; ``None`` if it cannot stay there between calls.
    ``ndim``: its axes without those of a layer stack, where the module says so. ``mask``: its factors.
    """

    path: str
    variable: Any
    contracting: tuple[int, ...] | None
    ndim: int | None = None
    mask: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.variable.get_value().shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.variable.get_value().dtype)

    @property
    def value(self) -> jax.Array:
        value = self.variable[...]
        return value if self.mask is None else value * self.mask


@dataclasses.dataclass
class Product:
    """A product that a module of the model makes.

    Attributes:
      path: of the site. also: other paths to it, where the module is shared.
      module: that multiplies. name: of the product, where the module has several.
      weight: what stays in the array; ``None`` if both operands are computed.
      closed: why it cannot be replaced, or ``None``.
      unsure: what else must be true of a call for it to run on the core that it has; empty if nothing.
      stack: sizes of the axes of the layer stack it is in. unrolled: as in ``OpticalDot``.
      number: of its place on a die, as in ``OpticalDot``. named: what that is the number of.
    """

    path: str
    also: tuple[str, ...]
    module: Any
    name: str = ""
    weight: Weight | None = None
    closed: str | None = None
    unsure: str = ""
    stack: tuple[int, ...] = ()
    unrolled: str | None = None
    number: int | np.ndarray = 0
    named: str = ""

    def site(self) -> Site:
        """The product as rules see it, undecided."""
        weight = self.weight
        return Site(
            path=self.path,
            parameter=None if weight is None else weight.path,
            shape=None if weight is None else weight.shape[len(self.stack) :],
            stationary=weight is not None,
            layers=int(np.prod(self.stack, dtype=int)),
            dtype=None if weight is None else weight.dtype.name,
            also=self.also,
        )

    def dtypes(self) -> dict[str, Any]:
        """Of the weight, and what the module says of its operands and its result."""
        found = {} if self.weight is None else {self.weight.path: self.weight.dtype}
        for name in ("dtype", "preferred_element_type"):
            asked = getattr(self.module, name, None)
            if asked is not None:
                found[f"{name} of {type(self.module).__name__}"] = np.dtype(asked)
        return found


def products_of(model: nnx.Module) -> list[Product]:
    """Every product of every module that is known to multiply, in natural order of their paths."""
    found: list[Product] = []
    for paths, module in _modules(model):
        found += _products(model, paths[0], tuple(paths[1:]), module)
    normed = [
        module.layer_instance
        for _, module in _modules(model)
        if isinstance(module, (nnx.WeightNorm, nnx.SpectralNorm))
    ]
    for product in found:
        if product.weight is not None and any(product.module is layer for layer in normed):
            # The parameter is scaled at every call.
            product.weight = dataclasses.replace(product.weight, contracting=None)
    if any(hasattr(p.module, "programmed_weight") for p in found):
        # The model says itself which of its tables are multiplied with.
        found = [p for p in found if not isinstance(p.module, nnx.Embed)]
    found.sort(key=lambda product: _natural(product.path))
    places.find_stacks(found)
    places.number(model, found)
    return found


def _modules(model: nnx.Module) -> list[tuple[list[str], nnx.Module]]:
    """Modules, each with all its paths, the first as ``nnx.iter_modules`` gives it."""
    paths: dict[int, list[str]] = {}
    order: list[nnx.Module] = []

    def visit(path: tuple[Any, ...], node: Any, within: tuple[int, ...]) -> None:
        if id(node) in within or isinstance(node, (*hooks.HOOKS, nnx.Variable)):
            return
        if isinstance(node, nnx.Module):
            if id(node) not in paths:
                order.append(node)
            paths.setdefault(id(node), []).append("/".join(map(str, path)))
        for key, child in nnx.iter_children(node):
            visit((*path, key), child, (*within, id(node)))

    visit((), model, ())
    return [(paths[id(module)], module) for module in order]


def _products(
    model: nnx.Module, path: str, also: tuple[str, ...], module: Any
) -> Iterator[Product]:
    def one(weight: Weight | None, **facts: Any) -> Product:
        return Product(path, also, module, weight=weight, **facts)

    def named(name: str, **facts: Any) -> Product:
        others = tuple(_join(other, name) for other in also)
        return Product(_join(path, name), others, module, name, **facts)

    def kernel(contracting: tuple[int, ...] | None, ndim: int | None) -> Weight | None:
        variable = getattr(module, "kernel", None)
        if not isinstance(variable, nnx.Variable):
            return None
        mask = module.mask if isinstance(module, nnx.Conv) else None
        if own is not None or getattr(module, "promote_dtype", promote_dtype) is not promote_dtype:
            contracting = None  # what is multiplied with may be another matrix
        return Weight(_join(path, "kernel"), variable, contracting, ndim, mask)

    kind = type(module).__name__
    own = hooks.own(module)
    refused = _refused(module, own)
    unsure = _own_call(module)
    if isinstance(module, nnx.MultiHeadAttention):
        known = isinstance(module.attention_fn, OpticalAttention)
        known = known or module.attention_fn is nnx.dot_product_attention
        closed = None if known else "its attention_fn is not nnx.dot_product_attention"
        for name in ("scores", "values"):
            yield named(name, closed=closed)
    elif isinstance(module, nnx.ConvTranspose):
        known = type(module) in (nnx.ConvTranspose, OpticalConvTranspose)
        closed = None if known else f"{kind} is its own ConvTranspose"
        yield one(kernel(None, len(module.kernel_shape)), closed=closed)
    elif isinstance(module, nnx.Conv):
        ndim = len(module.kernel_shape)
        axes = tuple(range(ndim - 1)) if module.feature_group_count == 1 else None
        yield one(kernel(axes, ndim), closed=refused, unsure=unsure)
    elif isinstance(module, nnx.Einsum):
        yield one(
            kernel(_summed(module.einsum_str), len(module.kernel_shape)),
            closed=refused,
            unsure=unsure,
        )
    elif isinstance(module, nnx.LinearGeneral):
        sums, batch = len(module.in_features), len(module.batch_axis)
        weight = kernel(
            None if batch else tuple(range(sums)), batch + sums + len(module.out_features)
        )
        yield one(weight, closed=refused, unsure=unsure)
    elif isinstance(module, nnx.LoRA):
        closed = None if type(module) in (nnx.LoRA, OpticalLoRA) else f"{kind} is its own LoRA"
        for name in ("lora_a", "lora_b"):
            weight = Weight(_join(path, name), getattr(module, name), (0,), 2)
            yield named(name, weight=weight, closed=closed)
    elif isinstance(module, nnx.Embed):
        closed = None if type(module) in (nnx.Embed, OpticalEmbed) else f"{kind} is its own Embed"
        weight = Weight(_join(path, "embedding"), module.embedding, (1,), 2)
        yield one(weight, closed=closed, unsure="where attend is called")
    elif isinstance(module, nnx.Linear):
        yield one(kernel((0,), 2), closed=refused, unsure=unsure)
    elif hasattr(module, "programmed_weight"):
        parameter, axis = module.programmed_weight
        yield one(Weight(parameter, _lookup(model, parameter), (axis,)))
    elif hasattr(module, "batch_axes"):
        yield one(kernel(None, module.batch_axes + 2), closed=refused)
    elif callable(getattr(module, "dot_general", None)):
        yield one(kernel((0,), None) or _matrix(path, module), closed=refused)


def _own_call(module: Any) -> str:
    """Of a subclass of a layer of Flax: what its own ``__call__`` must do to multiply on a core."""
    for kind in (nnx.Linear, nnx.LinearGeneral, nnx.Einsum, nnx.Conv):
        if isinstance(module, kind) and type(module).__call__ is not kind.__call__:
            known = type(module) is nnx.LoRALinear
            name = hooks.attribute_of(module)
            return "" if known else f"where {type(module).__name__}'s own call multiplies by {name}"
    return ""


def _refused(module: Any, own: Any) -> str | None:
    """Why the function of a user's that a module multiplies with cannot do so on a core, or ``None``."""
    if own is None:
        return None
    name = "dot_general_cls" if isinstance(own, OfClass) else hooks.attribute_of(module)
    if not isinstance(module, (nnx.Linear, nnx.LinearGeneral, nnx.Einsum, nnx.Conv)):
        return f"its {name} is not JAX's"
    reason = closed_by(own, module)
    return None if reason is None else f"its own {name} {reason}"


def _matrix(path: str, module: Any) -> Weight | None:
    """The weight of a module that has one array of two axes or more, under any name."""
    found = [
        Weight(_join(path, str(name)), node, None)
        for name, node in nnx.iter_children(module)
        if isinstance(node, nnx.Param) and node.get_value().ndim > 1
    ]
    return found[0] if len(found) == 1 else None


def _lookup(model: nnx.Module, parameter: str) -> Any:
    node: Any = model
    for part in parameter.split("/"):
        node = node[int(part)] if part.isdigit() else getattr(node, part)
    return node


def _summed(einsum: str) -> tuple[int, ...] | None:
    """Axes of the kernel that are summed over; ``None`` if it has batch axes."""
    operands, out = einsum.replace(" ", "").split("->")
    x, w = operands.split(",")
    if any(letter in x and letter in out for letter in w):
        return None
    return tuple(i for i, letter in enumerate(w) if letter not in out)


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _natural(path: str) -> list[tuple[int, int | str]]:
    return [(0, int(p)) if p.isdigit() else (1, p) for p in path.split("/")]
