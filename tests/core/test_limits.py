"""What must hold of the product whatever the numbers: limits, monotony, averages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import LEAVES, MEANINGLESS
from hypothesis import given, settings
from hypothesis import strategies as st
from small_product import (
    ENCODINGS,
    IDEAL,
    INT8,
    KEY,
    MATRIX,
    K,
    W,
    X,
    change,
    product,
    rms,
)

import photonjax as pj

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


equal, near = np.testing.assert_array_equal, np.testing.assert_allclose


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
