"""Every noise source against its closed form; the closed forms are written out here again."""

import jax
import numpy as np
import pytest

import photonjax as pj
from photonjax.core import measured_dot_general
from photonjax.core.product import traced_dot_general

pytestmark = pytest.mark.slow  # minutes together: on one Python

NUMBERS = (((1,), (0,)), ((), ()))
SAMPLES = 20_000
# A sample variance of n normal draws scatters by sqrt(2/n) = 1 %: 5 % is five of these.
CLOSE = 0.05
ANALOG = pj.OpticalCore(
    rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)


@jax.jit
def product(core, x, w, key):
    return pj.optical_dot_general(x, w, NUMBERS, core=core, key=key)


def deviations(core, a, b, seed=0):
    """[SAMPLES, N] departures of one token's outputs from their noiseless value, scales 1."""
    assert np.abs(a).max() == 1 and (np.abs(b).max(0) == 1).all()
    a = np.asarray(a, np.float32)[None]
    b = np.asarray(b, np.float32)
    y = product(core, np.repeat(a, SAMPLES, 0), b, jax.random.key(seed))
    return np.asarray(y, np.float64) - np.asarray(product(core, a, b, None), np.float64)


def operands(kind, K=48, N=6):
    """One token and a matrix, both with full scale 1."""
    rng = np.random.default_rng(7)
    a, b = rng.uniform(-1, 1, K), rng.uniform(-1, 1, (K, N))
    if kind == "positive":
        a, b = np.abs(a), np.abs(b)
    elif kind == "sparse":
        a, b = a * (rng.uniform(size=K) < 0.2), b * (rng.uniform(size=(K, N)) < 0.3)
    elif kind == "faint":
        a, b = 0.02 * a, 0.3 * b
    elif kind == "opposed":
        a, b = np.abs(a), -np.abs(b)
    a[0], b[0] = 1, 1
    return a, b


def shot_closed_form(encoding, a, b, m):
    """From Poisson statistics of the counts on each detector, one detector at a time."""
    a, b = a[:, None], b
    if encoding == "differential":  # four rails; like signs on one detector, unlike on the other
        up, down = np.maximum, lambda v, z: np.maximum(-v, z)
        plus = m * (up(a, 0) * up(b, 0) + down(a, 0) * down(b, 0)).sum(0)
        minus = m * (up(a, 0) * down(b, 0) + down(a, 0) * up(b, 0)).sum(0)
        return (plus + minus) / m**2
    if encoding == "offset":
        return (4 / m) ** 2 * (m * (1 + a) / 2 * (1 + b) / 2).sum(0)
    fields = np.sqrt(m / 2) * a, np.sqrt(m / 2) * b
    plus, minus = ((fields[0] + s * fields[1]) ** 2 / 2 for s in (1, -1))
    assert np.allclose((plus - minus).sum(0) / m, (a * b).sum(0))  # it is an estimate of p
    return (plus + minus).sum(0) / m**2


@pytest.mark.parametrize("encoding", ["differential", "offset", "homodyne"])
def test_shot_noise(encoding):
    core = ANALOG.replace(encoding={"kind": encoding, "shot_estimate": "exact"}, photons=1.0)
    for seed, (kind, m) in enumerate(
        [("dense", 1e3), ("positive", 30.0), ("sparse", 2.0), ("faint", 1e5), ("opposed", 500.0)]
    ):
        a, b = operands(kind)
        found = deviations(core.replace(photons=m), a, b, seed)
        expected = shot_closed_form(encoding, a, b, m)
        np.testing.assert_allclose(found.var(0), expected, rtol=CLOSE, err_msg=f"{kind} {m}")
        assert (np.abs(found.mean(0)) < 5 * np.sqrt(expected / SAMPLES)).all()  # unbiased
        correlation = np.corrcoef(found.T) - np.eye(b.shape[1])
        assert np.abs(correlation).max() < 5 / np.sqrt(SAMPLES)  # independent outputs


def test_homodyne_meets_the_standard_quantum_limit():
    """Hamerly's law (PRX 9, 021032) holds with equality where both fields carry as much light, and
    bounds the variance elsewhere. It counts the photons really spent per multiply, all detectors."""
    core = ANALOG.replace(encoding="homodyne", photons=50.0)
    for kind, balanced in (("signs", True), ("dense", True), ("faint", False)):
        a, b = operands(kind, N=1)
        if kind == "signs":
            a, b = np.sign(a), np.sign(b)
        elif not balanced:
            b = operands("dense", N=1)[1]
        else:
            b = np.roll(a, 5)[:, None]
        x, w = (np.asarray(v, np.float32) for v in (a[None], b))
        _, measured = measured_dot_general(x, w, NUMBERS, core=core, key=None)
        limit = (a**2).sum() * (b**2).sum() / (a.size * float(measured.photons_per_multiply))
        ratio = deviations(core, a, b).var() / limit
        power = (a**2).sum(), (b**2).sum()
        expected = 1 if balanced else (sum(power) / 2) ** 2 / (power[0] * power[1])
        assert abs(ratio / expected - 1) < CLOSE and expected >= 1
    assert expected > 2  # a factor of 2 in the variance would break the bound or the equality


def test_rank_one_estimate():
    """For independent normal operands the estimate scatters about the exact form by cv**2/sqrt(K),
    cv**2 = pi/2 - 1: 1.8 % at K = 1,024. Where magnitudes go together it fails, by up to K."""
    K, N = 1024, 64
    core = ANALOG.replace(rows=K, photons=10.0)
    exact = core.replace(encoding={"shot_estimate": "exact"})
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(64, K)).astype("f4"), rng.normal(size=(K, N)).astype("f4")

    def light(core, x, w):
        trace = traced_dot_general(x, w, NUMBERS, core=core)[1]
        return np.asarray(trace.light[0])

    ratio = light(core, x, w) / light(exact, x, w)
    print(f"rank one / exact: mean {ratio.mean():.5f}, scatter {ratio.std():.5f}")
    assert abs(ratio.mean() - 1) < 0.001  # 4,096 outputs: 0.018/64, with some correlation
    assert abs(ratio.std() / ((np.pi / 2 - 1) / np.sqrt(K)) - 1) < 0.1
    spike = np.eye(1, K, dtype="f4")
    np.testing.assert_allclose(
        light(exact, spike, spike.T) / light(core, spike, spike.T), K, rtol=1e-5
    )


@pytest.mark.parametrize("encoding", ["differential", "offset", "homodyne"])
def test_receiver_noise(encoding):
    """5 pA/sqrt(Hz) for 1 ns: charge noise sqrt(2.5e-23 A2/Hz / 2 * 1e-9 s) = 1.118e-16 C =
    697.82 electrons per detector."""
    electrons, m = 697.82, 1e3
    a, b = operands("faint")
    core = ANALOG.replace(encoding={"kind": encoding, "shot_estimate": "exact"}, photons=m)
    noisy = core.replace(receiver={"noise_a_per_rthz": 5e-12})
    shot = shot_closed_form(encoding, a, b, m)
    detectors, gain = {"offset": (1, 4)}.get(encoding, (2, 1))
    expected = detectors * (gain * electrons / m) ** 2
    np.testing.assert_allclose(deviations(noisy, a, b).var(0), shot + expected, rtol=CLOSE)
    # exactly, from the function, to the digits of the number above
    found = noisy.receiver.variance(noisy)
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    slow = noisy.replace(symbol_rate_hz=1e8)  # charge noise grows with sqrt(tau)
    np.testing.assert_allclose(slow.receiver.variance(slow), 10 * found, rtol=1e-6)


@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_laser_noise_is_common_to_the_columns_of_a_symbol(encoding):
    """RIN of -120 dB/Hz over B = 1/(2 ns): delta has variance 1e-12 * 5e8 = 5e-4."""
    K, N = 16, 7
    core = ANALOG.replace(encoding=encoding, rows=8, cols=4, source={"rin_db_hz": -120.0})
    a, b = operands("dense", K, N)
    found = deviations(core, a, b)
    seen = np.stack([(a[t, None] * b[t]).sum(0) for t in (slice(0, 8), slice(8, 16))])  # per k-tile
    if encoding == "offset":  # the constant part of the light fluctuates too
        seen = np.stack(
            [((1 + a[t, None]) * (1 + b[t])).sum(0) for t in (slice(0, 8), slice(8, 16))]
        )
    same_symbol = np.arange(N)[:, None] // 4 == np.arange(N)[None] // 4
    expected = 5e-4 * np.einsum("tn,tm->nm", seen, seen) * same_symbol
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(np.cov(found.T) / scale, expected / scale, atol=CLOSE)
    # tokens are symbols of their own
    lag = [np.corrcoef(found[1:, n], found[:-1, n])[0, 1] for n in range(N)]
    assert np.abs(lag).max() < 5 / np.sqrt(SAMPLES)


@pytest.mark.parametrize("encoding", ["differential", "offset", "homodyne"])
def test_input_noise_is_seen_by_every_column(encoding):
    sigma = 0.03
    a, b = operands("dense")
    core = ANALOG.replace(encoding=encoding, input={"noise": sigma}, cols=2)
    found = deviations(core, a, b)
    weight = 1 + b if encoding == "offset" else b  # on one rail the offset of b is lit as well
    expected = sigma**2 * weight.T @ weight
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(np.cov(found.T) / scale, expected / scale, atol=CLOSE)


@pytest.mark.parametrize("bits", [None, 8, 4, 2])
def test_small_analog_errors_survive_on_the_grid(bits):
    """An error a thousandth of full scale, at any resolution, in inputs and in weights."""
    sigma, K, N = 1e-3, 64, 4
    core = ANALOG.replace(input={"bits": bits, "noise": sigma}, array={"bits": bits})
    a, b = np.ones(K), np.ones((K, N))
    np.testing.assert_allclose(deviations(core, a, b).var(0), K * sigma**2, rtol=CLOSE)
    core = core.replace(input={"noise": None}, array={"noise": sigma})
    x, w = np.eye(K, dtype="f4"), np.ones((K, 256), "f4")
    errors = np.asarray(product(core, x, w, None)) - 1  # 16,384 cells, read one by one
    np.testing.assert_allclose(errors.var(), sigma**2, rtol=CLOSE)


def test_weight_noise_belongs_to_the_die():
    core = ANALOG.replace(array={"noise": 0.02})
    x, w = np.eye(64, dtype="f4"), np.ones((64, 40), "f4")

    def errors(core, site=0, key=None):
        y = pj.optical_dot_general(x, w, NUMBERS, core=core, key=key, site=site)
        return np.asarray(y) - 1

    first = errors(core)
    assert abs(first.std() / 0.02 - 1) < CLOSE and abs(first.mean()) < 5 * 0.02 / np.sqrt(
        first.size
    )
    assert (errors(core) == first).all()
    assert (errors(core, key=jax.random.key(5)) == first).all()  # not dynamic
    for other in (errors(core, site=1), errors(core.replace(chip_seed=1))):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(first.size)


def test_all_sources_add_up():
    a, b = operands("dense")
    sources = dict(
        photons=200.0,
        receiver={"noise_a_per_rthz": 2e-13},
        source={"rin_db_hz": -125.0},
        input={"noise": 0.01},
    )
    core = ANALOG.replace(encoding={"shot_estimate": "exact"}, **sources)
    p = (a[:, None] * b).sum(0)
    electrons = 2e-13 / 1.602176634e-19 * np.sqrt(1e-9 / 2)
    expected = (
        shot_closed_form("differential", a, b, 200.0)
        + 2 * (electrons / 200) ** 2
        + 10**-12.5 * 5e8 * p**2
        + 1e-4 * (b**2).sum(0)
    )
    np.testing.assert_allclose(deviations(core, a, b).var(0), expected, rtol=CLOSE)
