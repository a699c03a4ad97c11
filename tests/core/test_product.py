"""The product against lax.dot_general in its limits and against a plain numpy pipeline inside."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import photonjax as pj
from photonjax.core import fixed_point

MATRIX = (((1,), (0,)), ((), ()))
IDEAL = pj.OpticalCore(
    rows=5, cols=3, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
INT8 = pj.OpticalCore(rows=5, cols=3, adc={"bits": None})


def normals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def reference_matrix(core, x, w, adc_range=None):
    """[M, K] x [K, N] in float64, straight from the model's definition, without random noise."""
    x, w = x.astype(np.float64), w.astype(np.float64)

    def full_scale(v, axis):
        largest = np.abs(v).max(axis, keepdims=True)
        return np.where(largest == 0, 1, largest)

    s_x = full_scale(x, 1 if core.input.scale == "per_token" else (0, 1))
    s_w = full_scale(w, 0 if core.array.scale == "per_column" else (0, 1))
    a, b = x / s_x, w / s_w
    if core.input.bits is not None:
        q = 2 ** (core.input.bits - 1) - 1
        a = np.round(a * q) / q
    if core.array.bits is not None:
        q = 2 ** (core.array.bits - 1) - 1
        b = np.round(b * q) / q
    total = 0.0
    for k in range(0, x.shape[1], core.rows):
        tile_a, tile_b = a[:, k : k + core.rows], b[k : k + core.rows]
        offset = 0.0
        if core.encoding.kind == "offset":
            offset = tile_a.sum(1, keepdims=True) + tile_b.sum(0, keepdims=True)
        raw = tile_a @ tile_b + offset
        if core.adc.bits is not None:
            full = core.adc.range * np.sqrt(tile_a.shape[1]) if adc_range is None else adc_range
            step = 2 * full / 2**core.adc.bits
            code = np.round(raw / step)
            raw = np.clip(code, -(2 ** (core.adc.bits - 1)), 2 ** (core.adc.bits - 1) - 1) * step
        total = total + raw - offset
    return s_x * s_w * total


def reference(core, x, w, numbers):
    """Any dimension numbers: batch elements one by one, free axes flattened."""
    (xc, wc), (xb, wb) = numbers
    xf = [a for a in range(x.ndim) if a not in (*xc, *xb)]
    wf = [a for a in range(w.ndim) if a not in (*wc, *wb)]
    batch, terms = [x.shape[a] for a in xb], int(np.prod([x.shape[a] for a in xc]))
    xs = x.transpose(*xb, *xf, *xc).reshape(int(np.prod(batch)), -1, terms)
    ws = w.transpose(*wb, *wc, *wf).reshape(int(np.prod(batch)), terms, -1)
    ys = np.stack([reference_matrix(core, p, q) for p, q in zip(xs, ws, strict=True)])
    return ys.reshape([*batch, *[x.shape[a] for a in xf], *[w.shape[a] for a in wf]])


@st.composite
def problems(draw):
    """Operands of up to five axes with any pairing of contracted and batch axes, in any order."""
    size = st.integers(1, 4)
    contracted, batch = draw(st.lists(size, max_size=2)), draw(st.lists(size, max_size=2))
    sides = []
    for _ in range(2):
        free = draw(st.lists(size, max_size=2))
        kinds = [("c", i) for i in range(len(contracted))] + [("b", i) for i in range(len(batch))]
        kinds = draw(st.permutations(kinds + [("f", i) for i in range(len(free))]))
        sizes = {"c": contracted, "b": batch, "f": free}
        sides.append(([sizes[k][i] for k, i in kinds], kinds))
    axes = {
        kind: tuple(tuple(kinds.index((kind, i)) for i in range(len(which))) for _, kinds in sides)
        for kind, which in (("c", contracted), ("b", batch))
    }
    seed = draw(st.integers(0, 10_000))
    x, w = (normals(*shape, seed=seed + i) for i, (shape, _) in enumerate(sides))
    return x, w, (axes["c"], axes["b"])


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(problems())
def test_ideal_core_is_lax_dot_general(problem):
    x, w, numbers = problem
    y = pj.optical_dot_general(x, w, numbers, core=IDEAL)
    expected = lax.dot_general(x, w, numbers, precision="highest")
    assert y.shape == expected.shape and y.dtype == expected.dtype
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)  # float32 sums of <= 16 terms


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(problems(), st.sampled_from(["differential", "offset", "homodyne"]))
def test_int8_core_is_the_numpy_pipeline(problem, encoding):
    x, w, numbers = problem
    core = dataclasses.replace(INT8, encoding=encoding)
    y = pj.optical_dot_general(x, w, numbers, core=core)
    expected = reference(core, x, w, numbers)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


FIELDS = [
    {},
    dict(input={"bits": 4}, array={"bits": 6}),
    dict(adc={"bits": 5}),
    dict(adc={"range": 0.2, "bits": 3}),
    dict(input={"scale": "per_tensor"}, array={"scale": "per_tensor"}),
]


class TestConverters(chex.TestCase):
    """Step by step and compiled: XLA rewrites what it compiles."""

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.product(encoding=["differential", "offset"], fields=FIELDS)
    def test_are_those_of_the_numpy_pipeline(self, encoding, fields):
        core = pj.OpticalCore(rows=16, cols=8, encoding=encoding).replace(**fields)
        x, w = normals(40, 50), normals(50, 30, seed=1)
        w[:, 3] = 0
        x[2] = 0
        product = self.variant(functools.partial(pj.optical_dot_general, dimension_numbers=MATRIX))
        y = np.asarray(product(x, w, core=core), np.float64)
        expected = reference_matrix(core, x, w)
        # A sum within float32 rounding of a decision level may fall to the other side: one ADC step.
        step = 2 * core.adc.range * 4 / 2**core.adc.bits
        off = np.abs(y - expected) > 1e-5 * np.abs(expected).max()
        scale = np.abs(x).max(1, keepdims=True) * np.abs(w).max(0, keepdims=True)
        scale = np.broadcast_to(scale if core.input.scale == "per_token" else scale.max(), y.shape)
        assert off.mean() < 0.005 and (np.abs(y - expected)[off] < 1.01 * (step * scale)[off]).all()
        given_range = product(x, w, core=core, adc_range=1.7)
        off = (
            np.abs(given_range - reference_matrix(core, x, w, 1.7)) > 1e-5 * np.abs(expected).max()
        )
        assert off.mean() < 0.005


def test_adc_quantization_noise_and_saturation():
    """Step**2 / 12 for sums spread over many steps, and nothing beyond the range's ends."""
    K = 64
    x, w = normals(500, K), normals(K, 60, seed=1)
    base = IDEAL.replace(rows=K, cols=64)
    scale = np.abs(x).max(1, keepdims=True) * np.abs(w).max(0, keepdims=True)
    p = np.asarray(pj.optical_dot_general(x, w, MATRIX, core=base)) / scale
    full = 1.01 * np.abs(p).max() / np.sqrt(K)
    for bits in (4, 6, 8):
        core = base.replace(adc={"bits": bits, "range": full})
        error = np.asarray(pj.optical_dot_general(x, w, MATRIX, core=core)) / scale - p
        step = 2 * full * np.sqrt(K) / 2**bits
        # 30,000 errors, not quite uniform at 4 bits: their variance scatters by sqrt(0.8/n) = 0.5 %
        assert abs(error.var() / (step**2 / 12) - 1) < 0.05
    core = base.replace(adc={"bits": 6, "range": full / 8})
    y = np.asarray(pj.optical_dot_general(x, w, MATRIX, core=core)) / scale
    end = full / 8 * np.sqrt(K)
    np.testing.assert_allclose([y.min(), y.max()], [-end, end * 31 / 32], rtol=1e-5)
    assert (np.abs(y - np.clip(p, -end, end * 31 / 32)) < 1.001 * end / 64).all()


def test_enob_is_the_whole_converter():
    """Quantization and the added noise together make (2r)**2 4**-ENOB / 12."""
    x, w = normals(2000, 32), normals(32, 20, seed=1)
    core = IDEAL.replace(rows=32, adc={"bits": 8, "enob": 5.3, "range": 2.0})
    scale = np.abs(x).max(1, keepdims=True) * np.abs(w).max(0, keepdims=True)
    y = pj.optical_dot_general(x, w, MATRIX, core=core, key=jax.random.key(1))
    error = np.asarray(y / scale) - reference_matrix(IDEAL, x, w) / scale
    full = 2 * np.sqrt(32)
    # 40,000 samples: 0.7 %
    assert abs(error.var() / ((2 * full) ** 2 * 4.0**-5.3 / 12) - 1) < 0.05
    ideal = core.replace(adc={"enob": 9.0})  # better than its bits: nothing to add
    with_key = pj.optical_dot_general(x, w, MATRIX, core=ideal, key=jax.random.key(1))
    np.testing.assert_array_equal(with_key, pj.optical_dot_general(x, w, MATRIX, core=ideal))


def test_sixteen_bits_are_nearly_none():
    core = IDEAL.replace(input={"bits": 16}, array={"bits": 16}, rows=64)
    x, w = normals(30, 64), normals(64, 20, seed=1)
    y, exact = pj.optical_dot_general(x, w, MATRIX, core=core), x.astype(float) @ w.astype(float)
    # each operand off by at most half of 1/32767 of its full scale, 64 terms at random
    bound = np.abs(x).max(1, keepdims=True) * np.abs(w).max(0) * np.sqrt(64) / 32767
    assert (np.abs(y - exact) < 2 * bound).all()


@pytest.mark.slow
def test_tile_size_and_arithmetic_do_not_matter_without_adc(monkeypatch):
    """Sums of small integers are exact in every arithmetic: the same bits, noise and all."""
    x, w = normals(20, 256), normals(256, 24, seed=1)
    found = {}
    for name in ("int8", "bfloat16", "float32"):
        monkeypatch.setenv("PHOTONJAX_ARITHMETIC", name)
        fixed_point.arithmetic.cache_clear()
        assert fixed_point.arithmetic() == name
        for encoding in ("differential", "offset"):
            core = INT8.replace(
                encoding=encoding,
                rows=256,
                photons=100.0,
                input={"noise": 0.01},
                array={"noise": 0.01},
            )
            y = pj.optical_dot_general(x, w, MATRIX, core=core, key=jax.random.key(0))
            found[name, encoding] = np.asarray(y)
    for (_, encoding), y in found.items():
        np.testing.assert_array_equal(y, found["int8", encoding])
    monkeypatch.setenv("PHOTONJAX_ARITHMETIC", "int4")
    fixed_point.arithmetic.cache_clear()
    with pytest.raises(ValueError, match="PHOTONJAX_ARITHMETIC = 'int4'"):
        fixed_point.arithmetic()
    monkeypatch.delenv("PHOTONJAX_ARITHMETIC")
    fixed_point.arithmetic.cache_clear()
    base = np.asarray(
        pj.optical_dot_general(x, w, MATRIX, core=dataclasses.replace(INT8, rows=256))
    )
    for rows in (1, 7, 64, 1024):
        y = pj.optical_dot_general(x, w, MATRIX, core=dataclasses.replace(INT8, rows=rows))
        # exact but for p / 127**2 and the running total, each rounded once per tile
        np.testing.assert_allclose(
            y, base, rtol=0, atol=2**-24 * 256 / rows * np.abs(base).max() + 4e-6
        )


def test_long_tiles_stay_exact():
    """127**2 * 4,096 is beyond what float32 counts: the carrier must be int8."""
    assert fixed_point.carrier(127, 127, 4096) == jnp.int8
    x = np.ones((1, 4096), np.float32)
    w = np.ones((4096, 2), np.float32)
    w[0, 1] = -1 / 127
    core = dataclasses.replace(INT8, rows=4096)
    np.testing.assert_array_equal(
        pj.optical_dot_general(x, w, MATRIX, core=core)[0],
        np.float32([4096 * 127**2, 4095 * 127**2 - 127]) * np.float32(1 / 127**2),
    )


@pytest.mark.parametrize("encoding", ["differential", "homodyne"])
def test_sign_symmetry(encoding):
    x, w = normals(6, 11), normals(11, 5, seed=1)
    core = dataclasses.replace(INT8, encoding=encoding)
    y = pj.optical_dot_general(x, w, MATRIX, core=core)
    np.testing.assert_array_equal(pj.optical_dot_general(-x, w, MATRIX, core=core), -y)
    np.testing.assert_array_equal(pj.optical_dot_general(x, -w, MATRIX, core=core), -y)
    np.testing.assert_array_equal(pj.optical_dot_general(4 * x, w / 2, MATRIX, core=core), 2 * y)
