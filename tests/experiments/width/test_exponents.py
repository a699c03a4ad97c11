"""Exponents of width from made-up studies, and light shared among made-up sites."""

from __future__ import annotations

import numpy as np
import pytest


def test_exponents_are_recovered_with_intervals_that_hold_them(modules):
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        rows = [
            {"width": w, "seed": s, "y": 40 * w**-0.3 * np.exp(0.05 * rng.normal())}
            for s in range(3)
            for w in (64, 128, 256)
        ]
        (found,) = modules.exponents.over_seeds(rows, (), "y")
        held += found["low"] <= -0.3 <= found["high"]
    assert 180 <= held <= 199  # of 200, 95 %
    assert found["seeds"] == 3 and found["widths"] == [64, 128, 256]


def test_families_are_kept_apart_and_what_is_missing_is_left_out(modules):
    family = {"mlp": "relu", "scaling": "mup", "operands": "plain", "target_percent": 1.0}
    rows = [
        family
        | {"encoding": encoding, "width": w, "seed": s, "snr": 300.0}
        | {"photons_per_multiply": (9.0 + s) * w**power, "signal_per_multiply": None}
        for encoding, power in (("differential", 0.0), ("quadrature", -1.0))
        for w in (64, 128)
        for s in range(3)
    ]
    rows[0] = rows[0] | {"photons_per_multiply": None}  # of seed 0, width 64: not found
    found = modules.exponents.exponents_of_light(rows)
    light = {r["encoding"]: r for r in found if r["quantity"] == "photons_per_multiply"}
    assert light["differential"]["exponent"] == pytest.approx(0, abs=1e-9)
    assert light["differential"]["seeds"] == 2 and light["quadrature"]["seeds"] == 3
    assert light["quadrature"]["exponent"] == pytest.approx(-1, abs=1e-9)
    assert light["quadrature"]["reading"] == "falls as 1/width"
    assert not [r for r in found if r["quantity"] == "signal_per_multiply"]
    assert {r["reading"] for r in found if r["quantity"] == "snr"} == {"does not move"}


def test_layers_count_together_in_the_exponent_of_alignment(modules):
    rows = [
        {"mlp": "relu", "scaling": "mup", "operands": "plain", "site": "o_proj", "seed": 0}
        | {"layer": layer, "width": w, "alignment": (1 + layer) / w}
        for layer in range(4)
        for w in (64, 128, 256)
    ]
    (found,) = modules.exponents.exponents_of_alignment(rows)
    assert found["exponent"] == pytest.approx(-1, abs=1e-9) and found["low"] is None


def test_shares_take_the_least_light_for_a_rise(modules):
    """Sum c/m at fixed sum l m: no other shares do better, and the saving is what second order says."""
    rng = np.random.default_rng(0)
    names = [f"layers/{i}/{kind}/layer" for i in range(3) for kind in ("q_proj", "up_proj")]
    cost = dict(zip(names, rng.lognormal(0, 2, 6), strict=True))
    light = dict(zip(names, rng.lognormal(0, 2, 6), strict=True))

    def needed(m):
        return sum(cost[n] / m[n] for n in names) * sum(light[n] * m[n] for n in names)

    shares = modules.light.shares
    best = needed(shares(cost, light, "site"))
    for _ in range(100):
        assert best <= needed(dict(zip(names, rng.lognormal(0, 1, 6), strict=True)))
    by_kind, equal = (needed(shares(cost, light, by)) for by in ("kind", "equal"))
    assert best <= by_kind <= equal
    assert modules.light.saving(cost, light) == pytest.approx(equal / by_kind)
    lost = cost | {names[0]: -1.0}  # an estimate below zero: little light, not none
    assert 0 < shares(lost, light, "site")[names[0]] < 1
