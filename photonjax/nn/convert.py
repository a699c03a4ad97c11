"""Putting an existing NNX model on light, by rules, and saying exactly what was done."""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.core.core import OpticalCore
from photonjax.nn import hooks
from photonjax.nn.nnx import OpticalDot, hold, optical_dots, release, set_noise_key
from photonjax.nn.sites import Product, products_of
from photonjax.rules import ConversionReport, Rule, Site, check_rules

__all__ = [
    "ConversionReport",
    "Rule",
    "Site",
    "check_rules",
    "convert",
    "program_weights",
    "revert",
    "unprogram_weights",
]

Model = TypeVar("Model", bound=nnx.Module)


def convert(
    model: Model, rules: Sequence[Rule], *, key: jax.Array | None = None, noise: bool = True
) -> tuple[Model, ConversionReport]:
    """Put the products that the rules name onto optical cores.

    The result is a new model with the same parameter tree (checkpoints load either way); the arrays
    are shared, the given model stays as it was. Sites are, by the paths of their modules:

    * ``nnx.Linear``, ``LinearGeneral`` (so the projections of attention), ``Einsum``, ``Conv`` (its
      patches stream past the kernel), and any module that multiplies through a ``dot_general``
      attribute;
    * ``nnx.Embed``: its ``attend``; look-ups are no products;
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

    Returns:
      the model, and a :class:`ConversionReport` on every site.

    Raises:
      ValueError: a rule that matches nothing or is never reached; rules that decide differently on
        two paths of one module; a weight whose dtype a core cannot carry; a model without sites.

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
    rules = tuple(rules)
    model = nnx.clone(model)
    products = products_of(model)
    if all(product.closed for product in products):
        _fail_without_products(model, products)
    choice = _Choice(rules)
    sites = [_convert_one(product, choice) for product in products]
    check_rules(rules, choice.matched, choice.used, [s.path for s in sites], choice.why)
    if noise:
        set_noise_key(model, jax.random.key(0) if key is None else key)
    return model, ConversionReport(tuple(sites))


def revert(model: Model) -> Model:
    """The digital model back: every product as it was before :func:`convert`, the same parameters.

    A new model; what belongs to the hardware (its values, noise, calibration, held weights) is gone
    from it, and its parameters are what they are now. A digital model comes back unchanged.

    Example:
      >>> import photonjax as pj
      >>> from flax import nnx
      >>> linear = nnx.Linear(8, 4, rngs=nnx.Rngs(0))
      >>> optical, _ = pj.convert(linear, [pj.Rule("*", pj.OpticalCore())])
      >>> nnx.graphdef(pj.revert(optical)) == nnx.graphdef(linear)
      True
    """
    model = nnx.clone(model)
    for product in products_of(model):
        hooks.restore(product.module, product.name)
    return model


def program_weights(model: nnx.Module) -> None:
    """Write every stationary weight of a converted model into its array, once; in place.

    Calls then skip scaling, rounding and the die's static errors. The parameters stay; after they
    change, call this again, or :func:`unprogram_weights` before training. Weights with batch axes
    (grouped convolutions, batched ``LinearGeneral`` and ``Einsum``) are written anew at every call.
    """
    for product in products_of(model):
        dot, weight = hooks.read(product.module, product.name), product.weight
        if dot is not None and weight is not None and weight.contracting is not None:
            hold(dot, weight.value, weight.contracting)


def unprogram_weights(model: nnx.Module) -> None:
    """Undo :func:`program_weights`; in place."""
    for _, dot in optical_dots(model):
        release(dot)


class _Choice:
    """Which rule decides a site, and which rules were of any use so far."""

    def __init__(self, rules: tuple[Rule, ...]):
        self.rules = rules
        self.matched: set[int] = set()
        self.used: set[int] = set()
        self.why: dict[int, str] = {}  # a rule did not decide the first site that it matches

    def deciding(self, product: Product) -> list[int]:
        """The numbers of the rules that take the product: one, or one for each of its paths."""
        winners: dict[str, int] = {}
        for path in (product.path, *product.also):
            site = product.site(path)
            hits = [i for i, rule in enumerate(self.rules) if rule.takes(site)]
            self.matched.update(hits)
            for late in hits[1:]:
                text = f"everything it matches is taken by earlier rules: {path} by {self.rules[hits[0]]}"
                self.why.setdefault(late, text)
            if hits:
                winners[path] = hits[0]
        for (one, i), (other, j) in itertools.pairwise(winners.items()):
            if self.rules[i].core is not self.rules[j].core:
                raise ValueError(
                    f"{one} and {other} are one module, and {self.rules[i]} and {self.rules[j]} decide "
                    "differently; put a rule before them that matches both"
                )
        return list(winners.values())


def _convert_one(product: Product, choice: _Choice) -> Site:
    """Decide a product, and replace it or put it back."""
    numbers = choice.deciding(product)
    rule = choice.rules[numbers[0]] if numbers else None
    core, reason = _decide(rule, product)
    for number in numbers:
        if core is not None or choice.rules[number].core is None:
            choice.used.add(number)
        choice.why.setdefault(number, f"{product.path}: {reason}")
    present = hooks.read(product.module, product.name)
    if core is not None:
        _check_dtype(product, rule)
        dot = OpticalDot(core, site=_site_index(product), stack=product.stack)
        dot.unrolled = product.unrolled
        hooks.replace(product.module, product.name, dot)
    elif present is not None and rule is not None and rule.core is None:
        hooks.restore(product.module, product.name)
    elif present is not None:
        core, reason = present.core, "optical before this conversion"
    return dataclasses.replace(
        product.site(), status="digital" if core is None else "optical", reason=reason, core=core
    )


def _decide(rule: Rule | None, product: Product) -> tuple[OpticalCore | None, str]:
    """The core a product gets (or None) and the reason."""
    if product.closed:
        return None, product.closed
    if rule is None:
        return None, "no rule matches" if product.weight else "no rule matches (dynamic)"
    if rule.core is None:
        return None, f"{rule} keeps it digital"
    if product.weight is None and not rule.dynamic:
        return None, f"dynamic product, and {rule} is for held weights (dynamic=True takes both)"
    dynamic = "" if product.weight else ", dynamic: written anew at every call"
    return rule.core, f"{rule}{dynamic}{product.note}"


def _check_dtype(product: Product, rule: Rule | None) -> None:
    problem = product.uncarried()
    if problem is not None:
        raise ValueError(
            f"{product.path or 'the model'}: {problem}, which {rule} would put on a core; arrays hold "
            f"real floating-point numbers: put Rule({product.path!r}, None) before that rule"
        )


def _fail_without_products(model: nnx.Module, products: Sequence[Product]) -> None:
    known = "; ".join(f"{p.path or 'itself'}: {p.closed}" for p in products)
    raise ValueError(
        f"{type(model).__name__} has no module whose product can be replaced"
        + (f" ({known})" if known else "")
        + ": nothing to convert; pj.optical takes any function"
    )


def _site_index(product: Product) -> jax.Array:
    """A stable hash of the path; for stacked layers, of the paths they would have unrolled."""
    if product.unrolled is None:
        return jnp.uint32(zlib.crc32(product.path.encode()))
    layers = range(int(np.prod(product.stack)))
    paths = (product.unrolled.replace("{}", str(layer)) for layer in layers)
    hashes = [zlib.crc32(path.encode()) for path in paths]
    return jnp.asarray(hashes, jnp.uint32).reshape(product.stack)
