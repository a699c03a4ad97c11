"""A ``[M, K] x [K, N]`` product on one core: tiles, noise, converters, and their derivatives."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from photonjax.hardware.core import OpticalCore
from photonjax.ops import integers, noise
from photonjax.ops.quantize import full_scale, round_straight_through, rounded
from photonjax.ops.staging import apart
from photonjax.ops.weights import BASE, Levels, moment, part_weights, split, steps, whole


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ProductTrace:
    """A product and what can be asked about how it came about (unused parts cost nothing under jit).

    ``raw`` are the ADC's inputs ``[M, N]`` per k-tile, ``adc_range`` its full scales, ``light`` the
    detected electrons per output sample and tile in units of ``core.photons`` (or None).
    """

    y: jax.Array
    raw: list[jax.Array]
    adc_range: list[jax.Array]
    light: list[jax.Array] | None


def matrix_product(
    x: jax.Array,
    weight: Levels,
    *,
    core: OpticalCore,
    key: jax.Array | None,
    precision: Any = None,
    adc_range: jax.Array | float | None = None,
    batched: bool = False,
) -> ProductTrace:
    """``[M, K] x [K, N]`` through the core, tile by tile."""
    (m, terms), n = x.shape, weight.parts[0].shape[1]
    unit_a = core.levels_in or 1
    x = x.astype(jnp.float32)
    x_scale = full_scale(x, (1,) if core.input_scale == "per_token" else None)
    levels = x * (unit_a / x_scale)
    if core.bits_in is not None:
        levels = round_straight_through(levels)
    intended, tiles = levels, -(-terms // core.rows)
    draws = _draw(core, key, m, terms, n, tiles)
    if draws.input is not None:
        levels = levels + rounded(unit_a * core.input_noise * draws.input)
    a_steps = steps(core.bits_in, draws.input is not None)
    b_steps = steps(core.bits_weight, core.weight_noise is not None)
    arithmetic = (a_steps, b_steps, _carrier(core, terms, batched), precision)
    product, run = _product(*arithmetic), _run(*arithmetic)

    bare = dataclasses.replace(core, costs=None)
    total: Any = 0.0
    raws: list[Any] = []
    ranges: list[Any] = []
    lights: list[Any] = []
    for t in range(tiles):
        columns = slice(t * core.rows, min((t + 1) * core.rows, terms))
        a, b = levels[:, columns], weight.values[columns]
        parts = tuple(part[columns] for part in weight.parts)
        full: Any = core.adc_range * math.sqrt(a.shape[1]) if adc_range is None else adc_range
        tile = _Tile(
            terms=a.shape[1],
            product=None,
            row=None if weight.moment is None else _row_moment(core, a, a_steps),
            col=None if weight.moment is None else weight.moment[t],
            # With input error nobody knows what the modulators really sent.
            known=_row_moment(core, intended[:, columns], steps(core.bits_in, False))
            if core.encoding == "offset"
            else None,
            magnitudes=_magnitudes(core, a, b, b_steps, product),
            full=full,
            laser=None if draws.laser is None else draws.laser[t],
            output=None if draws.output is None else draws.output[t],
            counts=None if draws.counts is None else jax.random.fold_in(draws.counts, t),
        )
        scales = (x_scale, weight.scale) if t == tiles - 1 else None
        total = run(bare, a, b, parts, tile, total, scales)
        # Recomputed, where anybody asks for it, rather than kept.
        tile = dataclasses.replace(tile, product=product(a, b, parts))
        raws.append(_detect(bare, tile))
        ranges.append(jnp.reshape(jnp.asarray(full, jnp.float32), (1, -1)))
        lights.append(_light(bare, tile))
    return ProductTrace(total, raws, ranges, lights if core.photons is not None else None)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Tile:
    """One k-tile on its way to the converter; None where the core has no use for a part.

    ``product`` ``[M, N]`` in units of levels, or exact integers and what they are worth; ``row``
    ``[M, 1]`` and ``col`` ``[1, N]`` the moments of what was modulated, in full scales, ``known`` that of
    the inputs meant; ``magnitudes`` ``[M, N]`` the exact ``sum |a||b|``; ``full`` the converter's range;
    ``laser`` ``[M, column tiles]``; ``output`` the draws of the noise at the detector; ``counts`` a key
    for photon counting.
    """

    product: Any
    row: Any
    col: Any
    known: Any
    magnitudes: Any
    full: Any
    laser: Any
    output: Any
    counts: Any
    terms: int = dataclasses.field(metadata={"static": True})

    def sum(self, core: OpticalCore) -> jax.Array:
        """The analog sum ``p``."""
        unit = (core.levels_in or 1) * (core.levels_weight or 1)
        product = self.product
        if isinstance(product, tuple):
            product = _weighted(product)
        return rounded(product * (1 / unit))


def _light(core: OpticalCore, tile: _Tile) -> Any:
    """Detected light of each output sample, in units of ``core.photons``."""
    if core.photons is None:
        return None
    if tile.magnitudes is not None:
        return tile.magnitudes
    col = tile.col * (1 / tile.terms) if core.encoding == "differential" else tile.col
    return noise.detected_light(core, tile.row, col, tile.sum(core), tile.terms)


def _detect(core: OpticalCore, tile: _Tile) -> jax.Array:
    """What one k-tile's detectors hand to their converter: ``[M, N]``, in units of ``p``."""
    p = tile.sum(core)
    raw = p + (tile.row + tile.col) if core.encoding == "offset" else p
    light = _light(core, tile)
    if tile.laser is not None:
        bias = tile.terms if core.encoding == "offset" else 0.0
        raw = raw + rounded((raw + bias) * noise.over_columns(core, tile.laser, p.shape[1]))
    if tile.counts is not None:
        raw = noise.photon_counts(core, tile.counts, light, p, raw)
    if tile.output is not None:
        variance = noise.converter_variance(core, tile.full) + noise.receiver_variance(core)
        if core.photons is not None and core.photon_statistics == "gaussian":
            variance = variance + rounded(noise.shot_variance(core, light))
        raw = raw + rounded(_safe_sqrt(variance) * noise.deviates(tile.output))
    return raw


@apart
def _read(core: OpticalCore, tile: _Tile, total: Any, scales: Any) -> jax.Array:
    """Detect and digitise one k-tile and add it to those before; scale the sum after the last."""
    out = _adc(core, _detect(core, tile), tile.full)
    if core.encoding == "offset":
        out = out - (tile.known + tile.col)
    out = total + out
    return out if scales is None else out * (scales[0] * scales[1])


@dataclasses.dataclass(frozen=True)
class _Draws:
    input: jax.Array | None = None
    laser: list[jax.Array] | None = None
    output: list[noise.Draw] | None = None
    counts: Any = None


def _draw(core: OpticalCore, key: jax.Array | None, m: int, k: int, n: int, tiles: int) -> _Draws:
    """Every random number of one product; each source has a key of its own."""
    if key is None:
        return _Draws()
    output, laser, inputs, counts = (jax.random.fold_in(key, i) for i in range(4))
    gaussian = core.photons is not None and core.photon_statistics == "gaussian"
    at_output = gaussian or core.enob is not None or core.receiver_noise_a_per_rthz is not None
    disturbed = core.input_noise is not None
    return _Draws(
        input=noise.deviates(noise.draws(core, inputs, m, k, 1)[0]) if disturbed else None,
        laser=(
            noise.laser_fluctuation(core, laser, m, n, tiles)
            if core.laser_rin_db_hz is not None
            else None
        ),
        output=noise.draws(core, output, m, n, tiles) if at_output else None,
        counts=counts if core.photon_statistics == "poisson" else None,
    )


def _row_moment(core: OpticalCore, a: jax.Array, a_steps: int) -> jax.Array:
    """The encoding's :func:`moment` of each input, in full scales: ``[M, 1]``."""
    power = 2 if core.encoding == "homodyne" else 1
    return rounded(moment(core.encoding, a_steps, 1, a) * (1 / (core.levels_in or 1) ** power))


def _magnitudes(core: OpticalCore, a, b, b_steps: int, product) -> jax.Array | None:
    """Exact ``sum |a||b|`` of a k-tile, where the core asks for it: a second product."""
    exact = core.shot_estimate == "exact" or core.photon_statistics == "poisson"
    if core.photons is None or core.encoding != "differential" or not exact:
        return None
    sizes = jnp.abs(b)
    parts = split(jax.lax.stop_gradient(sizes), b_steps)
    unit = (core.levels_in or 1) * (core.levels_weight or 1)
    return product(jnp.abs(a), sizes, parts) * (1 / unit)


def _adc(core: OpticalCore, raw: jax.Array, full_range: jax.Array | float) -> jax.Array:
    """Mid-tread quantizer of ``bits_out`` over ``[-r, r)``; saturates; straight-through inside."""
    if core.bits_out is None:
        return raw
    half = 2 ** (core.bits_out - 1)
    step = full_range / half
    return rounded(round_straight_through(jnp.clip(raw / step, -half, half - 1)) * step)


def _safe_sqrt(variance: jax.Array | float) -> jax.Array:
    """Square root whose derivative at zero is zero, not infinite."""
    variance = jnp.asarray(variance, jnp.float32)
    positive = variance > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)


def _carrier(core: OpticalCore, terms: int, batched: bool) -> jnp.dtype | None:
    if core.bits_in is None or core.bits_weight is None or max(core.bits_in, core.bits_weight) > 8:
        return None
    largest_a = BASE if core.input_noise is not None else core.levels_in or 1
    largest_b = BASE if core.weight_noise is not None else core.levels_weight or 1
    return integers.carrier(largest_a, largest_b, min(core.rows, terms), batched=batched)


@functools.cache
def _product(a_steps: int, b_steps: int, dtype: jnp.dtype | None, precision: Any):
    """The differentiable product of one tile, in units of levels.

    ``product(a, b, parts)``: a ``[M, K]`` and b ``[K, N]`` are float32 levels; parts are the integers
    that stand for b. The forward product is exact in small integers where both operands have them;
    the derivative is that of ``a @ b`` in floating point.
    """

    def multiply(a, b):
        return lax.dot(a, b, precision=precision, preferred_element_type=jnp.float32)

    @jax.custom_jvp
    def product(a, b, parts):
        if dtype is None:
            return multiply(a, whole(parts, b_steps))
        return _weighted(_exact_products(a_steps, b_steps, dtype, a, parts))

    def jvp(primals, tangents):
        (a, b, parts), (da, db, _) = primals, tangents
        zero = jax.custom_derivatives.SymbolicZero
        out = product(a, b, parts)
        tangent = jnp.zeros_like(out)
        if type(da) is not zero:
            tangent = tangent + multiply(da, b)
        if type(db) is not zero:
            tangent = tangent + multiply(a, db)
        return out, tangent

    product.defjvp(jvp, symbolic_zeros=True)
    return product


def _exact_products(a_steps: int, b_steps: int, dtype, a, parts) -> tuple[Any, ...]:
    """Products of the integers that stand for both operands, each with its worth in levels."""
    return tuple(
        (a_weight * b_weight, integers.integer_dot(a_part, b_part, dtype))
        for a_weight, a_part in zip(part_weights(a_steps), split(a, a_steps), strict=True)
        for b_weight, b_part in zip(part_weights(b_steps), parts, strict=True)
    )


def _weighted(products: tuple[Any, ...]) -> jax.Array:
    total: Any = 0.0
    for worth, product in products:
        total = total + product.astype(jnp.float32) * worth
    return total


@functools.cache
def _run(a_steps: int, b_steps: int, dtype: jnp.dtype | None, precision: Any):
    """Multiply and :func:`_read` one tile.

    The forward program reads the integer sums as they are; under differentiation :func:`_product`
    stands in, whose float32 result is the same and has a derivative.
    """
    product = _product(a_steps, b_steps, dtype, precision)

    def differentiable(core, a, b, parts, tile, total, scales):
        tile = dataclasses.replace(tile, product=product(a, b, parts))
        return _read(core, tile, total, scales)

    if dtype is None:
        return differentiable

    @jax.custom_jvp
    def run(core, a, b, parts, tile, total, scales):
        exact = _exact_products(a_steps, b_steps, dtype, a, parts)
        return _read(core, dataclasses.replace(tile, product=exact), total, scales)

    def jvp(primals, tangents):
        leaves, tree = jax.tree.flatten(primals)
        is_zero = lambda t: type(t) is jax.custom_derivatives.SymbolicZero  # noqa: E731
        changes = jax.tree.leaves(tangents, is_leaf=is_zero)
        moving = [i for i, change in enumerate(changes) if not is_zero(change)]

        def of_moving(*values):
            every = list(leaves)
            for i, value in zip(moving, values, strict=True):
                every[i] = value
            return differentiable(*jax.tree.unflatten(tree, every))

        return jax.jvp(of_moving, [leaves[i] for i in moving], [changes[i] for i in moving])

    run.defjvp(jvp, symbolic_zeros=True)
    return run
