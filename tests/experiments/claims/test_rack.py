"""Claim 8: the power of a server is that of its parts."""

from __future__ import annotations

import pytest

import photonjax as pj
from photonjax.core import set_fields


def test_power_of_a_server_is_that_of_its_parts(load):
    rack = load("experiments.claims.rack")
    core = pj.machines.optical("display-1024")
    costs = core.costs
    laser = 1024**2 * 4 * core.photons * 1.2815e-19 / 0.8 * 10**0.6 / 0.2 * core.symbol_rate_hz
    one = rack.components(core)
    assert one[0]["laser"] / one[1] == pytest.approx(laser, rel=1e-3)
    eight = set_fields(core, {"costs.cores": 8})
    variable = rack.power_w(core) - costs.static_power_w
    assert rack.power_w(eight) == pytest.approx(8 * variable + costs.static_power_w, rel=1e-6)
