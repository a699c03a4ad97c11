"""Fields summed in a waveguide, read against a local oscillator: the vacuum's noise and no other."""

import jax
import numpy as np
import pytest

import photonjax as pj
from photonjax.core import measured_dot_general

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

NUMBERS = (((1,), (0,)), ((), ()))
CORE = pj.OpticalCore(
    rows=256,
    encoding="quadrature",
    photons=1.0,
    input={"bits": None},
    array={"bits": None},
    adc={"bits": None},
)
SAMPLES = 40_000  # a variance scatters by sqrt(2 / n) = 0.7 %


@pytest.mark.parametrize(
    ("terms", "photons", "size"), [(8, 1.0, 1.0), (64, 30.0, 0.1), (256, 1e4, 0.5), (3, 0.2, 0.0)]
)
def test_vacuum_noise(terms, photons, size):
    rng = np.random.default_rng(0)
    a, b = size * rng.uniform(-1, 1, (1, terms)), size * rng.uniform(-1, 1, (terms, 2))
    a[0, 0], b[0] = 1, 1  # full scales
    core = CORE.replace(photons=photons)
    y = pj.optical_dot_general(
        np.repeat(a, SAMPLES, 0).astype(np.float32),
        b.astype(np.float32),
        NUMBERS,
        core=core,
        key=jax.random.key(1),
    )
    np.testing.assert_allclose(
        np.mean(y, 0), (a @ b)[0], atol=5 / np.sqrt(4 * photons * SAMPLES) + 1e-4
    )
    np.testing.assert_allclose(np.var(y, 0), 1 / (4 * photons), rtol=0.05)


def test_photons_counted_are_those_of_the_sum():
    x, w = np.ones((1, 16), np.float32), np.ones((16, 1), np.float32)
    core = CORE.replace(photons=10.0)
    _, measured = measured_dot_general(x, w, NUMBERS, core=core)
    assert float(measured.electrons) == pytest.approx(
        10 * 16**2
    )  # fields add, power goes with the square


def test_against_homodyne():
    """Unlike two modulated operands, terms that are zero bring no noise."""
    x = np.zeros((SAMPLES, 256), np.float32)
    x[:, 0] = 1
    w = np.ones((256, 1), np.float32)
    spread = {
        encoding: float(np.var(pj.optical_dot_general(
            x, w, NUMBERS, core=CORE.replace(encoding=encoding), key=jax.random.key(2)
        )))
        for encoding in ("quadrature", "homodyne")
    }  # fmt: skip
    assert spread["quadrature"] == pytest.approx(0.25, rel=0.05)
    assert spread["homodyne"] == pytest.approx((1 + 256) / 2, rel=0.05)


def test_output_relative_noise():
    core = CORE.replace(photons=None, receiver={"relative_noise": 0.03})
    x, w = (
        np.ones((SAMPLES, 4), np.float32),
        np.array([[1, 1], [1, -1], [1, 1], [1, -1]], np.float32),
    )
    y = pj.optical_dot_general(x, w, NUMBERS, core=core, key=jax.random.key(3))
    assert np.std(y[:, 0]) == pytest.approx(0.12, rel=0.03) and (y[:, 1] == 0).all()
    assert abs(np.corrcoef(y[:-1, 0], y[1:, 0])[0, 1]) < 5 / np.sqrt(SAMPLES)


@pytest.mark.parametrize(
    "field", [{"receiver.saturation_electrons": 1e4}, {"encoding.photon_statistics": "poisson"}]
)
def test_what_has_no_meaning(field):
    with pytest.raises(ValueError, match=r"has no meaning with encoding.kind 'quadrature'"):
        CORE.replace(**field)
