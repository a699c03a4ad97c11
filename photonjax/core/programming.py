"""Weights as the array holds them, written once or at every call."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from photonjax.core import fixed_point
from photonjax.core.core import check_core
from photonjax.core.levels import digits, modulated, unit_of
from photonjax.core.moments import moment
from photonjax.core.operands import check_arrays, check_finite
from photonjax.core.pytree import present
from photonjax.core.quantize import QuantizedArray, named_axes
from photonjax.core.rounding import no_fma
from photonjax.core.site import Site, columns_key, die_key

if TYPE_CHECKING:
    from photonjax.core.core import OpticalCore


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ProgrammedWeight:
    """A ``[K, N]`` weight written into an array: what every call would otherwise work out again.

    Made by :func:`program`. Accepted wherever the product takes a weight, with the contraction it was
    programmed for. Carries no gradient.

    Attributes:
      parts: for each bit slice one integer-valued array ``[K, N]``, or two (high, low) where the die
        has errors, or one float array beyond 8 bits.
      scale: ``[1, N]``, ``[1, 1]`` or ``[tiles, 1, N]``: size of full scale, ``|b| = 1``.
      moment: for each slice the ``[tiles, 1, N]`` weight moment that the encoding needs, or None.
      die: what each stage drew for the die's columns, by the stage's name.
      lit: for each slice the cells' light ``[K, N]`` in levels, float32, where it is asked for and is not
        their magnitude; or None.
      shape: shape of the weight before it became a matrix. contracting: its contracted axes.
      made_for: what of the core decided how the weight is held (:func:`needs_of`).
    """

    parts: tuple[tuple[jax.Array, ...], ...]
    scale: jax.Array
    moment: tuple[Any, ...]
    die: dict[str, Any]
    lit: tuple[Any, ...]
    shape: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    contracting: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    made_for: tuple[Any, ...] = dataclasses.field(metadata={"static": True})

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        return self.scale.dtype


@dataclasses.dataclass(frozen=True)
class Slice:
    """One bit slice of a weight matrix, in units of its levels, ready to multiply.

    ``values`` is float32 ``[K, N]`` and carries the gradient; ``parts`` are the integers that the
    forward product reads (the float itself beyond 8 bits); ``moment`` as in :class:`ProgrammedWeight`;
    ``lit`` is the light of the cells ``[K, N]``, or None where it is the magnitude of ``values``.
    """

    values: jax.Array
    parts: tuple[jax.Array, ...]
    moment: Any
    lit: Any = None


@dataclasses.dataclass(frozen=True)
class Levels:
    """A weight as the array holds it: its slices, least significant first, and what they share."""

    slices: list[Slice]
    scale: jax.Array
    die: dict[str, Any]

    def scale_of_tile(self, tile: int) -> jax.Array:
        """``[1, N]`` or ``[1, 1]``."""
        return self.scale[tile] if self.scale.ndim == 3 else self.scale


def weight_steps(core: OpticalCore) -> int:
    """:func:`photonjax.core.fixed_point.steps` of the core's weights."""
    array = core.array
    return fixed_point.steps(array.bits, array.off_grid(core), array.slices)


def carrier_of(core: OpticalCore, terms: int, *, batched: bool = False) -> jnp.dtype | None:
    """The dtype in which a tile's levels multiply exactly; None beyond 8 bits: floating point."""
    inputs, array = core.input, core.array
    if inputs.bits is None or array.bits is None or max(inputs.bits, array.bits) > 8:
        return None
    base = fixed_point.BASE
    largest_a = base if inputs.off_grid(core) else unit_of(inputs.bits, inputs.slices)
    largest_b = base if array.off_grid(core) else unit_of(array.bits, array.slices)
    return fixed_point.carrier(largest_a, largest_b, min(core.rows, terms), batched=batched)


def _moments(core: OpticalCore, values: jax.Array) -> jax.Array | None:
    """Per k-tile column moment ``[tiles, 1, N]``, in full scales, where the encoding needs it."""
    if not core.encoding.needs_moments(core):
        return None
    unit = unit_of(core.array.bits, core.array.slices) ** core.encoding.power
    tiles = (values[k : k + core.rows] for k in range(0, values.shape[0], core.rows))
    sums = [moment(core.encoding.kind, weight_steps(core), 0, tile) for tile in tiles]
    return jnp.stack([no_fma(total / unit) for total in sums])


def load_weight(
    w: jax.Array | QuantizedArray, core: OpticalCore, site: Site, as_matrix: Any
) -> Levels:
    """Quantize, disturb and measure a weight the way the core's array would hold it.

    Args:
      w: the weight, in its own shape.
      site: identifies the weight on the chip: the same die and site have the same errors.
      as_matrix: function from the weight's shape to ``[K, N]``.
    """
    if isinstance(w, QuantizedArray):
        values = as_matrix(w.values).astype(jnp.float32)
        scale = as_matrix(jnp.broadcast_to(w.scale, w.shape))[:1] * w.levels
        if core.array.curve != "linear":
            values = modulated(core.array, core.encoding.kind, values, jnp.float32(w.levels))
    else:
        matrix = as_matrix(w).astype(jnp.float32)
        scale, full = core.array.full_scale(core, matrix)
        values = modulated(core.array, core.encoding.kind, matrix, full)
    unit = unit_of(core.array.bits, core.array.slices)
    slices = []
    for i, digit in enumerate(digits(values, core.array.bits or 0, core.array.slices)):
        held, lit = core.array.cells(core, digit, unit, die_key(core, site, i))
        parts = fixed_point.split(jax.lax.stop_gradient(held), weight_steps(core))
        moments = _moments(core, held if lit is None else lit)
        slices.append(Slice(held, parts, moments, lit))
    key, cols = columns_key(core, site), values.shape[1]
    die = {"receiver": core.receiver.fabricate(key, cols), "adc": core.adc.fabricate(key, cols)}
    return Levels(slices, scale, die)


def program(
    w: jax.Array | QuantizedArray,
    core: OpticalCore,
    *,
    contracting: int | tuple[int, ...] = 0,
    site: Site = 0,
) -> ProgrammedWeight:
    """Write a weight into the core's array once, so that calls need not.

    Args:
      w: weight of any rank; all axes but ``contracting`` are outputs, in order.
      core: the machine. Its static errors are frozen in: reprogram to differentiate in them.
      contracting: the axes that the product will sum over, in the order it will name them.
      site: identifies the weight on the chip.

    Returns:
      :class:`ProgrammedWeight`.

    Raises:
      TypeError, ValueError: axes that are not there, a weight that the core cannot hold, without elements,
        or (a concrete one) with NaN or infinity.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> core = pj.OpticalCore(rows=4, cols=4)
      >>> pj.program(jnp.ones((4, 3)), core).scale.tolist()
      [[1.0, 1.0, 1.0]]
    """
    check_arrays("program", w=w)
    check_core("program", core)
    axes = named_axes("program", contracting, w.shape)
    check_weight(w, core, axes)
    if 0 in w.shape:
        raise ValueError(f"program: w {tuple(w.shape)} has no elements to write")
    check_finite("w", w.scale if isinstance(w, QuantizedArray) else w)
    loaded = load_weight(w, core, site, lambda array: matrix_of(array, axes))
    parts = [one.parts for one in loaded.slices]
    if core.array.bits is not None and core.array.bits <= 8:
        carrier = carrier_of(core, parts[0][0].shape[0])
        parts = [tuple(fixed_point.store(part.astype(carrier)) for part in own) for own in parts]
    lit = [one.lit if core.encoding.needs_magnitudes(core) else None for one in loaded.slices]
    moments = tuple(one.moment for one in loaded.slices)
    shared = (w.shape, axes, needs_of(core))
    held = ProgrammedWeight(tuple(parts), loaded.scale, moments, loaded.die, tuple(lit), *shared)
    return jax.lax.stop_gradient(held)


def matrix_of(array: jax.Array, contracting: tuple[int, ...]) -> jax.Array:
    """View an array as ``[K, N]``, contracted axes first."""
    free = [a for a in range(array.ndim) if a not in contracting]
    moved = jnp.transpose(array, (*contracting, *free))
    terms = 1
    for a in contracting:
        terms *= array.shape[a]
    return moved.reshape(terms, -1)


def needs_of(core: OpticalCore) -> tuple[Any, ...]:
    """What of a core decides how a weight is held: static settings, and which sources there are.

    The array as it is, but for the values of its leaves; which other stages draw something for a die; and
    what the array's own code reads of them.
    """
    others = (core.source, core.input, core.receiver, core.adc)
    return (
        (core.rows, core.cols, core.encoding.kind, core.input.bits, core.input.extinction),
        jax.tree.structure(core.array),
        tuple(present(stage, "die") for stage in others),
        core.encoding.needs_moments(core),
        core.custom.programmed,
        core.array.mixes_rails(core) and core.encoding.needs_magnitudes(core),
        core.chip_seed if isinstance(core.chip_seed, int) else None,
    )


def check_weight(w: Any, core: OpticalCore, contracting: tuple[int, ...]) -> None:
    """Raise for a weight that the core cannot hold."""
    if isinstance(w, QuantizedArray):
        if w.bits != core.array.bits:
            raise ValueError(
                f"weight is quantized to {w.bits} bits but core.array.bits = {core.array.bits}; "
                f"quantize(w, bits={core.array.bits}) or replace the core's array.bits"
            )
        if core.array.levels != w.levels:
            raise ValueError(
                f"weight holds integers up to {w.levels}, but core.array.slices = {core.array.slices} digits "
                f"of {core.array.bits} bits hold {core.array.levels}; give the floating-point weight"
            )
        if not set(contracting) <= set(w.contracting):
            raise ValueError(
                f"weight has scales along axis {contracting}, which the product sums over; "
                f"quantize(w, contracting={contracting}) instead of contracting={w.contracting}"
            )
    elif not jnp.issubdtype(w.dtype, jnp.floating):
        raise TypeError(
            f"weight is {w.dtype}; give a floating array, or integers with their scale as "
            "photonjax.quantize makes them"
        )


def check_programmed(w: ProgrammedWeight, core: OpticalCore, wc: Any, wb: Any) -> None:
    """Raise where a programmed weight does not belong to the core or the product."""
    if wb:
        raise ValueError("a programmed weight has no batch axes; pass the array itself")
    if wc != w.contracting:
        raise ValueError(
            f"weight was programmed to sum over axes {w.contracting}, the product sums over {wc}; "
            f"program(w, core, contracting={wc})"
        )
    if w.made_for != needs_of(core):
        raise ValueError(
            "weight was programmed for another kind of core (size, bits, encoding, die or sources "
            "differ); program it again for this one"
        )
