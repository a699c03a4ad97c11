"""OpticalCore as a pytree, and what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import photonjax as pj

CORE = pj.OpticalCore(rows=4, cols=4, photons=100.0, laser_rin_db_hz=-140.0, bits_out=None)
INTEGERS = {"rows": (1, 65536), "cols": (1, 65536), "bits_in": (2, 16), "bits_weight": (2, 16)}
INTEGERS |= {"bits_out": (1, 16), "chip_seed": (0, 2**32 - 1)}
CHOICES = "encoding photon_statistics shot_estimate input_scale weight_scale sampler".split()
POSITIVE = ["photons", "adc_range", "symbol_rate_hz", "enob"]
INTERVALS = {"input_noise": (0, 0.5), "weight_noise": (0, 0.5), "laser_rin_db_hz": (-250, -50)}


def test_leaves_are_the_continuous_fields():
    paths, _ = jax.tree.flatten_with_path(CORE)
    named = {jax.tree_util.keystr(p).lstrip("."): v for p, v in paths}
    assert named == {
        "photons": 100.0, "laser_rin_db_hz": -140.0, "adc_range": 1.0, "symbol_rate_hz": 1e9
    }  # fmt: skip
    assert jax.tree.map(lambda v: v, CORE) == CORE


def test_jit_vmap_grad_over_leaves():
    def mean_square(core, key):
        x, w = jnp.ones((64, 4)), jnp.ones((4, 1))
        y = pj.optical_dot_general(x, w, (((1,), (0,)), ((), ())), core=core, key=key)
        return jnp.mean((y - 4) ** 2)

    traces = []

    @jax.jit
    def run(core):
        traces.append(None)
        return mean_square(core, jax.random.key(0))

    few, many = run(CORE), run(dataclasses.replace(CORE, photons=1e4))
    # Deviations are the same draws, 10 times smaller; the laser's part, 16 * 5e-6, is 0.2 % of few.
    assert len(traces) == 1 and abs(few / many / 100 - 1) < 0.3
    run(dataclasses.replace(CORE, rows=2))
    assert len(traces) == 2  # sizes are static

    photons = jnp.array([50.0, 100.0, 1e4])
    swept = jax.vmap(lambda m: run(dataclasses.replace(CORE, photons=m)))(photons)
    assert jnp.allclose(swept[1:], jnp.stack([few, many]), rtol=1e-5)
    slope = jax.grad(run)(CORE)
    assert isinstance(slope, pj.OpticalCore) and slope.photons < 0  # a value no core may have


@pytest.mark.parametrize("name", INTEGERS)
@settings(max_examples=15, deadline=None)
@given(value=st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=2) | st.booleans())
def test_integers(name, value):
    low, high = INTEGERS[name]
    if type(value) is int and low <= value <= high:
        assert getattr(pj.OpticalCore(**{name: value}), name) == value
        return
    with pytest.raises((ValueError, TypeError), match=rf"OpticalCore\.{name} = ") as caught:
        pj.OpticalCore(**{name: value})
    assert isinstance(caught.value, ValueError if type(value) is int else TypeError)
    assert "\n" not in str(caught.value) and repr(value) in str(caught.value)


@pytest.mark.parametrize("name", [*POSITIVE, *INTERVALS])
@settings(max_examples=15, deadline=None)
@given(value=st.floats() | st.integers(-5, 5) | st.booleans())
def test_continuous_fields(name, value):
    base = dict(photons=1.0)
    low, high = INTERVALS.get(name, (0, 24 if name == "enob" else float("inf")))
    inside = (low < value if name in POSITIVE else low <= value) and value <= high
    if type(value) is not bool and inside and value != float("inf"):
        assert getattr(pj.OpticalCore(**(base | {name: value})), name) == value
        return
    with pytest.raises((ValueError, TypeError), match=rf"OpticalCore\.{name} = "):
        pj.OpticalCore(**(base | {name: value}))


@pytest.mark.parametrize("name", CHOICES)
def test_choices(name):
    with pytest.raises(ValueError, match=rf"OpticalCore\.{name} = 'magic'; choose one of \w+"):
        pj.OpticalCore(**{name: "magic"})


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(receiver_noise_a_per_rthz=1e-12), "photons is None"),
        (dict(photon_statistics="poisson"), "needs photons"),
        (dict(bits_out=None, enob=5.0), "bits_out is None"),
        (dict(adc_range=None), "adc_range is None"),
        (dict(costs=3.0), "not a CoreCosts"),
        (dict(rows=None), "rows = None is not an integer"),
    ],
)
def test_combinations(fields, message):
    with pytest.raises((ValueError, TypeError), match=message):
        pj.OpticalCore(**fields)


def test_frozen_and_levels():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CORE.rows = 3
    assert (CORE.levels_in, pj.OpticalCore(bits_weight=4).levels_weight) == (127, 7)
    assert pj.OpticalCore(bits_in=None).levels_in is None
    assert CORE.dynamic and not pj.OpticalCore(weight_noise=0.1).dynamic
