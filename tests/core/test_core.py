"""OpticalCore as a pytree, and what it refuses."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import CHOICES
from hypothesis import given, settings
from hypothesis import strategies as st

import photonjax as pj
from photonjax.core.fields import get_field, leaf_names

CORE = pj.OpticalCore(
    rows=4, cols=4, photons=100.0, source={"rin_db_hz": -140.0}, adc={"bits": None}
)
INTEGERS = {"rows": (1, 65536), "cols": (1, 65536), "input.bits": (2, 16), "array.bits": (2, 16)}
INTEGERS |= {"adc.bits": (1, 16), "chip_seed": (0, 2**32 - 1)}
POSITIVE = ["photons", "adc.range", "symbol_rate_hz", "adc.enob"]
INTERVALS = {"input.noise": (0, 0.5), "array.noise": (0, 0.5), "source.rin_db_hz": (-250, -50)}


def test_leaves_are_the_continuous_fields():
    assert dict(zip(leaf_names(CORE), jax.tree.leaves(CORE), strict=True)) == {
        "photons": 100.0, "source.rin_db_hz": -140.0, "adc.range": 1.0, "symbol_rate_hz": 1e9
    }  # fmt: skip
    assert jax.tree.map(lambda v: v, CORE) == CORE


def test_jit_vmap_grad_over_leaves():
    def mean_square(core, key):
        x, w = jnp.ones((64, 4)), jnp.ones((4, 1))
        y = pj.optical_dot_general(x, w, (((1,), (0,)), ((), ())), core=core, key=key)
        return jnp.mean((y - 4) ** 2)

    def run(core):
        return mean_square(core, jax.random.key(0))

    counted, run = jax.jit(chex.assert_max_traces(run, n=1)), jax.jit(run)
    few, many = counted(CORE), counted(CORE.replace(photons=1e4))
    # Deviations are the same draws, 10 times smaller; the laser's part, 16 * 5e-6, is 0.2 % of few.
    assert abs(few / many / 100 - 1) < 0.3
    with pytest.raises(AssertionError, match="traced > 1"):
        counted(CORE.replace(rows=2))  # sizes are static

    photons = jnp.array([50.0, 100.0, 1e4])
    swept = jax.vmap(lambda m: run(CORE.replace(photons=m)))(photons)
    assert jnp.allclose(swept[1:], jnp.stack([few, many]), rtol=1e-5)
    slope = jax.grad(run)(CORE)
    assert isinstance(slope, pj.OpticalCore) and slope.photons < 0  # a value no core may have


@pytest.mark.parametrize("name", INTEGERS)
@settings(max_examples=15, deadline=None)
@given(value=st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=2) | st.booleans())
def test_integers(name, value):
    low, high = INTEGERS[name]
    if type(value) is int and low <= value <= high:
        assert get_field(pj.OpticalCore().replace(**{name: value}), name) == value
        return
    with pytest.raises((ValueError, TypeError), match=rf"OpticalCore\.{name} = ") as caught:
        pj.OpticalCore().replace(**{name: value})
    assert isinstance(caught.value, ValueError if type(value) is int else TypeError)
    assert "\n" not in str(caught.value) and repr(value) in str(caught.value)


@pytest.mark.parametrize("name", [*POSITIVE, *INTERVALS])
@settings(max_examples=15, deadline=None)
@given(value=st.floats() | st.integers(-5, 5) | st.booleans())
def test_continuous_fields(name, value):
    base = pj.OpticalCore(photons=1.0)
    low, high = INTERVALS.get(name, (0, 24 if name == "adc.enob" else float("inf")))
    inside = (low < value if name in POSITIVE else low <= value) and value <= high
    with np.errstate(over="ignore", under="ignore"):
        single = np.float32(value)  # in which fields are held, normal and finite
    held = np.isfinite(single) and (name not in POSITIVE or single >= np.finfo(np.float32).tiny)
    if type(value) is not bool and inside and held:
        assert get_field(base.replace(**{name: value}), name) == value
        return
    with pytest.raises((ValueError, TypeError), match=rf"OpticalCore\.{name} = "):
        base.replace(**{name: value})


@pytest.mark.parametrize("name", CHOICES)
def test_choices(name):
    with pytest.raises(ValueError, match=rf"OpticalCore\.{name} = 'magic'; choose one of \w+"):
        pj.OpticalCore().replace(**{name: "magic"})


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(receiver={"noise_a_per_rthz": 1e-12}), "photons is None"),
        (dict(encoding={"photon_statistics": "poisson"}), "needs photons"),
        (dict(adc={"bits": None, "enob": 5.0}), "adc.bits is None"),
        (dict(adc={"range": None}), "OpticalCore.adc.range is None"),
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
    assert (CORE.input.levels, pj.OpticalCore(array={"bits": 4}).array.levels) == (127, 7)
    assert pj.OpticalCore(input={"bits": None}).input.levels is None
    assert CORE.dynamic and not pj.OpticalCore(array={"noise": 0.1}).dynamic


@pytest.mark.parametrize(
    "make, error, message",
    [
        (
            lambda: pj.OpticalCore(bits_out=8),
            TypeError,
            r"no field 'bits_out'.*adc\.bits.*known: rows",
        ),
        (
            lambda: pj.OpticalCore(adc={"bit": 8}),
            TypeError,
            r"OpticalCore\.adc has no field 'bit'.*bits",
        ),
        (
            lambda: pj.OpticalCore(adc=8),
            TypeError,
            r"OpticalCore\.adc = 8; give an ADC or a mapping",
        ),
        (
            lambda: CORE.replace(enob=7.0),
            ValueError,
            r"no field 'enob' \(did you mean input\.enob or adc\.enob\?\)",
        ),
        (
            lambda: CORE.replace(**{"adc.bit": 8}),
            ValueError,
            r"OpticalCore\.adc has no field 'bit'",
        ),
        (lambda: CORE.replace(**{"dac.bits": 8}), ValueError, r"OpticalCore has no field 'dac'"),
        (
            lambda: CORE.replace(**{"adc.bits.x": 1}),
            ValueError,
            r"OpticalCore\.adc\.bits = None has no field 'x'; set 'adc\.bits' itself",
        ),
        (
            lambda: CORE.replace(**{"costs.cores": 2}),
            ValueError,
            r"OpticalCore\.costs = None has no field 'cores'; set 'costs' itself",
        ),
        (
            lambda: pj.OpticalCore(**{"adc.bits": 99}),
            TypeError,
            r"no field 'adc\.bits'; dotted names are for replace, give adc={'bits': \.\.\.} here",
        ),
        (lambda: CORE.replace(adc={3: 4}), ValueError, r"OpticalCore\.adc has no field '3'"),
    ],
)
def test_unknown_fields(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_replace_changes_what_it_names():
    core = pj.OpticalCore(
        photons=1.0, encoding={"kind": "offset", "photon_statistics": "poisson"}, adc={"bits": 6}
    )
    changed = core.replace(encoding="homodyne", adc={"enob": 5.0}, **{"adc.range": 2.0})
    assert changed.encoding.kind == "homodyne"
    assert changed.encoding.photon_statistics == "poisson"
    assert (changed.adc.bits, changed.adc.enob, changed.adc.range) == (6, 5.0, 2.0)
    assert core.replace() == core
    # together: neither alone would do
    core = changed.replace(**{"adc.bits": None, "adc.enob": None})
    assert core.adc.bits is None


def test_stages_are_given_as_themselves_as_mappings_or_by_kind():
    from photonjax.core.adc import ADC
    from photonjax.core.encoding import Encoding

    by_mapping = pj.OpticalCore(adc={"bits": 6}, encoding={"kind": "offset"})
    assert by_mapping == pj.OpticalCore(adc=ADC(bits=6), encoding=Encoding("offset"))
    assert by_mapping == pj.OpticalCore(adc={"bits": 6}, encoding="offset")
