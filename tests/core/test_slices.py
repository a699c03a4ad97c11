"""Bit slices: digits, recomposition, and a converter for each pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bit_slices import DIGITAL, largest, operands, product, slices_of
from closed_forms import NUMBERS
from hypothesis import given, settings
from hypothesis import strategies as st

import photonjax as pj
from photonjax.core import levels

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


KINDS = [(bits, slices) for bits in range(2, 17) for slices in range(1, min(bits, 9))]


@pytest.mark.parametrize("bits", range(2, 17))
def test_digits_of_every_integer(bits):
    """A converter of b bits has ``2**b`` levels, and zero is one of them."""
    for slices in (s for b, s in KINDS if b == bits):
        full = largest(bits, slices)
        assert levels.largest(bits, slices) == full
        values = np.arange(-full, full + 1, dtype=np.float32)
        found = [
            np.asarray(d, np.float64) for d in levels.digits(jnp.asarray(values), bits, slices)
        ]
        base = 2 ** -(-bits // slices)
        assert len(found) == slices and all((d == d.round()).all() for d in found)
        assert (sum(d * base**i for i, d in enumerate(found)) == values).all()
        unit = levels.unit_of(bits, slices)
        assert max(np.abs(d).max() for d in found) <= unit
        assert slices == 1 or unit == base // 2
        assert all(len(np.unique(d)) <= base for d in found)
        assert slices == 1 or max(d.max() for d in found) <= base // 2 - 1
        worths = levels.worths_of(bits, slices)
        np.testing.assert_allclose(worths, [base**i * unit / full for i in range(slices)])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_digits_add_up_under_differentiation(kind, data):
    """The sum of digits has the value and the derivative of the integer."""
    bits, slices = kind
    q = largest(bits, slices)
    value = data.draw(st.integers(-q, q))
    base = 2 ** -(-bits // slices)
    whole = lambda v: sum(
        d * float(base) ** i for i, d in enumerate(levels.digits(v, bits, slices))
    )
    total, slope = jax.value_and_grad(whole)(jnp.float32(value))
    assert total == value and slope == 1


@pytest.mark.parametrize(
    "encoding, bits, slices_in, slices_weight",
    [
        ("differential", 8, 2, 1),
        ("differential", 8, 2, 2),
        ("offset", 8, 1, 3),
        ("homodyne", 8, 1, 2),
        ("differential", 5, 3, 2),
        ("differential", 12, 3, 2),
    ],
)
def test_slices_change_nothing_without_noise(encoding, bits, slices_in, slices_weight):
    core = DIGITAL.replace(encoding=encoding, input={"bits": bits}, array={"bits": bits})
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(20, 40)).astype("f4"), rng.normal(size=(40, 7)).astype("f4")
    q, r = largest(bits, slices_in), largest(bits, slices_weight)
    s_x, s_w = np.abs(x).max(1, keepdims=True), np.abs(w).max(0)
    whole = (
        np.round(x / s_x * np.float32(q))
        @ np.round(w / s_w * np.float32(r))
        * (s_x * s_w / (q * r))
    )
    sliced = product(
        core.replace(input={"slices": slices_in}, array={"slices": slices_weight}), x, w
    )
    size = np.abs(x).max(1, keepdims=True) * np.abs(w).max(0)
    # on one rail the biases of 40 full scales are added and subtracted
    most = 40 * size if encoding == "offset" else np.abs(x) @ np.abs(w)
    assert (np.abs(np.asarray(sliced) - whole) < 1e-6 * most).all()


@pytest.mark.parametrize("bits_out", [4, 6])
def test_every_pass_is_converted_by_itself(bits_out):
    """Exactly the converter's rounding of each pass, put together digitally; 12 inputs are two k-tiles."""
    core = DIGITAL.replace(rows=7, adc={"bits": bits_out}, input={"slices": 2}, array={"slices": 2})
    b = operands(12, 5, 8, slices=(2, 2))[1]
    x = np.stack([operands(12, 1, 8, seed, (2, 2))[0] for seed in range(50)])
    half, expected, sure = 2 ** (bits_out - 1), 0.0, True
    for a_digit, v in zip(*slices_of(x, 8, 2), strict=True):
        for b_digit, w in zip(*slices_of(b, 8, 2), strict=True):
            for tile in (slice(0, 7), slice(7, 12)):
                full = np.sqrt(tile.stop - tile.start)
                code = a_digit[:, tile] @ b_digit[tile] / full * half
                sure = sure & (np.abs(code - np.floor(code) - 0.5) > 1e-4)
                expected = expected + v * w * np.clip(np.round(code), -half, half - 1) * full / half
    found = np.asarray(product(core, x.astype("f4"), b.astype("f4")))
    assert sure.mean() > 0.8
    np.testing.assert_allclose(found[sure], expected[sure], atol=1e-5)


def test_a_converter_wide_enough_gives_the_integers():
    """Passes of digits through converters of 16 bits, whose step is one: the integer product, exactly."""
    rng = np.random.default_rng(1)
    for bits, slices in ((8, (2, 2)), (8, (4, 2)), (6, (2, 3))):
        q, r = (largest(bits, s) for s in slices)
        a, b = rng.integers(-q, q + 1, (9, 32)), rng.integers(-r, r + 1, (32, 6))
        a[:, 0], b[0] = q, r
        core = DIGITAL.replace(
            input={"bits": bits, "slices": slices[0]},
            array={"bits": bits, "slices": slices[1]},
            adc={"bits": 16},
        )
        units = [levels.unit_of(bits, s) for s in slices]
        step_of_one = 2.0**15 / (units[0] * units[1])
        y = pj.optical_dot_general(
            a.astype("f4"), b.astype("f4"), NUMBERS, core=core, adc_range=step_of_one
        )
        np.testing.assert_array_equal(np.round(y), a @ b)
        np.testing.assert_allclose(y, a @ b, rtol=1e-6, atol=1e-2)


def test_passes_have_ranges_of_their_own():
    """Each pass is rounded and clipped by its own range, for each output too; one for all is as before."""
    b = operands(12, 5, 8, slices=(2, 2))[1]
    x = np.stack([operands(12, 1, 8, seed, (2, 2))[0] for seed in range(50)])
    core = DIGITAL.replace(adc={"bits": 5}, input={"slices": 2}, array={"slices": 2})
    assert core.passes == 4

    @jax.jit
    def run(full):
        x_, b_ = x.astype("f4"), b.astype("f4")
        return pj.optical_dot_general(x_, b_, NUMBERS, core=core, adc_range=full)

    np.testing.assert_array_equal(run(np.full((4, 1), 2.0, "f4")), run(np.float32(2.0)))
    ranges = np.array([[4.1], [1.57], [2.03], [3.3]]) * [1, 1, 2, 1, 0.5]
    expected, sure = 0.0, True
    digits = [
        (v * w, a_digit @ b_digit)
        for a_digit, v in zip(*slices_of(x, 8, 2), strict=True)
        for b_digit, w in zip(*slices_of(b, 8, 2), strict=True)
    ]
    for (worth, p), full in zip(digits, ranges, strict=True):
        code = p / full * 16
        sure = sure & (np.abs(code - np.floor(code) - 0.5) > 1e-4)
        expected = expected + worth * np.clip(np.round(code), -16, 15) * full / 16
    assert sure.mean() > 0.8
    np.testing.assert_allclose(run(ranges.astype("f4"))[sure], expected[sure], atol=1e-5)
    with pytest.raises(
        ValueError, match=r"adc_range has shape \(3, 1\).*\(4, 1\), one for each pass"
    ):
        pj.optical_dot_general(x, b, NUMBERS, core=core, adc_range=np.ones((3, 1)))


def test_integers_that_digits_cannot_hold_are_refused():
    core = DIGITAL.replace(array={"slices": 2})
    with pytest.raises(
        ValueError, match="integers up to 127, but core.array.slices = 2 digits of 8 bits hold 119"
    ):
        pj.optical_matmul(np.ones((2, 8), "f4"), pj.quantize(jnp.ones((8, 3))), core=core)
