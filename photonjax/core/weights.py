"""Weights as the array holds them: levels, static errors of the die, and what noise needs of them."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from photonjax.core import chip, integers
from photonjax.core.core import OpticalCore
from photonjax.core.fields import get_field
from photonjax.core.levels import digits, modulated, scale_of, unit_of
from photonjax.core.modulator import analog
from photonjax.core.quantize import QuantizedArray, rounded

# Analog errors move integers off their grid. They are carried on a finer one (:func:`steps`), as a high
# and a low small integer, (high * BASE + low) / steps, so that sums stay exact on any mesh.
BASE = 128

_DECIDES = """rows cols encoding.kind input.bits array.bits array.slices array.scale array.power_of_two_scale
array.curve array.lookup input.extinction photons array.noise array.seconds_since_programming
array.drift_exponent array.drift_spread array.flicker_noise array.dead_fraction array.stuck_fraction
array.crosstalk_rows array.crosstalk_cols receiver.gain_error receiver.offset_error adc.inl_lsb""".split()


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
      columns: ``[3, 1, N]`` draws of the die's columns (:func:`photonjax.core.chip.columns`), or None.
      shape: shape of the weight before it became a matrix. contracting: its contracted axes.
      static_core: what of the core decided how the weight is held.
    """

    parts: tuple[tuple[jax.Array, ...], ...]
    scale: jax.Array
    moment: tuple[Any, ...]
    columns: jax.Array | None
    shape: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    contracting: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    static_core: tuple[Any, ...] = dataclasses.field(metadata={"static": True})

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
    forward product reads (the float itself beyond 8 bits); ``moment`` as in :class:`ProgrammedWeight`.
    """

    values: jax.Array
    parts: tuple[jax.Array, ...]
    moment: Any


@dataclasses.dataclass(frozen=True)
class Levels:
    """A weight as the array holds it: its slices, least significant first, and what they share."""

    slices: list[Slice]
    scale: jax.Array
    columns: Any

    def scale_of_tile(self, tile: int) -> jax.Array:
        """``[1, N]`` or ``[1, 1]``."""
        return self.scale[tile] if self.scale.ndim == 3 else self.scale


def steps(bits: int | None, disturbed: bool, slices: int = 1) -> int:
    """How finely an operand's levels are carried: steps per level, or 0 for floating point.

    Analog errors get steps of 1/8192 of 128 levels of 8 bits, of 8 levels of 4 bits and so on, so that
    an error of 1e-4 of full scale survives at any resolution.
    """
    if bits is None or bits > 8:
        return 0
    return 2 ** (13 - (unit_of(bits, slices) - 1).bit_length()) if disturbed else 1


def carrier_of(core: OpticalCore, terms: int, *, batched: bool = False) -> jnp.dtype | None:
    """The dtype in which a tile's levels multiply exactly; None beyond 8 bits: floating point."""
    if (
        core.input.bits is None
        or core.array.bits is None
        or max(core.input.bits, core.array.bits) > 8
    ):
        return None
    largest_a = BASE if analog(core) else unit_of(core.input.bits, core.input.slices)
    largest_b = BASE if core.disturbs_weights else unit_of(core.array.bits, core.array.slices)
    return integers.carrier(largest_a, largest_b, min(core.rows, terms), batched=batched)


def split(values: jax.Array, steps: int) -> tuple[jax.Array, ...]:
    """The small integers that stand for levels: one array, or high and low between the levels.

    ``values ~ (high * BASE + low) / steps``; beyond twice the largest level the value saturates.
    """
    if steps <= 1:
        return (values,)
    fine = jnp.clip(jnp.round(values * steps), -127 * BASE, 127 * BASE)
    high = jnp.round(fine / BASE)
    return high, fine - high * BASE


def part_weights(steps: int) -> tuple[float, ...]:
    """What the parts of :func:`split` are worth, in levels."""
    return (1.0,) if steps <= 1 else (BASE / steps, 1 / steps)


def whole(parts: tuple[jax.Array, ...], steps: int) -> jax.Array:
    """The float32 levels that the parts stand for."""
    weights = part_weights(steps)
    return sum(
        (w * p.astype(jnp.float32) for w, p in zip(weights, parts, strict=True)), jnp.float32(0)
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def moment(encoding: str, steps: int, axis: int, values: jax.Array) -> jax.Array:
    """What an encoding's shot noise needs of one operand: a sum over ``axis`` of levels, kept as size 1.

    ``sum |v|`` (differential), ``sum v`` (offset) or ``sum v**2`` (homodyne). Levels carried as
    integers are summed exactly: then the order, hence the mesh, makes no difference.
    """
    values = jnp.abs(values) if encoding == "differential" else values
    parts, worth = split(values, steps), part_weights(steps)

    # The order of a sum makes no difference in int32, nor in float32 up to 2**24.
    power = 2 if encoding == "homodyne" else 1
    float_exact = steps == 0 or BASE**power * values.shape[axis] <= 2**24

    def add(terms: jax.Array) -> jax.Array:
        terms = terms if float_exact else terms.astype(jnp.int32)
        if axis == 1 and steps == power == 1:
            terms = _lanes(terms)
        return jnp.sum(terms, axis=axis, keepdims=True).astype(jnp.float32)

    if encoding != "homodyne":
        return sum((w * add(part) for w, part in zip(worth, parts, strict=True)), jnp.float32(0))
    if len(parts) == 1:
        return add(values * values)
    high, low = parts
    cross = 2 * worth[0] * worth[1] * add(high * low)
    return worth[0] ** 2 * add(high * high) + worth[1] ** 2 * add(low * low) + cross


def _lanes(levels: jax.Array) -> jax.Array:
    """``[M, K]`` summed to ``[M, 64]``, exactly, in int16: XLA's CPU backend sums along the fastest axis
    one element after another, in floating point through memory."""
    rows, terms = levels.shape
    if terms % 64 or BASE * (terms // 64) >= 2**15:
        return levels
    lanes = levels.astype(jnp.int16).reshape(rows, -1, 64)
    return lanes.sum(axis=1, dtype=jnp.int16).astype(jnp.int32)


@moment.defjvp
def _moment_jvp(encoding, steps, axis, primals, tangents):
    (values,), (change,) = primals, tangents
    slope = {"differential": jnp.sign, "offset": jnp.ones_like, "homodyne": lambda v: 2 * v}
    tangent = jnp.sum(slope[encoding](values) * change, axis=axis, keepdims=True)
    return moment(encoding, steps, axis, values), tangent


def weight_steps(core: OpticalCore) -> int:
    """:func:`steps` of the core's weights."""
    return steps(core.array.bits, core.disturbs_weights, core.array.slices)


def weight_moments(core: OpticalCore, values: jax.Array) -> jax.Array | None:
    """Per k-tile column :func:`moment` ``[tiles, 1, N]``, in full scales, where the core needs it."""
    lit = core.photons is not None and core.encoding.kind != "quadrature"
    if not lit and core.encoding.kind != "offset":
        return None
    unit = unit_of(core.array.bits, core.array.slices) ** (
        2 if core.encoding.kind == "homodyne" else 1
    )
    tiles = (values[k : k + core.rows] for k in range(0, values.shape[0], core.rows))
    sums = [moment(core.encoding.kind, weight_steps(core), 0, tile) for tile in tiles]
    return jnp.stack([rounded(total / unit) for total in sums])


def load_weight(
    w: jax.Array | QuantizedArray, core: OpticalCore, site: chip.Site, as_matrix: Any
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
        scale, full = _weight_scale(core, matrix)
        values = modulated(core.array, core.encoding.kind, matrix, full)
    unit = unit_of(core.array.bits, core.array.slices)
    slices = []
    for i, digit in enumerate(digits(values, core.array.bits or 0, core.array.slices)):
        held = chip.cells(core, digit, unit, chip.die_key(core, site, i))
        parts = split(jax.lax.stop_gradient(held), weight_steps(core))
        slices.append(Slice(held, parts, weight_moments(core, held)))
    return Levels(slices, scale, chip.columns(core, values.shape[1], chip.die_key(core, site)))


def _weight_scale(core: OpticalCore, matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Full scales as kept (see :class:`ProgrammedWeight`), and as they divide the matrix."""
    if core.array.scale != "per_tile":
        scale = scale_of(core.array, matrix, (0,) if core.array.scale == "per_column" else None)
        return scale, scale
    starts = range(0, matrix.shape[0], core.rows)
    tiles = [matrix[k : k + core.rows] for k in starts]
    scales = [scale_of(core.array, tile, (0,)) for tile in tiles]
    wide = [jnp.broadcast_to(s, tile.shape) for s, tile in zip(scales, tiles, strict=True)]
    return jnp.stack(scales), jnp.concatenate(wide)


def program(
    w: jax.Array | QuantizedArray,
    core: OpticalCore,
    *,
    contracting: int | tuple[int, ...] = 0,
    site: int | jax.Array = 0,
) -> ProgrammedWeight:
    """Write a weight into the core's array once, so that calls need not.

    Args:
      w: weight of any rank; all axes but ``contracting`` are outputs, in order.
      core: the machine. Its static errors are frozen in: reprogram to differentiate in them.
      contracting: the axes that the product will sum over, in the order it will name them.
      site: identifies the weight on the chip.

    Returns:
      :class:`ProgrammedWeight`.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> core = pj.OpticalCore(rows=4, cols=4)
      >>> pj.program(jnp.ones((4, 3)), core).scale.tolist()
      [[1.0, 1.0, 1.0]]
    """
    axes = (contracting,) if isinstance(contracting, int) else tuple(contracting)
    axes = tuple(a % w.ndim for a in axes)
    check_weight(w, core, axes)
    loaded = load_weight(w, core, site, lambda array: matrix_of(array, axes))
    parts = [one.parts for one in loaded.slices]
    if core.array.bits is not None and core.array.bits <= 8:
        carrier = carrier_of(core, parts[0][0].shape[0])
        parts = [tuple(_store(part.astype(carrier)) for part in own) for own in parts]
    moments = tuple(one.moment for one in loaded.slices)
    shared = (w.shape, axes, static_part(core))
    held = ProgrammedWeight(tuple(parts), loaded.scale, moments, loaded.columns, *shared)
    return jax.lax.stop_gradient(held)


def _store(part: jax.Array) -> jax.Array:
    """bfloat16 as its bits: XLA's CPU backend slices a stack of bfloat16 by way of float32."""
    return lax.bitcast_convert_type(part, jnp.uint16) if part.dtype == jnp.bfloat16 else part


def stored(part: jax.Array) -> jax.Array:
    """The integers that a :class:`ProgrammedWeight` holds, in the dtype they multiply in."""
    return lax.bitcast_convert_type(part, jnp.bfloat16) if part.dtype == jnp.uint16 else part


def matrix_of(array: jax.Array, contracting: tuple[int, ...]) -> jax.Array:
    """View an array as ``[K, N]``, contracted axes first."""
    free = [a for a in range(array.ndim) if a not in contracting]
    moved = jnp.transpose(array, (*contracting, *free))
    terms = 1
    for a in contracting:
        terms *= array.shape[a]
    return moved.reshape(terms, -1)


def static_part(core: OpticalCore) -> tuple[Any, ...]:
    """What of a core decides how a weight is held: all that is static, and which sources there are."""
    values = {name: get_field(core, name) for name in _DECIDES}
    fixed = [v for v in values.values() if isinstance(v, (bool, int, str))]
    present = [name for name, value in values.items() if value is not None]
    seed = core.chip_seed if isinstance(core.chip_seed, int) else None
    return (*fixed, *present, seed)


def check_weight(w: Any, core: OpticalCore, contracting: tuple[int, ...]) -> None:
    """Raise for a weight that the core cannot hold."""
    if isinstance(w, QuantizedArray):
        if w.bits != core.array.bits:
            raise ValueError(
                f"weight is quantized to {w.bits} bits but core.array.bits = {core.array.bits}; "
                f"quantize(w, bits={core.array.bits}) or replace the core's array.bits"
            )
        if not set(contracting) <= set(w.axis):
            raise ValueError(
                f"weight has scales along axis {contracting}, which the product sums over; "
                f"quantize(w, axis={contracting}) instead of axis={w.axis}"
            )
    elif not jnp.issubdtype(w.dtype, jnp.floating):
        raise TypeError(
            f"weight is {w.dtype}; give a floating array, or integers with their scale as "
            "photonjax.quantize makes them"
        )
