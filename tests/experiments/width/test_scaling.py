"""Standard and µP scaling: what width does to what a decoder computes."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from flax import nnx


def rms(x) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(x)))))


def test_both_are_one_at_the_base_width_and_follow_the_table(modules, config):
    settings = config()
    new, multipliers = modules.train.new_decoder, modules.scaling.multipliers
    base = {
        s: nnx.to_pure_dict(nnx.state(new(settings, "relu", s, 8, 0))) for s in ("standard", "mup")
    }
    for a, b in zip(*map(jax.tree.leaves, base.values()), strict=True):
        np.testing.assert_array_equal(a, b)

    wide = {s: new(settings, "relu", s, 16, 0) for s in ("standard", "mup")}
    head = {s: rms(model.head.kernel[...]) for s, model in wide.items()}
    assert head["mup"] / head["standard"] == pytest.approx(2**-0.5, rel=1e-5)
    state = nnx.state(wide["mup"], nnx.Param)
    for scaling, slow in (("standard", 1.0), ("mup", 0.5)):
        found = dict(nnx.to_flat_state(multipliers(state, scaling, 2.0)))
        rates = {path: float(v[...]) for path, v in found.items()}
        assert all(rate == (slow if path[-1] == "kernel" else 1.0) for path, rate in rates.items())
        assert any(path[-1] == "kernel" for path in rates)
    decayed = dict(nnx.to_flat_state(modules.scaling.decays(state)))
    assert {path[-1] for path, v in decayed.items() if float(v[...]) == 1.0} == {"kernel"}


@pytest.mark.slow
def test_with_mup_what_training_changes_does_not_depend_on_width(modules, config):
    """The coordinate check of the paper: logits after a few steps, at one learning rate."""
    grid = "grid={widths: [8, 128], scalings: [mup], mlps: [relu], seeds: 1, steps: 20, tuning_steps: 20}"
    settings, train = config(grid, "core.rows=512"), modules.train
    logits = jax.jit(lambda graph, state: nnx.merge(graph, state)(window), static_argnums=0)
    tokens = np.arange(4000) * 7 % 280
    window = tokens[None, :16]
    size = {}
    for scaling in ("standard", "mup"):
        for width in (16, 128):
            model = train.new_decoder(settings, "relu", scaling, width, 0)
            before = logits(*nnx.split(model))
            train.train(settings, model, scaling, tokens, rate=0.02, steps=20, seed=0)
            size[scaling, width] = rms(logits(*nnx.split(model)) - before)
    growth = {s: size[s, 128] / size[s, 16] for s in ("standard", "mup")}
    assert 0.5 < growth["mup"] < 2, growth
    assert growth["standard"] > 2 * growth["mup"], growth
