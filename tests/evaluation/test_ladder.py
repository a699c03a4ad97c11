"""Evaluating a tiny model: what is shared changes nothing, and what it says agrees with the definitions."""

from __future__ import annotations

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax as pj
from photonjax import evaluation
from photonjax.evaluation import programs
from photonjax.evaluation.dies import on_dies
from photonjax.models import Decoder
from tests.tiny import tiny_decoder

CONFIG = tiny_decoder()
NOISY = pj.OpticalCore(
    rows=16, cols=16, photons=1e3, adc={"enob": 7.0}, source={"rin_db_hz": -130.0}
)
DIM = dataclasses.replace(NOISY, photons=50.0)
QUIET = pj.OpticalCore(rows=16, cols=16, photons=None)


@pytest.fixture(scope="module")
def model():
    return Decoder(CONFIG, rngs=nnx.Rngs(0), scan_layers=True)


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(0).integers(0, 64, (4, 12)).astype(np.int32)


def evaluate(model, tokens, **options):
    """Three windows on three rungs, two of them measured."""
    rungs = {"noisy": NOISY, "quiet": QUIET, "dim": DIM}
    options |= dict(calibration=tokens[3:], measure_windows=2)
    return evaluation.evaluate(model, tokens[:3], rungs, **options)


@pytest.fixture(scope="module")
def found(model, tokens):
    return evaluate(model, tokens)


@pytest.mark.slow
def test_numbers_follow_from_the_logits(found, model, tokens):
    logits = model(jnp.asarray(tokens[:3]))
    scores = jax.nn.log_softmax(logits[:, :-1])
    nll = -np.take_along_axis(np.asarray(scores), tokens[:3, 1:, None], 2).mean()
    digital = found["digital"]
    assert digital.perplexity == pytest.approx(np.exp(nll), rel=1e-5)
    assert digital.perplexity_change_percent.value == 0
    assert digital.argmax_agreement.value == 1 and digital.kl_nats.value == 0
    assert digital.predictions == 3 * 11
    for name in ("noisy", "quiet", "dim"):
        change = found[name].perplexity / digital.perplexity - 1
        assert found[name].perplexity_change_percent.value == pytest.approx(100 * change, rel=1e-6)
        interval = found[name].kl_nats
        assert interval.low < interval.value < interval.high
    assert found["dim"].kl_nats.value > found["noisy"].kl_nats.value > 0
    assert "dim" in str(found) and "95% interval" in str(found)


@pytest.mark.slow
def test_each_rung_is_as_if_it_were_alone(found, model, tokens):
    """Conversion, calibration and programs are shared by rungs that differ in photons; the numbers not."""
    for name, core in (("dim", DIM), ("quiet", QUIET)):
        optical, report = pj.convert(model, [pj.Rule("*", core)])
        pj.calibrate(optical, jnp.asarray(tokens[3:]))
        pj.program_weights(optical)
        prefill = evaluation.Prefill(optical)
        keys = jax.random.split(jax.random.key(0), 3)
        for window, row, key in zip(tokens, found[name].windows, keys, strict=False):
            digital = evaluation.Prefill(model)(jnp.asarray(window), key)
            scores = evaluation.compare(prefill(jnp.asarray(window), key), digital, window)
            assert float(scores.nll) == pytest.approx(row.nll, rel=1e-6)
            assert float(scores.kl) == pytest.approx(row.kl, rel=1e-4)
        assert str(report) == str(found[name].report)


@pytest.mark.slow
def test_photons_decide_neither_ranges_nor_programmed_weights(model, tokens):
    """What rungs that differ in photons share must be the same for each of them."""
    every = pj.OpticalCore(
        rows=16,
        cols=16,
        photons=1e3,
        adc={"enob": 7.0},
        source={"rin_db_hz": -130.0},
        receiver={"noise_a_per_rthz": 1e-12, "dark_current_a": 1e-9, "gain_error": 0.01},
        array={"noise": 0.01, "crosstalk_rows": 0.01},
        input={"extinction_db": 17.0, "extinction": "floor", "noise": 0.01},
    )
    states = []
    for core in (every, dataclasses.replace(every, photons=20.0)):
        optical, _ = pj.convert(model, [pj.Rule("*", core)])
        pj.calibrate(optical, jnp.asarray(tokens[3:]))
        pj.program_weights(optical)
        pj.nnx.set_hardware(optical, photons=1.0)
        states.append(nnx.state(optical))
    chex.assert_trees_all_equal(*states)


@pytest.mark.slow
def test_rungs_that_differ_in_photons_share_one_program(model, tokens):
    programs._compile.cache_clear()
    rungs = {f"{p:g}": dataclasses.replace(NOISY, photons=p) for p in (10.0, 100.0, 1000.0)}
    evaluation.evaluate(model, tokens[:1], rungs, calibration=tokens[3:], measure_windows=0)
    assert programs._compile.cache_info().currsize == 2  # digital, and one for all three


@pytest.mark.slow
def test_measuring_changes_no_number(model, tokens, found):
    plain = evaluation.evaluate(
        model, tokens[:3], {"noisy": NOISY}, calibration=tokens[3:], measure_windows=0
    )
    assert plain["noisy"].sites == {} and plain["noisy"].photons_per_multiply is None
    assert plain["noisy"].perplexity == pytest.approx(found["noisy"].perplexity, rel=1e-6)
    sites = found["noisy"].sites
    assert len(sites) == 2 * 7 + 1 and found["noisy"].worst_site in sites
    outputs = sum(float(m.outputs) for m in found["noisy"].windows[0].sites.values())
    assert sum(float(m.outputs) for m in sites.values()) == 2 * outputs  # two windows pooled


@pytest.mark.slow
def test_what_is_known_is_not_done_again(model, tokens, found):
    kept: dict[int, dict] = {}
    seen: list[tuple[str, int, int | None]] = []
    known = [{n: r.windows[i] for n, r in found.results.items()} for i in range(2)]
    again = evaluate(
        model,
        tokens,
        known=known,
        keep=lambda i, rows: kept.update({i: rows}),
        watch=lambda *stage: seen.append(stage),
    )
    assert list(kept) == [2] and kept[2].keys() == found.results.keys()
    assert [again[n].perplexity for n in again.results] == [
        found[n].perplexity for n in found.results
    ]
    assert ("prefill", 0, 4) in seen and ("prefill", 4, 4) in seen
    assert {what for what, _, _ in seen} == {"convert, calibrate and program", "compile", "prefill"}


@pytest.mark.slow
def test_groups_of_rungs_give_the_same(model, tokens, found):
    again = evaluate(model, tokens, at_once=1)
    for name in found.results:
        assert again[name].perplexity == pytest.approx(found[name].perplexity, rel=1e-6)


DIES = dataclasses.replace(NOISY, array=dataclasses.replace(NOISY.array, noise=0.05))


@pytest.fixture(scope="module")
def over_dies(model, tokens):
    """Two rungs that differ in light, on two dies, two draws of noise; and what was kept after each step."""
    kept: list[list[dict]] = []
    done: list[dict] = [{}, {}]

    def keep(i, rows):
        done[i] = dict(rows)
        kept.append([dict(rows) for rows in done])

    programs._compile.cache_clear()
    rungs = {"dim": DIES.replace(photons=50.0), "lit": DIES}
    settings = dict(calibration=tokens[3:], dies=2, draws=2, at_once=2)
    found = evaluation.evaluate(model, tokens[:2], rungs, keep=keep, **settings)
    return found, kept, rungs, settings


@pytest.mark.slow
def test_each_die_and_draw_is_as_if_it_were_alone(over_dies, model, tokens):
    found, kept, _, _ = over_dies
    assert (
        programs._compile.cache_info().currsize == 3
    )  # digital; all dies; and the first, measured
    assert list(kept[-1][0]) == [
        *("digital", "dim", "dim, draw 1", "dim, die 1", "dim, die 1, draw 1"),
        *("lit", "lit, draw 1", "lit, die 1", "lit, die 1, draw 1"),
    ]
    rows = iter(found["lit"].windows)
    keys = jax.random.split(jax.random.key(0), 2)
    by_die = []
    for die in range(2):
        optical, _ = pj.convert(model, [pj.Rule("*", DIES.replace(chip_seed=die))])
        pj.calibrate(optical, jnp.asarray(tokens[3:]))
        pj.program_weights(optical)
        by_die.append(evaluation.Prefill(optical))
    for window, key in zip(tokens[:2], keys, strict=True):
        for die, optics in enumerate(by_die):
            for draw in range(2):
                noise = jax.random.fold_in(jax.random.fold_in(key, die), draw)
                logits = optics(jnp.asarray(window), noise if die or draw else key)
                nll = float(evaluation.compare(logits, logits, window).nll)
                assert next(rows).nll == pytest.approx(nll, rel=1e-5)
    assert next(rows, None) is None
    assert set(found["lit"].windows[0].sites) and found["lit"].windows[1].sites is None


def test_intervals_are_over_windows_dies_and_draws():
    rng = np.random.default_rng(3)
    nll, kl = rng.uniform(20, 30, (3, 2, 4)), rng.uniform(0, 1, (3, 2, 4))
    digital = [evaluation.Window(x, 0.0, 11, 11, None) for x in (20.0, 22.0, 25.0)]
    rows = [evaluation.Window(*x, 9, 11, None) for x in zip(nll.ravel(), kl.ravel(), strict=True)]
    found = evaluation.Result("dim", rows, digital, dies=2, draws=4)
    change = (nll - np.reshape([20.0, 22.0, 25.0], (3, 1, 1))) / 11
    assert found.perplexity_change_percent == pytest.approx(evaluation.ratio_percent(change))
    interval = evaluation.crossed_interval(kl / 11).within(0.0, np.inf)
    assert found.kl_nats == pytest.approx(interval)
    assert found.argmax_agreement == pytest.approx((9 / 11,) * 3)
    assert found.perplexity == pytest.approx(np.exp(nll.mean() / 11))
    assert found.predictions == 24 * 11


def test_no_interval_leaves_what_is_possible():
    rows = [evaluation.Window(20.0, kl, agree, 11, None) for kl, agree in ((0.1, 11), (1.1, 9))]
    found = evaluation.Result("dim", rows, rows)
    assert found.kl_nats == pytest.approx((0.6 / 11, 0.0, (0.6 + 12.7062 * 0.5) / 11))
    assert found.argmax_agreement == pytest.approx((10 / 11, 0.0, 1.0))


def test_dies_share_their_seeds_between_rungs():
    """The seeds are arrays, of which equal ones are one, so that rungs that differ in photons stay alike."""
    found = on_dies({"a": NOISY.replace(chip_seed=7), "b": DIM.replace(chip_seed=7)}, 2)
    assert list(found) == ["a", "a, die 1", "b", "b, die 1"]
    seeds = [rules[0].core.chip_seed for rules in found.values()]
    assert [int(s) for s in seeds] == [7, 8, 7, 8]
    assert seeds[0] is seeds[2] and seeds[1] is seeds[3]
    assert on_dies({"a": NOISY}, 1) == {"a": NOISY}  # as it is


@pytest.mark.slow
def test_what_was_kept_goes_on_from_every_step(over_dies, model, tokens):
    found, kept, rungs, settings = over_dies
    assert len(kept) == 2 * 2  # groups of two models, two windows
    for known in kept:
        again = evaluation.evaluate(model, tokens[:2], rungs, known=known, **settings)
        for name in found.results:
            ours, theirs = (
                [dataclasses.replace(w, seconds=None, sites=None) for w in e[name].windows]
                for e in (again, found)
            )
            assert ours == theirs
            assert str(again[name].report) == str(found[name].report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": np.zeros(4, np.int32)}, r"tokens: \(4,\) is not \[windows, length\]"),
        ({"rungs": {"digital": NOISY}}, "'digital' is the name of the baseline"),
        ({"rungs": {"a": [pj.Rule("*/nothing", NOISY)]}}, "a: .*matches no product"),
        ({"dies": 0}, "dies = 0 is not an integer of 1 or more"),
        ({"draws": 0}, "draws = 0 is not an integer of 1 or more"),
        (
            {"dies": 2, "rungs": {"a": NOISY, "a, die 1": DIM}},
            "'a, die 1' is also the name of a die",
        ),
    ],
)
def test_bad_input(model, tokens, change, message):
    arguments = {"model": model, "tokens": tokens, "rungs": {"a": NOISY}} | change
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(**arguments)
