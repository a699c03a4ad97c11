"""One die probed and corrected as its users do; ensembles of dies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import photonjax as pj

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

NUMBERS = (((1,), (0,)), ((), ()))
QUIET = pj.OpticalCore(
    rows=64, cols=8, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)


def weight(terms, columns=5):
    return jax.random.normal(jax.random.key(7), (terms, columns))


@pytest.mark.parametrize("terms", [1, 3, 31])
def test_what_a_quiet_die_does_is_found_exactly(terms):
    """A matrix with programming errors, gains and offsets follows from its outputs to probes."""
    core = QUIET.replace(array={"noise": 0.02}, receiver={"gain_error": 0.1, "offset_error": 0.05})
    w = weight(terms)
    found = pj.characterize(w, core, key=jax.random.key(1), probes=terms + 1, readings=1, rounds=6)
    unit, nothing = jnp.eye(terms), jnp.zeros((1, terms)).at[0, 0].set(1.0)
    send = lambda x, held: pj.optical_dot_general(x, held, NUMBERS, core=core)
    # Outputs are gain (w + error) x + offset full: rows of the unit matrix, of either sign.
    offset = (send(nothing, w) + send(-nothing, w))[0] / 2
    matrix = send(unit, w) - offset
    gain = np.sum(matrix * w, 0) / np.sum(w * w, 0)
    np.testing.assert_allclose(found.offset, offset, atol=2e-5)
    np.testing.assert_allclose(found.gain, gain, rtol=2e-5)
    # Errors that are the same at every writing can be written away (offsets grow with a new full scale).
    still = core.replace(receiver={"offset_error": None})
    found = pj.characterize(w, still, key=jax.random.key(1), rounds=6)
    assert found.residual_programmed < 1e-3 * found.residual_affine + 1e-6
    y = pj.optical_dot_general(unit, found.weight, NUMBERS, core=still)
    np.testing.assert_allclose(found(unit, y), w, atol=1e-3 * np.abs(w).max())


def test_what_is_left_is_the_noise_of_the_readings():
    core = QUIET.replace(array={"noise": 0.02}, receiver={"gain_error": 0.1}, photons=1e4)
    few, many = (
        pj.characterize(weight(16), core, key=jax.random.key(2), readings=n, rounds=4)
        for n in (2, 32)
    )
    assert float(many.noise) == pytest.approx(float(few.noise) / 4, rel=0.2)
    for found in (few, many):
        assert found.noise < found.residual_programmed < 2 * found.noise
        assert found.residual_programmed < found.residual_affine < found.residual


@pytest.mark.parametrize("terms", [1, 16])
def test_dead_columns_are_left_alone(terms):
    """A column that gives nothing has no gain to divide by; the others are corrected all the same."""
    w = weight(terms, 8)
    core = QUIET.replace(array={"dead_fraction": 1.0})
    found = pj.characterize(w, core, key=jax.random.key(3))
    np.testing.assert_allclose(found.gain, 0.0, atol=1e-6)
    np.testing.assert_array_equal(found.weight, w)
    assert float(found.residual) == pytest.approx(1.0)
    assert float(found.residual_programmed) == pytest.approx(1.0)
    half = pj.characterize(
        w, QUIET.replace(array={"dead_fraction": 0.5}), key=jax.random.key(3), rounds=1, readings=2
    )
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(half))
    assert half.residual_programmed < 2


def test_a_token_of_noughts_is_corrected_too():
    core = QUIET.replace(receiver={"offset_error": 0.05})
    found = pj.characterize(weight(16), core, key=jax.random.key(4))
    x = jnp.zeros((1, 16))
    y = pj.optical_dot_general(x, found.weight, NUMBERS, core=core)
    assert np.abs(y).max() > 1e-3
    np.testing.assert_allclose(found(x, y), 0.0, atol=2e-5)


@pytest.mark.parametrize(
    "fields, options, message",
    [
        ({}, {"probes": 16}, "probes = 16 for 16 inputs; take 17 or more"),
        ({"input.scale": "per_tensor"}, {}, "need 'per_token'"),
        ({"input.power_of_two_scale": True}, {}, "power_of_two_scale = True"),
    ],
)
def test_what_cannot_be_probed(fields, options, message):
    with pytest.raises(ValueError, match=message):
        core = QUIET.replace(**fields)
        pj.characterize(weight(16), core, key=jax.random.key(0), **options)


def test_dies_differ_and_an_ensemble_is_its_members():
    core = QUIET.replace(array={"noise": 0.05})
    x, w = jnp.ones((2, 16)), weight(16)
    product = lambda core, x, w: pj.optical_dot_general(x, w, NUMBERS, core=core)
    seeds = [3, 1, 4]
    of_die = lambda seed: product(core.replace(chip_seed=seed), x, w)
    together = jax.vmap(of_die)(jnp.asarray(seeds, jnp.uint32))
    for seed, one in zip(seeds, together, strict=True):
        alone = product(core.replace(chip_seed=seed), x, w)
        np.testing.assert_allclose(one, alone, rtol=1e-6)
    assert len(np.unique(np.asarray(together)[:, 0, 0])) == 3


def test_elements_of_a_batch_are_sites_of_their_own():
    """Neither another element nor another site has an element's static errors."""
    core = QUIET.replace(array={"noise": 0.05})
    x, w = jnp.ones((4, 1, 16)), jnp.broadcast_to(weight(16, 1), (4, 16, 1))
    numbers = (((2,), (1,)), ((0,), (0,)))
    batched = lambda site: pj.optical_dot_general(x, w, numbers, core=core, site=site).ravel()
    seen = np.concatenate([batched(site) for site in (0, 1, 4, 2**30)])
    alone = [
        pj.optical_dot_general(x[0], w[0], NUMBERS, core=core, site=s).item() for s in range(9)
    ]
    assert len(np.unique(np.append(seen, alone))) == len(seen) + len(alone)
