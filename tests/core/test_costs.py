"""CoreCosts: validation that names the field, and the pytree."""

import dataclasses
import math

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonjax.core import CoreCosts

LEAVES = [f.name for f in dataclasses.fields(CoreCosts) if f.metadata.get("leaf")]
LIMITS = {f.name: f.metadata for f in dataclasses.fields(CoreCosts)}
DEFAULTS = {f.name: f.default for f in dataclasses.fields(CoreCosts)}


@given(st.sampled_from(LEAVES), st.sampled_from([-1.0, math.nan, math.inf, -math.inf]))
def test_impossible_number_names_field_value_and_range(name, value):
    with pytest.raises(ValueError, match=rf"OpticalCore\.costs\.{name} = .* is not a number"):
        CoreCosts(**{name: value})


@given(st.sampled_from(["quantum_efficiency", "wall_plug_efficiency", "laser_idle_fraction"]))
def test_fractions_stop_at_one(name):
    assert getattr(CoreCosts(**{name: 1.0}), name) == 1.0
    with pytest.raises(ValueError, match=name):
        CoreCosts(**{name: 1.0001})


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("cores", 0, ValueError),
        ("cores", 1.5, TypeError),
        ("cores", True, TypeError),
        ("double_buffered", 1, TypeError),
        ("dac_energy_j", "10 pJ", TypeError),
        ("dac_energy_j", None, ValueError),
    ],
)
def test_wrong_kinds_are_refused(field, value, error):
    with pytest.raises(error, match=rf"OpticalCore\.costs\.{field}"):
        CoreCosts(**{field: value})


def test_continuous_fields_are_leaves_and_the_rest_is_static():
    optional = {n: LIMITS[n].get("high", 1e12) for n in LEAVES if DEFAULTS[n] is None}
    costs = CoreCosts(**optional, cores=3, double_buffered=False)
    leaves, tree = jax.tree.flatten(costs)
    assert len(leaves) == len(LEAVES)
    doubled = jax.tree.unflatten(tree, [2 * x for x in leaves])
    assert doubled.cores == 3 and not doubled.double_buffered
    assert doubled.weight_memory_bytes_per_s == 2e12
    assert jax.jit(lambda c: c.wavelength_m * 2)(costs) == pytest.approx(2 * 1550e-9)


def test_recalibration_says_how_often():
    with pytest.raises(ValueError, match=r"recalibration_loads is set but .*_interval_s is None"):
        CoreCosts(recalibration_loads=1.0)
