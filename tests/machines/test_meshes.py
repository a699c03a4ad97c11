"""Meshes and ring banks: the formulas against simulated interferometers and resonators."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from photonjax.core import OpticalCore, measured_dot_general
from photonjax.machines import meshes, rings

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

ERRORS = [(0.01, 0.0), (0.0, 0.02), (0.01, 0.02)]  # of phases and splitters [rad]


def interferometer(theta, phi, first=0.0, second=0.0):
    """Two splitters, off balance by ``first`` and ``second``, and a phase before each."""

    def splitter(error):
        c, s = np.cos(np.pi / 4 + error), np.sin(np.pi / 4 + error)
        return np.array([[c, 1j * s], [1j * s, c]])

    inner = splitter(second) @ np.diag([np.exp(1j * theta), 1]) @ splitter(first)
    return inner @ np.diag([np.exp(1j * phi), 1])


def settings(unitary):
    """Rectangular mesh for a unitary: interferometers (mode, theta, phi) as light meets them, output phases.

    Elements below the diagonal are nulled along antidiagonals, alternately by an interferometer in front and
    one behind; the latter are then pulled through the remaining diagonal of phases.
    """
    u, n = unitary.astype(complex), len(unitary)
    front, behind = [], []
    for i in range(1, n):
        for j in range(i):
            if i % 2:
                m, row = i - 1 - j, n - 1 - j
                x, y = u[row, m : m + 2]
                theta, phi = 2 * np.arctan2(abs(y), abs(x)), np.angle(-x * y.conj())
                u[:, m : m + 2] = u[:, m : m + 2] @ interferometer(theta, phi).conj().T
                front.append((m, theta, phi))
            else:
                m = n - 1 - i + j
                x, y = u[m : m + 2, j]
                theta, phi = 2 * np.arctan2(abs(x), abs(y)), np.angle(y * x.conj())
                u[m : m + 2] = interferometer(theta, phi) @ u[m : m + 2]
                behind.append((m, theta, phi))
    phases = np.diag(u).copy()
    for m, theta, phi in reversed(behind):
        own = interferometer(theta, phi).conj().T @ np.diag(phases[m : m + 2])
        phi = np.angle(phases[m] * phases[m + 1].conj())
        phases[m : m + 2] = np.diag(own @ interferometer(theta, phi).conj().T)
        front.append((m, theta, phi))
    return front, np.angle(phases)


def mesh(parts, outputs, phase_error=0.0, splitter_error=0.0, rng=None):
    """The unitary that a mesh of these settings makes, with errors of its own if ``rng`` is given."""
    draw = np.zeros if rng is None else rng.standard_normal
    u = np.eye(len(outputs), dtype=complex)
    for m, theta, phi in parts:
        e, f = phase_error * draw(2), splitter_error * draw(2)
        u[m : m + 2] = interferometer(theta + e[0], phi + e[1], *f) @ u[m : m + 2]
    return np.exp(1j * (outputs + phase_error * draw(len(outputs))))[:, None] * u


def random_unitary(n, rng, real=False):
    z = rng.standard_normal((n, n)) + (0 if real else 1j * rng.standard_normal((n, n)))
    q, r = np.linalg.qr(z)
    return q * (np.diag(r) / abs(np.diag(r)))


@functools.cache
def held(n, phase_error, splitter_error, matrices=6, chips=12):
    """Random real matrices, and what pairs of imperfect meshes hold of them along the real axis."""
    rng = np.random.default_rng(n)
    wanted, got = [], []
    for _ in range(matrices):
        w = rng.standard_normal((n, n))
        u, s, v = np.linalg.svd(w)
        left, right = settings(u), settings(v)
        errors = (phase_error, splitter_error, rng)
        wanted.append(w)
        got.append(
            [
                np.real(mesh(*left, *errors) @ np.diag(s) @ mesh(*right, *errors))
                for _ in range(chips)
            ]
        )
    return np.array(wanted), np.array(got)


def gains(wanted, got):
    """The factor that takes each held matrix nearest to the wanted one: ``[matrices, chips]``."""
    return np.einsum("mij,mcij->mc", wanted, got) / np.square(wanted).sum((1, 2))[:, None]


def left_over(wanted, got):
    """Errors ``[matrices, chips, n, n]`` once a receiver's gain makes up for the common loss."""
    return got / gains(wanted, got)[:, :, None, None] - wanted[:, None]


@pytest.mark.parametrize("n", [8, 16, 32])
@pytest.mark.parametrize("real", [False, True])
def test_a_rectangular_mesh_makes_any_unitary(n, real):
    u = random_unitary(n, np.random.default_rng(n), real)
    parts, outputs = settings(u)
    assert len(parts) == n * (n - 1) // 2
    np.testing.assert_allclose(mesh(parts, outputs), u, atol=1e-12)


@pytest.mark.parametrize("n", [8, 16, 32])
@pytest.mark.parametrize("errors", ERRORS)
def test_error_of_a_unitary(n, errors):
    rng = np.random.default_rng(1)
    square = []
    for _ in range(4):
        u = random_unitary(n, rng)
        parts = settings(u)
        square += [abs(mesh(*parts, *errors, rng) - u) ** 2 for _ in range(20)]
    measured = np.sqrt(np.mean(square))
    assert measured == pytest.approx(meshes.unitary_element_error(n, *errors), rel=0.1)


@pytest.mark.parametrize("n", [8, 16, 32])
@pytest.mark.parametrize("errors", ERRORS)
def test_error_of_a_real_matrix_read_along_the_real_axis(n, errors):
    wanted, got = held(n, *errors)
    error = np.sqrt(np.mean(left_over(wanted, got) ** 2) / np.mean(wanted**2))
    assert error == pytest.approx(meshes.mesh_matrix_error(n, *errors), rel=0.1)
    # in full scales of each column's largest element
    largest = abs(wanted).max(axis=1).mean()
    noise = meshes.mesh_weight_noise(n, *errors)
    assert np.sqrt(np.mean(left_over(wanted, got) ** 2)) / largest == pytest.approx(noise, rel=0.1)


def test_the_imaginary_part_holds_the_rest():
    # of a real orthogonal matrix only the internal phases' rotations are seen, a quarter of the variance
    rng, n = np.random.default_rng(2), 16
    u = random_unitary(n, rng, real=True)
    parts = settings(u)
    phases = np.array([mesh(*parts, 0.003, 0.0, rng) - u for _ in range(60)])
    seen = np.mean(phases.real**2) / np.mean(abs(phases) ** 2)
    assert seen == pytest.approx((n - 1) / (4 * n), rel=0.1)
    splitters = np.array([mesh(*parts, 0.0, 0.003, rng) - u for _ in range(20)])
    assert np.mean(splitters.real**2) < 1e-3 * np.mean(splitters.imag**2)


@pytest.mark.parametrize("errors", ERRORS)
def test_the_common_loss_is_that_of_the_whole_error(errors):
    n = 32
    loss = 1 - gains(*held(n, *errors)).mean()
    assert loss == pytest.approx(n * meshes.unitary_element_error(n, *errors) ** 2, rel=0.1)


def test_errors_are_near_normal_but_are_rotations():
    n, chips = 16, 200
    wanted, got = held(n, 0.01, 0.0, 3, chips)
    error = left_over(wanted, got)
    each = error.reshape(3, chips, -1)
    standard = each / each.std(axis=1, keepdims=True)
    assert abs(np.mean(standard**4) - 3) < 0.15
    for matrix, w in zip(each, wanted, strict=True):
        pairs = np.corrcoef(matrix.T)[~np.eye(n * n, dtype=bool)]
        assert np.mean(pairs**2) - 1 / chips < 0.15**2
        u, s, v = np.linalg.svd(w)
        along = np.einsum("ki,ckl,jl->cij", u, matrix.reshape(-1, n, n), v) ** 2
        # singular values stay; the strongest direction gets more than its share, the weakest less
        assert np.einsum("cii->ci", along).mean() < 0.05 * along.mean()
        share = along.mean((0, 1)) / along.mean()
        expected = (1 + s**2 / np.mean(s**2)) / 2
        assert share[0] == pytest.approx(expected[0], rel=0.25)
        assert share[0] > 1.5 and share[-1] < 0.6


@pytest.mark.parametrize("n", [32, 128])
def test_full_scale_of_a_passive_mesh(n):
    rng = np.random.default_rng(3)
    shares = []
    for scale in np.geomspace(1e-3, 30.0, 12):  # however large the weights
        w = scale * rng.standard_normal((n, n))
        shares.append(abs(w).max(axis=0).mean() / np.linalg.norm(w, 2))
    assert np.mean(shares) == pytest.approx(meshes.mesh_full_scale(n), rel=0.1)
    assert np.std(shares) < 0.1 * np.mean(shares)


def test_weight_noise_of_a_core_disturbs_a_product_as_meshes_do():
    n, errors = 32, (0.01, 0.02)
    wanted, got = held(n, *errors)
    x = np.random.default_rng(4).standard_normal((200, n))
    fixed = got / gains(wanted, got)[:, :, None, None]
    right = np.einsum("tk,mkn->mtn", x, wanted)
    wrong = np.einsum("tk,mckn->mctn", x, fixed) - right[:, None]
    simulated = 10 * np.log10(np.mean(right**2) / np.mean(wrong**2))
    core = OpticalCore(
        rows=n, cols=n, input={"bits": None}, array={"bits": None}, adc={"bits": None}
    )
    core = core.replace(array={"scale": "per_tile", "noise": meshes.mesh_weight_noise(n, *errors)})
    numbers = (((1,), (0,)), ((), ()))
    signal = error = 0.0
    for w in wanted:
        _, m = measured_dot_general(jnp.asarray(x), jnp.asarray(w), numbers, core=core)
        signal, error = signal + float(m.signal), error + float(m.error)
    assert 10 * np.log10(signal / error) == pytest.approx(simulated, abs=0.8)


def test_mesh_functions_are_differentiable():
    point = (0.01, 0.02)
    slopes = jax.jit(jax.grad(functools.partial(meshes.mesh_weight_noise, 64), argnums=(0, 1)))(
        *point
    )
    for i in (0, 1):
        up, down = list(point), list(point)
        up[i], down[i] = up[i] + 1e-5, down[i] - 1e-5
        rise = meshes.mesh_weight_noise(64, *up) - meshes.mesh_weight_noise(64, *down)
        assert float(slopes[i]) == pytest.approx(rise / 2e-5, rel=1e-3)
    many = jax.vmap(functools.partial(meshes.mesh_matrix_error, 64))(jnp.array([0.01, 0.02]))
    assert float(many[1]) == pytest.approx(meshes.mesh_matrix_error(64, 0.02), rel=1e-5)
    assert float(jax.grad(rings.ring_crosstalk)(3.0)) == pytest.approx(-24 / 37**2, rel=1e-5)
    for modes in (1, 2.0, True):
        with pytest.raises(ValueError, match="is not an integer of 2 or more"):
            meshes.mesh_weight_noise(modes, 0.01)


def dropped(distance_linewidths, finesse):
    """Share of light that an add-drop ring drops: Airy's function, exact between resonances too."""
    half = np.pi * distance_linewidths / finesse
    return 1 / (1 + (np.sin(half) / np.sin(np.pi / (2 * finesse))) ** 2)


@pytest.mark.parametrize("finesse", [60.0, 133.0, 368.0])
@pytest.mark.parametrize("spacing", [2.0, 3.41, 4.61, 6.0])
def test_crosstalk_is_the_tail_of_a_ring(finesse, spacing):
    assert dropped(0.5, finesse) == pytest.approx(0.5)  # half of it, half a linewidth away
    assert rings.ring_crosstalk(spacing) == pytest.approx(dropped(spacing, finesse), rel=0.05)


def test_crosstalk_within_a_bank_of_rings():
    # rings in a row on a bus: what becomes of channel 8 when the ring beside it goes from parked to resonance
    spacing, finesse, channels = 4.16, 1e4, 16

    def weight(on):
        places = spacing * np.arange(channels) + np.where(on, 0.0, spacing / 2)
        return 1 - np.prod(1 - dropped(spacing * 8 - places, finesse))

    parked = np.zeros(channels, dtype=bool)
    beside = parked.copy()
    beside[9] = True  # it was parked on the far side
    change = weight(beside) - weight(parked)
    assert 0 < change < rings.ring_crosstalk(spacing)
    # further rings: pi**2 / 6 - 1 of the first neighbours', as their distances' squares
    tails = sum(rings.ring_crosstalk(spacing * k) for k in range(1, 2000))
    assert tails / rings.ring_crosstalk(spacing) - 1 == pytest.approx(0.64, abs=0.03)
