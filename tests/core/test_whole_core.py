"""Any core the constructor accepts, and all sources at once: finite, repeatable, and a JAX function."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import CHOICES, EMITTERS, FLAGS, LEAVES, LIT, MEANINGLESS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

import photonjax as pj
from tests.devices import run_on

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

MATRIX = (((1,), (0,)), ((), ()))
KEY = jax.random.key(7)
X = jax.random.normal(jax.random.key(0), (5, 20))
W = jax.random.normal(jax.random.key(1), (20, 7))
ONE_HOT = jnp.eye(20)[::4]
INPUTS = {
    "normal": (X, W),
    "dark": (0 * X, W),
    "no weight": (X, 0 * W),
    "huge": (1e15 * X, 1e8 * W),
    "tiny": (1e-15 * X, 1e-8 * W),
    "uneven": (X * jnp.array([[1e-20], [1e10], [1], [0], [1e-3]]), W),
    "one-hot": (ONE_HOT, W),
}
# Decades to draw from where the constructor sets no limits, or a limit at zero that is not in reach.
DECADES = {
    "photons": (-2, 9), "encoding.oscillator": (-1, 12),
    "receiver.noise_a_per_rthz": (-15, -10), "receiver.dark_current_a": (-15, -5),
    "receiver.saturation_electrons": (-1, 12), "input.extinction_db": (0, 2), "input.bandwidth_hz": (5, 14),
    "source.bandwidth_hz": (5, 14),
    "input.resonance_detuning": (-1, 3), "array.resonance_detuning": (-1, 3),
    "array.seconds_since_programming": (-6, 9), "adc.range": (-3, 3), "adc.gain": (-3, 3),
    "input.enob": (-1, 1.38),
    "adc.enob": (-1, 1.38), "input.range": (-3, 3), "symbol_rate_hz": (5, 11),
}  # fmt: skip
# Every source at once; two curves, all that a die can suffer. No ADC: see the tests that add it.
ALL = pj.OpticalCore(
    rows=16, cols=4, photons=100.0,
    source={"rin_db_hz": -125.0, "channel_rin_db_hz": -125.0},
    input={
        "curve": "lorentzian", "resonance_detuning": 3.0, "extinction_db": 12.0, "noise": 0.01,
        "relative_noise": 0.01, "bandwidth_hz": 5e8,
    },
    array={
        "curve": "sin2", "noise": 0.01, "seconds_since_programming": 1e5, "drift_exponent": 0.02,
        "drift_spread": 0.01, "flicker_noise": 0.01, "dead_fraction": 0.02, "stuck_fraction": 0.02,
        "crosstalk_rows": 0.02, "crosstalk_cols": 0.02,
    },
    receiver={
        "noise_a_per_rthz": 1e-13, "dark_current_a": 1e-9, "saturation_electrons": 600.0,
        "relative_noise": 0.02, "gain_error": 0.02, "offset_error": 0.02,
    },
    adc={"bits": None},
)  # fmt: skip


def product(x, w, core, key=KEY, numbers=MATRIX, **options):
    return pj.optical_dot_general(x, w, numbers, core=core, key=key, **options)


def numbers_of(name):
    """A strategy for a continuous field: its limits, or decades; zero if that is allowed."""
    limits = LEAVES[name].metadata
    if name in DECADES:
        some = st.floats(*DECADES[name]).map(lambda exponent: 10.0**exponent)
    else:
        some = st.floats(limits["low"], limits["high"])
    return some | st.just(limits["low"]) if limits.get("low") == 0 else some


@st.composite
def cores(draw):
    """Any core with up to five sources of error besides those that they need."""
    fields = {name: draw(st.sampled_from(choices)) for name, choices in CHOICES.items()}
    fields |= {name: draw(st.booleans()) for name in FLAGS}
    fields |= dict(rows=draw(st.sampled_from([16, 20])), cols=draw(st.sampled_from([4, 7])))
    sources = draw(st.sets(st.sampled_from(sorted(LEAVES)), max_size=5))
    for side in ("input", "array"):
        fields[f"{side}.bits"] = bits = draw(st.sampled_from([8, 4, 2, 12, None]))
        straight = fields[f"{side}.curve"] == "linear"
        most = 2 if bits is not None and bits > 2 and straight else 1
        fields[f"{side}.slices"] = draw(st.integers(1, most))
        if fields[f"{side}.curve"] == "lorentzian":
            sources.add(f"{side}.resonance_detuning")
    fields["adc.bits"] = draw(st.sampled_from([None, 8, 1, 16]))
    fields["averages"] = draw(st.integers(1, 2))
    fields["chip_seed"] = draw(st.sampled_from([0, 2**32 - 1]))
    if fields["input.scale"] == "static":
        sources.add("input.range")
    if fields["input.extinction"] != "balanced":
        sources.add("input.extinction_db")
        fields["encoding.kind"] = "differential"
    sources -= set(MEANINGLESS[fields["encoding.kind"]])
    if fields["encoding.kind"] == "quadrature":
        fields["encoding.photon_statistics"] = "gaussian"
    if fields["encoding.photon_statistics"] == "poisson" or sources & set(LIT):
        sources.add("photons")
    if fields["encoding.split"] == "best":  # of shot noise alone, and instead of a fraction
        sources -= {*LIT, "receiver.imbalance", "encoding.input_fraction"}
        fields["encoding.photon_statistics"] = "gaussian"
    if sources & set(EMITTERS):
        sources.add("source.threshold_fraction")
    if sources & {"array.drift_exponent", "array.drift_spread", "array.flicker_noise"}:
        sources.add("array.seconds_since_programming")
    if fields["adc.bits"] is None:
        sources -= {"adc.gain", "adc.enob", "adc.inl_lsb"}
    if fields["input.bits"] is None:
        sources -= {"input.enob", "input.inl_lsb"}
    if tails := sources & {"receiver.outlier_fraction", "receiver.outlier_ratio"}:
        sources |= {"receiver.outlier_fraction", "receiver.outlier_ratio"} - tails
    return pj.OpticalCore().replace(
        **fields, **{name: draw(numbers_of(name)) for name in sorted(sources)}
    )


@settings(max_examples=2, deadline=None)
@given(cores())
@example(ALL)
@example(ALL.replace(adc={"bits": 8, "enob": 6.0, "inl_lsb": 1.0}, encoding="offset"))
def test_any_core_is_finite_and_repeatable(core):
    """Outputs and every gradient, at the kinks of zeros and one-hot inputs too."""

    @jax.jit
    def run(x, w, core, key):
        y, pull = jax.vjp(lambda x, w, core: product(x, w, core, key), x, w, core)
        return y, product(x, w, core, None), pull(jnp.ones_like(y))

    leaves = jax.tree.map(jnp.float32, core)
    for name, (x, w) in INPUTS.items():
        y, silent, gradients = run(x, w, leaves, KEY)
        assert y.shape == (5, 7) and y.dtype == jnp.float32
        assert jnp.isfinite(y).all() and jnp.isfinite(silent).all(), name
        if name != "huge" and name != "uneven":  # their squares do not fit into float32
            assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients)), name
        np.testing.assert_array_equal(run(x, w, leaves, jax.random.key(7))[0], y)
        if not core.dynamic:  # a key makes no difference then
            np.testing.assert_array_equal(silent, y)


def close(found, expected, tolerance=1e-4):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_vmap():
    """Over inputs, keys, fields and dies, outputs and gradients: what each element gives by itself."""
    keys, xs = jax.random.split(KEY, 3), jnp.stack([X, X[::-1], 3 * X])
    shares, seeds = jnp.array([0.5, 0.9, 1.0]), jnp.array([0, 5, 2**32 - 1], jnp.uint32)

    def both(x, key, core):
        y, pull = jax.vjp(lambda x, core: product(x, W, core, key), x, core)
        return y, pull(jnp.ones_like(y))

    @jax.jit
    def alone(x, key, core, seed):
        y, (dx, dcore) = both(x, key, core.replace(chip_seed=seed))
        return y, dx, jax.tree.leaves(dcore.replace(chip_seed=0))

    # Every field at once, the seed among them: a core of arrays is mapped as a whole.
    spread = jax.tree.map(lambda value: value * shares, ALL)
    many, (dx, dcore) = jax.jit(jax.vmap(both))(xs, keys, spread.replace(chip_seed=seeds))
    found = many, dx, jax.tree.leaves(dcore.replace(chip_seed=0))
    cores = [jax.tree.map(lambda value, i=i: value[i], spread) for i in range(3)]
    each = [alone(*at) for at in zip(xs, keys, cores, seeds, strict=True)]
    jax.tree.map(lambda many, *ones: close(many, jnp.stack(ones)), found, *each)
    # Only some, by an ``in_axes`` of the core's own structure, in which an integer would be a static seed.
    one = ALL.replace(array={"noise": shares / 20})
    axes = jax.tree.map(lambda value: 0 if jnp.ndim(value) else None, one)
    of_die = lambda x, key, core, seed: product(x, W, core.replace(chip_seed=seed), key)
    some = jax.jit(jax.vmap(of_die, (0, 0, axes, 0)))(xs, keys, one, seeds)
    cores = [jax.tree.map(jnp.float32, ALL.replace(array={"noise": s})) for s in shares / 20]
    close(some, jnp.stack([alone(*at)[0] for at in zip(xs, keys, cores, seeds, strict=True)]))
    dies = [alone(X, KEY, cores[0], seed)[0] for seed in seeds]
    assert (dies[0] != dies[1]).all() and (dies[1] != dies[2]).all()


def test_scan_over_layers_and_checkpoint():
    ws, keys = jax.random.normal(jax.random.key(2), (3, 7, 7)), jax.random.split(KEY, 3)

    def layers(ws, core, wrap=lambda step: step):
        step = wrap(lambda x, layer: (jnp.tanh(product(x, layer[0], core, layer[1])), None))
        return lax.scan(step, X[:, :7], (ws, keys))[0]

    x, step = X[:, :7], jax.jit(lambda x, w, key: jnp.tanh(product(x, w, ALL, key)))
    for w, key in zip(ws, keys, strict=True):
        x = step(x, w, key)
    close(jax.jit(layers)(ws, ALL), x)
    plain = jax.jit(jax.grad(lambda *at: layers(*at).sum(), (0, 1)))(ws, ALL)
    again = jax.jit(jax.grad(lambda *at: layers(*at, wrap=jax.checkpoint).sum(), (0, 1)))(ws, ALL)
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max())


STATIC = {
    "programming": dict(array={"noise": 0.05}),
    "time": dict(
        array={
            "seconds_since_programming": 1e4,
            "drift_exponent": 0.05,
            "drift_spread": 0.02,
            "flicker_noise": 0.05,
        }
    ),
    "defects": dict(array={"dead_fraction": 0.1, "stuck_fraction": 0.1}),
    "crosstalk": dict(array={"crosstalk_rows": 0.05, "crosstalk_cols": 0.03}),
    "columns": dict(
        receiver={"gain_error": 0.05, "offset_error": 0.05}, adc={"bits": 8, "inl_lsb": 2.0}
    ),
    "floor": dict(input={"extinction": "floor", "extinction_db": 10.0}),
    "dither": dict(input={"extinction": "dither", "extinction_db": 10.0}),
    "curve, looked up": dict(array={"curve": "sin2"}),
    "curve": dict(
        array={"curve": "lorentzian", "resonance_detuning": 3.0, "lookup": False},
        input={"resonance_detuning": 3.0, "lookup": False},
    ),
    "slices": dict(
        input={"slices": 2}, array={"slices": 3, "noise": 0.02}, receiver={"gain_error": 0.05}
    ),
    "per tile": dict(
        input={"scale": "per_tile", "power_of_two_scale": True},
        array={"scale": "per_tile", "power_of_two_scale": True},
    ),
    "per tensor": dict(array={"scale": "per_tensor", "bits": 4}),
    "beyond 8 bits": dict(array={"bits": 12, "noise": 0.05, "scale": "per_tile"}),
    "continuous": dict(array={"bits": None, "noise": 0.05, "crosstalk_rows": 0.05}),
}


# Another site has other errors of these.
DRAWN = ("programming", "time", "defects", "columns", "dither", "slices", "beyond 8 bits")


@pytest.mark.parametrize("name", STATIC)
def test_programmed_weights_are_the_weights(name):
    """Bit for bit, with every static source: what is held is what every call would work out again."""
    core = pj.OpticalCore(
        rows=8, cols=4, adc={"bits": None}, photons=100.0, source={"rin_db_hz": -125.0}
    )
    core = core.replace(**STATIC[name])
    encodings = ["differential", "offset", "homodyne", "quadrature"]
    for encoding in encodings if core.input.extinction == "balanced" else encodings[:1]:
        for estimate in ("rank_one", "exact") if encoding == "differential" else ("rank_one",):
            one = core.replace(encoding={"kind": encoding, "shot_estimate": estimate})
            y = product(X, pj.program(W, one, site=3), one, site=3)
            np.testing.assert_array_equal(y, product(X, W, one, site=3))
            assert name not in DRAWN or (y != product(X, W, one, site=4)).any()


def test_batch_axes_are_products_of_their_own():
    """Element i has the key ``fold_in(key, i)`` and is site i within the product's site."""
    slices = dict(input={"slices": 2}, array={"slices": 2, "scale": "per_tile"})
    core = ALL.replace(input={"curve": "linear"}, array={"curve": "linear"}).replace(**slices)
    xs, ws = jnp.stack([X, 2 * X, X[::-1]]), jnp.stack([W, W[::-1], -W])
    numbers = (((1,), (2,)), ((2,), (0,)))
    run = jax.jit(lambda x, w: product(x, w, core, numbers=numbers, site=2))
    many = run(xs.transpose(1, 2, 0), ws.transpose(0, 2, 1))
    assert many.shape == (3, 5, 7)
    one = jax.jit(lambda x, w, key, site: product(x, w, core, key, site=site))
    sites = [(2, jnp.uint32(i)) for i in range(3)]
    each = [one(xs[i], ws[i], jax.random.fold_in(KEY, i), sites[i]) for i in range(3)]
    close(many, jnp.stack(each))


def test_every_source_is_the_same_on_every_mesh():
    """Five cores with all sources on, sharded over data, columns and rows at once: the bits of one device."""
    found = run_on(8, Path(__file__).with_name("mesh_sources_program.py"))
    assert len(found) == 5 and all(len(layouts) == 1 for layouts in found.values())
    assert {name: layouts for name, layouts in found.items() if any(layouts.values())} == {}
