"""Phase between signal and oscillator, or between two fields, against fields written as complex numbers."""

import jax
import numpy as np
import pytest
from closed_forms import ANALOG, assert_moments, leak_of, operands, outputs
from columns import CLOSE, COLUMNS, product

import photonjax as pj

COHERENT = ["homodyne", "quadrature"]


def fields(encoding, a, b, extinction_db):
    """What a pair of each column compares: ``p + i q``; each modulator leaks in quadrature."""
    leak = 0.0 if extinction_db is None else leak_of(extinction_db)
    one, two = a[:, None] + 1j * np.sqrt(leak), b + 1j * np.sqrt(leak)
    if encoding == "quadrature":
        return (one * two).sum(0) + leak * len(
            a
        )  # both go through one waveguide; less the constant
    return (one.conj() * two).sum(0) - leak * len(a)


def moments(z, spread, at=0.0):
    """Mean and covariance of ``Re(z exp(-i phi))``, phi common to all, normal around ``at``."""
    turned = z * np.exp(-1j * at)
    mean = np.exp(-(spread**2) / 2) * turned.real
    still = np.outer(turned, turned.conj()).real
    twice = np.exp(-2 * spread**2) * np.outer(turned, turned).real
    return mean, (still + twice) / 2 - np.outer(mean, mean)


@pytest.mark.slow  # physics, not interfaces: run on one Python
@pytest.mark.parametrize("encoding", COHERENT)
def test_phase_of_a_symbol(encoding):
    a, b = operands(7)
    for seed, (spread, extinction) in enumerate([(0.3, None), (0.02, 10.0), (1.0, 6.0)]):
        core = ANALOG.replace(encoding=encoding, input={"extinction_db": extinction})
        found = outputs(core.replace(receiver={"phase_noise": spread}), a, b, seed)
        z = fields(encoding, a, b, extinction)
        mean, covariance = moments(z, spread)
        if extinction is None:  # the docstring's: the other quadrature is empty
            np.testing.assert_allclose(
                np.diag(covariance), z.real**2 * (1 - np.exp(-(spread**2))) ** 2 / 2
            )
            assert np.abs(found).max() <= np.abs(z.real).max() + 1e-5
            np.testing.assert_allclose(found.mean(0), mean, rtol=0.01)
            np.testing.assert_allclose(np.cov(found.T), covariance, rtol=0.05)  # far from normal
        else:
            scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
            np.testing.assert_allclose(found.mean(0), mean, atol=0.02 * scale.max() ** 0.5)
            np.testing.assert_allclose(np.cov(found.T) / scale, covariance / scale, atol=0.03)


def test_phase_noise_is_common_to_the_columns_of_an_array():
    """Not to those of the next one, nor to the next symbol."""
    core = ANALOG.replace(encoding="homodyne", cols=2, receiver={"phase_noise": 0.5})
    x, w = np.ones((400, 3), np.float32), np.ones((3, 4), np.float32)
    found = np.asarray(product(core, x, w, jax.random.key(0)))
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    correlation = np.corrcoef(found[1:, 0], found[:-1, 0])[0, 1]
    assert abs(correlation) < 0.2 and abs(np.corrcoef(found[:, 0], found[:, 2])[0, 1]) < 0.2
    assert (np.asarray(product(core, x, w)) == 3).all()  # no key, no noise


@pytest.mark.slow
@pytest.mark.parametrize("encoding", COHERENT)
def test_static_phases_of_columns(encoding):
    """Over the columns of a die; the same at every call."""
    a, b = np.array([1.0, -0.5]), np.array([[1.0], [0.25]])
    x, w = a[None].astype("f4"), np.repeat(b, COLUMNS, 1).astype("f4")
    for spread, extinction in ((0.2, 10.0), (0.8, 20.0)):
        core = ANALOG.replace(encoding=encoding, input={"extinction_db": extinction})
        core = core.replace(receiver={"phase_error": spread})
        found = np.asarray(product(core, x, w), np.float64)[0]
        mean, covariance = moments(fields(encoding, a, b, extinction), spread)
        assert abs(found.mean() - mean[0]) < 5 * np.sqrt(covariance[0, 0] / COLUMNS) + 1e-5
        np.testing.assert_allclose(found.var(), covariance[0, 0], rtol=2 * CLOSE)
        np.testing.assert_array_equal(product(core, x, w), found.astype("f4")[None])


@pytest.mark.slow
def test_photons_are_those_of_all_light_whatever_the_phase():
    """At 90 degrees the signal is gone, its shot noise is not."""
    a, b = operands(5)
    core = ANALOG.replace(encoding="homodyne", photons=20.0, receiver={"phase_noise": 0.1})
    found = outputs(core, a, b)
    mean, covariance = moments(fields("homodyne", a, b, None), 0.1)
    shot = ((a**2)[:, None] + b**2).sum(0) / 40
    assert_moments(found, mean, covariance + np.diag(shot))


def test_intensities_have_no_phase():
    for name in ("phase_noise", "phase_error"):
        with pytest.raises(ValueError, match=rf"receiver\.{name} has no meaning with .*'offset'"):
            pj.OpticalCore(encoding="offset", receiver={name: 0.1})
