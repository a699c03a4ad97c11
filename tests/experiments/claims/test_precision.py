"""Claim 5: rises of perplexity, published and measured, and the verdict."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    ("int8", "int4", "verdict"),
    [
        (0.5, 0.9, "holds"),
        (0.5, 3.0, "holds if ..."),
        (2.0, 30.0, "holds if ..."),
        (6.0, 30.0, "does not hold"),
    ],
)
def test_verdict_on_precision(load, int8, int4, verdict):
    rows = [
        {"model": "a", "precision": p, "recipe": r, "rise_percent": rise}
        for p, r, rise in (("INT8", "x", int8), ("INT4", "bad", 900.0), ("INT4", "good", int4))
    ]
    assert load("experiments.claims.precision").judge(rows, 1.0, 5.0)[0] == verdict


def test_published_rises_and_a_measured_run(load, tmp_path):
    module = load("experiments.claims.precision")
    rise = {(r["model"], r["recipe"]): r["rise_percent"] for r in module.published_rows()}
    assert rise["llama2_7b", "w8a8"] == pytest.approx(100 * (5.515 / 5.474 - 1))
    cores = [{"core": "int8-no-adc", "perplexity_change_percent": 3.5}]
    (tmp_path / "metrics.json").write_text(json.dumps({"cores": cores}))
    (tmp_path / "config.yaml").write_text("model: {label: small}")
    run = str(tmp_path)
    (row,) = module.measured_rows(run, {"INT8": "int8-no-adc"})
    assert (row["rise_percent"], row["measured"]) == (3.5, True)
    with pytest.raises(load("experiments.harness").UserError, match="no rung 'int4'"):
        module.measured_rows(run, {"INT4": "int4"})
