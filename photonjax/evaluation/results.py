"""What each model made of the windows, and what follows: perplexity, divergence, agreement, light."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from photonjax.core.measure import Measurement
from photonjax.evaluation import intervals
from photonjax.evaluation.intervals import Interval
from photonjax.evaluation.programs import pool
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
        """Mean divergence of a prediction from the digital model's; its interval does not go below 0."""
        return self._mean([w.kl / w.predictions for w in self.windows]).within(0.0, math.inf)

    @functools.cached_property
    def argmax_agreement(self) -> Interval:
        """Fraction of predictions with the digital model's likeliest token; its interval stays in [0, 1]."""
        return self._mean([w.agree / w.predictions for w in self.windows]).within(0.0, 1.0)

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
