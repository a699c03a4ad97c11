"""Phases of a transposed convolution: every output position with the taps that meet inputs, and no others."""

import itertools

import jax
import numpy as np
import pytest
from jax import lax

import photonjax as pj
from photonjax.core.phases import phases
from photonjax.workload import trace_workload

CORE = pj.OpticalCore(
    rows=64, cols=64, photons=1e5, array={"noise": 0.01, "bits": None}, adc={"bits": None},
    encoding={"shot_estimate": "exact"},
)  # fmt: skip


def test_positions_meet_the_inputs_that_the_definition_says():
    sizes = itertools.product((1, 5, 8), (1, 3, 4), (1, 2, 3), (-1, 0, 2), (2, 3, 4), (1, 2, 4))
    for positions, taps, stride, padding, dilation, spread in sizes:
        found = {}
        for phase in phases(positions, taps, stride, padding, dilation, spread):
            for i, o in enumerate(phase.positions):
                met = [
                    phase.base + i * phase.stride + j * phase.spread for j in range(len(phase.taps))
                ]
                assert o not in found
                found[o] = dict(zip(phase.taps, met, strict=True))
        for o in range(positions):
            places = {j: o * stride + j * spread - padding for j in range(taps)}
            met = {j: place // dilation for j, place in places.items() if place % dilation == 0}
            assert found.pop(o) == met
        assert not found


@pytest.mark.slow
def test_no_zero_between_inputs_is_multiplied():
    """As many multiplies as the workload counts, and light for each; every phase has cells of its own."""
    x, w = np.ones((1, 2, 4), np.float32), np.ones((3, 2, 3), np.float32)
    digital = lambda w, x: lax.conv_general_dilated(x, w, (1,), ((0, 0),), lhs_dilation=(2,))
    g = pj.optical(digital, [pj.Rule("*", CORE)])
    y, seen = jax.jit(g.measured)(None, w, x)
    (site,) = seen.values()
    load = trace_workload(digital, w, x)
    assert site.multiplies == load.macs == digital(w, x).sum() and site.outputs == y.size
    # A cell holds its weight with an error, and shows as much light.
    np.testing.assert_allclose(site.electrons / 1e5, y.sum(), rtol=1e-5)
    np.testing.assert_allclose(y, digital(w, x), atol=0.5)
    of_odd, of_even = y[0, :, 1], y[0, :, 0]
    assert len({*np.asarray(of_odd), *np.asarray(of_even)}) == 6  # taps 0 and 2; tap 1
    (note,) = trace_workload(lambda w, x: g(None, w, x), w, x).notes
    assert note.startswith("optical products were counted as they are simulated")
