"""OpticalDot, OpticalLinear, OpticalEinsum: drop-ins for what Flax has."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import photonjax as pj

CORE = pj.OpticalCore(rows=16, cols=16, photons=100.0, adc={"bits": None})
MATRIX = (((1,), (0,)), ((), ()))
X = jax.random.normal(jax.random.key(0), (6, 24))


def parameters(module):
    return jax.tree.map(jnp.shape, nnx.to_pure_dict(nnx.state(module, nnx.Param)))


@pytest.mark.slow
def test_same_parameter_tree_and_initial_values():
    pairs = [
        (nnx.Linear(24, 8, rngs=nnx.Rngs(3)),
         pj.nnx.OpticalLinear(24, 8, core=CORE, rngs=nnx.Rngs(3))),
        (nnx.Linear(24, 8, use_bias=False, rngs=nnx.Rngs(3)),
         pj.nnx.OpticalLinear(24, 8, core=CORE, use_bias=False, rngs=nnx.Rngs(3))),
        (nnx.Einsum("bi,ihd->bhd", (24, 2, 4), (2, 4), rngs=nnx.Rngs(3)),
         pj.nnx.OpticalEinsum("bi,ihd->bhd", (24, 2, 4), (2, 4), core=CORE, rngs=nnx.Rngs(3))),
    ]  # fmt: skip
    ideal = dict(photons=1e30)  # all there, but silent
    for digital, optical in pairs:
        assert parameters(digital) == parameters(optical)
        for p, q in zip(
            *(jax.tree.leaves(nnx.state(m, nnx.Param)) for m in (digital, optical)), strict=True
        ):
            np.testing.assert_array_equal(p, q)
        pj.nnx.set_hardware(optical, **ideal)
        # 8 bits: relative error of a 24-term product below 2 % of its typical size
        error = np.asarray(optical(X) - digital(X))
        assert 0 < error.std() < 0.02 * np.asarray(digital(X)).std()


def test_is_the_op_called_by_hand():
    layer = pj.nnx.OpticalLinear(24, 8, core=CORE, rngs=nnx.Rngs(0))
    pj.nnx.set_noise_key(layer, jax.random.key(9))
    stream = nnx.RngStream(jax.random.fold_in(jax.random.key(9), 0), tag="noise")  # site 0
    core = jax.tree.map(jnp.float32, CORE)
    for _ in range(2):
        y = pj.optical_dot_general(X, layer.kernel[...], MATRIX, core=core, key=stream(), site=0)
        np.testing.assert_array_equal(layer(X), y + layer.bias[...])


def test_inside_plain_linear():
    rngs = nnx.Rngs(0, noise=7)
    dot = pj.nnx.OpticalDot(CORE, rngs=rngs)
    layer = nnx.Linear(24, 8, dot_general=nnx.data(dot), rngs=rngs)
    first, second = layer(X), layer(X)
    assert (first != second).mean() > 0.9  # fresh noise at each call
    plain = nnx.Linear(24, 8, rngs=nnx.Rngs(0))
    assert jnp.abs(first - plain(X)).max() < 3 and (first != plain(X)).any()
    silent = nnx.Linear(24, 8, dot_general=nnx.data(pj.nnx.OpticalDot(CORE)), rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(silent(X), silent(X))


def test_accepts_what_flax_passes():
    dot = pj.nnx.OpticalDot(CORE)
    y = dot(X, jnp.ones((24, 3)), MATRIX, precision=lax.Precision.HIGHEST, out_sharding=None)
    assert y.dtype == jnp.float32
    half = X.astype(jnp.bfloat16)
    assert dot(half, jnp.ones((24, 3), jnp.bfloat16), MATRIX).dtype == jnp.bfloat16
    y = dot(half, jnp.ones((24, 3), jnp.bfloat16), MATRIX, preferred_element_type=jnp.float32)
    assert y.dtype == jnp.float32
    layer = pj.nnx.OpticalLinear(24, 8, core=CORE, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert layer(X).dtype == jnp.bfloat16 and layer.kernel[...].dtype == jnp.float32


def test_counts_advance_under_jit_and_values_do_not_retrace():
    layer = pj.nnx.OpticalLinear(24, 8, core=CORE, rngs=nnx.Rngs(0))
    pj.nnx.set_noise_key(layer, jax.random.key(1))

    @nnx.jit
    @chex.assert_max_traces(n=1)  # the same program throughout
    def run(layer, x):
        return layer(x)

    first, second = run(layer, X), run(layer, X)
    assert layer.dot_general.stream.count[...] == 2 and (first != second).any()
    pj.nnx.set_noise_key(layer, jax.random.key(1))
    np.testing.assert_array_equal(run(layer, X), first)
    np.testing.assert_array_equal(run(layer, X), second)
    quiet = [run(layer, X)]
    pj.nnx.set_hardware(layer, photons=1e12)
    pj.nnx.set_noise_key(layer, jax.random.key(1))
    quiet = run(layer, X)
    pj.nnx.set_noise_key(layer, None)
    silent = layer(X)
    # 1e10 times the photons: 1e5 times less noise
    assert jnp.abs(quiet - silent).max() < 1e-4 * jnp.abs(first - silent).max()
    with pytest.raises(ValueError, match="core has no source.rin_db_hz .*photons"):
        pj.nnx.set_hardware(layer, **{"source.rin_db_hz": -140.0})
    for fields, message in (
        ({"photons": -1}, "OpticalCore.photons = -1 is not a number above 0"),
        ({"photons": np.nan}, "OpticalCore.photons = nan is not a number"),
        ({"photons": None}, "the model: OpticalCore.photons = None is not a number"),
        ({"photons": np.ones(2)}, "OpticalCore.photons = .* is not a number"),
        ({"photons": 5.0, "adc.range": 0}, "OpticalCore.adc.range = 0 is not a number above 0"),
        ({"photons": 5.0, "photon": 1}, r"no field 'photon' \(did you mean photons"),
        ({"adc.bits": 4}, "core has no adc.bits to set .*another OpticalCore.adc.bits"),
    ):
        with pytest.raises(ValueError, match=message):
            pj.nnx.set_hardware(layer, **fields)
    for value in ("a", [1.0, 2.0], True, 1j):
        with pytest.raises(TypeError, match="OpticalCore.photons = .* is not a number"):
            pj.nnx.set_hardware(layer, photons=value)
    assert layer.dot_general.core.photons == 1e12  # nothing was set
    with pytest.raises(ValueError, match="no optical products; convert it first"):
        pj.nnx.set_hardware(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), photons=1.0)


def test_gradients_for_parameters_and_hardware():
    layer = pj.nnx.OpticalLinear(24, 8, core=CORE, rngs=nnx.Rngs(0))
    pj.nnx.set_noise_key(layer, jax.random.key(1))

    def loss(layer, x):
        return jnp.mean(layer(x) ** 2)

    grads = nnx.grad(loss)(layer, X)
    assert set(nnx.to_pure_dict(grads)) == {"kernel", "bias"}  # by default: parameters only
    pj.nnx.set_noise_key(layer, jax.random.key(1))
    wrt = nnx.DiffState(0, pj.nnx.HardwareParam)
    slope = nnx.to_pure_dict(nnx.grad(loss, argnums=wrt)(layer, X))["dot_general"]["hardware"]

    def at(photons):
        pj.nnx.set_noise_key(layer, jax.random.key(1))
        pj.nnx.set_hardware(layer, photons=photons)
        return float(loss(layer, X))

    difference = (at(102.0) - at(98.0)) / 4
    assert slope["photons"] == pytest.approx(difference, rel=0.02)  # float32 losses, 4 % apart
    # the core's other values have no effect here
    assert slope["adc.range"] == 0 and slope["symbol_rate_hz"] == 0


def test_static_errors_follow_site_and_chip():
    core = pj.OpticalCore(rows=32, cols=32, array={"noise": 0.05}, adc={"bits": None})

    def product(site=0, **fields):
        dot = pj.nnx.OpticalDot(core.replace(**fields), site=site)
        return np.asarray(dot(X, jnp.ones((24, 8)), MATRIX))

    np.testing.assert_array_equal(product(), product())
    assert (product() != product(site=1)).any() and (product() != product(chip_seed=1)).any()


@pytest.mark.parametrize("stats", [functools.partial(dataclasses.replace, CORE)])
def test_measuring(stats):
    layer = pj.nnx.OpticalLinear(24, 8, core=stats(), rngs=nnx.Rngs(0))
    plain = layer(X)
    pj.nnx.set_noise_key(layer, jax.random.key(1))
    expected = layer(X), layer(2 * X)
    pj.nnx.set_noise_key(layer, jax.random.key(1))
    pj.nnx.start_measuring(layer)
    found = nnx.jit(lambda m, x: m(x))(layer, X), layer(2 * X)
    for y, z in zip(expected, found, strict=True):
        # measured and not are different programs; last bits may be contracted otherwise
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-5)
    (measured,) = pj.nnx.stop_measuring(layer).values()
    ideal = np.asarray(X @ layer.kernel[...])
    assert measured.outputs == 2 * plain.size
    assert float(measured.signal) == pytest.approx(5 * (ideal**2).sum(), rel=1e-4)
    assert pj.nnx.stop_measuring(layer) == {} and layer.dot_general.measurement is None
