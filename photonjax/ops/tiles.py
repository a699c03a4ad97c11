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
    unit_a, unit_b = core.levels_in or 1, core.levels_weight or 1
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
    product = _product(a_steps, b_steps, _carrier(core, terms, batched), precision)

    total: Any = 0.0
    raws, ranges, lights = [], [], []
    for t in range(tiles):
        tile = slice(t * core.rows, min((t + 1) * core.rows, terms))
        used = tile.stop - tile.start
        a, b = levels[:, tile], weight.values[tile]
        p = product(a, b, tuple(part[tile] for part in weight.parts))
        p = rounded(p * (1 / (unit_a * unit_b)))
        offset: Any = 0.0
        known: Any = 0.0
        if core.encoding == "offset":
            offset = rounded(moment("offset", a_steps, 1, a) * (1 / unit_a)) + weight.moment[t]
            known = offset
            if draws.input is not None:  # nobody knows what the modulators really sent
                sent = moment("offset", steps(core.bits_in, False), 1, intended[:, tile])
                known = rounded(sent * (1 / unit_a)) + weight.moment[t]
        raw: Any = p + offset
        light: Any = None
        full: Any = core.adc_range * math.sqrt(used) if adc_range is None else adc_range
        if core.photons is not None:
            light = _light(core, a, b, p, weight.moment[t], a_steps, b_steps, product)
        if key is not None:
            if draws.laser is not None:
                bias = used if core.encoding == "offset" else 0.0
                raw = raw + rounded((raw + bias) * draws.laser[t])
            variance = noise.converter_variance(core, full) + noise.receiver_variance(core)
            if core.photons is not None and core.photon_statistics == "gaussian":
                variance = variance + rounded(noise.shot_variance(core, light))
            elif core.photons is not None:
                raw = noise.photon_counts(core, jax.random.fold_in(draws.counts, t), light, p, raw)
            if draws.output is not None:
                raw = raw + rounded(_safe_sqrt(variance) * draws.output[t])
        total = total + (_adc(core, raw, full) - known)
        raws.append(raw)
        ranges.append(jnp.reshape(jnp.asarray(full, jnp.float32), (1, -1)))
        lights.append(light)
    # Consumers that read y twice would otherwise each work it out again, noise and all.
    y = lax.optimization_barrier(total * (x_scale * weight.scale))
    return ProductTrace(y, raws, ranges, lights if core.photons is not None else None)


@dataclasses.dataclass(frozen=True)
class _Draws:
    input: jax.Array | None = None
    laser: list[jax.Array] | None = None
    output: list[jax.Array] | None = None
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
        input=noise.normals(core, inputs, m, k, 1)[0] if disturbed else None,
        laser=(
            noise.laser_fluctuation(core, laser, m, n, tiles)
            if core.laser_rin_db_hz is not None
            else None
        ),
        output=noise.normals(core, output, m, n, tiles) if at_output else None,
        counts=counts if core.photon_statistics == "poisson" else None,
    )


def _light(core, a, b, p, column: jax.Array, a_steps: int, b_steps: int, product) -> jax.Array:
    """Detected light of each output sample of one k-tile, in units of ``core.photons``."""
    unit_a, unit_b, terms = core.levels_in or 1, core.levels_weight or 1, a.shape[1]
    exact = core.shot_estimate == "exact" or core.photon_statistics == "poisson"
    if core.encoding == "differential" and exact:
        magnitudes = jnp.abs(b)
        parts = split(jax.lax.stop_gradient(magnitudes), b_steps)
        return product(jnp.abs(a), magnitudes, parts) * (1 / (unit_a * unit_b))
    row = moment(core.encoding, a_steps, 1, a)
    if core.encoding == "differential":
        return noise.detected_light(core, row * (1 / unit_a), column * (1 / terms), p, terms)
    power = 2 if core.encoding == "homodyne" else 1
    return noise.detected_light(core, rounded(row * (1 / unit_a**power)), column, p, terms)


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
        total: Any = 0.0
        for a_weight, a_part in zip(part_weights(a_steps), split(a, a_steps), strict=True):
            for b_weight, b_part in zip(part_weights(b_steps), parts, strict=True):
                exact = integers.integer_dot(a_part, b_part, dtype)
                total = total + exact * (a_weight * b_weight)
        return total

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
