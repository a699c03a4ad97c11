"""The numbers that modulators can take: transfer curves, shared exponents, scales of tiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import photonjax as pj
from photonjax.core import levels

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

NUMBERS = (((1,), (0,)), ((), ()))
ENCODINGS = ["differential", "offset", "homodyne", "quadrature"]
DETUNING = 3.0
ANALOG = pj.OpticalCore(
    rows=64,
    cols=64,
    input={"bits": None, "resonance_detuning": DETUNING},
    array={"bits": None, "resonance_detuning": DETUNING},
    adc={"bits": None},
)


@jax.jit
def product(core, x, w):
    return pj.optical_dot_general(x, w, NUMBERS, core=core, key=None)


def transmission(curve, drive):
    """In [0, 1] for a drive in [0, 1]; the resonance is of unit linewidth, less its light at rest."""
    if curve == "sin2":
        return (1 - np.cos(np.pi * drive)) / 2
    line = lambda detuning: 1 / (1 + detuning**2)
    return (line(DETUNING * (1 - drive)) - line(DETUNING)) / (1 - line(DETUNING))


def value_of(encoding, curve, drive):
    """Signed value of a signed drive."""
    if encoding == "offset":
        return 2 * transmission(curve, (1 + drive) / 2) - 1
    power = 0.5 if encoding in ("homodyne", "quadrature") else 1  # fields are square roots
    return np.sign(drive) * transmission(curve, np.abs(drive)) ** power


def drive_of(encoding, curve, value):
    """By bisection: the curves rise."""
    low, high = -np.ones_like(value), np.ones_like(value)
    for _ in range(60):
        middle = (low + high) / 2
        below = value_of(encoding, curve, middle) < value
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def carried(bits):
    """Largest error of a value off the converter's grid: half a step of the finer one that carries it."""
    return {None: 0.0, 8: 0.5 / (64 * 127), 4: 0.5 / (1024 * 7)}[bits]


def sent(core, u, side):
    """Values ``u`` as one input, or as one weight, of full scale 1."""
    u, one = np.asarray(u, np.float32), np.ones((1, 1), "f4")
    if side == "input":
        core = core.replace(input={"scale": "static", "range": 1.0})
        return np.asarray(product(core, u[:, None], one), np.float64)[:, 0]
    core = core.replace(array={"scale": "per_tensor"})
    return np.asarray(product(core, one, u[None]), np.float64)[0]


@pytest.mark.parametrize("bits", [None, 10, 8, 4, 3, 2])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("curve", ["sin2", "lorentzian"])
def test_levels_are_evenly_spaced_in_drive(curve, encoding, bits):
    """With looked-up drives the reachable values are those of evenly spaced drives, all of them, and each
    value wanted goes to the one whose drive is nearest."""
    side = ANALOG.replace(input={"bits": bits, "curve": curve}).input
    q = 1 if bits is None else 2 ** (bits - 1) - 1
    modulated = lambda u: np.asarray(
        levels.modulated(side, encoding, jnp.float32(u), jnp.float32(1)), "f8"
    )
    u = np.linspace(-1, 1, 4001)
    found = modulated(u) / q
    if bits is None:
        np.testing.assert_allclose(found, u, atol=1e-6)
        return
    reachable = value_of(encoding, curve, np.arange(-q, q + 1) / q)
    np.testing.assert_allclose(modulated(reachable) / q, reachable, atol=2e-6)
    distance = np.abs(found[:, None] - reachable)
    assert distance.min(1).max() < 2e-6
    drive = drive_of(encoding, curve, u) * q
    clear = np.abs(drive - np.floor(drive) - 0.5) > 0.01
    assert clear.mean() > 0.9
    expected = value_of(encoding, curve, np.round(drive) / q)
    np.testing.assert_allclose(found[clear], expected[clear], atol=2e-6)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("side", ["input", "array"])
@pytest.mark.parametrize(
    "curve, encoding", [("sin2", "differential"), ("sin2", "offset"), ("lorentzian", "homodyne")]
)
def test_the_product_sees_those_levels(curve, encoding, side, bits):
    core = ANALOG.replace(encoding=encoding, **{side: {"bits": bits, "curve": curve}})
    q = 2 ** (bits - 1) - 1
    u = np.linspace(-1, 1, 1001)
    drive = drive_of(encoding, curve, u) * q
    clear = np.abs(drive - np.floor(drive) - 0.5) > 0.02
    expected = value_of(encoding, curve, np.round(drive) / q)
    found = sent(core, u, side)
    np.testing.assert_allclose(found[clear], expected[clear], atol=carried(bits) + 1e-6)


@pytest.mark.parametrize("bits", [None, 4])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("curve", ["sin2", "lorentzian"])
def test_without_lookup_values_are_bent(curve, encoding, bits):
    """The value wanted is the drive. On one rail the digital side subtracts the inputs it meant, so that
    an input's error counts twice for a weight of 1."""
    u = np.random.default_rng(0).uniform(-1, 1, 400)
    u[:3] = 1, -1, 0
    q = 1 if bits is None else 2 ** (bits - 1) - 1
    drive = u if bits is None else np.round(u * q) / q
    bent = value_of(encoding, curve, drive)
    core = ANALOG.replace(
        encoding=encoding,
        input={"lookup": False, "bits": bits},
        array={"lookup": False, "bits": bits},
    )
    as_weight = sent(core.replace(array={"curve": curve}), u, "weight")
    np.testing.assert_allclose(as_weight, bent, atol=carried(bits) + 2e-6)
    as_input = sent(core.replace(input={"curve": curve}), u, "input")
    counts = 2 if encoding == "offset" else 1
    expected = drive + counts * (bent - drive)
    np.testing.assert_allclose(as_input, expected, atol=counts * carried(bits) + 4e-6)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("curve", ["sin2", "lorentzian"])
def test_slopes_of_curves(curve, encoding):
    """That of the identity with looked-up drives, that of the curve without; finite at zero."""
    core = ANALOG.replace(encoding=encoding, input={"curve": curve})
    core = core.replace(input={"scale": "static", "range": 1.0})
    u, step = np.linspace(-0.95, 0.95, 39), 1e-5
    one = jnp.ones((1, 1))

    def slopes(core, u):
        return jax.vmap(jax.grad(lambda v: product(core, v[None, None], one)[0, 0]))(jnp.float32(u))

    np.testing.assert_allclose(slopes(core, u), 1, atol=1e-6)
    found = np.asarray(slopes(core.replace(input={"lookup": False}, array={"lookup": False}), u))
    assert np.isfinite(found).all()
    # An amplitude, the root of light that grows linearly, has no slope at zero.
    rooted = curve == "lorentzian" and encoding in ("homodyne", "quadrature")
    seen = np.abs(u) > (0.01 if rooted else -1)
    ends = [value_of(encoding, curve, u[seen] + sign * step) for sign in (1, -1)]
    curved = (ends[0] - ends[1]) / (2 * step)
    if encoding == "offset":  # less the slope of what is subtracted
        curved = 2 * curved - 1
    np.testing.assert_allclose(found[seen], curved, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("input_scale", ["per_token", "per_tensor", "per_tile", "static"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_reaches_the_result(input_scale, bad):
    """Under a trace, where it cannot be refused; integers would hide it."""
    core = pj.OpticalCore(rows=8, cols=4, input={"scale": input_scale, "range": 1.0})
    x = np.full((3, 16), 0.5, np.float32)
    x[1, 3] = bad
    y = np.asarray(product(core, x, np.ones((16, 4), np.float32)))
    assert np.isnan(y[1]).all()
    assert input_scale == "per_tensor" or np.isfinite(y[[0, 2]]).all()


LEAST, LARGEST = 2.0**-99, 2.0**127  # below, all counts as zero; the next power is no float32


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(LEAST, LARGEST, width=32), min_size=1, max_size=4))
def test_shared_exponents(values):
    """The least power of two that no value exceeds: below twice the largest."""
    side = ANALOG.replace(input={"power_of_two_scale": True}).input
    x = np.asarray([values, [-v for v in values]], np.float32)
    scale = np.asarray(levels.scale_of(side, x, (1,)), np.float64)
    mantissa, _ = np.frexp(scale)
    largest = np.abs(x.astype(np.float64)).max(1, keepdims=True)
    assert (mantissa == 0.5).all() and (scale >= largest).all() and (scale < 2 * largest).all()


def near_a_tie(u):
    return (np.abs(u - np.floor(u) - 0.5) < 1e-4).any()


def quantized(x, groups, q, exponents):
    """``x`` with one scale for each group of its elements (numbered), and those scales."""
    out, scales = np.zeros_like(x), []
    for group in np.unique(groups):
        here = groups == group
        scale = np.abs(x[here]).max()
        scale = 2 ** np.ceil(np.log2(scale)) if exponents else scale
        assert q is None or not near_a_tie(x[here] / scale * q)
        out[here] = x[here] if q is None else np.round(x[here] / scale * q) / q * scale
        scales.append(scale)
    return out, scales


@pytest.mark.parametrize("exponents", [False, True])
@pytest.mark.parametrize(
    "input_scale, weight_scale, encoding, bits",
    [
        ("per_tile", "per_tile", "differential", None),
        ("per_tile", "per_tile", "offset", 8),
        ("per_tile", "per_tile", "homodyne", 4),
        ("per_token", "per_tile", "differential", 8),
        ("per_tile", "per_tensor", "offset", None),
        ("per_tensor", "per_tensor", "differential", 4),
    ],
)
def test_scales_of_tiles(input_scale, weight_scale, encoding, bits, exponents):
    """Each k-tile with full scales of its own, put together again; 11 inputs are tiles of 4, 4 and 3."""
    rows, T, K, N = 4, 6, 11, 3
    core = ANALOG.replace(rows=rows, encoding=encoding, input={"bits": bits}, array={"bits": bits})
    core = core.replace(input={"scale": input_scale}, array={"scale": weight_scale})
    core = core.replace(
        input={"power_of_two_scale": exponents}, array={"power_of_two_scale": exponents}
    )
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(T, K)) * 3.0 ** rng.integers(-3, 4, (T, K))).astype("f4").astype("f8")
    w = (rng.normal(size=(K, N)) * 3.0 ** rng.integers(-3, 4, (K, N))).astype("f4").astype("f8")
    tile = np.arange(K) // rows
    groups = {
        "per_tile": (100 * np.arange(T)[:, None] + tile, 100 * np.arange(N) + tile[:, None]),
        "per_token": (np.arange(T)[:, None] + 0 * tile, None),
        "per_tensor": (np.zeros((T, K), int), np.zeros((K, N), int)),
    }
    q = None if bits is None else 2 ** (bits - 1) - 1
    a, _ = quantized(x, groups[input_scale][0], q, exponents)
    b, _ = quantized(w, groups[weight_scale][1], q, exponents)
    found = product(core, x.astype("f4"), w.astype("f4"))
    unit = 100 if encoding == "offset" else 1  # biases of full scale are added and subtracted
    size = np.abs(x).max() * np.abs(w).max()
    np.testing.assert_allclose(found, a @ b, atol=unit * 3e-7 * size)


def test_dead_columns_and_tokens_stay_zero():
    """Nothing to scale: full scale 1, no NaN; of each tile by itself."""
    core = ANALOG.replace(
        rows=2, input={"power_of_two_scale": True}, array={"power_of_two_scale": True}
    )
    core = core.replace(input={"scale": "per_tile", "bits": 8}, array={"scale": "per_tile"})
    x = np.array([[0, 0, 1, 2], [0, 0, 0, 0], [3, 0, 0, 0]], "f4")
    w = np.array([[0, 1], [0, 1], [1, 0], [0, 0]], "f4")
    found = np.asarray(product(core, x, w))
    np.testing.assert_allclose(found, x @ w, atol=0.02)
    assert (found[1] == 0).all()
