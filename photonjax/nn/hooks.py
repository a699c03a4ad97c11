"""Where a Flax module keeps the function that multiplies: reading it, replacing it, putting it back.

``name`` tells the products of one module apart: ``lora_a``, ``lora_b`` of ``nnx.LoRA``, ``scores`` and
``values`` of ``nnx.MultiHeadAttention``; it is empty for modules with one product.
"""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import lax

from photonjax.nn.attend import OpticalAttention
from photonjax.nn.layers import (
    ConvOp,
    EinsumOp,
    OpticalConvTranspose,
    OpticalEinsum,
    OpticalEmbed,
    OpticalLinear,
    OpticalLoRA,
)
from photonjax.nn.optical_dot import OpticalDot
from photonjax.nn.own import OfClass, OwnProduct

HOOKS = (OpticalDot, EinsumOp, ConvOp, OwnProduct, OpticalAttention)
"""Modules that conversion puts in: not part of the digital model."""

LAYERS = (nnx.Linear, nnx.LinearGeneral, nnx.Einsum, nnx.Conv, nnx.Embed, nnx.LoRA)
"""Layers of Flax that multiply with one weight, which they cast to their ``dtype``."""

_WRAPPERS = {"einsum_op": EinsumOp, "conv_general_dilated": ConvOp}
_DIGITAL: dict[type, type] = {OpticalLinear: nnx.Linear, OpticalEinsum: nnx.Einsum}


def read(module: Any, name: str = "") -> OpticalDot | None:
    """What the module multiplies with, if that is optical."""
    if isinstance(module, OpticalLoRA):
        return getattr(module, f"{name}_dot")
    hook = getattr(module, attribute_of(module), None)
    if isinstance(hook, OpticalAttention):
        return getattr(hook, name)
    hook = hook.dot_general if isinstance(hook, (EinsumOp, ConvOp, OwnProduct)) else hook
    return hook if isinstance(hook, OpticalDot) else None


def own(module: Any) -> Any:
    """The user's own function that the module multiplies with, or is to again; ``None``: JAX's."""
    if isinstance(module, (nnx.MultiHeadAttention, nnx.LoRA, nnx.Embed, nnx.ConvTranspose)):
        return None
    dot = read(module)
    if dot is None and getattr(module, "dot_general_cls", None) is not None:
        return OfClass(module.dot_general_cls, module.dot_general)
    hook = getattr(module, attribute_of(module), None) if dot is None else dot.replaced
    return None if hook in (None, _default(module), lax.dot_general) else hook


def replace(module: Any, name: str, dot: OpticalDot) -> None:
    """Let the module multiply through ``dot``, which remembers what it takes the place of."""
    old = read(module, name)
    if isinstance(module, nnx.LoRA):
        if not isinstance(module, OpticalLoRA):
            _become(module, OpticalLoRA)
            for each in ("lora_a", "lora_b"):
                setattr(module, f"{each}_dot", nnx.data(None))
        setattr(module, f"{name}_dot", nnx.data(dot))
    elif isinstance(module, nnx.MultiHeadAttention):
        if not isinstance(module.attention_fn, OpticalAttention):
            module.attention_fn = nnx.data(OpticalAttention())
        setattr(module.attention_fn, name, nnx.data(dot))
    elif isinstance(module, (nnx.Embed, nnx.ConvTranspose)):
        _become(module, OpticalEmbed if isinstance(module, nnx.Embed) else OpticalConvTranspose)
        setattr(module, attribute_of(module), nnx.data(dot))
    else:
        attribute = attribute_of(module)
        hook = getattr(module, attribute) if old is None else old.replaced
        if isinstance(mine := own(module), OfClass):
            hook, module.dot_general_cls = mine, None
        dot.replaced = nnx.data(hook) if isinstance(hook, nnx.Pytree) else nnx.static(hook)
        wrapper: Any = _WRAPPERS.get(attribute)
        if mine is not None:
            wrapper = functools.partial(OwnProduct, hook)
        setattr(module, attribute, nnx.data(dot if wrapper is None else wrapper(dot)))


def restore(module: Any, name: str = "") -> None:
    """Let the module multiply digitally, as it did before."""
    dot = read(module, name)
    if dot is None:
        return
    if isinstance(module, OpticalLoRA):
        setattr(module, f"{name}_dot", nnx.data(None))
        if module.lora_a_dot is None and module.lora_b_dot is None:
            del module.lora_a_dot, module.lora_b_dot
            _become(module, nnx.LoRA)
    elif isinstance(module, nnx.MultiHeadAttention):
        hook: Any = module.attention_fn
        setattr(hook, name, nnx.data(None))
        if hook.scores is None and hook.values is None:
            module.attention_fn = nnx.static(nnx.dot_product_attention)
    elif isinstance(module, (OpticalEmbed, OpticalConvTranspose)):
        del module.dot_general
        _become(module, nnx.Embed if isinstance(module, nnx.Embed) else nnx.ConvTranspose)
    else:
        hook = _default(module) if dot.replaced is None else dot.replaced
        if isinstance(hook, OfClass):
            hook, module.dot_general_cls = hook.beside, hook.kind
        kept = nnx.data if isinstance(hook, nnx.Pytree) else nnx.static
        setattr(module, attribute_of(module), kept(hook))
        _become(module, _DIGITAL.get(type(module), type(module)))


def attribute_of(module: Any) -> str:
    """Where a module keeps what it multiplies with."""
    if isinstance(module, nnx.MultiHeadAttention):
        return "attention_fn"
    if isinstance(module, nnx.Conv):
        return "conv_general_dilated"
    return "einsum_op" if isinstance(module, nnx.Einsum) else "dot_general"


def _default(module: Any) -> Any:
    if isinstance(module, nnx.LinearGeneral):
        return None
    if isinstance(module, nnx.Conv):
        return lax.conv_general_dilated
    return jnp.einsum if isinstance(module, nnx.Einsum) else lax.dot_general


def _become(module: Any, kind: type) -> None:
    object.__setattr__(module, "__class__", kind)  # past nnx, which would record an attribute
