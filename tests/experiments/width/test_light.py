"""Noise that vanishes with light and noise that does not, and what both scalings share."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from photonjax.core import measured_dot_general
from photonjax.evaluation.light_curve import noise_vanishes

BY_LAST = (((1,), (0,)), ((), ()))


def test_without_its_oscillator_quadrature_has_the_same_noise_and_it_vanishes(modules, config):
    """1/4m at any light; the receiver adds a tenth, and a finite oscillator what no light takes away."""
    core = config().cores()["quadrature"]
    ideal = modules.light.fading_noise(core)
    assert noise_vanishes(ideal) and not noise_vanishes(core)
    plain = config().cores()["differential"]
    assert modules.light.fading_noise(plain) is plain

    x, w, key = jax.random.normal(jax.random.key(0), (64, 32)), np.eye(32), jax.random.key(1)

    @jax.jit
    def noise(light):
        return [
            measured_dot_general(x, w, BY_LAST, core=c.replace(photons=light), key=key)[1].error
            for c in (core, ideal)
        ]

    dim, faint = map(float, noise(1e2))
    assert dim / faint == pytest.approx(1.1, rel=0.01)
    bright, fainter = map(float, noise(1e8))
    assert faint / fainter == pytest.approx(1e6, rel=0.05)
    assert bright > 10 * fainter


def test_what_both_scalings_share_is_trained_once(modules, config):
    settings = config("grid.scalings=[standard, mup]")
    work = modules.run.flops(settings)
    rates = [name for name in work if name.startswith("rate ")]
    assert rates == [f"rate relu-standard-{w} {r}" for w in (8, 16) for r in (0.01, 0.03)]
    trained = [
        f"train relu-{of}-{s}" for of in ("standard-8", "standard-16", "mup-16") for s in (0, 1)
    ]
    assert [name for name in work if name not in rates] == trained
    # 2 layers of (4 + 2 x 4) width^2, and the head
    assert work["train relu-mup-16-0"] == 6 * 16 * (2 * 12 * 16 + 280) * 60 * 8 * 16

    for member in modules.run.members(settings):
        own = modules.run.shared(settings, member)
        assert (own == member) == (member.scaling == "standard" or member.width == 16)


def test_time_that_is_left_is_told_before_each_training(modules, capsys, monkeypatch):
    clock = iter([0.0, 10.0, 0.0, 20.0])
    monkeypatch.setattr(modules.work.time, "perf_counter", lambda: next(clock))

    class Parts:
        known = {"old": 1}  # noqa: RUF012

        def get(self, name, work):
            return work()

    trainings = modules.work.Trainings(Parts(), {"old": 1e12, "a": 1e12, "b": 3e12})
    for name in ("old", "a", "b"):
        assert trainings.get(name, lambda: 7) == 7
    assert capsys.readouterr().err.splitlines() == [
        "a: 2 trainings left, 4 TFLOP",
        "b: 1 training left, 3 TFLOP, about 30 s",
    ]
