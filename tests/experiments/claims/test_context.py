"""Claim 2: where attention overtakes the other products, and the verdict on exponents."""

from __future__ import annotations

import pytest

from photonjax.models import prefill_workload


def test_where_attention_overtakes_follows_from_the_models_sizes(load):
    """MACs a token: P of the layers, L heads head_dim layers of attention; blocks compute a bit more."""
    module = load("experiments.claims.context")
    rows = []
    for context in (1024, 4096, 16384):
        workload = prefill_workload("smollm2-135m", tokens=context)
        linears = sum(s.macs for s in workload.matmuls if s.stationary)
        macs = {"linear_macs": linears, "attention_macs": workload.macs - linears}
        row = {"model": "m", "value": context, "macs": workload.macs, "seconds": 1.0, **macs}
        rows.append(row)
    found = module.summary(rows, "m", [1024, 16384], 1.9)
    layers = 30 * (576 * 64 * (9 + 3 + 3 + 9) + 3 * 576 * 1536)
    expected = layers / (30 * 9 * 64)
    assert found["attention_overtakes_at"] == pytest.approx(expected, rel=0.15)
    assert found["attention_overtakes_at"] < expected
    assert found["quadratic_from"] == pytest.approx(9 * found["attention_overtakes_at"])


@pytest.mark.parametrize(
    ("exponent", "start", "verdict"),
    [
        (1.95, 10.0, "holds"),
        (1.4, 900.0, "holds if ..."),
        (1.4, 1100.0, "does not hold"),
        (1.0, None, "does not hold"),
    ],
)
def test_verdict_on_context(load, exponent, start, verdict):
    found = {
        "model": "m",
        "exponent_macs": exponent,
        "local_exponent_at_most": exponent,
        "attention_overtakes_at": start and start / 9,
        "quadratic_from": start,
    }
    assert load("experiments.claims.context").judge([found], 1000, 1.9)[0] == verdict
