"""A ``[M, K] x [K, N]`` product on one core: passes, tiles, converters."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core import noise
from photonjax.core.core import OpticalCore
from photonjax.core.detect import Tile, detect, light_of, read
from photonjax.core.exact import differentiable_product, exact_products
from photonjax.core.levels import unit_of, worths_of
from photonjax.core.modulator import analog, disturb, modulate
from photonjax.core.quantize import rounded
from photonjax.core.weights import Levels, Slice, carrier_of, moment, split, steps, weight_steps


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ProductTrace:
    """A product and what can be asked about how it came about (unused parts cost nothing under jit).

    ``raw`` are the ADC's inputs ``[M, N]`` per pass and k-tile, ``adc_range`` its full scales, ``light``
    the detected electrons per output sample in units of ``core.photons`` (or None).
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
    input_range: jax.Array | float | None = None,
    batched: bool = False,
) -> ProductTrace:
    """``[M, K] x [K, N]`` through the core: pass by pass, tile by tile.

    A pass takes one digit of the inputs through one digit of the weights. Its result counts as many
    full scales as its digits are worth; repeated passes are averaged.
    """
    terms = x.shape[1]
    bare = core.replace(costs=None, chip_seed=0)
    inputs = modulate(core, x.astype(jnp.float32), input_range)
    passes = [
        (i, j, a_worth * b_worth / core.averages)
        for _ in range(core.averages)
        for i, a_worth in enumerate(worths_of(core.input.bits, core.input.slices))
        for j, b_worth in enumerate(worths_of(core.array.bits, core.array.slices))
    ]
    run = _run(bare, carrier_of(core, terms, batched=batched), precision)
    total: Any = 0.0
    trace = ProductTrace(total, [], [], [])
    for index, (i, j, worth) in enumerate(passes):
        own = key
        if key is not None and len(passes) > 1:
            own = jax.random.fold_in(jax.random.fold_in(key, _PASSES), index)
        draws = _draw(core, own, x.shape[0], weight.slices[j].values.shape[1], terms)
        a, meant, b = (
            disturb(core, inputs.slices[i], draws.input),
            inputs.meant[i],
            weight.slices[j],
        )
        for t in range(-(-terms // core.rows)):
            where = slice(t * core.rows, min((t + 1) * core.rows, terms))
            tile = _tile(core, a[:, where], meant[:, where], b, weight.columns, t, draws, adc_range)
            scales = (inputs.scales[t] * worth, weight.scale_of_tile(t))
            operands = (a[:, where], b.values[where], tuple(part[where] for part in b.parts))
            total = run(*operands, bare, tile, total, scales)
            # Worked out again where anybody asks for it, rather than kept.
            tile = dataclasses.replace(tile, product=run.product(*operands))
            trace.raw.append(detect(bare, tile))
            full = jnp.asarray(tile.full, jnp.float32)
            trace.adc_range.append(full.reshape(1, -1))
            if trace.light is not None:
                trace.light.append(light_of(bare, tile))
    return dataclasses.replace(
        trace, y=total, light=trace.light if core.photons is not None else None
    )


_PASSES = 4  # after the four sources of _draw


@dataclasses.dataclass(frozen=True)
class _Draws:
    """Every random number of one pass; each source has a key of its own. Lists are by k-tile."""

    input: Any = None
    laser: list[jax.Array] | None = None
    output: list[noise.Draw] | None = None
    counts: Any = None


def _draw(core: OpticalCore, key: jax.Array | None, m: int, n: int, terms: int) -> _Draws:
    if key is None:
        return _Draws()
    tiles = -(-terms // core.rows)
    output, laser, inputs, counts = (jax.random.fold_in(key, i) for i in range(_PASSES))
    counted = (
        core.encoding.photon_statistics == "poisson"
        or core.receiver.saturation_electrons is not None
    )
    sources = (core.adc.enob, core.receiver.noise_a_per_rthz, core.receiver.relative_noise)
    at_output = any(s is not None for s in sources) or (core.photons is not None and not counted)
    return _Draws(
        input=inputs,
        laser=(
            noise.laser_fluctuation(core, laser, m, n, tiles)
            if core.source.rin_db_hz is not None
            else None
        ),
        output=noise.draws(core, output, m, n, tiles) if at_output else None,
        counts=counts if counted else None,
    )


def _tile(core, a, meant, b: Slice, columns, t: int, draws: _Draws, adc_range) -> Tile:
    """What k-tile ``t`` brings to its detectors, but for the product itself."""
    a_steps = steps(core.input.bits, analog(core), core.input.slices)
    offset = core.encoding.kind == "offset"
    lit = core.photons is not None and core.encoding.kind != "quadrature"
    # With input error nobody knows what the modulators really sent.
    known = (
        _row_moment(core, meant, steps(core.input.bits, False, core.input.slices))
        if offset
        else None
    )
    return Tile(
        terms=a.shape[1],
        product=None,
        row=_row_moment(core, a, a_steps) if lit or offset else None,
        col=b.moment[t] if lit or offset else None,
        known=known,
        magnitudes=_magnitudes(core, a, b, t, a_steps),
        full=core.adc.range * math.sqrt(a.shape[1]) if adc_range is None else adc_range,
        laser=None if draws.laser is None else draws.laser[t],
        output=None if draws.output is None else draws.output[t],
        counts=None if draws.counts is None else jax.random.fold_in(draws.counts, t),
        columns=columns,
    )


def _row_moment(core: OpticalCore, a: jax.Array, a_steps: int) -> jax.Array:
    """The encoding's :func:`moment` of each input, in full scales: ``[M, 1]``."""
    unit = unit_of(core.input.bits, core.input.slices) ** (
        2 if core.encoding.kind == "homodyne" else 1
    )
    return rounded(moment(core.encoding.kind, a_steps, 1, a) * (1 / unit))


def _magnitudes(core: OpticalCore, a, b: Slice, t: int, a_steps: int) -> jax.Array | None:
    """Exact ``sum |a||b|`` of a k-tile, where the core asks for it: a second product."""
    exact = core.encoding.shot_estimate == "exact" or core.encoding.photon_statistics == "poisson"
    exact = (
        exact or core.receiver.saturation_electrons is not None
    )  # a limit is no estimate of noise
    if core.photons is None or core.encoding.kind != "differential" or not exact:
        return None
    sizes = jnp.abs(b.values[t * core.rows : t * core.rows + a.shape[1]])
    parts = split(jax.lax.stop_gradient(sizes), weight_steps(core))
    product = differentiable_product(
        a_steps, weight_steps(core), carrier_of(core, a.shape[1]), None
    )
    units = unit_of(core.input.bits, core.input.slices) * unit_of(
        core.array.bits, core.array.slices
    )
    return rounded(product(jnp.abs(a), sizes, parts) * (1 / units))


def _run(core: OpticalCore, dtype: jnp.dtype | None, precision: Any):
    return _multiply_and_read(
        steps(core.input.bits, analog(core), core.input.slices),
        weight_steps(core),
        dtype,
        precision,
    )


@functools.cache
def _multiply_and_read(a_steps: int, b_steps: int, dtype: jnp.dtype | None, precision: Any):
    """``run(a, b, parts, core, tile, total, scales)``: multiply one tile and :func:`read` it.

    The forward program reads the integer sums as they are; under differentiation
    :func:`differentiable_product` stands in, whose float32 result is the same and has a derivative.
    """
    product = differentiable_product(a_steps, b_steps, dtype, precision)

    def differentiable(a, b, parts, core, tile, total, scales):
        tile = dataclasses.replace(tile, product=product(a, b, parts))
        return read(core, tile, total, scales)

    if dtype is None:
        differentiable.product = product  # type: ignore[attr-defined]
        return differentiable

    @jax.custom_jvp
    def run(a, b, parts, core, tile, total, scales):
        exact = exact_products(a_steps, b_steps, dtype, a, parts)
        return read(core, dataclasses.replace(tile, product=exact), total, scales)

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
    run.product = product  # type: ignore[attr-defined]
    return run
