"""Putting an existing NNX model on light, by rules, and saying exactly what was done.

What copies and what changes in place: a function that returns a model (:func:`convert`,
:func:`revert`) leaves the one given as it was; the new one shares its arrays. A function that
returns no model changes the one given: :func:`program_weights`, :func:`unprogram_weights`,
:func:`photonjax.calibrate`, and everything in :mod:`photonjax.nnx` that begins with ``set_``,
``start_`` or ``stop_``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
from flax import nnx

from photonjax.core import random
from photonjax.nn import hooks
from photonjax.nn.checking import trace_model
from photonjax.nn.module import check_module
from photonjax.nn.nnx import OpticalDot, optical_dots, set_noise_key
from photonjax.nn.ranges import Once
from photonjax.nn.sites import Product, products_of
from photonjax.rules import ConversionReport, Engine, Rule

__all__ = ["convert", "program_weights", "revert", "unprogram_weights"]

Model = TypeVar("Model", bound=nnx.Module)

_BY_HAND = ", weights being written at every call; pj.program writes one, for pj.optical_matmul"


def convert(
    model: Model,
    rules: Sequence[Rule],
    *,
    key: jax.Array | None = None,
    noise: bool = True,
    sample: Any = None,
) -> tuple[Model, ConversionReport]:
    """Put the products that the rules name onto optical cores.

    The result is a new model with the same parameter tree (checkpoints load either way); the arrays
    are shared, the given model stays as it was. Sites are, by the paths of their modules:

    * ``nnx.Linear``, ``LinearGeneral`` (so the projections of attention), ``Einsum``, ``Conv`` and
      ``ConvTranspose`` (patches stream past the kernel), and any module that multiplies through a
      ``dot_general`` attribute;
    * ``nnx.Embed``: its ``attend``; look-ups are no products (unchecked, unless a ``sample`` is given);
    * ``nnx.LoRA``, also in ``LoRALinear``: ``.../lora_a`` and ``.../lora_b``;
    * ``nnx.MultiHeadAttention``: ``.../scores`` and ``.../values``, for rules with ``dynamic=True``.

    A module reached by several paths is one site with one stream of noise, and reported once. Layers
    stacked by ``nnx.vmap`` are one site with hardware and noise for each layer.

    Args:
      model: an NNX module.
      rules: the first that matches a site decides.
      key: starts the dynamic noise (default ``jax.random.key(0)``); see
        :func:`photonjax.nnx.set_noise_key`.
      noise: ``False`` leaves dynamic noise off.
      sample: what the model is called with: a tuple is its positional arguments, a dict its keyword
        arguments, anything else its one argument; arrays or ``jax.ShapeDtypeStruct``. Given one, the
        report is of such a call (:meth:`ConversionReport.check`): what runs, not what was installed.

    Returns:
      the model, and a :class:`ConversionReport` on every site.

    Raises:
      ValueError: a rule that matches nothing or is never reached; rules that decide differently on
        two paths of one module; a weight whose dtype a core cannot carry; a model without sites, or
        quantized by qwix.
      TypeError: a model that is no NNX module, a rule that is none.

    Example:
      >>> import photonjax as pj
      >>> from flax import nnx
      >>> mlp = nnx.Sequential(nnx.Linear(8, 16, rngs=nnx.Rngs(0)), nnx.Linear(16, 4, rngs=nnx.Rngs(1)))
      >>> optical, report = pj.convert(mlp, [pj.Rule("layers/0", pj.OpticalCore())])
      >>> print(report)
      site      weight  layers  runs     why
      layers/0  8 x 16  1       optical  rule 'layers/0'
      layers/1  16 x 4  1       digital  no rule matches
    """
    check_module(model)
    _refuse_qwix(model)
    engine = Engine(rules)
    model = nnx.clone(model)
    products = products_of(model)
    if all(product.closed for product in products):
        _fail_without_products(model, products)
    once = Once()
    for product in products:
        _convert_one(product, engine, once)
    engine.check()
    if noise:
        set_noise_key(model, random.new_key(0) if key is None else key)
    report = dataclasses.replace(engine.report(), trace=trace_model)
    if sample is None:
        return model, report
    args, kwargs = sample if isinstance(sample, tuple) else (sample,), {}
    if isinstance(sample, dict):
        args, kwargs = (), sample
    return model, report.check(model, *args, **kwargs)


def revert(model: Model) -> Model:
    """The digital model back: every product as it was before :func:`convert`, the same parameters.

    A new model; what belongs to the hardware (its values, noise, calibration, programmed weights) is gone
    from it, and its parameters are what they are now. A digital model comes back unchanged.

    Example:
      >>> import photonjax as pj
      >>> from flax import nnx
      >>> linear = nnx.Linear(8, 4, rngs=nnx.Rngs(0))
      >>> optical, _ = pj.convert(linear, [pj.Rule("*", pj.OpticalCore())])
      >>> nnx.graphdef(pj.revert(optical)) == nnx.graphdef(linear)
      True
    """
    check_module(model)
    model = nnx.clone(model)
    for product in products_of(model):
        hooks.restore(product.module, product.name)
    return model


def program_weights(model: nnx.Module) -> None:
    """Write every stationary weight of a converted model into its array, once; in place.

    Calls then skip scaling, rounding and the die's static errors. The parameters stay; after they
    change, call this again, or :func:`unprogram_weights` before training. Weights with batch axes
    (grouped convolutions, batched ``LinearGeneral`` and ``Einsum``) are written again at every call.
    A digital model has nothing to program, and stays as it is.

    Raises:
      TypeError: a model that is no NNX module: functions and Linen modules write their weights at every call,
        but for one that :func:`photonjax.program` wrote, multiplied by hand.
    """
    check_module(model, _BY_HAND)
    for product in products_of(model):
        dot, weight = hooks.read(product.module, product.name), product.weight
        if dot is not None and weight is not None and weight.contracting is not None:
            # As a layer of Flax casts it before it multiplies.
            of_flax = isinstance(product.module, hooks.LAYERS)
            dtype = product.module.dtype if of_flax else None
            value = weight.value if dtype is None else weight.value.astype(dtype)
            dot.program(value, weight.contracting)


def unprogram_weights(model: nnx.Module) -> None:
    """Undo :func:`program_weights`; in place."""
    check_module(model, _BY_HAND)
    for _, dot in optical_dots(model):
        dot.unprogram()


def _convert_one(product: Product, engine: Engine, once: Once) -> None:
    """Decide a product, and replace it, put it back, or leave it as it is."""
    dot = hooks.read(product.module, product.name)
    present = None if dot is None else dot.core
    site = engine.decide(
        product.site(),
        product.dtypes(),
        closed=product.closed,
        present=present,
        unsure=product.unsure,
    )
    if site.core is None:
        hooks.restore(product.module, product.name)
    elif site.core is not present:
        dot = OpticalDot(site.core, site=product.number, stack=product.stack)
        dot.unrolled, dot.named, dot.once = product.unrolled, product.named, once
        hooks.replace(product.module, product.name, dot)


def _refuse_qwix(model: nnx.Module) -> None:
    """Qwix takes every ``lax.dot_general`` in a call of its models, those of a core too."""
    for path, module in nnx.iter_modules(model):
        if hasattr(module, "qwix_path"):
            where = "/".join(map(str, path)) or "the model"
            raise ValueError(
                f"{where} was quantized by qwix, which replaces every product of a call by its own: "
                "convert the model as it was before; a core's input.bits, array.bits and adc.bits quantize"
            )


def _fail_without_products(model: nnx.Module, products: Sequence[Product]) -> None:
    known = "; ".join(f"{p.path or 'itself'}: {p.closed}" for p in products)
    raise ValueError(
        f"{type(model).__name__} has no module whose product can be replaced"
        + (f" ({known})" if known else "")
        + ": nothing to convert; pj.optical takes any function"
    )
