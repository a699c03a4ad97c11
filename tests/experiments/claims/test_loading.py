"""Claim 6: tokens that a weight load must serve, and the verdict."""

from __future__ import annotations

import pytest

import photonjax as pj
from photonjax.core import set_fields


def test_tokens_that_pay_for_a_load(load):
    """Doubly buffered, waiting is load - T / clock: half of the time at T = load clock / 2."""
    module = load("experiments.claims.loading")
    core = set_fields(pj.machines.optical("display-1024"), {"costs.load_time_s": 1e-5})
    assert module.break_even(core, 0) == pytest.approx(5000, rel=2e-3)
    assert module.break_even(core, 0, 0.0) == pytest.approx(10000, rel=2e-3)
    serial = set_fields(core, {"costs.double_buffered": False})
    assert module.break_even(serial, 0) == pytest.approx(10000, rel=2e-3)
    assert module.break_even(core, 0, most=100) is None


@pytest.mark.parametrize(
    ("needed", "verdict"),
    [(100, "holds"), (5000, "holds if ..."), (50_000, "does not hold"), (None, "does not hold")],
)
def test_verdict_on_loading(load, needed, verdict):
    row = {
        "load": "x",
        "load_time_s": 1.0,
        "double_buffered": True,
        "tokens_half_of_time": needed,
        "tokens_all_hidden": needed,
    }
    assert load("experiments.claims.loading").judge([row], [200, 10_000], 1e9)[0] == verdict
