"""Claim 7: watts and dollars of a fleet against the numbers written out."""

from __future__ import annotations

import pytest


def test_a_fleet_of_todays_accelerators(load):
    """4 million accelerators of 700 W with a server's overhead of 1.82, a thousandfold: 5,096 GW."""
    fleet = load("experiments.claims.fleet")
    numbers = {
        "base_h100": 4e6,
        "accelerator_overhead": 1.82,
        "pue": 1.0,
        "gain_per_watt": 1.0,
        "dollars_per_watt": 50.0,
    }
    found = fleet.reconstruct(numbers, 1000.0, 700.0)
    assert found["watts"] == pytest.approx(5.096e12)
    assert found["dollars"] == pytest.approx(50 * 5.096e12)
