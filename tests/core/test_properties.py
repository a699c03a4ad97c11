"""What must hold of the product whatever the numbers: symmetries and invariances."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_product import (
    BALANCED,
    DIE,
    ENCODINGS,
    EVEN,
    IDEAL,
    INT8,
    KEY,
    K,
    M,
    N,
    W,
    X,
    change,
    product,
    rms,
)

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python
equal, near = np.testing.assert_array_equal, np.testing.assert_allclose


@functools.cache
def noisy(encoding, bits):
    """A core with every error of a die, light noise and ADC, and what it makes of X and W."""
    core = change(
        INT8, input={"bits": bits}, array={"bits": bits}, adc={"bits": 8}, encoding=encoding
    ).replace(**DIE)
    core = change(
        core,
        photons=100.0,
        source={"rin_db_hz": -120.0},
        input={"noise": 0.01},
        receiver={"offset_error": 0.1},
    )
    return core, product(X, W, core, KEY)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", [None, 8, 12])
@settings(max_examples=5, deadline=None)
@given(st.integers(-40, 40), st.integers(-40, 40))
def test_homogeneous_under_powers_of_two(encoding, bits, i, j):
    """Bit for bit: all errors are relative."""
    core, y = noisy(encoding, bits)
    equal(product(X * 2.0**i, W * 2.0**j, core, KEY), y * np.float32(2.0 ** (i + j)))


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["per_token", "per_tile", "static"]))
def test_additive_without_converters(encoding, seed, scale):
    core = change(IDEAL, encoding=encoding, input={"scale": scale, "range": 10.0})
    other = jax.random.normal(jax.random.key(seed), X.shape)
    apart = product(X, W, core) + product(other, W, core)
    # 20 products, for offset 40 sums besides, of full scales of at most 30: float32 rounds at 1e-4
    near(product(X + other, W, core), apart, rtol=1e-5, atol=5e-4)


@pytest.mark.parametrize("encoding", BALANCED)
def test_a_die_is_linear_in_its_inputs(encoding):
    """Its errors are fixed, so inputs still add up; only offsets do not (nor the gain of a bias)."""
    core = change(IDEAL, encoding=encoding, input={"scale": "static", "range": 10.0}, **DIE)
    both = product(X, W, core) + product(X[::-1], W, core)
    near(product(X + X[::-1], W, core), both, rtol=1e-5, atol=1e-4)
    shifted = change(core, receiver={"offset_error": 0.1})
    apart = product(X, W, shifted) + product(X[::-1], W, shifted)
    assert rms(product(X + X[::-1], W, shifted) - apart) > 1


SYMMETRIC = {
    "8 bits": {},
    "continuous": dict(input={"bits": None}, array={"bits": None}),
    "sin2, looked up": dict(input={"curve": "sin2"}, array={"curve": "sin2"}),
    "sin2": dict(
        input={"curve": "sin2", "lookup": False}, array={"curve": "sin2", "lookup": False}
    ),
    "lorentzian": dict(
        input={"curve": "lorentzian", "lookup": False, "resonance_detuning": 4.0},
        array={"curve": "lorentzian", "lookup": False, "resonance_detuning": 4.0},
    ),
    "die": EVEN,
    "memory": dict(input={"bandwidth_hz": 1e9}),
    "ADC and its bend, not saturated": dict(adc={"bits": 8, "inl_lsb": 2.0, "range": 4.0}),
    "scales": dict(
        input={"scale": "per_tile", "power_of_two_scale": True},
        array={"scale": "per_tile", "power_of_two_scale": True},
    ),
}


@pytest.mark.parametrize("encoding", BALANCED)
@pytest.mark.parametrize("name", SYMMETRIC)
def test_sign_symmetry(name, encoding):
    core = change(INT8, encoding=encoding, **SYMMETRIC[name])
    y = product(X, W, core)
    assert rms(y) > 1
    equal(product(-X, W, core), -y)
    equal(product(X, -W, core), -y)


@pytest.mark.parametrize("encoding", BALANCED)
def test_slices_are_symmetric(encoding):
    """Up to the order in which they are added: a digit has one level more below zero than above."""
    core = change(INT8, encoding=encoding, input={"slices": 2}, array={"slices": 3})
    y = product(X, W, core)
    assert rms(y) > 1
    near(product(-X, W, core), -y, rtol=1e-6, atol=1e-6)
    near(product(X, -W, core), -y, rtol=1e-6, atol=1e-6)


def test_saturated_balanced_detectors_are_symmetric():
    """Up to the order in which the two detectors' excess is added."""
    core = change(INT8, photons=100.0, receiver={"saturation_electrons": 60.0})
    y = product(X, W, core)
    assert rms(y - product(X, W, change(core, receiver={"saturation_electrons": 1e9}))) > 0.1
    for x, w in ((-X, W), (X, -W)):
        near(product(x, w, core), -y, rtol=1e-6, atol=1e-5)


ASYMMETRIC = {
    "offset": (dict(receiver={"offset_error": 0.1}), True, True),
    "full ADC": (dict(adc={"bits": 4, "range": 0.3}), True, True),  # -r, but not +r
    "floor": (
        dict(input={"extinction_db": 10.0, "extinction": "floor"}),
        True,
        True,
    ),  # zero on the + rail
    "programming": (dict(array={"noise": 0.05}), False, True),
    "stuck": (dict(array={"stuck_fraction": 0.1}), False, True),
}


@pytest.mark.parametrize("name", ASYMMETRIC)
def test_where_signs_are_not_symmetric(name):
    fields, breaks_x, breaks_w = ASYMMETRIC[name]
    core, x = change(INT8, **fields), X.at[:, 3].set(0)
    y = product(x, W, core)
    assert (product(-x, W, core) != -y).any() == breaks_x
    assert (product(x, -W, core) != -y).any() == breaks_w


@pytest.mark.parametrize("fields", [dict(adc={"bits": 6}), dict(receiver={"gain_error": 0.05})])
def test_offset_encoding_is_not_symmetric(fields):
    """Its detectors see a bias: symmetric within rounding, until something acts on the bias too."""
    core = change(INT8, encoding="offset")
    near(product(-X, W, core), -product(X, W, core), rtol=0, atol=2e-5)
    biased = change(core, **fields)
    assert rms(product(-X, W, biased) + product(X, W, biased)) > 0.1


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=4, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_tiles_do_not_matter_to_integers(encoding, rows, cols, seed):
    """Two-bit operands have levels -1, 0, 1: their sums are integers, bit for bit."""
    signs = np.random.default_rng(seed).integers(-1, 2, (M + N, K)).astype(np.float32)
    signs[:, 0] = 1  # full scale
    x, w = signs[:M], signs[M:].T
    core = change(
        INT8, rows=rows, cols=cols, encoding=encoding, input={"bits": 2}, array={"bits": 2}
    )
    equal(product(x, w, core), x @ w)


@settings(max_examples=4, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_tiles_do_not_matter_without_adc(rows, cols):
    for core in (IDEAL, INT8):
        y = product(X, W, change(core, rows=rows, cols=cols))
        near(y, product(X, W, core), rtol=0, atol=1e-5)  # |y| < 20, float32
        equal(y, product(X, W, change(core, rows=rows)))


def test_order_of_tokens():
    """No token knows another, but through a modulator's memory."""
    order = np.array([3, 0, 4, 1, 2])
    core = change(
        INT8,
        adc={"bits": 8, "inl_lsb": 1.0},
        receiver={"offset_error": 0.05},
        input={"curve": "sin2"},
    ).replace(**DIE)
    equal(product(X[order], W, core), product(X, W, core)[order])
    slow = change(core, input={"bandwidth_hz": 5e8})
    assert (product(X[order], W, slow) != product(X, W, slow)[order]).any()


def test_order_of_columns():
    """Without a die's errors no column knows another; with crosstalk along the outputs it does."""
    core, turned = change(INT8, adc={"bits": 8, "range": 0.5}), W[:, ::-1]
    equal(product(X, turned, core), product(X, W, core)[:, ::-1])
    leaky = change(core, array={"crosstalk_cols": 0.1})
    assert (product(X, turned, leaky) != product(X, W, leaky)[:, ::-1]).any()
