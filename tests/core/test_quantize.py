"""Scales, rounding, storage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import photonjax as pj
from photonjax.core.quantize import full_scale
from photonjax.core.rounding import round_straight_through

FLOATS = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
ARRAYS = hnp.arrays(np.float32, (5, 3), elements=FLOATS)


def test_exact_values():
    q = pj.quantize(jnp.array([[1.0, -4.0], [0.5, 2.0], [0.0, 0.0]]))
    assert q.values.dtype == jnp.int8 and q.scale.dtype == jnp.float32
    assert q.values.tolist() == [[127, -127], [64, 64], [0, 0]]  # 63.5 rounds to even
    np.testing.assert_array_equal(q.scale, np.float32([[1 / 127, 4 / 127]]))
    assert (q.bits, q.contracting, q.levels, q.shape, q.ndim, q.dtype) == (
        8,
        (0,),
        127,
        (3, 2),
        2,
        "f4",
    )


def test_zero_slices_stay_zero():
    q = pj.quantize(jnp.zeros((4, 2)).at[1, 1].set(3.0), bits=4)
    np.testing.assert_allclose(q.scale, [[1 / 7, 3 / 7]], rtol=1e-7)
    assert (q.dequantize()[:, 0] == 0).all() and q.values[1, 1] == 7


@settings(max_examples=40, deadline=None)
@given(ARRAYS, st.integers(2, 8), st.sampled_from([0, 1, -1, (0, 1), None]))
def test_error_is_at_most_half_a_step(x, bits, axis):
    q = pj.quantize(jnp.asarray(x), bits, axis)
    assert np.abs(np.asarray(q.values, int)).max() <= 2 ** (bits - 1) - 1
    # half a step, and the rounding of x / scale and of values * scale in float32
    slack = 1e-6 * np.abs(x)
    assert (np.abs(q.dequantize() - x) <= 0.5 * np.asarray(q.scale) + slack).all()


def test_axes():
    x = jax.random.normal(jax.random.key(0), (2, 3, 4))
    shapes = {0: (1, 3, 4), -1: (2, 3, 1), (0, 2): (1, 3, 1), (2, 0): (1, 3, 1), None: (1, 1, 1)}
    for axis, shape in shapes.items():
        q = pj.quantize(x, contracting=axis)
        assert q.scale.shape == shape
        reduced = tuple(i for i, n in enumerate(shape) if n == 1)
        assert q.contracting == reduced
        np.testing.assert_allclose(q.scale, np.abs(x).max(reduced, keepdims=True) / 127, rtol=1e-7)


def test_is_a_pytree_under_jit():
    x = jax.random.normal(jax.random.key(1), (8, 4))
    q, jitted = pj.quantize(x), jax.jit(pj.quantize)(x)
    assert (q.values == jitted.values).all() and (q.scale == jitted.scale).all()
    assert jax.tree.structure(q) == jax.tree.structure(jitted)


@pytest.mark.parametrize("bits", [1, 9, 0, True, 8.0, "8"])
def test_bad_bits(bits):
    with pytest.raises(ValueError, match=rf"bits = {bits!r}"):
        pj.quantize(jnp.ones((2, 2)), bits)


def test_bad_array_and_axis():
    with pytest.raises(TypeError, match="int32"):
        pj.quantize(jnp.ones((2, 2), jnp.int32))
    with pytest.raises(ValueError, match="contracting = 2"):
        pj.quantize(jnp.ones((2, 2)), contracting=2)
    with pytest.raises(ValueError, match=r"contracting = \(0, -2\) names an axis twice"):
        pj.quantize(jnp.ones((2, 2)), contracting=(0, -2))


def test_straight_through():
    x = jnp.array([0.2, 0.5, 1.5, -2.7])
    assert round_straight_through(x).tolist() == [0, 0, 2, -3]
    slope = jax.grad(lambda v: (round_straight_through(v) * jnp.arange(4.0)).sum())(x)
    assert slope.tolist() == [0, 1, 2, 3]
    y, t = jax.jvp(round_straight_through, (x,), (jnp.full(4, 2.0),))
    assert t.tolist() == [2, 2, 2, 2] and (y == jnp.round(x)).all()


def test_full_scale():
    x = jnp.array([[1.0, -3.0], [0.0, 0.0]])
    assert full_scale(x, (1,)).tolist() == [[3], [1]] and full_scale(x, None).tolist() == [[3]]
    assert (jax.grad(lambda v: full_scale(v, None).sum())(x) == 0).all()
    assert jnp.isnan(full_scale(x.at[0, 0].set(jnp.nan), (1,))[0, 0])
    assert jnp.isinf(full_scale(x.at[0, 0].set(-jnp.inf), (1,))[0, 0])
