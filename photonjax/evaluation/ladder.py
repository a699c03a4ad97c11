"""A language model on light against its digital self, on the same windows of text."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.core import random
from photonjax.core.limits import allowed
from photonjax.evaluation import intervals
from photonjax.evaluation.dies import Sample, on_dies, samples
from photonjax.evaluation.programs import Prefill, Watch, compile_all
from photonjax.evaluation.results import DIGITAL, Evaluation, Result, Window
from photonjax.evaluation.rungs import Rung, prepare, report_of
from photonjax.evaluation.scores import compare
from photonjax.rules import ConversionReport


def evaluate(
    model: nnx.Module,
    tokens: Any,
    rungs: Mapping[str, Rung],
    *,
    calibration: Any = None,
    margin: float = 1.1,
    measure_windows: int = 1,
    seed: int = 0,
    dies: int = 1,
    draws: int = 1,
    confidence: float = intervals.CONFIDENCE,
    at_once: int = 16,
    known: Sequence[Mapping[str, Window]] = (),
    keep: Callable[[int, Mapping[str, Window]], None] | None = None,
    watch: Watch | None = None,
) -> Evaluation:
    """Perplexity, divergence and agreement of optical versions of a model, and what light they used.

    Every window is prefilled by the digital model and, with the same tokens, by the model on every
    rung; on the first windows each product is also measured against floating point, in the same pass.

    Args:
      model: the digital model, an NNX module of tokens ``[batch, length]`` to logits.
      tokens: windows ``[windows, length]``.
      rungs: by name, a core for all products with weights, or a list of :class:`photonjax.Rule`.
      calibration: further tokens ``[batch, length]`` on which ADC ranges are set; None: not set.
      margin: of the ranges, see :func:`photonjax.calibrate`.
      measure_windows: on how many windows SNR, photons and clipping are measured.
      seed: of the dynamic noise; every window has its own, the same for all rungs.
      dies: on how many dies each rung runs, each calibrated for itself: those with the cores' ``chip_seed``
        and the numbers that follow it. More than one, and the intervals cover which dies they are
        (:mod:`photonjax.evaluation.intervals`).
      draws: how many draws of noise each window has on each die.
      confidence: of the intervals.
      at_once: how many models, a rung on one die each, are held in memory and take turns.
      known: of an earlier, interrupted call, for each window what its rungs gave; not done again.
      keep: told each window's number and what its rungs gave, as it is done: by the rung's name, and
        where there are several dies or draws as ``"rung, die 1, draw 2"``, counted from 0, which is left out.
      watch: told what is being done, how much of it is done, and of how much.

    Raises:
      ValueError: no windows, a rung called "digital", rules that do not fit, logits that are not finite.

    Example::

        model, tokenizer = pj.models.load("smollm2-135m-instruct")
        corpus = pj.data.load_corpus("wikipedia-sample")
        windows, _ = pj.data.document_windows(corpus, tokenizer, 512, count=5)
        core = pj.machines.optical("display-1024")
        print(pj.evaluation.evaluate(model, windows[:4], {"display": core}, calibration=windows[4:]))
    """
    tokens = jnp.asarray(np.asarray(tokens), jnp.int32)
    if tokens.ndim != 2 or len(tokens) < 1 or tokens.shape[1] < 2:
        raise ValueError(f"tokens: {tokens.shape} is not [windows, length] with two tokens or more")
    if DIGITAL in rungs:
        raise ValueError(f"rungs: {DIGITAL!r} is the name of the baseline; choose another")
    for what, number in (("dies", dies), ("draws", draws)):
        if number < 1:
            raise ValueError(f"{what} = {number} is not {allowed('an integer', 1)}")
    done: list[dict[str, Window]] = [dict(w) for w in known]
    done += [{} for _ in range(len(tokens) - len(known))]
    keys = jax.random.split(random.new_key(seed), len(tokens))
    models = on_dies(rungs, dies)
    every = [sample for name in rungs for sample in samples(name, dies, draws)]
    if clash := [name for name in rungs if [str(s) for s in every].count(name) > 1]:
        raise ValueError(f"rungs: {clash[0]!r} is also the name of a die or draw; choose another")
    reports: dict[str, ConversionReport] = {}
    for start in range(0, len(models), at_once):
        group = dict(list(models.items())[start : start + at_once])
        turns = [s for s in every if s.model in group]
        if all({DIGITAL, *map(str, turns)} <= rows.keys() for rows in done):
            reports |= {name: report_of(model, name, rung) for name, rung in group.items()}
            continue
        prepared = prepare(model, group, calibration, margin=margin, watch=watch)
        reports |= {name: found.report for name, found in prepared.items()}
        programs = {DIGITAL: Prefill(model)}
        programs |= {name: Prefill(found.model) for name, found in prepared.items()}
        del prepared
        wanted = {
            (programs[s.model], _measured(s, i, measure_windows))
            for s in turns
            for i in range(len(tokens))
        }
        compile_all([(programs[DIGITAL], False), *wanted], tokens.shape[1], watch)
        _climb(programs, turns, tokens, keys, measure_windows, done, keep, watch)
    digital = [window[DIGITAL] for window in done]
    results = {DIGITAL: Result(DIGITAL, digital, digital, None, confidence)}
    for name in rungs:
        found = [window[str(s)] for window in done for s in samples(name, dies, draws)]
        results[name] = Result(name, found, digital, reports[name], confidence, dies, draws)
    return Evaluation(results)


def _measured(sample: Sample, window: int, measure_windows: int) -> bool:
    """Sites are measured on the first die, with its first draw."""
    return window < measure_windows and not sample.die and not sample.draw


def _climb(
    programs: Mapping[str, Prefill],
    turns: Sequence[Sample],
    tokens: jax.Array,
    keys: jax.Array,
    measure_windows: int,
    done: list[dict[str, Window]],
    keep: Callable[[int, Mapping[str, Window]], None] | None,
    watch: Watch | None,
) -> None:
    """Every window through all programs in turn, so that a drift of the machine meets all alike."""
    order = [Sample(DIGITAL, 0, 0), *turns]
    todo = [i for i, rows in enumerate(done) if not {str(s) for s in order} <= rows.keys()]
    for step, i in enumerate(todo):
        reference = None
        for turn, sample in enumerate(order):
            if watch is not None:
                watch("prefill", step * len(order) + turn, len(todo) * len(order))
            prefill, name, key = programs[sample.model], str(sample), sample.key(keys[i])
            start, sites = time.perf_counter(), None
            if name != DIGITAL and _measured(sample, i, measure_windows):
                logits, sites = prefill.measured(tokens[i], key)
            else:
                logits = jax.block_until_ready(prefill(tokens[i], key))
            seconds = None if sites is not None else time.perf_counter() - start
            reference = logits if reference is None else reference
            nll, kl, agree = (float(x) for x in compare(logits, reference, tokens[i]))
            if not math.isfinite(nll):
                raise ValueError(
                    f"{name}: logits of window {i} are not finite; check the weights, or the fields of "
                    "this core"
                )
            window = Window(nll, kl, agree, tokens.shape[1] - 1, seconds, sites)
            done[i].setdefault(name, window)
        if keep is not None:
            keep(i, done[i])
    if watch is not None:
        watch("prefill", len(todo) * len(order), len(todo) * len(order))
