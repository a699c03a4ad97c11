"""Fitting a core to measurements: what is known comes back, what is wrong is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

import photonjax as pj
from photonjax.core import fit_likelihood as lik
from photonjax.core.fit_model import fit as fit_model
from photonjax.core.fit_statistics import error_statistics, with_intervals

T, K, N = 600, 32, 24
BARE = pj.OpticalCore(
    rows=K,
    cols=N,
    input={"bits": None, "scale": "static", "range": 1.0},
    array={"bits": None, "scale": "per_tensor"},
    adc={"bits": 14, "range": 3.0},
)
TRUE = {
    "receiver.gain_error": 0.05,
    "receiver.offset_error": 0.02,
    "receiver.common_noise": 0.15,
    "receiver.relative_noise": 0.08,
    "adc.enob": 6.0,
}


def measured(core, seed=0):
    """Expected and observed results of one matrix of the core, in products of full scale."""
    rng = np.random.default_rng(seed)
    x, w = rng.uniform(-1, 1, (T, K)).astype(np.float32), rng.uniform(-1, 1, (K, N))
    w[0, 0] = 1.0  # full scale of the matrix
    y = pj.optical_matmul(
        jnp.asarray(x), jnp.asarray(w, jnp.float32), core=core, key=jax.random.key(seed)
    )
    return x @ w, np.asarray(y, float)


@pytest.mark.slow
def test_a_known_core_is_found():
    """Every field within its own interval, the errors of the columns as large as they are said to be."""
    core = BARE.replace(**TRUE)
    expected, observed = measured(core)
    twin, fit = pj.fit_core(
        BARE, expected, observed, components=["gains", "common", "relative", "column_noise"]
    )
    assert {"gains", "common", "relative"} <= set(fit.components)
    z = {
        name: (fit.fields[name].value - value) / fit.fields[name].error
        for name, value in TRUE.items()
    }
    assert max(map(abs, z.values())) < 3, z
    assert all(fit.fields[name].error < 0.25 * value for name, value in TRUE.items())
    noise = 2 * 3.0 * np.sqrt(K) * 2.0**-6 / np.sqrt(12)
    assert fit.other["noise"].value == pytest.approx(noise, rel=0.05)
    lines = [np.polyfit(expected[:, n], observed[:, n], 1) for n in range(N)]
    off = (fit.gain[0] - np.array(lines)[:, 0]) / fit.gain[1]
    assert np.abs(off).max() < 2  # the same gains, up to what weighting by the noise changes
    assert abs(fit.checks["column_correlation"].z) < 4 and abs(fit.checks["residual"].z) < 4
    assert float(twin.receiver.common_noise) == fit.fields["receiver.common_noise"].value
    assert "held-out" in str(fit) and fit.excluded.readings == 0


def simulated(rng, gain, common, noise, tail=None, leak=None):
    """Readings from the formula itself, with no core between."""
    expected = rng.normal(size=(T, N))
    own = (
        rng.standard_normal((T, N))
        if tail is None
        else rng.standard_t(1 / tail, (T, N)) * np.sqrt(1 - 2 * tail)
    )
    rest = 0 if leak is None else expected @ leak
    return expected, gain * (expected + rest + common * rng.standard_normal((T, 1)) + noise * own)


def test_gains_and_their_errors():
    """z-scores of the columns' gains and noises are those of standard normals."""
    rng = np.random.default_rng(1)
    gain, noise = 0.8 + 0.05 * rng.normal(size=N), np.exp(rng.normal(-2, 0.3, N))
    expected, observed = simulated(rng, gain, 0.1, noise)
    observed[rng.random((T, N)) < 0.09] = np.nan
    _, fit = pj.fit_core(BARE, expected, observed, components=["gains", "column_noise", "common"])
    assert fit.components == ("gains", "column_noise", "common")
    assert fit.excluded.readings == np.isnan(observed).sum()
    for found, true in ((fit.gain, gain), (fit.noise, noise)):
        z = (found[0] - true) / found[1]
        assert stats.chi2.ppf(1e-4, N) < (z**2).sum() < stats.chi2.ppf(1 - 1e-4, N)
    common = fit.fields["receiver.common_noise"]
    assert abs(common.value - 0.1) < 3 * common.error < 0.05


def test_errors_of_a_fixed_matrix_and_of_a_cycle():
    """A fixed linear map and offsets in turn are told from noise; the noise that is left is unbiased."""
    rng = np.random.default_rng(2)
    leak = rng.normal(0, 0.05, (N, N))
    expected, observed = simulated(rng, 1.0, 0.0, 0.1, leak=leak)
    observed += rng.normal(0, 0.1, (3, N))[np.arange(T) % 3]
    _, fit = pj.fit_core(
        BARE,
        expected,
        observed,
        cycle=3,
        fixed_weight=True,
        input_rms=0.5,
        components=["gains", "cycle", "fixed_weight", "common"],
    )
    assert fit.components == ("gains", "cycle", "fixed_weight")
    size = fit.other["weight_error_in_results"]
    assert abs(size.value - 0.05 * np.sqrt(N - 1)) < 3 * size.error < 0.05
    assert fit.other["weight_error"].value == pytest.approx(
        size.value, rel=0.05
    )  # rms results are 1
    assert fit.fields["array.noise"].value == pytest.approx(size.value / (0.5 * np.sqrt(K)))
    assert abs(fit.other["noise"].value - 0.1) < 4 * fit.other["noise"].error < 0.01
    assert fit.other["cycle_offsets"].value == pytest.approx(0.1, rel=0.3)


def likelihood(values, data, tails):
    with jax.enable_x64(True):
        return np.asarray(lik.likelihood_of_symbols(values, data, tails))


def some_values(columns, cycle=1):
    rng = np.random.default_rng(3)
    return {
        "gain": 1 + 0.1 * rng.normal(size=columns),
        "offset": 0.1 * rng.normal(size=(cycle, columns)),
        "log_noise": rng.normal(-1, 0.2, columns),
        "bend": 0.02,
        "common": 0.3,
        "relative": 0.1,
        "tail": lik.real_of_tail(0.15),
    }


def test_the_likelihood_is_that_of_the_model():
    """Against a multivariate normal, and against the integral over the common error done in full."""
    rng = np.random.default_rng(4)
    readings = lik.Readings(rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), 2)
    data, v = readings.arrays(None), some_values(3, 2)
    meant = data["e"] + v["bend"] * data["cube"]
    mean = data["groups"] @ v["offset"] + v["gain"] * meant
    d = np.exp(2 * v["log_noise"]) + v["relative"] ** 2 * data["e"] ** 2
    nu = 1 / 0.15
    for t, (gaussian, heavy) in enumerate(
        zip(likelihood(v, data, False), likelihood(v, data, True), strict=True)
    ):
        cov = np.outer(v["gain"], v["gain"]) * (np.diag(d[t]) + v["common"] ** 2)
        assert gaussian == pytest.approx(
            stats.multivariate_normal(mean[t], cov).logpdf(data["y"][t]), abs=1e-9
        )
        scale = v["gain"] * np.sqrt(d[t] * (nu - 2) / nu)

        def joint(u, t=t, scale=scale):
            own = stats.t.pdf(data["y"][t], nu, mean[t] + v["gain"] * u, scale)
            return stats.norm.pdf(u, 0, v["common"]) * own.prod()

        assert heavy == pytest.approx(np.log(integrate.quad(joint, -3, 3)[0]), abs=5e-4)


@pytest.mark.slow
def test_gradients_are_those_of_finite_differences():
    rng = np.random.default_rng(5)
    data = lik.Readings(rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), 1).arrays(None)
    v, ones = some_values(3), np.ones(6)
    for tails in (False, True):
        with jax.enable_x64(True):
            _, slope = lik.loss_and_slope(v, data, ones, tails)
            for name in v:
                if name == "tail" and not tails:
                    continue
                step = 1e-5 * np.ones_like(v[name])
                up, down = (
                    lik.loss_and_slope(v | {name: v[name] + s}, data, ones, tails)[0]
                    for s in (step, -step)
                )
                assert (up - down) / 2e-5 == pytest.approx(float(np.sum(slope[name])), rel=1e-5)


@pytest.mark.slow
def test_heavy_tails_are_found():
    rng = np.random.default_rng(6)
    expected, observed = simulated(rng, 1.0, 0.05, 0.1, tail=0.2)
    readings = lik.Readings(expected, observed, 1)
    ones = np.ones(T)
    plain = fit_model(readings, ("gains", "common"), ones)
    heavy = fit_model(readings, ("gains", "common", "tails"), ones, plain)
    real, error = float(heavy.values["tail"]), float(heavy.errors()["tail"])
    assert abs(real - lik.real_of_tail(0.2)) < 3 * error < 1
    assert heavy.nats().sum() > plain.nats().sum() + 50


def test_statistics_and_their_intervals():
    rng = np.random.default_rng(7)
    expected, observed = simulated(rng, 0.8, 0.1, 0.2)
    found = with_intervals(expected, observed)
    true = {"gain": 0.8, "residual": 0.8 * np.hypot(0.1, 0.2), "column_correlation": 0.2}
    true |= {
        "common_fraction": 0.2 + 0.8 / N,
        "residual_large_over_small": 1.0,
        "excess_kurtosis": 0.0,
    }
    for name, value in true.items():
        assert abs(found[name].value - value) < 4 * found[name].error, name
        assert found[name].error < 0.1
    observed[::7, 3] = np.nan
    assert error_statistics(expected, observed)["gain"] == pytest.approx(0.8, abs=0.02)


def refused(match, expected, observed, core=BARE, kind=ValueError, **options):
    with pytest.raises(kind, match=match) as error:
        pj.fit_core(core, expected, observed, **options)
    assert "\n" not in str(error.value)


def test_wrong_measurements_are_refused():
    rng = np.random.default_rng(8)
    expected, observed = simulated(rng, 1.0, 0.1, 0.1)
    refused(r"shape of expected .*; transpose", expected, observed.T)
    refused(r"observed \[600, 23\] is not of the shape", expected, observed[:, 1:])
    refused(r"not \[symbols, columns\]", expected[0], observed[0])
    refused("not an array of real numbers", expected, observed.astype(str), kind=TypeError)
    refused("not an array of real numbers", expected, observed * 1j, kind=TypeError)
    refused("is not an OpticalCore", expected, observed, core=3, kind=TypeError)
    refused("infinity", expected, np.where(expected > 2, np.inf, observed))
    refused("are gaps", expected, np.where(rng.random((T, N)) < 0.6, np.nan, observed))
    refused("never changes in columns 2:", np.where(np.arange(N) == 2, 1.0, expected), observed)
    refused("never changes in 24 of 24", expected, np.ones_like(observed))
    refused(r"multiply expected by 4\.0", expected, 4 * observed)
    refused("multiply expected by -", expected, -observed)
    refused("same order", expected, observed[::-1])
    refused("products of full scale, but core.rows = 32", 30 * expected, 30 * observed)
    refused("readings; 20 or more", expected[:12], observed[:12])
    refused("core.cols = 8", expected, observed, core=BARE.replace(cols=8))
    refused(
        "core.photons = 100.0 makes errors", expected, observed, core=BARE.replace(photons=100.0)
    )
    refused("set adc.bits", expected, observed, core=BARE.replace(**{"adc.bits": None}))
    for name, value in {"unit": 0.0, "cycle": 0, "held_out": 0.9, "input_rms": 2.0}.items():
        refused(f"{name} = {value}", expected, observed, **{name: value})
    refused(r"components holds 'gain'", expected, observed, components=["gain"])
    refused(r"'cycle' \(it needs cycle\)", expected, observed, components=["cycle"])


def test_dead_columns_are_left_out_and_counted():
    rng = np.random.default_rng(9)
    expected, observed = simulated(rng, 1.0, 0.0, 0.1)
    observed[:, 5] = 7.0
    _, fit = pj.fit_core(BARE, expected, observed, components=["gains"])
    assert fit.excluded.columns == (5,) and 5 not in fit.columns and fit.gain.shape == (2, N - 1)
    assert "1 columns never change" in str(fit)
