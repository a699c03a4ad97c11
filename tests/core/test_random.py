"""The samplers: bits, distribution, independence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special, stats

import photonjax as pj
from photonjax.core import random


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (4, 1, 6), (0, 3), (257, 129)])
def test_normal_is_that_of_jax(shape):
    for key in (jax.random.key(0), jax.random.key(2**31), jax.random.PRNGKey(3)):
        expected = jax.random.normal(key, shape)
        # One program each: XLA contracts multiply-adds in one and not step by step.
        found = jax.jit(functools.partial(random.normal, shape=shape))(key)
        np.testing.assert_array_equal(found, expected)


def test_normal_errors():
    with pytest.raises(ValueError, match=r"2\*\*32"):
        random.normal(jax.random.key(0), (65536, 65536))
    with pytest.raises(ValueError, match="expected one key"):
        random.mixed_normal(jax.random.split(jax.random.key(0)), 2, 2)


@pytest.fixture(scope="module")
def many():
    """Eight tiles of 2,048 x 2,048: 3.4e7 deviates."""
    return np.stack(jax.jit(lambda k: random.mixed_normal(k, 2048, 2048, 8))(jax.random.key(11)))


def test_moments(many):
    """Of n normal draws: mean +- 1/sqrt n, variance +- sqrt(2/n), skew +- sqrt(6/n), kurtosis +-
    sqrt(24/n); five of each. The deviates' own error of 2e-4 is odd and mostly smaller."""
    n = many.size
    z = many.astype(np.float64).ravel()
    square = z * z
    moments = [z.mean(), square.mean() - 1, (square * z).mean(), (square * square).mean() - 3]
    for value, spread in zip(moments, (1, 2, 15, 96), strict=True):
        assert abs(value) < 5 * np.sqrt(spread / n)


def test_tails(many):
    """Counts beyond each threshold are binomial: a probability below 1e-5 each is a failure."""
    magnitude = np.abs(many).ravel()
    for threshold in (1.0, 2.0, 3.0, 3.5, 4.0, 4.25, 4.5, 4.75):
        p = 2 * stats.norm.sf(threshold)
        seen = int((magnitude > threshold).sum())
        law = stats.binom(magnitude.size, p)
        assert min(law.cdf(seen), law.sf(seen - 1)) > 1e-5, (threshold, seen, law.mean())
    assert magnitude.max() < 5.5


def test_distribution(many):
    assert stats.kstest(many[0].ravel()[::4], "norm").pvalue > 1e-3


def test_rows_and_columns_are_independent(many):
    """Singular values of an [m, n] matrix of independent unit normals lie within the Marchenko-
    Pastur edges (sqrt m +- sqrt n), which fluctuate by n**(-1/3)-ish (Tracy-Widom)."""
    for tile in (many[0, :1024, :256], many[3, 1000:1256, 1024:], many[7, ::8, ::2]):
        m, n = tile.shape
        singular = np.linalg.svd(tile.astype(np.float64), compute_uv=False)
        top, bottom = np.sqrt(m) + np.sqrt(n), abs(np.sqrt(m) - np.sqrt(n))
        assert abs(singular.max() / top - 1) < 0.02 and abs(singular.min() / bottom - 1) < 0.05
        off = np.corrcoef(tile if m < n else tile.T) - np.eye(min(m, n))
        assert np.abs(off).max() < 6 / np.sqrt(max(m, n))


def test_quads_tiles_keys_and_streams_are_independent(many):
    """A row word and a column word make each element: no product over a rectangle may show it."""
    a = many[0]
    bound = 5 / np.sqrt(a.size / 4)  # products of independent unit normals have variance 1
    for dr, dc in ((1, 1), (2, 1), (64, 64), (1, 1024), (1024, 1024)):
        quad = a[:-dr, :-dc] * a[dr:, :-dc] * a[:-dr, dc:] * a[dr:, dc:]
        assert abs(quad.mean()) < 2 * bound  # neighbouring quads share elements
        square = (np.abs(a) - np.sqrt(2 / np.pi))[: a.shape[0] - dr]
        pair = square[:, :-dc] * (np.abs(a) - np.sqrt(2 / np.pi))[dr:, dc:]
        assert abs(pair.mean()) < bound
    for t in range(1, 8):
        assert abs((a * many[t]).mean()) < bound
        assert abs((a[:1024, :1024] * many[t, :1024, :1024].T).mean()) < 2 * bound
    small = lambda key: np.asarray(random.mixed_normal(key, 512, 512)[0])
    keys = [jax.random.key(0), jax.random.key(1)]
    keys += [jax.random.fold_in(jax.random.key(0), i) for i in range(4)]
    draws = np.stack([small(key).ravel() for key in keys])
    assert np.abs(np.corrcoef(draws) - np.eye(len(keys))).max() < 5 / 512
    words = random.random_words(jax.random.key(0), 64, stream=0, sets=2)
    other = random.random_words(jax.random.key(0), 64, stream=1, sets=2)
    assert len(np.unique(np.concatenate([words.ravel(), other.ravel()]))) == 2 * words.size


@pytest.mark.slow
def test_an_element_does_not_depend_on_the_shape():
    key = jax.random.key(5)
    large = random.mixed_normal(key, 300, 200, 3)
    for rows, cols, tiles in ((1, 1, 1), (7, 200, 2), (300, 13, 3), (128, 64, 1)):
        for t, tile in enumerate(random.mixed_normal(key, rows, cols, tiles)):
            np.testing.assert_array_equal(tile, large[t][:rows, :cols])
    words = random.random_words(key, 9, stream=1, sets=4)
    np.testing.assert_array_equal(random.random_words(key, 5, stream=1, sets=2), words[:2, :, :5])


def exact_inverse(bits):
    """The 24-bit uniform's exact deviate; tails through the complement, to keep their digits."""
    v = ((bits.view(np.int32) >> 8).astype(np.float64) + 0.5) * 2.0**-23
    return np.sign(v) * -special.ndtri((1 - np.abs(v)) / 2)


def test_inverse_normal_over_the_whole_range():
    ends = np.arange(2**16, dtype=np.uint32) << 8  # every 24-bit pattern near 0 and both ends
    patterns = [ends, ends + np.uint32(0x7F0000 << 8), ends + np.uint32(0x800000 << 8), ends[::-1]]
    patterns += [np.arange(0, 2**32, 4099, dtype=np.int64).astype(np.uint32)]
    bits = np.concatenate(patterns)
    found = np.asarray(random.inverse_normal(jnp.asarray(bits)), np.float64)
    error = found - exact_inverse(bits)
    print(f"largest error {np.abs(error).max():.2e} sigma, largest deviate {found.max():.3f}")
    assert np.abs(error).max() <= 1e-4 and np.abs(found).max() <= 5.42
    np.testing.assert_array_equal(found, -np.asarray(random.inverse_normal(jnp.asarray(~bits))))
    low = np.asarray(random.inverse_normal(jnp.asarray(bits | np.uint32(0xFF))))
    np.testing.assert_array_equal(low, found)  # the low byte is not read


@pytest.mark.parametrize("shape", [(4096,), (33, 1), (40, 12), (7, 5), (1,)])
def test_a_compiled_deviate_is_that_of_single_steps(shape):
    """No product is left to be fused with an addition in one program and not in another."""
    bits = jax.random.bits(jax.random.key(2), shape)
    compiled = jax.jit(random.inverse_normal)(bits)
    np.testing.assert_array_equal(compiled, random.inverse_normal(bits))


def minimax(design, target, weight):
    """Coefficients c that minimise max |weight (design c - target)|, by linear programming."""
    matrix, count = weight[:, None] * design, design.shape[1]
    slack = np.ones((len(target), 1))
    found = optimize.linprog(
        np.append(np.zeros(count), 1),
        A_ub=np.block([[matrix, -slack], [-matrix, -slack]]),
        b_ub=np.concatenate([weight * target, -weight * target]),
        bounds=[(None, None)] * count + [(0, None)],
    )
    return found.x[:-1], found.x[-1]


def test_the_fits_of_inverse_normal():
    """Refit both approximations from nothing; the constants in the source are those found here."""
    t = np.linspace(0, 1, 1001)
    bend, error = minimax(
        (t * (1 - t))[:, None] * t[:, None] ** np.arange(4), np.log2(1 + t) - t, t**0
    )
    assert error < 2e-5
    np.testing.assert_allclose(random._BEND, bend, rtol=1e-3)

    v = np.unique(
        np.concatenate([1 - np.geomspace(2.0**-24, 1, 1500), np.linspace(1e-3, 0.9, 300)])
    )
    v = v[v > 0]
    deviate, w = -special.ndtri((1 - v) / 2), -np.log2((1 - v) * (1 + v))
    powers = w[:, None] ** np.arange(4)
    units = 10.0 ** -np.arange(4)  # so that the program's numbers are of one size
    bottom = np.ones_like(v)
    for _ in range(12):  # the error of a ratio, linearised about the last denominator
        design = np.hstack(
            [v[:, None] * powers * units, -(deviate[:, None] * powers * units)[:, 1:]]
        )
        c, error = minimax(design, deviate, 1 / bottom)
        bottom = powers @ np.append(1, c[4:] * units[1:])
    assert error < 4e-5
    np.testing.assert_allclose(random._TOP, c[:4] * units, rtol=1e-3)
    np.testing.assert_allclose(random._BOTTOM[1:], c[4:] * units[1:], rtol=1e-3)


def test_keys_of_every_kind_are_threefry_keys():
    """Raw words as they are; further words count; the default implementation does not."""
    typed = jax.random.key(5, impl="threefry2x32")
    words = jax.random.key_data(typed)
    for same in (typed, words, jax.random.wrap_key_data(words, impl="threefry2x32")):
        assert (random.as_threefry(same) == typed).all()
    seen = set()
    for impl in ("rbg", "unsafe_rbg"):
        for seed in range(4):
            for child in (
                jax.random.key(seed, impl=impl),
                *jax.random.split(jax.random.key(seed, impl=impl)),
            ):
                made = random.as_threefry(child)
                assert made.dtype == typed.dtype
                assert (
                    made == random.as_threefry(jax.random.key_data(child))
                ).all()  # raw ones too
                seen.add((impl, tuple(np.asarray(jax.random.key_data(made)).tolist())))
    assert len(seen) == 2 * 4 * 3
    last = jax.random.wrap_key_data(jnp.uint32([1, 2, 3, 4]), impl="rbg")
    other = jax.random.wrap_key_data(jnp.uint32([1, 2, 3, 5]), impl="rbg")
    assert (random.as_threefry(last) != random.as_threefry(other)).all()
    before = jax.config.jax_default_prng_impl
    try:
        for impl in ("rbg", "unsafe_rbg"):
            jax.config.update("jax_default_prng_impl", impl)
            assert (random.new_key(5) == typed).all()
    finally:
        jax.config.update("jax_default_prng_impl", before)


@pytest.mark.parametrize(
    "key, error, text",
    [
        (3, TypeError, "key = 3 is not a key; make one with jax.random.key"),
        (np.float32([1, 2]), TypeError, "is not a key"),
        (np.uint32(1), TypeError, "is not a key"),
        (np.uint32([1]), ValueError, "expected two words of 32 bits or more, got 1"),
        (np.zeros((3, 2), np.uint32), ValueError, r"expected one key, got an array of shape \(3, 2\)"),
    ],
)  # fmt: skip
def test_what_is_no_key(key, error, text):
    with pytest.raises(error, match=text):
        random.as_threefry(key)
    with pytest.raises(error, match=text):  # needed or not
        pj.optical_matmul(
            jnp.ones((2, 3)), jnp.ones((3, 2)), core=pj.OpticalCore(rows=4, cols=4), key=key
        )
