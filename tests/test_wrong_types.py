"""What is not what it should be is refused by one TypeError that says where to go with it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

import photonjax as pj

X, W, CORE = jnp.ones((2, 4)), jnp.ones((4, 3)), pj.OpticalCore()
LINEAR = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
RULES = [pj.Rule("*", CORE)]
LOAD = pj.trace_workload(lambda w, x: x @ w, W, X)

CASES = {
    "core": (
        lambda: pj.optical_matmul(X, W, core=3),
        "core = 3 is not an OpticalCore; make one by",
    ),
    "core by name": (
        lambda: pj.optical_einsum("tk,kn->tn", X, W, core="display-1024"),
        r"core = 'display-1024' is not an OpticalCore; .*pj\.machines\.optical",
    ),
    "no core": (lambda: pj.optical_matmul(X, W), "'core'"),
    "core to program for": (lambda: pj.program(W, 3), "program: core = 3 is not an OpticalCore"),
    "core of a layer": (
        lambda: pj.nnx.OpticalLinear(4, 3, core=pj.machines.digital("b200"), rngs=nnx.Rngs(0)),
        "core = DigitalAccelerator.* is not an OpticalCore",
    ),
    "input": (
        lambda: pj.optical_matmul([[1.0]], W, core=CORE),
        r"x = \[\[1\.0\]\] is not an array",
    ),
    "weight": (lambda: pj.program("w", CORE), "program: w = 'w' is not an array"),
    "workload": (
        lambda: pj.cost.estimate(3, CORE),
        r"workload = 3 is not a Workload; pj\.trace_workload",
    ),
    "machine": (
        lambda: pj.cost.estimate(LOAD, "h100-sxm"),
        r"machine = 'h100-sxm' is neither .*pj\.machines\.digital",
    ),
    "digital side": (
        lambda: pj.cost.estimate(LOAD, pj.machines.optical("display-1024"), digital="h100-sxm"),
        r"digital = 'h100-sxm' is not a DigitalAccelerator",
    ),
    "a site": (
        lambda: pj.optical_matmul(X, W, core=CORE.replace(**{"array.noise": 0.1}), site=1.5),
        "site = 1.5 is neither a parameter's path nor an integer",
    ),
    "subscripts": (lambda: pj.optical_einsum(3, X, W, core=CORE), "subscripts = 3 is not text"),
    "a machine without ranges": (
        lambda: pj.cost.monte_carlo(lambda core: core.photons, CORE),
        r"monte_carlo: OpticalCore.* is not an UncertainMachine; UncertainMachine\.named",
    ),
    "a machine to compare": (
        lambda: pj.cost.compare(LOAD, CORE, []),
        "compare: OpticalCore.* is not an UncertainMachine",
    ),
    "a baseline": (
        lambda: pj.cost.compare(LOAD, pj.cost.UncertainMachine.named("display-1024"), ["b200"]),
        "compare: 'b200' is not a Baseline; give Baseline",
    ),
    "a workload to group": (lambda: pj.cost.group_sites(3), "group_sites: workload = 3 is not a"),
    "a condition of sites": (
        lambda: pj.cost.estimate(LOAD, pj.machines.optical("display-1024"), where=3),
        "where = 3 is not a function of a MatmulSite",
    ),
    "a model's shapes": (
        lambda: pj.models.prefill_workload(3, tokens=3),
        "model = 3 is neither a name nor a configuration",
    ),
    "a corpus": (lambda: pj.data.load_corpus(3), "a corpus is given by its name, not as 3"),
    "an NNX module for Linen": (
        lambda: pj.linen.Optical(LINEAR, RULES).apply({}, X),
        r"linen\.Optical: Linear\(.* is not a Linen module; pj\.convert",
    ),
    "no rules for Linen": (
        lambda: pj.linen.Optical(linen.Dense(3), (3,)).init(jax.random.key(0), X),
        r"rules\[0\] = 3 is not a Rule",
    ),
    "a rule's flag": (
        lambda: pj.Rule("*", CORE, dynamic=3),
        "Rule.dynamic = 3 is not True or False",
    ),
    "a function to convert": (
        lambda: pj.convert(lambda w, x: x @ w, RULES),
        r"is not a Flax NNX module; pj\.optical takes any function",
    ),
    "a Linen module to convert": (
        lambda: pj.convert(linen.Dense(3), RULES),
        r"is not a Flax NNX module; pj\.linen\.Optical",
    ),
    "a class to convert": (lambda: pj.convert(nnx.Linear, RULES), "give an instance of it"),
    "a Linen module to program": (
        lambda: pj.program_weights(linen.Dense(3)),
        r"pj\.linen\.Optical",
    ),
    "a function to program": (
        lambda: pj.program_weights(pj.optical(lambda w, x: x @ w, RULES)),
        r"not a Flax NNX module; pj\.optical takes any function, .*pj\.program writes one",
    ),
    "a Linen module to set": (
        lambda: pj.nnx.set_hardware(linen.Dense(3), photons=1.0),
        r"pj\.linen\.Optical .*core\.replace",
    ),
    "a seed": (
        lambda: pj.nnx.set_die(pj.convert(LINEAR, RULES)[0], 1.5),
        r"OpticalCore\.chip_seed = 1\.5 is not an integer",
    ),
    "a number to put back": (lambda: pj.nnx.set_noise_key(3, None), "3 is not a Flax NNX module"),
    "one rule": (lambda: pj.convert(LINEAR, RULES[0]), r"is not a list of rules; give a list of"),
    "a core for rules": (
        lambda: pj.convert(LINEAR, [CORE]),
        r"rules\[0\] = .* is not a Rule; give",
    ),
    "patterns for rules": (
        lambda: pj.optical(lambda w, x: x @ w, ["*"]),
        r"rules\[0\] = '\*' is not a Rule",
    ),
    "no rules": (lambda: pj.convert(LINEAR, None), "rules = None is not a list of rules"),
    "a core by name in a rule": (
        lambda: pj.Rule("*", "display-1024"),
        r"Rule\.core = 'display-1024' is neither .*pj\.machines\.optical",
    ),
    "no function": (lambda: pj.optical(3, RULES), "optical: 3 is not a function"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_says_where_to_go(case):
    call, message = CASES[case]
    with pytest.raises(TypeError, match=message) as error:
        call()
    assert "\n" not in str(error.value) and len(str(error.value)) < 300
