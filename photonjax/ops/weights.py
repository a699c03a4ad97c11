"""Weights as the array holds them: levels, static errors of the die, and what noise needs of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.hardware.core import OpticalCore
from photonjax.ops import integers, random
from photonjax.ops.quantize import QuantizedArray, full_scale, round_straight_through

# Analog errors move integers off their grid. They are carried on a grid FINE times finer, as a high
# and a low small integer, high * (BASE / FINE) + low / FINE, so that sums stay exact on any mesh.
FINE = 64
BASE = 128


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
      moment: ``[tiles, 1, N]`` weight moment of each k-tile that shot noise needs, or None.
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
    moment: jax.Array | None


def split_fine(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """High and low integers of values off the grid: ``values ~ (high * BASE + low) / FINE``.

    Resolution 1/64 of a level, magnitude up to twice 127 levels; beyond, the value saturates.
    """
    fine = jnp.clip(jnp.round(values * FINE), -127 * BASE, 127 * BASE)
    high = jnp.round(fine / BASE)
    return high, fine - high * BASE


def part_weights(kind: str) -> tuple[float, ...]:
    """What the parts of an operand of this kind are worth: two for ``fine``, one otherwise."""
    return (BASE / FINE, 1 / FINE) if kind == "fine" else (1.0,)


def whole(parts: tuple[jax.Array, ...]) -> jax.Array:
    """The float32 levels that the parts stand for."""
    weights = part_weights("fine" if len(parts) > 1 else "grid")
    return sum(w * part.astype(jnp.float32) for w, part in zip(weights, parts, strict=True))


def weight_moment(core: OpticalCore, values: jax.Array) -> jax.Array | None:
    """Per k-tile column moment ``[tiles, 1, N]`` for :func:`~photonjax.ops.noise.detected_light`."""
    if core.photons is None:
        return None
    b = values / (core.levels_weight or 1)
    if core.encoding == "differential":
        reduce = lambda tile: jnp.mean(jnp.abs(tile), axis=0, keepdims=True)  # noqa: E731
    elif core.encoding == "offset":
        reduce = lambda tile: jnp.sum(tile, axis=0, keepdims=True)  # noqa: E731
    else:
        reduce = lambda tile: jnp.sum(tile * tile, axis=0, keepdims=True)  # noqa: E731
    return jnp.stack([reduce(b[k : k + core.rows]) for k in range(0, b.shape[0], core.rows)])


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
        die = jax.random.fold_in(jax.random.key(core.chip_seed), site)
        error = random.mixed_normal(die, *values.shape)[0]
        values = values + (q or 1) * core.weight_noise * error
    return Levels(values, _parts(values, core), scale, weight_moment(core, values))


def _parts(values: jax.Array, core: OpticalCore) -> tuple[jax.Array, ...]:
    values = jax.lax.stop_gradient(values)
    if core.bits_weight is None or core.bits_weight > 8:
        return (values,)
    return (values,) if core.weight_noise is None else split_fine(values)


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
        largest = BASE if len(parts) > 1 else core.levels_weight
        terms = min(core.rows, parts[0].shape[0])
        carrier = integers.carrier(core.levels_in or BASE, largest, terms)
        parts = tuple(part.astype(carrier) for part in parts)
    held = ProgrammedWeight(parts, loaded.scale, loaded.moment, w.shape, axes, static_part(core))
    return jax.lax.stop_gradient(held)


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
