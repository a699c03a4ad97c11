"""Flax NNX: the optical product as a module that owns its noise stream and its hardware."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from photonjax import ops
from photonjax.hardware.core import OpticalCore
from photonjax.ops.dot import DimensionNumbers
from photonjax.ops.measure import Measurement, measured_dot_general


class HardwareParam(nnx.Variable):
    """A continuous property of the hardware at one site; differentiable, not a model parameter."""


class SiteIndex(nnx.Variable):
    """The integer that names a site on the chip (uint32)."""


class SiteMeasurement(nnx.Variable):
    """A :class:`~photonjax.ops.Measurement` as a vector, pooled over calls (float32 vector)."""


class HeldWeight(nnx.Variable):
    """One array of a :class:`~photonjax.ops.ProgrammedWeight`."""


class OpticalDot(nnx.Module):
    """A drop-in for ``lax.dot_general`` in NNX layers: the second operand is the held weight.

    Args:
      core: the machine. Its continuous fields become :class:`HardwareParam` variables, so they can
        be changed without recompiling and differentiated with ``nnx.grad``.
      rngs: supplies the noise (stream ``noise``, else the default one); a fresh key is drawn at every
        call, as in ``nnx.Dropout``. ``None``: no random noise.
      site: integer name on the chip; static errors follow from it and ``core.chip_seed``.
      stack: leading sizes of the layer stack that the module is part of (``nnx.vmap``-ed blocks run
        by ``nnx.scan``): its variables carry them too, and ``site`` has one entry per layer.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> from flax import nnx
      >>> rngs = nnx.Rngs(0)
      >>> core = pj.OpticalCore(rows=64, cols=64, photons=1e3)
      >>> dot = pj.nnx.OpticalDot(core, rngs=rngs)
      >>> layer = nnx.Linear(16, 4, dot_general=nnx.data(dot), rngs=rngs)
      >>> layer(jnp.ones((2, 16))).shape
      (2, 4)
    """

    def __init__(
        self,
        core: OpticalCore,
        *,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        site: int | jax.Array = 0,
        stack: tuple[int, ...] = (),
    ):
        fields = {
            name: jnp.broadcast_to(jnp.asarray(value, jnp.float32), stack)
            for name, value in _continuous(core).items()
            if value is not None
        }
        blank = {name: 0.0 if name in fields else None for name in _continuous(core)}
        seed = core.chip_seed  # an array cannot be part of a module's static structure
        fixed = seed if isinstance(seed, int) else 0
        self.structure = replace_unchecked(core, **blank, costs=None, chip_seed=fixed)
        self.hardware = nnx.Dict({name: HardwareParam(v) for name, v in fields.items()})
        self.site = SiteIndex(jnp.broadcast_to(jnp.asarray(site, jnp.uint32), stack))
        self.adc_range: nnx.Data[HardwareParam | None] = nnx.data(None)
        self.input_range: nnx.Data[HardwareParam | None] = nnx.data(None)
        own = None if isinstance(seed, int) else SiteIndex(jnp.broadcast_to(seed, stack))
        self.chip: nnx.Data[SiteIndex | None] = nnx.data(own)
        self.held: nnx.Data[nnx.Dict | None] = nnx.data(None)
        self.held_structure: Any = None
        self.measurement: nnx.Data[SiteMeasurement | None] = nnx.data(None)
        if isinstance(rngs, nnx.Rngs):
            stream = rngs["noise"].fork() if not stack else rngs["noise"].split(stack)
        else:
            stream = rngs
        self.stream: nnx.Data[nnx.RngStream | None] = nnx.data(stream)

    @property
    def core(self) -> OpticalCore:
        """The core as it is at this site now (without costs)."""
        present = {
            name: variable[...]
            for name, variable in self.hardware.items()
            if getattr(self.structure, name) is not None
        }
        if self.chip is not None:
            present["chip_seed"] = self.chip[...]
        return replace_unchecked(self.structure, **present)

    def __call__(
        self,
        x: jax.Array,
        w: Any,
        dimension_numbers: DimensionNumbers,
        precision: Any = None,
        preferred_element_type: Any = None,
        out_sharding: Any = None,
    ) -> jax.Array:
        """``lax.dot_general(x, w, dimension_numbers, ...)`` on the core; see ``optical_dot_general``."""
        options = dict(
            precision=precision,
            preferred_element_type=preferred_element_type or jnp.result_type(x.dtype, w.dtype),
            core=self.core,
            key=None if self.stream is None else self.stream(),
            site=self.site[...],
            adc_range=None if self.adc_range is None else self.adc_range[...],
            input_range=None if self.input_range is None else self.input_range[...],
        )
        held = w if self.held is None else _assemble(self.held, self.held_structure)
        if self.measurement is None:
            return ops.optical_dot_general(
                x, held, dimension_numbers, out_sharding=out_sharding, **options
            )
        y, measured = measured_dot_general(x, held, dimension_numbers, reference=w, **options)
        pooled = Measurement(*self.measurement[...]).pool(measured)
        self.measurement[...] = jnp.stack(pooled)
        return y if out_sharding is None else jax.sharding.reshard(y, out_sharding)


class OpticalLinear(nnx.Linear):
    """``nnx.Linear`` on an optical core; the parameters are the same.

    Args:
      in_features, out_features: sizes.
      core: the machine.
      rngs: initial weights and noise.
      kwargs: everything else that ``nnx.Linear`` takes, except ``dot_general``.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> from flax import nnx
      >>> layer = pj.nnx.OpticalLinear(8, 4, core=pj.OpticalCore(), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((3, 8))).shape
      (3, 4)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        core: OpticalCore,
        rngs: nnx.Rngs,
        **kwargs: Any,
    ):
        super().__init__(in_features, out_features, rngs=rngs, **kwargs)
        self.dot_general = nnx.data(OpticalDot(core, rngs=rngs))


class EinsumOp(nnx.Module):
    """A drop-in for ``jnp.einsum`` in ``nnx.Einsum``: one product of input and kernel, on a core."""

    def __init__(self, dot_general: OpticalDot):
        self.dot_general = dot_general

    def __call__(
        self, subscripts: str, x: jax.Array, w: jax.Array, out_sharding: Any = None, **kwargs: Any
    ) -> jax.Array:
        """``jnp.einsum(subscripts, x, w)`` with w held in the array."""
        y = ops.optical_einsum(subscripts, x, w, dot_general=self.dot_general, **kwargs)
        return y if out_sharding is None else jax.sharding.reshard(y, out_sharding)


class OpticalEinsum(nnx.Einsum):
    """``nnx.Einsum`` on an optical core; the parameters are the same.

    The string's first operand is the input, its second the kernel, its output explicit.

    Args:
      einsum_str, kernel_shape, bias_shape: as in ``nnx.Einsum``.
      core: the machine.
      rngs: initial weights and noise.
      kwargs: everything else that ``nnx.Einsum`` takes, except ``einsum_op``.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> from flax import nnx
      >>> core = pj.OpticalCore()
      >>> layer = pj.nnx.OpticalEinsum("btd,dnh->btnh", (8, 2, 4), core=core, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((1, 3, 8))).shape
      (1, 3, 2, 4)
    """

    def __init__(
        self,
        einsum_str: str,
        kernel_shape: tuple[int, ...],
        bias_shape: tuple[int, ...] | None = None,
        *,
        core: OpticalCore,
        rngs: nnx.Rngs,
        **kwargs: Any,
    ):
        super().__init__(einsum_str, kernel_shape, bias_shape, rngs=rngs, **kwargs)
        self.einsum_op = nnx.data(EinsumOp(OpticalDot(core, rngs=rngs)))


def optical_dots(model: nnx.Module) -> Iterator[tuple[str, OpticalDot]]:
    """Every :class:`OpticalDot` of a model with the path of the module that owns it."""
    for path, module in nnx.iter_modules(model):
        if isinstance(module, OpticalDot):
            owner = [str(p) for p in path if p not in ("dot_general", "einsum_op")]
            yield "/".join(owner), module


def set_noise_key(model: nnx.Module, key: jax.Array | None) -> None:
    """Restart the noise of every optical product from one key; ``None`` turns it off.

    Site by site the key is folded with the site's index, so the same key gives the same noise in any
    run, on any mesh, scanned or unrolled. Works under jit, on a merged model.
    """
    for _, dot in optical_dots(model):
        if key is None:
            dot.stream = nnx.data(None)
            continue
        site = dot.site[...]
        keys = jax.random.fold_in(key, site) if site.ndim == 0 else _fold_each(key, site)
        if dot.stream is None:
            dot.stream = nnx.data(nnx.RngStream(keys, tag="noise"))
        else:
            dot.stream.key[...] = keys
            dot.stream.count[...] = jnp.zeros_like(dot.stream.count[...])


def _fold_each(key: jax.Array, sites: jax.Array) -> jax.Array:
    return jax.vmap(lambda site: jax.random.fold_in(key, site))(sites.ravel()).reshape(sites.shape)


def set_hardware(model: nnx.Module, **fields: Any) -> None:
    """Set continuous fields of every optical core in the model, without recompiling jitted code.

    Args:
      model: a converted model; changed in place.
      fields: ``OpticalCore`` fields that the cores already have (not None) and their new values.

    Raises:
      ValueError: for a field that some core lacks: switching a source on changes the program, so
        convert again with a core that has it.
    """
    for path, dot in optical_dots(model):
        for name, value in fields.items():
            if name not in dot.hardware:
                raise ValueError(
                    f"{path}: core has no {name} (have {', '.join(sorted(dot.hardware))}); "
                    f"convert the model with a core whose {name} is not None"
                )
            variable = dot.hardware[name]
            variable[...] = jnp.broadcast_to(jnp.asarray(value, jnp.float32), variable[...].shape)


def set_chip(model: nnx.Module, seed: int | jax.Array) -> None:
    """Give every optical core of a model the static errors of another die; in place.

    Works under jit and vmap on a merged model, so that an ensemble of dies is one program::

        def logits(seed):
            model = nnx.merge(graph, state)
            pj.nnx.set_chip(model, seed)
            return model(tokens)

        jax.vmap(logits)(jnp.arange(8))

    Args:
      model: a converted model without held weights (those belong to the die they were made for).
      seed: of the die, as ``OpticalCore.chip_seed``; may be traced.

    Raises:
      ValueError: if a weight is held.
    """
    for path, dot in optical_dots(model):
        if dot.held is not None:
            raise ValueError(
                f"{path}: its held weight belongs to one die; release_weights(model) first"
            )
        site = dot.site[...]
        dot.chip = nnx.data(SiteIndex(jnp.broadcast_to(jnp.asarray(seed, jnp.uint32), site.shape)))


def start_measuring(model: nnx.Module) -> None:
    """Let every optical product also measure itself against floating point (about twice the time)."""
    blank = jnp.stack(Measurement(*[jnp.zeros(())] * len(Measurement._fields)))
    for _, dot in optical_dots(model):
        shape = (*dot.site[...].shape, blank.size)
        dot.measurement = nnx.data(SiteMeasurement(jnp.broadcast_to(blank, shape)))


def stop_measuring(model: nnx.Module) -> dict[str, Measurement]:
    """End measuring; the pooled :class:`~photonjax.ops.Measurement` per site path.

    Stacked layers appear one by one, under the paths they would have unrolled.
    """
    found: dict[str, Measurement] = {}
    for path, dot in optical_dots(model):
        if dot.measurement is None:
            continue
        values = jax.device_get(dot.measurement[...])
        dot.measurement = nnx.data(None)
        if values.ndim == 1:
            found[path] = Measurement(*values)
        for layer, row in enumerate(values) if values.ndim == 2 else ():
            found[unrolled_path(path, layer)] = Measurement(*row)
    return found


def unrolled_path(path: str, layer: int) -> str:
    """``layers/block/mlp/up_proj`` and layer 3 make ``layers/3/mlp/up_proj``."""
    parts = path.split("/")
    parts[1 if len(parts) > 1 else 0] = str(layer)
    return "/".join(parts)


def _continuous(core: OpticalCore) -> dict[str, Any]:
    return {
        f.name: getattr(core, f.name)
        for f in dataclasses.fields(core)
        if f.metadata.get("leaf") and f.name != "costs"
    }


def replace_unchecked(core: OpticalCore, **values: Any) -> OpticalCore:
    """``dataclasses.replace`` without validation: values may be tracers or placeholders."""
    copy = object.__new__(OpticalCore)
    for field in dataclasses.fields(core):
        object.__setattr__(copy, field.name, values.get(field.name, getattr(core, field.name)))
    return copy


def hold(dot: OpticalDot, weight: jax.Array, contracting: tuple[int, ...]) -> None:
    """Program a weight into the dot's array, so that calls need not quantize it again."""
    core, stack = dot.core, dot.site[...].shape

    def one(w: jax.Array, site: jax.Array, core: OpticalCore) -> ops.ProgrammedWeight:
        return ops.program(w, core, contracting=contracting, site=site)

    for _ in stack:
        one = jax.vmap(one)
    programmed = jax.jit(one)(weight, dot.site[...], core)
    leaves, structure = jax.tree.flatten(programmed)
    dot.held = nnx.data(nnx.Dict({f"part{i}": HeldWeight(v) for i, v in enumerate(leaves)}))
    dot.held_structure = structure


def release(dot: OpticalDot) -> None:
    """Forget a held weight: calls quantize the parameter again."""
    dot.held, dot.held_structure = nnx.data(None), None


def _assemble(held: nnx.Dict, structure: Any) -> ops.ProgrammedWeight:
    leaves = [held[f"part{i}"][...] for i in range(len(held))]
    return jax.tree.unflatten(structure, leaves)
