"""A language model on light against its digital self, on the same windows of text."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.core import random
from photonjax.core.measure import Measurement
from photonjax.evaluation import intervals
from photonjax.evaluation.dies import Sample, on_dies, samples
from photonjax.evaluation.intervals import Interval
from photonjax.evaluation.programs import Prefill, Watch, compile_all, pool
from photonjax.evaluation.rungs import Rung, prepare, report_of
from photonjax.evaluation.scores import compare
from photonjax.rules import ConversionReport
from photonjax.tables import text_table

DIGITAL = "digital"


@dataclasses.dataclass(frozen=True)
class Window:
    """What one model made of one window.

    Attributes:
      nll, kl, agree: sums over its predictions, see :class:`photonjax.evaluation.Scores`.
      predictions: how many there are, one fewer than tokens.
      seconds: of the prefill, compiling aside; None where sites were measured as well.
      sites: what was measured at each of them, where that was asked for.
    """

    nll: float
    kl: float
    agree: float
    predictions: int
    seconds: float | None
    sites: dict[str, Measurement] | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """One model over all windows.

    Attributes:
      name: of the rung.
      windows: what it made of each window; on each die, with each draw of noise, one after the other.
      digital: what the digital model made of each window.
      report: which products are on light; None for the digital model.
      confidence: of the intervals.
      dies, draws: how many there were.
    """

    name: str
    windows: Sequence[Window]
    digital: Sequence[Window]
    report: ConversionReport | None = None
    confidence: float = intervals.CONFIDENCE
    dies: int = 1
    draws: int = 1

    @property
    def predictions(self) -> int:
        """Predicted tokens, on all dies with all draws."""
        return sum(w.predictions for w in self.windows)

    @property
    def perplexity(self) -> float:
        """Over all predictions."""
        return float(np.exp(sum(w.nll for w in self.windows) / self.predictions))

    @functools.cached_property
    def perplexity_change_percent(self) -> Interval:
        """Against the digital model, window by window."""
        ours = self._crossed([w.nll / w.predictions for w in self.windows])
        theirs = np.array([d.nll / d.predictions for d in self.digital])
        return intervals.ratio_percent(ours - theirs[:, None, None], self.confidence)

    @functools.cached_property
    def kl_nats(self) -> Interval:
        """Mean divergence of a prediction from the digital model's."""
        return self._mean([w.kl / w.predictions for w in self.windows])

    @functools.cached_property
    def argmax_agreement(self) -> Interval:
        """Fraction of predictions whose most likely token is the digital model's."""
        return self._mean([w.agree / w.predictions for w in self.windows])

    @property
    def tokens_per_s(self) -> float | None:
        """Of the simulation, median over windows that were not measured."""
        speeds = [(w.predictions + 1) / w.seconds for w in self.windows if w.seconds]
        return float(np.median(speeds)) if speeds else None

    @functools.cached_property
    def sites(self) -> dict[str, Measurement]:
        """What was measured at every optical product, pooled over the measured windows, on the first die."""
        return functools.reduce(pool, [w.sites for w in self.windows if w.sites], {})

    @property
    def photons_per_multiply(self) -> float | None:
        """Mean detected photons per multiply, as used, over all products on light."""
        light = self._pooled and float(self._pooled.photons_per_multiply)
        return light or None

    @property
    def adc_clipped_fraction(self) -> float | None:
        """Fraction of ADC samples that saturated."""
        return self._pooled and float(self._pooled.clipped_fraction)

    @property
    def worst_site(self) -> str | None:
        """The product with the lowest output SNR."""
        return min(self.sites, key=lambda s: float(self.sites[s].snr_db), default=None)

    @functools.cached_property
    def _pooled(self) -> Measurement | None:
        return functools.reduce(Measurement.pool, self.sites.values()) if self.sites else None

    def _crossed(self, values: Sequence[float]) -> np.ndarray:
        return np.reshape(values, (-1, self.dies, self.draws))

    def _mean(self, values: Sequence[float]) -> Interval:
        return intervals.crossed_interval(self._crossed(values), self.confidence)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """All results, the digital model's first; ``print`` shows them as a table."""

    results: dict[str, Result]

    def __getitem__(self, name: str) -> Result:
        return self.results[name]

    def __str__(self) -> str:
        return text_table([shown(result) for result in self.results.values()])


def shown(result: Result) -> dict[str, str]:
    """One row of the table."""
    change, ppl = result.perplexity_change_percent, result.perplexity
    snr = None if result.worst_site is None else float(result.sites[result.worst_site].snr_db)

    def show(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    digital = result.name == DIGITAL
    return {
        "core": result.name,
        "perplexity": f"{ppl:.2f}" if ppl < 1e4 else f"{ppl:.1e}",
        "change %": "-" if digital or not ppl < 1e4 else f"{change.value:+.2f}",
        f"{result.confidence:.0%} interval": "-"
        if digital or change.low is None or change.high is None or not ppl < 1e4
        else f"{change.low:+.2f} ... {change.high:+.2f}",
        "KL": f"{result.kl_nats.value:.4f}",
        "argmax": f"{result.argmax_agreement.value:.1%}",
        "photons/mult": show(result.photons_per_multiply, ".3g"),
        "worst SNR dB": show(snr, ".1f"),
        "at site": result.worst_site or "-",
        "clipped": show(result.adc_clipped_fraction, ".1e"),
    }


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
            raise ValueError(f"{what}: {number} is less than 1")
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
