"""Derivatives by every continuous field of a core, against differences at fixed random draws."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import LEAVES, MEANINGLESS, PHASES

import photonjax as pj
import photonjax.core.array as cells
from photonjax.core import get_field
from photonjax.core.costs import CoreCosts

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

MATRIX = (((1,), (0,)), ((), ()))
KEY = jax.random.key(7)
X = jax.random.normal(jax.random.key(0), (9, 40))
W = jax.random.normal(jax.random.key(1), (40, 12))
DIRECTION = jax.random.normal(jax.random.key(3), (9, 12))
ENCODINGS = ["differential", "offset", "homodyne", "quadrature"]

# No converter rounds here, and no detector saturates: the outputs are smooth in every field.
_CELLS = {"curve": "lorentzian", "lookup": False, "resonance_detuning": 2.0}
SMOOTH = pj.OpticalCore(
    rows=24, cols=5, photons=20.0,
    source={
        "rin_db_hz": -110.0, "channel_rin_db_hz": -110.0,
        "threshold_fraction": 0.1, "threshold_error": 0.02, "bandwidth_hz": 4e8,
    },
    input=_CELLS | {
        "bits": None, "scale": "static", "range": 2.5, "extinction_db": 6.0, "noise": 0.05,
        "relative_noise": 0.05, "bandwidth_hz": 3e8,
    },
    array=_CELLS | {
        "bits": None, "noise": 0.05, "seconds_since_programming": 1e4, "drift_exponent": 0.05,
        "drift_spread": 0.02, "flicker_noise": 0.01, "dead_fraction": 0.05, "stuck_fraction": 0.05,
        "crosstalk_rows": 0.05, "crosstalk_cols": 0.05,
    },
    receiver={
        "noise_a_per_rthz": 2e-13, "dark_current_a": 1e-9, "gain_error": 0.05, "offset_error": 0.05,
        "relative_noise": 0.5, "outlier_fraction": 0.1, "outlier_ratio": 2.0,
        "imbalance": 0.01,  # small: it brings the kinks of |a| and |b| into the mean
    },
    adc={"bits": None},
)  # fmt: skip
# A source of error that is not among these is tried at 0.05.
SMOOTH = SMOOTH.replace(
    **{
        name: 0.05
        for name, field in LEAVES.items()
        if field.metadata["drawn"] and field.metadata.get("low") == 0
        if not name.startswith("adc.") and get_field(SMOOTH, name) is None and name not in PHASES
    }
)
CONTINUOUS = pj.OpticalCore(
    rows=24, cols=5, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
# Some of the outputs saturate, some do not.
SATURATED = CONTINUOUS.replace(photons=20.0, receiver={"saturation_electrons": 60.0})
# Fine steps, so that rounding is small beside what the fields do (differences bear it, see LSB).
CONVERTER = CONTINUOUS.replace(
    adc={"bits": 16, "range": 0.5, "gain": 1.0, "enob": 3.0, "inl_lsb": 50.0}
)
# Of the inputs' converters; the weights' levels are left out.
DRIVEN = CONTINUOUS.replace(input={"bits": 16, "enob": 3.0, "inl_lsb": 50.0})
# Leaks fill the other quadrature.
COHERENT = CONTINUOUS.replace(
    encoding="homodyne",
    input={"extinction_db": 6.0},
    receiver={"phase_error": 0.3, "phase_noise": 0.3},
)
LSB = 2 * 0.5 * 24**0.5 / 2**16 * float(jnp.abs(X).max() * jnp.abs(W).max())

# Of a uniform draw: the outputs jump, cell by cell.
THRESHOLDS = {"array.dead_fraction", "array.stuck_fraction", "receiver.outlier_fraction"}
# Where each field is tried: all but a few with every smooth source.
PAID = {"source.threshold_fraction"}  # decides what light costs, and nothing about outputs
CASES = {name: SMOOTH for name in LEAVES if name not in THRESHOLDS | PAID}
CASES["receiver.saturation_electrons"] = SATURATED
CASES |= dict.fromkeys(("adc.enob", "adc.inl_lsb", "adc.range", "adc.gain"), CONVERTER)
CASES |= dict.fromkeys(("input.enob", "input.inl_lsb"), DRIVEN) | dict.fromkeys(PHASES, COHERENT)


def encoded(core, encoding):
    """``quadrature`` with an oscillator of its own: one that follows the receiver hides its noise."""
    core = core.replace(encoding=encoding, **dict.fromkeys(MEANINGLESS[encoding]))
    return core.replace(encoding={"oscillator": 500.0}) if encoding == "quadrature" else core


# Of one encoding each.
LIT = CONTINUOUS.replace(
    photons=20.0, receiver={"noise_a_per_rthz": 2e-13, "dark_current_a": 1e-9, "imbalance": 0.01}
)
SPLIT = encoded(LIT, "homodyne").replace(encoding={"input_fraction": 0.3})
READ = encoded(LIT, "quadrature")
CASES |= {"encoding.input_fraction": SPLIT, "encoding.oscillator": READ}


def product(core, x=X, w=W, key=KEY):
    return pj.optical_dot_general(x, w, MATRIX, core=core, key=key)


@jax.jit
def program(at, tangents):
    """Outputs of a core, x and w, their move along ``tangents``, and gradients of ``DIRECTION · outputs``.

    One program of all three, run for points of differences too: compiling is what takes time here.
    """
    y, moved = jax.jvp(product, at, tangents)
    return y, moved, jax.vjp(product, *at)[1](DIRECTION)


def arrays(core):
    return jax.tree.map(jnp.float32, core)


def run(core, x=X, w=W, tangents=None):
    at = (arrays(core), x, w)
    return program(at, jax.tree.map(jnp.zeros_like, at) if tangents is None else tangents)


def outputs(core, x=X, w=W):
    return run(core, x, w)[0]


def reverse_of(core):
    return run(core)[2][0]


def assert_slopes(slopes, of, value, step, *, rounding=0.0, share=0.9):
    """``slopes`` of the outputs, to 1 % of their size, are those of five-point differences.

    Of all but a few outputs: those that meet a kink (of |b|, of a limit) within the stencil have no
    derivative there. ``rounding``: of each tile by a converter, half of it for each of the four points.
    """
    at = {i: np.float64(of(value + i * step)) for i in (-2, -1, 1, 2)}
    found = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)
    allowed = 0.01 * np.sqrt(np.square(found).mean()) + 1.5 * rounding / step
    assert np.square(slopes).mean() > np.square(allowed)
    assert (np.abs(slopes - found) <= allowed).mean() >= share


def assert_backward_is_forward(back, slopes):
    terms = np.float64(DIRECTION * slopes)
    assert float(back) == pytest.approx(terms.sum(), abs=1e-4 * np.abs(terms).sum())


def compare(core, field, share=0.9, step=0.02):
    """Forward mode against differences, output by output; reverse mode against forward mode.

    ``step``: of the difference, in shares of the field's value; a tenth of it for decibels of noise.
    """
    core = arrays(core)
    value, nothing = float(get_field(core, field)), jax.tree.map(jnp.zeros_like, (core, X, W))
    tangents = (nothing[0].replace(**{field: jnp.float32(1)}), *nothing[1:])
    _, slopes, gradients = run(core, tangents=tangents)
    step = abs(value) * step * (0.1 if field.endswith("_db_hz") else 1)
    at = lambda v: outputs(core.replace(**{field: jnp.float32(v)}))
    rounding = 0.0 if core.adc.bits is None else LSB
    assert_slopes(slopes, at, value, step, rounding=rounding, share=share)
    assert_backward_is_forward(get_field(gradients[0], field), slopes)


def test_every_field_has_its_case():
    """A field that is no source of error must be on in one of these cores."""
    assert all(get_field(core, name) is not None for name, core in CASES.items())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "core",
    [SMOOTH, SATURATED, CONVERTER, DRIVEN, SPLIT, READ, COHERENT],
    ids=["smooth", "saturated", "converter", "driven", "split", "oscillator", "coherent"],
)
def test_slopes_are_those_of_differences(core, encoding):
    fields = [name for name, own in CASES.items() if own is core]
    core = encoded(core, encoding)
    for field in fields:
        if get_field(core, field) is None:
            assert field in MEANINGLESS[encoding]
            continue
        if encoding == "quadrature" and field == "input.extinction_db":
            assert (
                reverse_of(core).input.extinction_db == 0
            )  # a leak in the other quadrature is not seen
        else:
            # Outputs are linear in INL; some of those of SATURATED reach their limit within a step.
            share = 0.8 if core.receiver.saturation_electrons is not None else 0.9
            compare(core, field, share, step=0.9 if field.endswith("inl_lsb") else 0.02)


@pytest.mark.parametrize("field", sorted(THRESHOLDS))
def test_thresholds_have_no_slope(field):
    """Whether a cell is dead or stuck is a threshold: its slope is zero, as documented."""
    for encoding in ENCODINGS:
        assert get_field(reverse_of(encoded(SMOOTH, encoding)), field) == 0
    assert re.search(
        r"fractions are thresholds[^.]*derivatives[^.]* 0", " ".join(cells.__doc__.split())
    )


def test_costs_have_no_slope():
    slopes = reverse_of(CONTINUOUS.replace(photons=20.0, costs=CoreCosts()))
    assert slopes.photons != 0 and jax.tree.leaves(slopes.costs)
    assert all(s == 0 for s in jax.tree.leaves(slopes.costs))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_slopes_by_operands(encoding):
    """With every smooth source on; the scale of the weights is held by their largest entries."""
    core = arrays(encoded(SMOOTH, encoding))
    nothing = jax.tree.map(jnp.zeros_like, (core, X, W))
    for i, (operand, full) in enumerate(
        ((X, core.input.range), (W, jnp.abs(W).max(0, keepdims=True))), 1
    ):
        # away from the kink at zero, from clipping, and from the entry that is full scale
        away = (jnp.abs(operand) > 0.1) & (jnp.abs(operand) < 0.9 * full)
        tangent = jnp.where(away, jax.random.uniform(jax.random.key(4 + i), operand.shape), 0.0)
        _, slopes, gradients = run(core, tangents=(*nothing[:i], tangent, *nothing[i + 1 :]))
        move = lambda s, i=i, t=tangent: outputs(
            core, *((X + s * t, W) if i == 1 else (X, W + s * t))
        )
        assert_slopes(slopes, move, 0.0, 0.01)
        assert_backward_is_forward((gradients[i] * tangent).sum(), slopes)


def test_curves_that_are_looked_up_have_no_slope():
    """Drives follow the detuning so that values stay; levels shift by less than one, straight through."""
    core = SMOOTH.replace(input={"lookup": True}, array={"lookup": True})
    assert reverse_of(core).input.resonance_detuning == 0
    other = outputs(
        core.replace(input={"resonance_detuning": 3.0}, array={"resonance_detuning": 3.0})
    )
    np.testing.assert_allclose(other, outputs(core), rtol=0, atol=1e-4)
    levels = CONTINUOUS.replace(
        input={"bits": 6, "curve": "lorentzian", "resonance_detuning": 2.0},
        array={"resonance_detuning": 2.0},
    )
    assert reverse_of(levels).input.resonance_detuning == 0


def test_slope_of_a_floor():
    """Values below the floor lie on it and move with it; one that reaches it does so without a jump."""
    core = CONTINUOUS.replace(input={"extinction_db": 6.0, "extinction": "floor"})
    compare(
        core, "input.extinction_db", step=0.001
    )  # hardly any of the values reaches it within that


def test_dither_has_no_slope():
    """Wherever the floor, dither is right on average: a mean that does not move with it."""
    core = CONTINUOUS.replace(input={"extinction_db": 6.0, "extinction": "dither"})
    assert reverse_of(core).input.extinction_db == 0
    w = jnp.ones((X.shape[1], 1))  # at full scale: not below any floor
    many = jax.jit(jax.vmap(lambda core, key: product(core, X, w, key), (None, 0)))
    lower = core.replace(input={"extinction_db": 7.0})
    moved = np.float64(
        many(core, jax.random.split(KEY, 2000)) - many(lower, jax.random.split(KEY, 2000))
    )
    off = moved.mean(0) / (moved.std(0) / np.sqrt(2000))
    assert moved.std() > 0.1 and np.abs(off).max() < 4  # of 9 tokens
