"""How costs follow the hardware's numbers: scaling, gradients, and the same numbers under ``jit``."""

import dataclasses

import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonjax import machines
from photonjax.cost import estimate
from photonjax.workload import MatmulSite, Workload

SITES = [
    MatmulSite("w", 1, 4096, 3000, 5000, 7, "int8", True),
    MatmulSite("scores", 9, 64, 100, 70, 1, "int8", False),
    MatmulSite("v", 1, 197, 192, 576, 12, "int8", True),
]


def cost_of(core, sites=SITES):
    return estimate(Workload(list(sites), []), core, where=lambda site: True)


def with_costs(core, **values):
    return core.replace(costs=dataclasses.replace(core.costs, **values))


SLOW = with_costs(machines.optical("display-1024"), laser_idle_fraction=0.5)
SHARED = with_costs(  # a memory so slow that its rate matters
    machines.optical("lightening-transformer"),
    weight_memory_bytes_per_s=1e9,
    laser_idle_fraction=0.5,
)
CORES = {"slow loads": SLOW, "fast loads": with_costs(SLOW, load_time_s=1e-9), "shared": SHARED}


@settings(max_examples=30, deadline=None)
@given(
    st.floats(1e-3, 1e3),
    *[st.integers(1, 3000)] * 3,
    st.sampled_from(["differential", "offset", "homodyne"]),
    st.sampled_from(["display-1024", "lightening-transformer"]),
)
def test_scaling_every_energy_scales_the_cost(c, M, K, N, encoding, name):
    core = machines.optical(name).replace(encoding=encoding)
    scaled = {
        f.name: c * getattr(core.costs, f.name)
        for f in dataclasses.fields(core.costs)
        if f.name.endswith(("_energy_j", "_power_w", "_j_per_byte"))
    }
    if core.costs.memories:
        scaled["memories"] = tuple(
            dataclasses.replace(m, energy_j_per_byte=c * m.energy_j_per_byte)
            for m in core.costs.memories
        )
    # a photon's energy goes with 1 / wavelength; photons stand in for it
    more = dataclasses.replace(with_costs(core, **scaled), photons=core.photons * c)
    sites = [
        MatmulSite("w", 1, M, K, N, 1, "int8", True),
        MatmulSite("v", 1, N, M, K, 1, "int8", False),
    ]
    a, b = (cost_of(x, sites) for x in (core, more))
    assert b.joules == pytest.approx(c * a.joules, rel=1e-9)
    assert b.seconds == a.seconds
    assert (a * c).joules == pytest.approx(b.joules, rel=1e-9)


@pytest.mark.parametrize("what", ["joules", "seconds"])
@pytest.mark.parametrize("name", list(CORES))
def test_gradients_equal_finite_differences(name, what):
    core = CORES[name]
    f = lambda core: getattr(cost_of(core), what)
    leaves, tree = jax.tree.flatten(core)
    slopes = jax.tree.leaves(jax.grad(f)(core))
    assert len(slopes) == len(leaves) > 15
    moved = 0
    for i, (x, slope) in enumerate(zip(leaves, slopes, strict=True)):
        h = 1e-5 * abs(x) or 1e-6  # the cost is linear in whatever is zero here
        # unflatten does not validate, so that a step may leave a field's limits
        up, down = ([*leaves[:i], v, *leaves[i + 1 :]] for v in (x + h, x - h))
        found = (f(jax.tree.unflatten(tree, up)) - f(jax.tree.unflatten(tree, down))) / (2 * h)
        scale = f(core) / (abs(x) or 1.0)
        assert float(slope) == pytest.approx(found, rel=2e-3, abs=1e-9 * scale), i
        moved += found != 0
    assert moved >= {"joules": 10, "seconds": 2 if name == "shared" else 1}[what]


@pytest.mark.parametrize("name", list(CORES))
def test_traced_numbers_cost_the_same(name):
    exact, traced = cost_of(CORES[name]), jax.jit(cost_of)(CORES[name])
    assert float(traced.joules) == pytest.approx(exact.joules, rel=1e-5)
    assert float(traced.seconds) == pytest.approx(exact.seconds, rel=1e-5)
