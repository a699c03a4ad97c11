"""Claim 3: light and cost of arrays against closed forms, and the verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest

import photonjax as pj
from photonjax.core import set_fields
from photonjax.workload import MatmulSite, Workload


def test_light_of_signed_operands_goes_as_n_squared_and_of_one_sign_as_n(load):
    array, light = load("experiments.claims.array"), load("experiments.claims.light").need(None)
    base = pj.machines.optical("display-1024")
    sizes = [64, 256, 1024]
    for photons, power in ((light.signed, 2.0), (light.one_sign, 1.0)):
        energy = []
        for n in sizes:
            core = set_fields(base, {"rows": n, "cols": n, "photons": photons(n)})
            energy.append(array.per_cycle(core, 1000)["light"][0])
        assert np.log(energy[2] / energy[0]) / np.log(16) == pytest.approx(power)


def test_scopes_add_up_to_the_cost(load):
    core = pj.machines.optical("display-1024")
    scopes = load("experiments.claims.array").per_cycle(core, 5000)
    site = MatmulSite("a", 1, 5000, 1024, 1024, 1, "int8", True)
    cost = pj.cost.estimate(Workload([site], []), core)
    joules = [j for j, _ in scopes.values()]
    assert joules == sorted(joules)
    assert joules[-1] * 5000 == pytest.approx(cost.joules)
    assert scopes["light"][1] == pytest.approx(1e-9)  # one product a cycle
    assert scopes["with loading"][1] * 5000 == pytest.approx(cost.seconds)


def test_light_needed_by_the_closed_form_and_by_a_measured_run(load):
    module = load("experiments.claims.light")
    found = module.need(None)
    assert found.used == pytest.approx(10**4.3 * (2 / math.pi) ** 2)
    assert found.signed(64) == found.signed(4096)
    assert "not measured" in found.source
    row = {
        "target_percent": 1,
        "photons_per_multiply": 800.0,
        "photons_full_scale": 6e4,
        "family": "sub-array",
        "rung": "all",
        "terms_per_sample": 1024.0,
        "shot_snr_db": 40.0,
    }
    slope = {"study": "control random, signed, at 30 dB", "exponent": -0.5}
    identity = {"study": "sub-arrays, all sites, at +1 %", "exponent": 0.3}  # says nothing
    results = {"thresholds": [row], "slopes": [identity, slope]}
    need_of = load("experiments.photons.results").need_of
    assert need_of(results, "here", "homodyne") is None
    read = row | {
        "family": "encoding",
        "encoding": "quadrature",
        "photons_per_multiply": 50.0,
        "oscillator_per_multiply": 40.0,
        "terms_per_sample": 256.0,
    }
    read = need_of(results | {"thresholds": [row, read]}, "here", "quadrature")
    assert (read.used, read.exponent) == (
        pytest.approx(2.5),
        -1.0,
    )  # at 1,024 terms, without the LO
    found = need_of(results, "here")
    assert found.signed(4096) == pytest.approx(6e4 / 2)
    assert found.one_sign(1024) == pytest.approx(6e4 / 800 * 1e4 / 1024)


@pytest.mark.parametrize(
    ("until", "read", "verdict"),
    [
        (4096, 4096, "holds"),
        (2048, 2048, "holds if ..."),
        (64, 64, "does not hold"),
        (None, None, "does not hold"),
        (64, 4096, "holds if ..."),  # by encoding
    ],
)
def test_verdict_on_array_size(load, until, read, verdict):
    module = load("experiments.claims.array")
    found = [
        {
            "encoding": encoding,
            "operands": operands,
            "scope": scope,
            "energy_exponent": 1.5,
            "compute_exponent": 2.0,
            "linear_until": read if encoding == "quadrature" else until,
        }
        for encoding, operands in module.CASES
        for scope in module.SCOPES
    ]
    whole, because, by_encoding = module.judge(found, 4096, 1024, 37.0)
    assert whole == verdict
    assert ("if numbers travel as quadrature in a lossless mesh." in because) == (until != read)
    assert by_encoding["quadrature"] == ("holds" if read == 4096 else verdict)


def test_light_of_an_encoding_at_fixed_snr_is_that_of_its_law(load):
    """By laser energy of an N x N array: N**2 for all but quadrature, whose signal and oscillator go as N."""
    module, light = load("experiments.claims.array"), load("experiments.claims.light")
    base = pj.machines.optical("display-1024")
    for encoding in light.ENCODINGS:
        own, energy = light.need(None, encoding), []
        for n in (64, 1024):
            core = module.in_encoding(base, encoding)
            core = set_fields(core, {"rows": n, "cols": n, "photons": own.signed(n)})
            energy.append(module.per_cycle(core, 1000)["light"][0])
        power = math.log(energy[1] / energy[0]) / math.log(16)
        assert power == pytest.approx(1.0 if encoding == "quadrature" else 2.0), encoding
