"""Weights as the array holds them: levels, static errors of the die, and what noise needs of them."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from photonjax.hardware.core import OpticalCore
from photonjax.ops import integers, random
from photonjax.ops.quantize import QuantizedArray, full_scale, round_straight_through, rounded

# Analog errors move integers off their grid. They are carried on a finer one (:func:`steps`), as a high
# and a low small integer, (high * BASE + low) / steps, so that sums stay exact on any mesh.
BASE = 128

# Keeps a die's errors apart from dynamic noise started from a key of the same seed.
_STATIC = 0x5747


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ProgrammedWeight:
    """A ``[K, N]`` weight written into an array: what every call would otherwise work out again.

    Made by :func:`program`. Accepted wherever the product takes a weight, with the contraction it was
    programmed for. Carries no gradient.

    Attributes:
      parts: one integer-valued array ``[K, N]``, or two (high, low) where the die has errors, or one
        float array beyond 8 bits.
      scale: ``[1, N]`` (or ``[1, 1]``) size of full scale, ``|b| = 1``.
      moment: ``[tiles, 1, N]`` weight moment of each k-tile that the encoding needs, or None.
      shape: shape of the weight before it became a matrix. contracting: its contracted axes.
      core: the core it was programmed for, without its continuous values.
    """

    parts: tuple[jax.Array, ...]
    scale: jax.Array
    moment: jax.Array | None
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
class Levels:
    """A weight matrix in units of levels, ready to multiply.

    ``values`` is float32 ``[K, N]`` and carries the gradient; ``parts`` are the integers that the
    forward product reads (the float itself beyond 8 bits).
    """

    values: jax.Array
    parts: tuple[jax.Array, ...]
    scale: jax.Array
    moment: Any


def steps(bits: int | None, disturbed: bool) -> int:
    """How finely an operand's levels are carried: steps per level, or 0 for floating point.

    Analog errors get steps of 1/8192 of 128 levels of 8 bits, of 8 levels of 4 bits and so on, so that
    an error of 1e-4 of full scale survives at any resolution.
    """
    if bits is None or bits > 8:
        return 0
    return 2 ** (14 - bits) if disturbed else 1


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

    ``sum |v|`` (differential), ``sum v`` (offset) or ``sum v**2`` (homodyne). Summed in int32 where
    the levels are carried as integers: then the order, hence the mesh, makes no difference.
    """
    values = jnp.abs(values) if encoding == "differential" else values
    parts, worth = split(values, steps), part_weights(steps)

    # The order of a sum makes no difference in int32, nor in float32 up to 2**24.
    power = 2 if encoding == "homodyne" else 1
    float_exact = steps == 0 or BASE**power * values.shape[axis] <= 2**24

    def add(terms: jax.Array) -> jax.Array:
        terms = terms if float_exact else terms.astype(jnp.int32)
        return jnp.sum(terms, axis=axis, keepdims=True).astype(jnp.float32)

    if encoding != "homodyne":
        return sum((w * add(part) for w, part in zip(worth, parts, strict=True)), jnp.float32(0))
    if len(parts) == 1:
        return add(values * values)
    high, low = parts
    cross = 2 * worth[0] * worth[1] * add(high * low)
    return worth[0] ** 2 * add(high * high) + worth[1] ** 2 * add(low * low) + cross


@moment.defjvp
def _moment_jvp(encoding, steps, axis, primals, tangents):
    (values,), (change,) = primals, tangents
    slope = {"differential": jnp.sign, "offset": jnp.ones_like, "homodyne": lambda v: 2 * v}
    tangent = jnp.sum(slope[encoding](values) * change, axis=axis, keepdims=True)
    return moment(encoding, steps, axis, values), tangent


def weight_moments(core: OpticalCore, values: jax.Array) -> jax.Array | None:
    """Per k-tile column :func:`moment` ``[tiles, 1, N]``, in full scales, where the core needs it."""
    if core.photons is None and core.encoding != "offset":
        return None
    fine = steps(core.bits_weight, core.weight_noise is not None)
    unit = (core.levels_weight or 1) ** (2 if core.encoding == "homodyne" else 1)
    tiles = (values[k : k + core.rows] for k in range(0, values.shape[0], core.rows))
    return jnp.stack([rounded(moment(core.encoding, fine, 0, tile) / unit) for tile in tiles])


def load_weight(
    w: jax.Array | QuantizedArray, core: OpticalCore, site: int | jax.Array, as_matrix: Any
) -> Levels:
    """Quantize, disturb and measure a weight the way the core's array would hold it.

    Args:
      w: the weight, in its own shape.
      site: identifies the weight on the chip: the same die and site have the same errors.
      as_matrix: function from the weight's shape to ``[K, N]``.
    """
    q = core.levels_weight
    if isinstance(w, QuantizedArray):
        values = as_matrix(w.values).astype(jnp.float32)
        scale = as_matrix(jnp.broadcast_to(w.scale, w.shape))[:1] * w.levels
    else:
        matrix = as_matrix(w).astype(jnp.float32)
        scale = full_scale(matrix, (0,) if core.weight_scale == "per_column" else None)
        values = matrix * ((q or 1) / scale)
        if q is not None:
            values = round_straight_through(values)
    if core.weight_noise is not None:
        chip = jax.random.fold_in(jax.random.key(core.chip_seed), _STATIC)
        die = jax.random.fold_in(chip, site)
        error = random.mixed_normal(die, *values.shape)[0]
        values = values + rounded((q or 1) * core.weight_noise * error)
    fine = steps(core.bits_weight, core.weight_noise is not None)
    parts = split(jax.lax.stop_gradient(values), fine)
    return Levels(values, parts, scale, weight_moments(core, values))


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
    parts = loaded.parts
    if core.bits_weight is not None and core.bits_weight <= 8:
        largest = BASE if len(parts) > 1 else core.levels_weight or 1
        terms = min(core.rows, parts[0].shape[0])
        carrier = integers.carrier(core.levels_in or BASE, largest, terms)
        parts = tuple(_store(part.astype(carrier)) for part in parts)
    held = ProgrammedWeight(parts, loaded.scale, loaded.moment, w.shape, axes, static_part(core))
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
    """What of a core decides how a weight is held."""
    return (
        core.rows,
        core.encoding,
        core.bits_in,
        core.bits_weight,
        core.weight_scale,
        core.chip_seed,
        core.photons is None,
        core.weight_noise is None,
    )


def check_weight(w: Any, core: OpticalCore, contracting: tuple[int, ...]) -> None:
    """Raise for a weight that the core cannot hold."""
    if isinstance(w, QuantizedArray):
        if w.bits != core.bits_weight:
            raise ValueError(
                f"weight is quantized to {w.bits} bits but core.bits_weight = {core.bits_weight}; "
                f"quantize(w, bits={core.bits_weight}) or replace the core's bits_weight"
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
