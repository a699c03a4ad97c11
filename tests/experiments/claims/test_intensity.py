"""Claim 1: intensities follow from traced programs, the verdict from intensities."""

from __future__ import annotations

import dataclasses

import pytest

import photonjax as pj
from photonjax.models import DecoderConfig, decode_workload, prefill_workload

TINY = DecoderConfig(
    vocab_size=64, hidden_size=32, intermediate_size=96, num_layers=3, num_heads=4, num_kv_heads=2
)


def test_two_traces_give_the_intensity_at_any_batch(load, monkeypatch):
    module = load("experiments.claims.intensity")
    parts = module.decode(TINY, 40)
    workload = decode_workload(TINY, context=40, batch=7)
    direct = 2 * workload.macs / module.traffic_bytes(workload)
    assert module.intensity(parts, 7) == pytest.approx(direct, rel=1e-12)
    level = 0.5 * parts[0] / parts[2]
    assert module.intensity(parts, module.batch_at(parts, level)) == pytest.approx(level)


def test_bytes_are_those_of_the_cost(load):
    """An accelerator that is bandwidth-bound everywhere takes just these bytes over its bandwidth."""
    workload = dataclasses.replace(prefill_workload(TINY, tokens=16), operations=[])
    accelerator = pj.machines.digital("h100-sxm")
    slow = dataclasses.replace(accelerator, bandwidth_bytes_per_s=1e3)
    size = load("experiments.claims.intensity").traffic_bytes(workload)
    assert pj.cost.estimate(workload, slow).seconds == pytest.approx(size / 1e3)


@pytest.mark.parametrize(
    ("prefill", "decode", "batch", "verdict"),
    [
        (300.0, 1.0, 200.0, "holds if ..."),
        (300.0, 1.0, None, "holds"),
        (90.0, 1.0, 200.0, "does not hold"),
        (300.0, 150.0, 0.9, "does not hold"),
    ],
)
def test_verdict_on_intensity(load, prefill, decode, batch, verdict):
    case = {"model": "m", "accelerator": "c", "context": 10}
    steps = [{"prefill_intensity": prefill, "decode_intensity_batch_1": decode, "ridge": 100.0}]
    starts, ends = [{**case, "prompt": 33.0}], [{**case, "batch": batch}]
    found, because = load("experiments.claims.intensity").judge(steps, starts, ends)
    assert found == verdict
    assert "33" in because
