"""DigitalAccelerator: validation that names the field, and the pytree."""

import math

import jax
import pytest

from photonjax.machines import DigitalAccelerator


def test_accelerator_is_a_pytree():
    accelerator = DigitalAccelerator({"int8": 2.0, "bfloat16": 1.0}, {"int8": 3.0}, power_w=4.0)
    scaled = jax.tree.map(lambda x: 10 * x, accelerator)
    assert scaled.rate("int8") == 20.0 and scaled.power_w == 40.0 and scaled.utilisation == 10.0
    slopes = jax.grad(lambda a: a.rate("int8") * a.power_w)(accelerator)
    found = (slopes.ops_per_s, slopes.power_w, slopes.mac_energy_j, slopes.utilisation)
    expected = ({"int8": 4.0, "bfloat16": 0.0}, 2.0, {"int8": 0.0}, 0.0)
    assert found == expected


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"ops_per_s": {"int9": 1.0}}, r"ops_per_s\['int9'\]: unknown precision; choose one of"),
        ({"ops_per_s": {"int8": 0.0}}, r"ops_per_s\['int8'\] = 0.0 is not a number"),
        ({"mac_energy_j": {"int8": math.nan}}, r"mac_energy_j\['int8'\] = nan is not a number"),
        ({"utilisation": 0.0}, r"DigitalAccelerator.utilisation = 0.0 is not a number"),
        ({"utilisation": 1.1}, r"DigitalAccelerator.utilisation = 1.1 is not a number"),
        ({"power_w": -1.0}, r"DigitalAccelerator.power_w = -1.0 is not a number"),
    ],
)
def test_impossible_accelerators_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DigitalAccelerator(**{"ops_per_s": {"int8": 1.0}, "mac_energy_j": {"int8": 1.0}, **kwargs})
    with pytest.raises(TypeError, match="ops_per_s"):
        DigitalAccelerator(1e12, {})
