"""What must hold of the product whatever the numbers: symmetries, invariances, limits, monotony."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import LEAVES, MEANINGLESS
from hypothesis import given, settings
from hypothesis import strategies as st

import photonjax as pj

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

MATRIX = (((1,), (0,)), ((), ()))
KEY = jax.random.key(7)
equal, near = np.testing.assert_array_equal, np.testing.assert_allclose
M, K, N = 5, 20, 7
X = jax.random.normal(jax.random.key(0), (M, K))
W = jax.random.normal(jax.random.key(1), (K, N))
ENCODINGS = ["differential", "offset", "homodyne", "quadrature"]
BALANCED = ["differential", "homodyne", "quadrature"]
IDEAL = pj.OpticalCore(
    rows=8, cols=4, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
INT8 = pj.OpticalCore(rows=8, cols=4, adc={"bits": None})
DIE = dict(
    array={
        "noise": 0.02, "seconds_since_programming": 1e4, "drift_exponent": 0.02, "drift_spread": 0.01,
        "flicker_noise": 0.01, "dead_fraction": 0.1, "stuck_fraction": 0.1, "crosstalk_rows": 0.03,
        "crosstalk_cols": 0.02,
    },
    receiver={"gain_error": 0.05},
)  # fmt: skip
# What multiplies weights, takes them away or spreads them is the same for both signs.
EVEN = DIE | {"array": {**DIE["array"], "noise": None, "stuck_fraction": None}}


def product(x, w, core, key=None, **options):
    y = pj.optical_dot_general(x, w, MATRIX, core=core, key=key, **options)
    return np.asarray(y)


def change(core, **fields):
    return core.replace(**fields)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", [None, 8, 12])
@settings(max_examples=5, deadline=None)
@given(st.integers(-40, 40), st.integers(-40, 40))
def test_homogeneous_under_powers_of_two(encoding, bits, i, j):
    """Bit for bit, with every error of the die, light noise and ADC: all of it is relative."""
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
    x, w = X * 2.0**i, W * 2.0**j
    equal(product(x, w, core, KEY), product(X, W, core, KEY) * np.float32(2.0 ** (i + j)))


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
    "slices": dict(input={"slices": 2}, array={"slices": 3}),
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


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("statistics", ["gaussian", "poisson"])
def test_more_photons_less_error(encoding, statistics):
    if (encoding, statistics) == ("quadrature", "poisson"):
        return  # an oscillator's photons are not counted
    exact = product(X, W, change(INT8, encoding=encoding))
    core = change(INT8, encoding={"kind": encoding, "photon_statistics": statistics}, photons=1.0)
    keys = jax.random.split(KEY, 8)
    run = jax.jit(jax.vmap(lambda m, key: product_of(change(core, photons=m), key), (None, 0)))
    errors = [rms(run(m, keys) - exact) for m in (1.0, 10.0, 100.0, 1e3)]
    ratios = np.divide(errors[:-1], errors[1:])
    # Gaussian: the same draws, sqrt(10) but for rounding. Counts: 280 samples, each ratio to 6 %.
    near(ratios, np.sqrt(10), rtol=1e-3 if statistics == "gaussian" else 0.25)


def product_of(core, key):
    return pj.optical_dot_general(X, W, MATRIX, core=core, key=key)


@pytest.mark.parametrize("field, base", [
    ("input.bits", {}), ("array.bits", {}), ("adc.bits", dict(adc={"range": 2.0})),
    ("adc.enob", dict(adc={"bits": 16, "range": 2.0})),
])  # fmt: skip
def test_more_bits_less_error(field, base):
    """Error goes with the step: of 2**(bits - 1) - 1 levels each way, of 2**bits codes of an ADC."""
    x = jax.random.normal(jax.random.key(2), (64, K))
    core, exact = change(IDEAL, **base), np.asarray(x) @ np.asarray(W)
    keys = jax.random.split(KEY, 4) if field == "adc.enob" else [None]
    bits = range(4, 9)
    cores = [change(core, **{field: b}) for b in bits]
    errors = [rms([product(x, W, core, key) - exact for key in keys]) for core in cores]
    operand = field in ("input.bits", "array.bits")
    steps = [1 / (2 ** (b - 1) - 1) if operand else 2.0**-b for b in bits]
    ratios = np.divide(errors[:-1], errors[1:])
    # 448 outputs of 20 or 3 rounding errors each: some 5 % a ratio
    near(ratios, np.divide(steps[:-1], steps[1:]), rtol=0.15)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 16), st.integers(-20, 20), st.integers(0, 2**31))
def test_digitising_twice_is_digitising_once(bits, exponent, seed):
    core, full = change(IDEAL, adc={"bits": bits}), 3.0 * 2.0**exponent
    raw = jnp.float32(np.random.default_rng(seed).normal(size=(9, 30)) * full)
    codes, step = core.adc.digitise(raw, full, None)
    once = codes * step
    equal(core.adc.digitise(once, full, None)[0], codes)
    assert len(np.unique(once)) <= 2**bits and -full <= once.min() and once.max() < full
    inside, half_a_step = np.abs(raw) < full * (1 - 2.0**-bits), full * 2.0**-bits
    assert (np.abs(once - raw)[inside] <= half_a_step + full * 2.0**-22).all()  # float32


def test_digitising_with_a_bent_converter_twice_bends_twice():
    core, codes = change(IDEAL, adc={"bits": 8, "inl_lsb": 3.0}), jnp.arange(-128.0, 128.0)[None]
    once, step = core.adc.digitise(codes, 128.0, 1.0)
    assert step == 1 and (core.adc.digitise(once, 128.0, 1.0)[0] != once).any()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_balanced_leak_adds_noise_and_no_mean(encoding):
    core = change(INT8, encoding=encoding, photons=10.0)
    leaky = change(core, input={"extinction_db": 6.0})
    mean, clean = product(X, W, leaky), product(X, W, core)
    if encoding == "offset":  # subtracted with the sums that it scales: rounding is left
        near(mean, clean, rtol=0, atol=2e-5)
    else:
        equal(mean, clean)
    more = rms(product(X, W, leaky, KEY) - mean) / rms(product(X, W, core, KEY) - clean)
    assert more > 1.1 if encoding != "quadrature" else more == 1  # a leak out of phase is not seen


def test_dither_is_right_on_average():
    core = change(IDEAL, input={"extinction_db": 10.0, "extinction": "dither"})
    w, keys = jnp.ones((K, 2)), jax.random.split(KEY, 4000)
    exact = np.asarray(X @ w)
    run = jax.jit(jax.vmap(lambda key: pj.optical_dot_general(X, w, MATRIX, core=core, key=key)))
    many = np.asarray(run(keys), np.float64)
    error = np.abs(many.mean(0) - exact) / (many.std(0) / np.sqrt(len(keys)))
    assert many.std() > 0.1 and error.max() < 4.5  # of 5 independent tokens
    near(product(X, w, core), exact, rtol=1e-5, atol=1e-5)  # no key: its mean


ZEROS = {
    name: 0.0 for name, f in LEAVES.items() if f.default is None and f.metadata.get("low") == 0
}
BEYOND = dict(
    source={"rin_db_hz": -250.0, "channel_rin_db_hz": -250.0},
    input={"extinction_db": 100.0, "bandwidth_hz": 1e18},
)


def possible(fields, encoding):
    return {n: v for n, v in fields.items() if n not in MEANINGLESS[encoding]}


@pytest.mark.parametrize("bits", [8, 4, None])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_errors_of_nought_are_none(encoding, bits):
    """Every field that may be 0, at 0, is as good as absent, bit for bit, with and without noise."""
    assert len(ZEROS) >= 17
    core = change(
        INT8,
        encoding=encoding,
        input={"bits": bits},
        array={"bits": bits},
        adc={"bits": 8},
        photons=9.0,
    )
    fields = possible(ZEROS, encoding) | {"receiver.outlier_ratio": 3.0}  # which its fraction needs
    if bits is None:
        del fields["input.inl_lsb"]
    idle = change(core, **fields)
    for key in (None, KEY):
        equal(product(X, W, idle, key), product(X, W, core, key))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_errors_too_small_to_see(encoding):
    """Sources that cannot be zero, at the far end of what is allowed: within rounding, without an ADC."""
    core = change(INT8, encoding=encoding, photons=100.0)
    for key in (None, KEY):
        y = product(X, W, core, key)
        # Detectors that may saturate fluctuate one by one: other draws with a key.
        limit = {"receiver.saturation_electrons": 1e9} if key is None else {}
        far = change(core, **BEYOND, **possible(limit, encoding))
        near(product(X, W, far, key), y, rtol=0, atol=1e-5 * rms(y))
    whole = change(core, adc={"bits": 8})  # an ADC with more effective bits than bits adds nothing
    equal(product(X, W, change(whole, adc={"enob": 20.0}), KEY), product(X, W, whole, KEY))
    for name in ("sin2", "lorentzian"):  # looked up and continuous, any curve is straight
        curve = dict(
            input={"curve": name, "resonance_detuning": 4.0},
            array={"curve": name, "resonance_detuning": 4.0},
        )
        near(product(X, W, change(IDEAL, encoding=encoding, **curve)), X @ W, rtol=1e-5, atol=1e-5)
