"""Inputs against closed forms: noise common to the columns, memory, floor and dither, a fixed range."""

import jax
import numpy as np
import pytest
from closed_forms import CLOSE, NUMBERS, outputs
from scipy import integrate

import photonjax as pj

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

ENCODINGS = ["differential", "offset", "homodyne", "quadrature"]
# Off their levels, values are carried to 1/8128 (8 bits) or 1/7168 (4 bits) of full scale.
HALF_STEP = 0.5 / 7168
ANALOG = pj.OpticalCore(
    rows=32, cols=2, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)


@jax.jit
def product(core, x, w, key=None):
    return pj.optical_dot_general(x, w, NUMBERS, core=core, key=key)


def operands(K, N=4, bits=None, seed=0):
    """A token and a matrix of full scale 1, on the grid of ``bits``."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-1, 1, K), rng.uniform(-1, 1, (K, N))
    a[0], b[0] = 1, (-1) ** np.arange(N)
    if bits is not None:
        q = 2 ** (bits - 1) - 1
        a, b = np.round(a * q) / q, np.round(b * q) / q
    return a, b


def assert_moments(found, mean, covariance, resolution=1e-5):
    """Sample means and normalised covariances of columns within five standard errors; tokens independent."""
    sigma = np.sqrt(np.diag(covariance))
    assert (np.abs(found.mean(0) - mean) < 5 * sigma / np.sqrt(len(found)) + resolution).all()
    scale = np.outer(sigma, sigma)
    np.testing.assert_allclose(np.cov(found.T) / scale, covariance / scale, atol=CLOSE)
    error = (found - mean) / sigma
    assert np.abs(error[1:].T @ error[:-1]).max() < 5 * np.sqrt(len(error))


# K, bits, input_noise, input_relative_noise, channel_rin_db_hz, symbol_rate_hz. 48 inputs are two k-tiles.
POINTS = [
    (8, None, (0.05, 0.0, -250.0, 1e9)),
    (8, None, (0.0, 0.08, -250.0, 1e9)),
    (8, None, (0.0, 0.0, -120.0, 1e10)),
    (48, None, (0.02, 0.03, -125.0, 5e9)),
    (48, None, (0.0, 0.01, -118.0, 1e8)),
    (48, 8, (0.003, 0.0, -250.0, 1e9)),
    (48, 8, (0.0, 0.02, -130.0, 1e10)),
    (48, 8, (0.01, 0.05, -140.0, 1e9)),
    (8, 4, (0.02, 0.0, -130.0, 1e9)),
    (8, 4, (0.01, 0.01, -110.0, 1e7)),
]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_input_noise_is_common_to_the_columns(encoding):
    """Covariance of columns n, n': sum_k var(a_k) w_kn w_kn'; on one rail the bias of b is lit as well."""
    for seed, (K, bits, (fixed, relative, rin, rate)) in enumerate(POINTS):
        a, b = operands(K, bits=bits, seed=seed)
        core = ANALOG.replace(encoding=encoding, input={"bits": bits}, array={"bits": bits})
        core = core.replace(input={"noise": fixed, "relative_noise": relative})
        core = core.replace(source={"channel_rin_db_hz": rin}, symbol_rate_hz=rate)
        lit, seen = (1 + a, 1 + b) if encoding == "offset" else (a, b)
        variance = fixed**2 + (relative**2 + 10 ** (rin / 10) * rate / 2) * lit**2
        covariance = seen.T @ (variance[:, None] * seen)
        assert_moments(outputs(core, a, b, seed), (a[:, None] * b).sum(0), covariance)


@pytest.mark.parametrize(
    "source", ["input.noise", "input.relative_noise", "source.channel_rin_db_hz"]
)
def test_each_source_alone(source):
    """The same closed forms with nothing else in the program, by either sampler."""
    a, b = operands(8)
    for seed, (level, sampler) in enumerate([(0, "mixed"), (1, "mixed"), (2, "threefry")]):
        value = (-130.0, -120.0, -115.0)[level] if "rin" in source else (0.01, 0.04, 0.1)[level]
        core = ANALOG.replace(sampler=sampler, **{source: value})
        variance = {
            "input.noise": value**2 * np.ones(8),
            "input.relative_noise": (value * a) ** 2,
            "source.channel_rin_db_hz": 10 ** (value / 10) * 5e8 * a**2,
        }[source]
        covariance = b.T @ (variance[:, None] * b)
        assert_moments(outputs(core, a, b, seed), (a[:, None] * b).sum(0), covariance)


@pytest.mark.parametrize("extinction", [100.0, 20.0, 10.0, 6.0])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_channel_of_its_own_line_is_a_laser_of_one_channel(encoding, extinction):
    """One input only: its line is all the light there is, leaks included."""
    core = ANALOG.replace(encoding=encoding, input={"extinction_db": extinction})
    a, b, rin = np.ones(1), np.array([[1.0, 1.0]]), -115.0
    h = 1 / (10 ** (extinction / 10) - 1)
    c = 1 + 2 * h if encoding == "offset" else 0.0
    covariance = 10 ** (rin / 10) * 5e8 * np.full((2, 2), (1 + c) ** 4)
    for source in ("source.rin_db_hz", "source.channel_rin_db_hz"):
        found = outputs(core.replace(**{source: rin}), a, b)
        assert_moments(found, np.ones(2), covariance)


def drawn_symbols(T, K, seed=0):
    x = np.random.default_rng(seed).uniform(-1, 1, (T, K))
    x[:, 0] = 1
    return x


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_symbol_remembers_the_one_before(encoding):
    """The mean over a symbol of ``da/dt = 2 pi B (drive - a)``, integrated numerically, from the last
    drive; the first symbol starts from 0. 40 inputs are two k-tiles."""
    x, b = drawn_symbols(6, 40), operands(40)[1]
    core = ANALOG.replace(encoding=encoding, input={"bandwidth_hz": 1e9})
    weight = 1 + b if encoding == "offset" else b  # bias of b is lit by what a adds
    before = np.concatenate([np.zeros((1, 40)), x[:-1]])
    for bandwidth, rate in ((2e8, 1e9), (1e9, 1e9), (3e9, 1e9), (1e10, 5e9), (1e11, 1e9)):
        decay = lambda s, x=2 * np.pi * bandwidth / rate: np.exp(-x * s)
        memory = integrate.quad(decay, 0, 1)[0]
        expected = x @ b + memory * (before - x) @ weight
        point = core.replace(input={"bandwidth_hz": bandwidth}, symbol_rate_hz=rate)
        found = product(point, x.astype("f4"), b.astype("f4"))
        np.testing.assert_allclose(found, expected, atol=3e-5)


@pytest.mark.parametrize("bits", [8, 4])
def test_memory_of_converted_symbols(bits):
    """What is remembered is the converted value, finer than the converter's grid."""
    q = 2 ** (bits - 1) - 1
    x, b = drawn_symbols(5, 16, seed=1), operands(16, bits=bits)[1]
    core = ANALOG.replace(input={"bits": bits, "bandwidth_hz": 4e8}, array={"bits": bits})
    a = np.round(x * q) / q
    argument = 2 * np.pi * 0.4
    memory = (1 - np.exp(-argument)) / argument
    before = np.concatenate([np.zeros((1, 16)), a[:-1]])
    found = product(core, x.astype("f4"), b.astype("f4"))
    expected = (a + memory * (before - a)) @ b
    np.testing.assert_allclose(found, expected, atol=16 * HALF_STEP)


def test_noise_is_not_remembered():
    """Drive noise would be; the modulator's own is not: symbols stay independent and unfiltered."""
    a, b = operands(8)
    core = ANALOG.replace(input={"noise": 0.05, "bandwidth_hz": 5e8})
    found = outputs(core, a, b)[1:]  # from the second symbol on all are alike
    assert_moments(found, (a[:, None] * b).sum(0), 0.05**2 * b.T @ b)


@pytest.mark.parametrize("sampler", ["mixed", "threefry"])
@pytest.mark.parametrize("bits", [None, 8, 4])
def test_dithered_inputs_are_right_on_average(bits, sampler):
    """Magnitudes below the floor e become +-e: mean a, variance e**2 - a**2, common to the columns."""
    K = 12
    rng = np.random.default_rng(5)
    core = ANALOG.replace(input={"bits": bits}, array={"bits": bits}, sampler=sampler)
    core = core.replace(input={"extinction_db": 10.0, "extinction": "dither"})
    b = operands(K)[1]
    b = np.where(
        np.abs(b) > 0.5, np.sign(b), np.sign(b) * 3 / 7
    )  # cells stay above their own floor
    if bits == 8:
        b = np.round(b * 127) / 127
    for seed, extinction in enumerate((5.0, 8.0, 10.0, 13.0)):
        e = 10 ** (-extinction / 10)
        a = rng.uniform(-1.5 * e, 1.5 * e, K)
        a[:3] = 1, 0, -1
        if bits is not None:
            a = np.round(a * (2 ** (bits - 1) - 1)) / (2 ** (bits - 1) - 1)
        below = np.abs(a) < e
        assert below.sum() > 3 and not below.all()
        covariance = b.T @ (np.where(below, e**2 - a**2, 0)[:, None] * b)
        point = core.replace(input={"extinction_db": extinction})
        p = (a[:, None] * b).sum(0)
        assert_moments(outputs(point, a, b, seed), p, covariance, resolution=K * HALF_STEP)
        silent = product(point, np.asarray(a, "f4")[None], b.astype("f4"))
        np.testing.assert_allclose(silent[0], p, atol=1e-5)  # without a key: their mean


@pytest.mark.parametrize("bits", [None, 8, 4])
def test_small_inputs_at_the_floor(bits):
    q = 1 if bits is None else 2 ** (bits - 1) - 1
    x = drawn_symbols(30, 16, seed=2)
    x[0, 1] = 0.0  # a rail is on, and passes the floor
    x[1, 2] = -1e-6
    core = ANALOG.replace(input={"bits": bits}, array={"bits": bits}, rows=16)
    core = core.replace(input={"extinction_db": 10.0, "extinction": "floor"})
    eye = np.eye(16, dtype="f4")
    a = x if bits is None else np.round(x * q) / q
    for extinction in (3.0, 6.0, 10.0, 20.0):
        # the weights' cells have a floor of their own: where b = 0, +e lands beside the diagonal
        e = 10 ** (-extinction / 10)
        held = np.where(eye > 0, 1.0, e)
        floored = np.where(np.abs(a) < e, np.where(a >= 0, e, -e), a)
        point = core.replace(input={"extinction_db": extinction})
        found = product(point, x.astype("f4"), eye, jax.random.key(1))
        # errors of 16 inputs, and of 16 weights of which one is not small
        atol = 1e-5 if bits is None else 32 * HALF_STEP
        np.testing.assert_allclose(found, floored @ held, atol=atol)


@pytest.mark.parametrize("bits", [None, 8, 4, 2])
def test_a_fixed_input_range_clips(bits):
    core = ANALOG.replace(input={"bits": bits, "scale": "static", "range": 1.0})
    x = np.random.default_rng(0).normal(size=(20, 24)) * 3
    b = operands(24)[1]
    x32, w = x.astype("f4"), b.astype("f4")
    for limit in (0.5, 2.0, 3.0, 20.0):
        q = 1 if bits is None else 2 ** (bits - 1) - 1
        u = np.clip(x32.astype("f8") / limit, -1, 1) * q
        expected = limit * (u if bits is None else np.round(u)) / q @ b
        found = product(core.replace(input={"range": limit}), x32, w)
        np.testing.assert_allclose(found, expected, atol=2e-5 * limit)
        per_call = pj.optical_dot_general(x32, w, NUMBERS, core=core, input_range=limit)
        np.testing.assert_allclose(per_call, expected, atol=2e-5 * limit)
    unknown = core.replace(input={"range": None})
    with pytest.raises(ValueError, match="input range"):
        product(unknown, x32, w)


@pytest.mark.parametrize("bits", [None, 8, 3])
def test_gradients_of_a_fixed_input_range(bits):
    """In x: that of the identity inside, zero outside. In the range: +-1 where an input is clipped, and
    inside the rounding error that it scales."""
    x = np.array([[0.3, -1.9, 2.1, -2.5, 0.0, 7.0]], "f4")
    w = np.array([[1.0], [-0.5], [0.25], [1.0], [0.5], [-1.0]], "f4")
    limit = 2.0
    q = 1 if bits is None else 2 ** (bits - 1) - 1
    core = ANALOG.replace(input={"bits": bits, "scale": "static", "range": limit})

    def total(x, core):
        return product(core, x, w).sum()

    of_x, of_core = jax.grad(total, (0, 1))(x, core)
    inside = np.abs(x) <= limit
    np.testing.assert_allclose(of_x, inside * w.T, atol=1e-6)
    u = x / limit * q
    rounding = np.zeros_like(u) if bits is None else (np.round(u) - u) / q
    expected = (np.where(inside, rounding, np.sign(x)) * w.T).sum()
    np.testing.assert_allclose(of_core.input.range, expected, atol=1e-5)


@pytest.mark.parametrize("slices", [1, 2])
def test_effective_bits_of_the_inputs_converters(slices):
    """``4 (4**-e - 4**-b) / 12`` at each input of each pass, the same for all columns of a symbol."""
    core = ANALOG.replace(input={"bits": 8, "slices": slices, "enob": 3.0})
    q, worths = (127, [1.0]) if slices == 1 else (119, [8 / 119, 128 / 119])
    rng = np.random.default_rng(5)
    a, b = rng.integers(-q, q + 1, 8) / q, rng.uniform(-1, 1, (8, 4))
    a[0], b[0] = 1, (-1) ** np.arange(4)
    digit = 8 // slices
    for seed, enob in enumerate((2.0, 3.5, 7.5)):
        found = outputs(core.replace(input={"enob": enob}), a, b, seed)
        missing = max(4.0**-enob - 4.0**-digit, 0) * 4 / 12 * sum(w**2 for w in worths)
        if missing == 0:  # more effective bits than bits
            np.testing.assert_allclose(found, np.broadcast_to(a @ b, found.shape), atol=1e-3)
        else:
            assert_moments(found, a @ b, missing * b.T @ b, resolution=1e-3)


def test_nonlinearity_of_the_inputs_converters():
    """Each input bends by ``inl_lsb sin(pi c / 127)`` levels, up or down for all weights of a die."""
    core = ANALOG.replace(
        rows=6, input={"bits": 8, "inl_lsb": 1.0, "scale": "static", "range": 1.0}
    )
    levels, q = np.arange(-127, 128), 127
    x, w = np.zeros((12, len(levels), 12), "f4"), np.eye(12, dtype="f4")
    for k in range(12):
        x[k, :, k] = levels / q
    read = lambda core: np.stack(  # what input k makes of each level
        [
            np.asarray(product(core, x.reshape(-1, 12), w)).reshape(12, -1, 12)[k, :, k]
            for k in range(12)
        ]
    )
    for inl in (0.5, 3.0):
        bend = read(core.replace(input={"inl_lsb": inl})) * q - levels
        shape = inl * np.sin(np.pi * levels / q)
        signs = np.sign(bend[:, 190])
        np.testing.assert_allclose(
            bend, signs[:, None] * shape, atol=0.02
        )  # carried to 1/64 of a level
        np.testing.assert_array_equal(signs[:6], signs[6:])  # k-tiles pass the same modulators
    dies = [
        np.sign(read(core.replace(chip_seed=seed))[:6, 190] * q - levels[190]) for seed in range(4)
    ]
    assert 4 <= (np.array(dies) > 0).sum() <= 20  # of 24
