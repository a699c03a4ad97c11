"""Flax NNX: optical layers, and what can be done to all optical products of a model at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.core import random, site_number
from photonjax.core.fields import get_field
from photonjax.core.measure import Measurement
from photonjax.core.pytree import brief
from photonjax.nn.attend import OpticalAttention
from photonjax.nn.gauges import Meter
from photonjax.nn.layers import (
    ConvOp,
    EinsumOp,
    OpticalEinsum,
    OpticalEmbed,
    OpticalLinear,
    OpticalLoRA,
)
from photonjax.nn.module import check_module
from photonjax.nn.optical_dot import (
    HardwareParam,
    OpticalDot,
    ProgrammedParam,
    SiteIndex,
    SiteMeasurement,
)
from photonjax.nn.ranges import KINDS, Ranges, as_given, check_ranges

__all__ = [
    "ConvOp",
    "EinsumOp",
    "HardwareParam",
    "OpticalAttention",
    "OpticalDot",
    "OpticalEinsum",
    "OpticalEmbed",
    "OpticalLinear",
    "OpticalLoRA",
    "ProgrammedParam",
    "SiteIndex",
    "SiteMeasurement",
    "optical_dots",
    "set_die",
    "set_hardware",
    "set_noise_key",
    "set_ranges",
    "start_measuring",
    "stop_measuring",
]


def optical_dots(model: nnx.Module, further: str = "") -> Iterator[tuple[str, OpticalDot]]:
    """Every :class:`OpticalDot` of a model with the path of its site (as in a conversion's report).

    ``further``: what the error for anything else adds.
    """
    check_module(model, further)
    for path, module in nnx.iter_modules(model):
        if isinstance(module, OpticalDot):
            yield _site_of([str(part) for part in path]), module


def _site_of(path: list[str]) -> str:
    """Without the names of hooks: ``mlp/up/dot_general`` is the product of ``mlp/up``."""
    *owner, last = path or [""]
    if last == "dot_general":
        if owner[-1:] and owner[-1] in ("dot_general", "einsum_op", "conv_general_dilated"):
            owner = owner[:-1]
    elif last.endswith("_dot"):  # of OpticalLoRA: named after its parameter
        owner = [*owner, last.removesuffix("_dot")]
    elif owner[-1:] == ["attention_fn"]:
        owner = [*owner[:-1], last]
    else:
        owner = path
    return "/".join(owner)


def set_noise_key(model: nnx.Module, key: jax.Array | None) -> None:
    """Restart the noise of every optical product from one key; ``None`` turns it off.

    Site by site the key is folded with the number of the path of the module that multiplies (of the
    path that a stacked layer would have by itself), so the same key gives the same noise in any run, on
    any mesh, scanned or unrolled. Works under jit, on a merged model.
    """
    key = None if key is None else random.as_threefry(key)
    for path, dot in optical_dots(model):
        if key is None:
            dot.stream = nnx.data(None)
            continue
        numbers = jnp.array([site_number(p) for p in dot.layer_paths(path)], jnp.uint32)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, numbers).reshape(dot.site[...].shape)
        if dot.stream is None:
            dot.stream = nnx.data(nnx.RngStream(keys, tag="noise"))
        else:
            dot.stream.key[...] = keys
            dot.stream.count[...] = jnp.zeros_like(dot.stream.count[...])


def set_hardware(model: nnx.Module, **fields: Any) -> None:
    """Set continuous fields of every optical core in the model, without recompiling jitted code.

    Args:
      model: a converted model; changed in place.
      fields: ``OpticalCore`` fields that the cores already have (not None), by dotted name
        (``**{"adc.enob": 6.0}``), and their new values: numbers, or for stacked layers arrays.

    Raises:
      ValueError, TypeError: a model without optical products; a field that some core lacks (switching a
        source on changes the program, so convert again with a core that has it); a value that the field
        may not have. Nothing is changed then. (What JAX holds is taken as it is, as in a core.)
    """
    new: list[tuple[HardwareParam, jax.Array]] = []
    dots = list(optical_dots(model, ": there set fields in the rules' cores, by core.replace"))
    if not dots:
        raise ValueError("set_hardware: the model has no optical products; convert it first")
    for path, dot in dots:
        where = path or "the model"
        for name, value in fields.items():
            if name not in dot.hardware:
                get_field(dot.structure, name)  # says so where there is no such field at all
                raise ValueError(
                    f"{where}: core has no {name} to set (have {', '.join(sorted(dot.hardware))}); "
                    f"convert the model with another OpticalCore.{name}"
                )
            dot.structure.replace(**{name: ... if value is None else value})
            variable = dot.hardware[name]
            shape = variable[...].shape
            try:
                wide = jnp.broadcast_to(jnp.asarray(value, jnp.float32), shape)
            except ValueError:
                raise ValueError(
                    f"{where}: OpticalCore.{name} = {brief(value)} is not a number"
                    + (f" or an array of shape {shape}" if shape else "")
                ) from None
            new.append((variable, wide))
    for variable, values in new:
        variable[...] = values


def set_ranges(model: nnx.Module, ranges: Ranges) -> None:
    """Give the sites of a model calibrated ranges; in place. Others keep what they have.

    Args:
      model: a converted model.
      ranges: as :func:`photonjax.calibrate` returned them, for this model or for the same weights
        through another front end, or as read from a file.

    Raises:
      ValueError: a path that is no optical product of the model, or a range that is no finite number
        above zero.

    Example:
      >>> import json, photonjax as pj
      >>> from flax import nnx
      >>> model = nnx.Sequential(nnx.Linear(8, 4, rngs=nnx.Rngs(0)))
      >>> optical, _ = pj.convert(model, [pj.Rule("*", pj.OpticalCore())])
      >>> pj.nnx.set_ranges(optical, json.loads('{"layers/0/kernel": {"adc": 1.5}}'))
      >>> print(optical.layers[0].dot_general.adc_range[...])
      1.5
    """
    paths = {id(dot): dot.range_paths(path) for path, dot in optical_dots(model)}
    check_ranges(ranges, {path for each in paths.values() for path in each})
    for _, dot in optical_dots(model):
        for kind in KINDS:
            _set_range(dot, kind, [ranges.get(path, {}).get(kind) for path in paths[id(dot)]])


def _set_range(dot: OpticalDot, kind: str, values: list[Any]) -> None:
    """Of a stack, layers without a range have NaN: the core's own."""
    if all(value is None for value in values):
        return
    before, stack = getattr(dot, f"{kind}_range"), dot.site[...].shape
    given = [as_given(kind, v, dot.structure.passes) for v in values]
    shape = next(np.shape(v) for v in given if v is not None)
    kept = np.full(stack, math.nan) if before is None else np.asarray(before[...])
    kept = kept.reshape((len(values), *kept.shape[len(stack) :]))
    new = [np.broadcast_to(k if v is None else v, shape) for k, v in zip(kept, given, strict=True)]
    array = jnp.asarray(np.array(new, np.float32).reshape((*stack, *shape)))
    setattr(dot, f"{kind}_range", nnx.data(HardwareParam(array)))


def set_die(model: nnx.Module, seed: int | jax.Array) -> None:
    """Give every optical core of a model the static errors of another die; in place.

    Works under jit and vmap on a merged model, so that an ensemble of dies is one program::

        def logits(seed):
            model = nnx.merge(graph, state)
            pj.nnx.set_die(model, seed)
            return model(tokens)

        jax.vmap(logits)(jnp.arange(8))

    Args:
      model: a converted model without programmed weights (those belong to the die they were made for).
      seed: of the die, as ``OpticalCore.chip_seed``; may be traced.

    Raises:
      ValueError: if a weight is programmed. ValueError, TypeError: what is no seed.
    """
    for path, dot in optical_dots(model):
        dot.structure.replace(chip_seed=seed)  # refuses what is none
        if dot.programmed is not None:
            raise ValueError(
                f"{path}: its programmed weight belongs to one die; unprogram_weights(model) first"
            )
        site = dot.site[...]
        dot.die = nnx.data(SiteIndex(jnp.broadcast_to(jnp.asarray(seed, jnp.uint32), site.shape)))


def start_measuring(model: nnx.Module) -> None:
    """Let every optical product also measure itself against floating point (about twice the time)."""
    for _, dot in optical_dots(model):
        dot.start(Meter())


def stop_measuring(model: nnx.Module) -> dict[str, Measurement]:
    """End measuring; the pooled :class:`~photonjax.core.Measurement` per site path.

    Stacked layers appear one by one, under the paths they would have unrolled. Products that were
    never made are left out.
    """
    found: dict[str, Measurement] = {}
    for path, dot in optical_dots(model):
        if dot.measurement is None:
            continue
        values = jax.device_get(dot.measurement[...])
        dot.start(None)
        names = dot.layer_paths(path)
        for name, row in zip(names, values.reshape(len(names), -1), strict=True):
            measured = Measurement(*row)
            if measured.outputs:
                found[name] = measured
    return found
