"""The die against closed forms: programming, drift, flicker, defects, floor, crosstalk, seeds and sites."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import photonjax as pj

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

NUMBERS = (((1,), (0,)), ((), ()))
ENCODINGS = ["differential", "offset", "homodyne"]
K, N = 256, 400
CELLS = K * N
# A variance estimated from n normal draws scatters by sqrt(2/n): five of these, 2.2 %.
CLOSE = 5 * np.sqrt(2 / CELLS)
# Of 8 bits, values off the levels are carried to a 64th of a level.
HALF_STEP = 0.5 / (64 * 127)
ANALOG = pj.OpticalCore(
    rows=K, cols=N, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)


@jax.jit
def product(core, x, w, key=None, site=0):
    return pj.optical_dot_general(x, w, NUMBERS, core=core, key=key, site=site)


def cells(core, b, **options):
    """What the die holds of ``b``, read one input at a time; every column's full scale is 1."""
    b = np.asarray(b, np.float32)
    assert (np.abs(b).max(0) == 1).all()
    read = np.eye(len(b), dtype="f4")
    return np.asarray(product(core, read, b, **options), np.float64)


def weights(bits=None):
    """On the grid, none of them zero or (but for the first row) at an end."""
    q = 126 if bits is None else 2 ** (bits - 1) - 1
    rng = np.random.default_rng(4)
    b = rng.integers(1, q, (K, N)) / q * rng.choice([-1, 1], (K, N))
    b[0] = 1
    return b


@pytest.mark.parametrize("bits", [None, 8, 4, 2])
def test_programming_error(bits):
    """Independent of the value, of the cell above and of the cell beside."""
    b = weights(bits) if bits != 2 else np.ones((K, N))
    for sigma in (1e-3, 0.01, 0.05, 0.15):
        error = cells(ANALOG.replace(array={"bits": bits, "noise": sigma}), b) - b
        assert abs(error.mean()) < 5 * sigma / np.sqrt(CELLS)
        assert abs(error.var() / sigma**2 - 1) < CLOSE
        small = np.abs(b) < 0.5
        if small.any():
            assert abs(error[small].var() / sigma**2 - 1) < CLOSE / np.sqrt(small.mean())
        pairs = [(error[1:], error[:-1]), (error[:, 1:], error[:, :-1])]
        for one, other in pairs if bits == 2 else [*pairs, (error, b)]:
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


@pytest.mark.parametrize("bits", [None, 8])
def test_drift_is_a_power_of_time(bits):
    core = ANALOG.replace(array={"bits": bits, "seconds_since_programming": 0.0})
    b = weights(bits)
    for t, nu in ((0.0, 0.1), (20.0, 0.1), (40.0, 0.06), (3600.0, 0.04), (1e7, 0.01), (1e9, 0.5)):
        point = core.replace(array={"seconds_since_programming": t, "drift_exponent": nu})
        expected = b * (max(t, 20.0) / 20.0) ** -nu
        atol = 2e-6 if bits is None else HALF_STEP + 2e-6
        np.testing.assert_allclose(cells(point, b), expected, atol=atol)


@pytest.mark.parametrize("bits", [None, 8])
def test_spread_of_the_drift(bits):
    """``(t/20 s)**-nu`` of normal nu is lognormal: of median ``(t/20 s)**-mean nu`` and shape
    ``spread ln(t/20 s)``."""
    core = ANALOG.replace(array={"bits": bits, "seconds_since_programming": 0.0})
    b = weights(bits)
    for t, nu, spread in (
        (60.0, 0.06, 0.1),
        (3600.0, 0.05, 0.02),
        (1e6, 0.03, 0.01),
        (1e9, 0, 0.01),
    ):
        fields = dict(
            array={"seconds_since_programming": t, "drift_exponent": nu, "drift_spread": spread}
        )
        log = np.log(t / 20)
        law = stats.lognorm(spread * log, scale=np.exp(-nu * log))
        mean, variance, excess = law.stats("mvk")
        factor = cells(core.replace(**fields), b) / b
        if bits is not None:
            factor = factor[np.abs(b) > 0.3]  # the carried grid is fine against these
        n = factor.size
        assert abs(factor.mean() - mean) < 5 * np.sqrt(variance / n) + 1e-6
        assert abs(factor.var() / variance - 1) < 5 * np.sqrt((excess + 2) / n)
        assert bits is not None or stats.kstest(factor[1:].ravel()[::7], law.cdf).pvalue > 1e-3
    alone = core.replace(array={"seconds_since_programming": 2e4, "drift_spread": 0.02})
    factor = cells(alone, b) / b
    assert abs(np.log(factor).var() / (0.02 * np.log(1e3)) ** 2 - 1) < 0.05


def test_flicker_grows_with_the_logarithm_of_time():
    core = ANALOG.replace(array={"flicker_noise": 0.01, "seconds_since_programming": 1.0})
    b = weights()
    for q, t in ((0.02, 1e-6), (0.01, 1e-3), (0.01, 1.0), (0.005, 1e4), (0.03, 1e8)):
        point = core.replace(array={"flicker_noise": q, "seconds_since_programming": t})
        relative = cells(point, b) / b - 1
        variance = q**2 * np.log((t + 250e-9) / 500e-9)
        assert abs(relative.mean()) < 5 * np.sqrt(variance / CELLS)
        assert abs(relative.var() / variance - 1) < CLOSE
    start = core.replace(array={"seconds_since_programming": 250e-9})
    np.testing.assert_allclose(cells(start, b), b, atol=1e-6)


def test_drift_and_flicker_multiply():
    """Drift first, flicker of the drifted value, from draws of their own."""
    t, nu, spread, q = 1e5, 0.04, 0.01, 0.01
    fields = dict(
        array={
            "drift_exponent": nu,
            "drift_spread": spread,
            "flicker_noise": q,
            "seconds_since_programming": t,
        }
    )
    b = weights()
    factor = cells(ANALOG.replace(**fields), b) / b
    mean, variance = stats.lognorm(spread * np.log(t / 20), scale=(t / 20) ** -nu).stats("mv")
    jitter = q**2 * np.log((t + 250e-9) / 500e-9)
    expected = (variance + mean**2) * (1 + jitter) - mean**2
    assert abs(factor.mean() - mean) < 5 * np.sqrt(expected / CELLS)
    assert abs(factor.var() / expected - 1) < CLOSE


def binomial(count, trials, share):
    """A count, within what a millionth of the cases would exceed."""
    law = stats.binom(trials, share)
    assert min(law.cdf(count), law.sf(count - 1)) > 1e-6, (count, trials * share)


@pytest.mark.parametrize("bits", [None, 8, 4])
def test_dead_and_stuck_cells(bits):
    """Binomial counts; the others keep their value to the last bit carried."""
    b = weights(bits)
    whole = cells(ANALOG.replace(array={"bits": bits}), b)
    core = ANALOG.replace(array={"bits": bits, "dead_fraction": 0.0, "stuck_fraction": 0.0})
    for dead, stuck in ((0.0, 0.0), (0.01, 0.0), (0.0, 0.02), (1e-3, 1e-4), (0.3, 0.5), (0.5, 0.5)):
        held = cells(core.replace(array={"dead_fraction": dead, "stuck_fraction": stuck}), b)
        free, held_free, same = b[1:], held[1:], whole[1:]  # the first row is 1 anyway
        zero, up, down = ((held_free == v).sum() for v in (0, 1, -1))
        binomial(zero, free.size, dead)
        binomial(up + down, free.size, stuck)
        binomial(up, up + down, 0.5)
        kept = ~np.isin(held_free, (0, 1, -1))
        assert (held_free[kept] == same[kept]).all()
    every = cells(core.replace(array={"dead_fraction": 0.0, "stuck_fraction": 1.0}), b)
    assert (np.abs(every) == 1).all()
    binomial((every == 1).sum(), CELLS, 0.5)
    assert (cells(core.replace(array={"dead_fraction": 1.0}), b) == 0).all()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_dead_cells_transmit_nothing(encoding):
    """On one rail ``(1 + b)/2`` is what is transmitted: nothing is ``b = -1``."""
    core = ANALOG.replace(encoding=encoding, array={"dead_fraction": 1.0})
    dark = -1.0 if encoding == "offset" else 0.0
    np.testing.assert_allclose(cells(core, weights()), dark, atol=1e-5)


@pytest.mark.parametrize("bits", [None, 8])
def test_cells_at_the_floor(bits):
    """Magnitudes below e become e with their sign, 0 counting as positive. Inputs at 0 pass e as well."""
    b = weights(bits)[:16]
    b[1, ::2] = 0
    core = ANALOG.replace(
        array={"bits": bits}, input={"extinction_db": 10.0, "extinction": "floor"}
    )
    for extinction in (3.0, 6.0, 10.0, 20.0):
        e = 10 ** (-extinction / 10)
        expected = np.where(np.abs(b) < e, np.where(b >= 0, e, -e), b)
        read = np.where(np.eye(16) > 0, 1, e)
        found = cells(core.replace(input={"extinction_db": extinction}), b)
        atol = 1e-5 if bits is None else 1e-5 + read[0].sum() * HALF_STEP
        np.testing.assert_allclose(found, read @ expected, atol=atol)


def test_dithered_cells_are_right_on_average():
    core = ANALOG.replace(input={"extinction_db": 10.0, "extinction": "dither"})
    for level, extinction in ((0.0, 10.0), (0.05, 10.0), (-0.2, 5.0), (0.45, 3.0)):
        e = 10 ** (-extinction / 10)
        b = np.full((K, N), level)
        b[0] = 1
        point = core.replace(input={"extinction_db": extinction})
        held = cells(point, b)[1:]
        np.testing.assert_allclose(np.abs(held), e, rtol=1e-5)
        variance = e**2 - level**2
        assert abs(held.mean() - level) < 5 * np.sqrt(variance / held.size)
        excess = (
            np.mean((held - level) ** 4) / variance**2 - 1
        )  # of a two-valued law: below a normal's 2
        assert abs(held.var() / variance - 1) < 5 * np.sqrt(max(excess, 1e-6) / held.size) + 1e-4
        assert (pj.program(jnp.asarray(b, jnp.float32), point).parts[0][0][1:] == held).all()


def test_static_sources_are_independent_of_each_other():
    b = np.ones((K, N))
    aged = {"seconds_since_programming": 1e6}
    alone = [
        dict(array={"noise": 0.01}),
        dict(array={"drift_spread": 0.01} | aged),
        dict(array={"flicker_noise": 0.01} | aged),
        dict(array={"dead_fraction": 0.5}),
        dict(array={"stuck_fraction": 1.0}),
    ]
    errors = [cells(ANALOG.replace(**fields), b).ravel() for fields in alone]
    correlation = np.corrcoef(errors) - np.eye(len(alone))
    assert np.abs(correlation).max() < 5 / np.sqrt(CELLS)


@pytest.mark.parametrize("bits", [None, 8])
def test_a_die_and_a_site_have_errors_of_their_own(bits):
    fields = dict(array={"noise": 0.05}, receiver={"gain_error": 0.05, "offset_error": 0.05})
    core = ANALOG.replace(**fields).replace(array={"bits": bits})
    b = np.ones((K, N))

    def errors(seed, site=0, key=None):
        point = core.replace(chip_seed=jnp.uint32(seed))
        return cells(point, b, site=site, key=key) - 1

    first = errors(0)
    assert (errors(0) == first).all() and (errors(0, key=jax.random.key(3)) == first).all()
    seen = [
        first,
        *(errors(s) for s in (1, 2, 2**31, 2**32 - 1)),
        *(errors(0, s) for s in (1, 2, 977)),
    ]
    seen += [errors(1, 1)]
    # Each column's gain and offset are drawn apart from the cells: take its mean away, and compare both.
    inner = [(e - e.mean(0)).ravel() for e in seen]
    assert np.abs(np.corrcoef(inner) - np.eye(len(seen))).max() < 5 / np.sqrt(CELLS)
    of_columns = [e.mean(0) for e in seen]
    assert np.abs(np.corrcoef(of_columns) - np.eye(len(seen))).max() < 5 / np.sqrt(N)


def test_dies_can_be_mapped_over():
    fields = dict(
        array={"noise": 0.02, "dead_fraction": 0.05},
        receiver={"gain_error": 0.05, "offset_error": 0.01},
        adc={"inl_lsb": 1.0, "range": 2.0},
    )
    core = pj.OpticalCore(rows=16, cols=8, **fields)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 16)).astype("f4"), rng.normal(size=(16, 12)).astype("f4")
    seeds = [0, 7, 2**32 - 1]

    def on(seed):
        return product(core.replace(chip_seed=seed), x, w)

    mapped = jax.vmap(on)(jnp.asarray(seeds, jnp.uint32))
    one_by_one = np.stack([on(seed) for seed in seeds])
    np.testing.assert_allclose(mapped, one_by_one, rtol=0, atol=1e-6 * np.abs(one_by_one).max())
    assert len(np.unique(one_by_one, axis=0)) == len(seeds)
