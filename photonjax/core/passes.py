"""A ``[M, K] x [K, N]`` product on one core, the way light goes: pass by pass, k-tile by k-tile."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core import fixed_point, random
from photonjax.core.core import OpticalCore
from photonjax.core.levels import unit_of, worths_of
from photonjax.core.moments import Moments, moment
from photonjax.core.programming import Levels, Slice, carrier_of, weight_steps
from photonjax.core.pytree import present
from photonjax.core.rounding import no_fma, safe_sqrt
from photonjax.core.staging import apart
from photonjax.core.tile_product import differentiable_product, multiply_then, weighted


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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Tile:
    """What a k-tile brings to its detectors, but for the product itself.

    Attributes:
      moments: of both operands. full: the converter's range.
      draws: random numbers of this tile, by the stage that drew them ("output": those that all stages
        share); no entry where there are none.
      die: what stages drew for the die's columns.
    """

    moments: Moments
    full: Any
    draws: dict[str, Any]
    die: dict[str, Any]


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
    """``[M, K] x [K, N]`` through the core.

    A pass takes one digit of the inputs through one digit of the weights. Its result counts as many
    full scales as its digits are worth; repeated passes are averaged.
    """
    (m, terms), n = x.shape, weight.slices[0].values.shape[1]
    tiles = -(-terms // core.rows)
    bare = core.replace(costs=None, chip_seed=0)
    inputs = core.input.modulate(core, x.astype(jnp.float32), input_range)
    passes = [
        (i, j, a_worth * b_worth / core.averages)
        for _ in range(core.averages)
        for i, a_worth in enumerate(worths_of(core.input.bits, core.input.slices))
        for j, b_worth in enumerate(worths_of(core.array.bits, core.array.slices))
    ]
    dtype = carrier_of(core, terms, batched=batched)
    run = multiply_then(read, input_steps(core), weight_steps(core), dtype, precision)
    total: Any = 0.0
    trace = ProductTrace(total, [], [], [])
    for index, (i, j, worth) in enumerate(passes):
        own = key
        if key is not None and len(passes) > 1:
            own = jax.random.fold_in(random.stream(key, "passes"), index)
        a, meant, b = (
            core.input.disturb(core, inputs.slices[i], own),
            inputs.meant[i],
            weight.slices[j],
        )
        unit = unit_of(core.input.bits, core.input.slices)
        a = core.custom.apply_to_levels("modulated", core, a, unit, own)
        draws = draw(core, own, m, n, tiles)
        for t in range(tiles):
            where = slice(t * core.rows, min((t + 1) * core.rows, terms))
            full = core.adc.full_scale(
                where.stop - where.start, of_pass(adc_range, index % core.passes)
            )
            tile = Tile(
                moments_of(core, a[:, where], meant[:, where], b, t),
                full,
                {name: of_tiles[t] for name, of_tiles in draws.items()},
                weight.die,
            )
            scales = (inputs.scales[t] * worth, weight.scale_of_tile(t))
            operands = (a[:, where], b.values[where], tuple(part[where] for part in b.parts))
            total = run(*operands, bare, tile, total, scales)
            # Worked out again where anybody asks for it, rather than kept.
            product = run.product(*operands)
            trace.raw.append(detect(product, bare, tile))
            trace.adc_range.append(
                jnp.asarray(core.adc.reach(tile.full), jnp.float32).reshape(1, -1)
            )
            if trace.light is not None:
                trace.light.append(bare.encoding.light(bare, sum_of(bare, product), tile.moments))
    light = trace.light if core.photons is not None else None
    return dataclasses.replace(trace, y=total, light=light)


def of_pass(adc_range: Any, index: int) -> Any:
    """The range of one pass, where passes have ranges of their own."""
    several = adc_range is not None and jnp.ndim(adc_range) == 2 and jnp.shape(adc_range)[0] > 1
    return adc_range[index : index + 1] if several else adc_range


def draw(core: OpticalCore, key: jax.Array | None, m: int, n: int, tiles: int) -> dict[str, Any]:
    """Every random number of one pass but the inputs', by stage: lists by k-tile.

    All Gaussian noise that is independent from output to output is drawn once, for all stages.
    """
    if key is None:
        return {}
    counted = core.encoding.photon_statistics == "poisson"
    counted = counted or core.receiver.saturation_electrons is not None
    shot = core.photons is not None and not counted
    found: dict[str, Any] = {
        "source": core.source.draw(core, key, m, n, tiles),
        "encoding": core.encoding.draw(core, key, m, n, tiles),
        "receiver": core.receiver.draw(core, key, m, n, tiles),
        "custom": core.custom.draw(key, tiles),
    }
    if shot or present(core.receiver, "output") or present(core.adc, "output"):
        found["output"] = random.draws(core.sampler, random.stream(key, "output"), m, n, tiles)
    return {name: of_tiles for name, of_tiles in found.items() if of_tiles is not None}


@apart
def read(product: Any, core: OpticalCore, tile: Tile, total: Any, scales: Any) -> jax.Array:
    """Detect and digitise one k-tile, scale it, and add it to what came before."""
    raw = detect(product, core, tile)
    out, step = core.adc.digitise(raw, tile.full, tile.die["adc"])
    if core.encoding.kind == "offset":
        meant = core.encoding.bias(core, tile.moments.known, tile.moments.col)
        out, step = no_fma(out * step) - meant, 1.0
    return total + no_fma(out * (scales[0] * step * scales[1]))


def detect(product: Any, core: OpticalCore, tile: Tile) -> jax.Array:
    """What one k-tile's receivers hand to their converter: ``[M, N]``, in units of ``p``."""
    encoding, receiver, terms = core.encoding, core.receiver, tile.moments.terms
    p = sum_of(core, product)
    light = encoding.light(core, p, tile.moments)
    if receiver.dephased:
        angles = tile.die["receiver"], tile.draws.get("receiver")
        p = receiver.dephase(core, p, tile.moments.other, *angles)
    seen = encoding.seen(core, p, tile.moments)
    if receiver.imbalance is not None:  # of pairs only: they see no bias
        p, light = receiver.unbalance(core, p, light, tile.die["receiver"])
        seen = p
    fluctuation = None
    if "source" in tile.draws:
        fluctuation = core.source.fluctuation(core, tile.draws["source"], p.shape[1])
    own = receiver.variance(core)
    if receiver.outlier_fraction is not None:
        tails = receiver.tails(tile.draws.get("receiver"))
        own = no_fma(tails * own)
    variance = core.adc.variance(tile.full) + own
    if receiver.saturation_electrons is not None:
        counts = tile.draws.get("receiver")
        raw = receiver.saturate(core, counts, light, p, seen, fluctuation, terms)
    else:
        raw = core.source.fluctuate(core, seen, fluctuation, terms)
        if "encoding" in tile.draws:
            raw = encoding.count(core, tile.draws["encoding"], light, p, raw, tile.moments)
        elif core.photons is not None:
            variance = variance + receiver.dark_variance(core)
            variance = variance + no_fma(encoding.shot_variance(core, light, tile.moments))
    relative = receiver.relative_variance(p)
    if receiver.outlier_fraction is not None:
        relative = no_fma(tails * relative)
    variance = variance + relative
    if "output" in tile.draws:
        raw = raw + no_fma(safe_sqrt(variance) * random.deviates(tile.draws["output"]))
    raw = core.custom.apply("detected", core, raw, tile.draws.get("custom"))
    drawn = tile.draws.get("receiver")
    raw = receiver.amplify(core, raw, tile.full, tile.die["receiver"], drawn)
    return core.custom.apply("amplified", core, raw, tile.draws.get("custom"))


def sum_of(core: OpticalCore, product: Any) -> jax.Array:
    """The analog sum ``p`` of a tile: of levels, or of exact integers with what they are worth."""
    return no_fma(weighted(product) * (1 / _units(core)))


def moments_of(core: OpticalCore, a: jax.Array, meant: jax.Array, b: Slice, t: int) -> Moments:
    """What of k-tile ``t``'s operands decides its light."""
    encoding, inputs = core.encoding, core.input
    unit = unit_of(inputs.bits, inputs.slices) ** encoding.power

    def of_rows(levels: jax.Array, steps: int) -> jax.Array:
        return no_fma(moment(encoding.kind, steps, 1, levels) * (1 / unit))

    needed = encoding.needs_moments(core)
    # With input error nobody knows what the modulators really sent.
    on_grid = fixed_point.steps(inputs.bits, False, inputs.slices)
    magnitudes = None
    if encoding.needs_magnitudes(core):
        rows = slice(t * core.rows, t * core.rows + a.shape[1])
        sizes = jnp.abs(b.values[rows]) if b.lit is None else b.lit[rows]
        parts = fixed_point.split(jax.lax.stop_gradient(sizes), weight_steps(core))
        product = differentiable_product(
            input_steps(core), weight_steps(core), carrier_of(core, a.shape[1]), None
        )
        magnitudes = no_fma(product(jnp.abs(a), sizes, parts) * (1 / _units(core)))
    return Moments(
        row=of_rows(a, input_steps(core)) if needed else None,
        col=b.moment[t] if needed else None,
        known=of_rows(meant, on_grid) if encoding.kind == "offset" else None,
        magnitudes=magnitudes,
        other=other_quadrature(core, a, b, t),
        terms=a.shape[1],
    )


def other_quadrature(core: OpticalCore, a: jax.Array, b: Slice, t: int) -> Any:
    """The field that leaks leave in quadrature to k-tile ``t``'s sums (:mod:`photonjax.core.receiver`)."""
    leaks = core.input.extinction_db is not None and core.input.extinction == "balanced"
    if not core.receiver.dephased or not leaks:
        return None
    held = b.values[t * core.rows : t * core.rows + a.shape[1]]
    of_a = moment("offset", input_steps(core), 1, a) / unit_of(core.input.bits, core.input.slices)
    of_b = moment("offset", weight_steps(core), 0, held) / unit_of(
        core.array.bits, core.array.slices
    )
    both = of_a + of_b if core.encoding.kind == "quadrature" else of_b - of_a
    return no_fma(safe_sqrt(core.encoding.leak(core)) * both)


def input_steps(core: OpticalCore) -> int:
    """:func:`photonjax.core.fixed_point.steps` of the core's inputs."""
    return fixed_point.steps(core.input.bits, core.input.off_grid(core), core.input.slices)


def _units(core: OpticalCore) -> int:
    """Full scale of one pass's products in units of their levels."""
    inputs, array = core.input, core.array
    return unit_of(inputs.bits, inputs.slices) * unit_of(array.bits, array.slices)
