"""A core that errs as a measured machine does: the fields that explain its readings, and how sure they are.

What is fitted, and how likely it makes the readings, is derived in :mod:`photonjax.core.fit_likelihood`. In
products of full scale, with ``g`` the mean gain (which whoever uses the machine divides out), ``r`` the
converter's full scale and K = ``rows``:

* ``receiver.gain_error``: standard deviation of ``gain_n / g``, less the variance of its estimate, and less
  ``v / (K E[e**2])``, what errors of the weights of variance ``v`` in the result make of the columns' gains
  by chance;
* ``receiver.offset_error``: that of ``offset_n / (g r)``, likewise;
* ``receiver.common_noise``, ``receiver.relative_noise``: ``common``, ``relative``;
* ``adc.enob``: ``log2(2 r / (G sigma sqrt(12)))``, G the converter's gain, of the columns' noise together,
  the converter's own included (:mod:`photonjax.core.adc`); None where that is no less than ``adc.bits``;
* ``array.noise``: errors D of the weights give ``x D`` the variance ``v = array.noise**2 K E[a**2]``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from photonjax.core import fit_likelihood as lik
from photonjax.core.core import OpticalCore
from photonjax.core.fit_fields import fields_of, of_columns, twin_of
from photonjax.core.fit_input import Excluded, check_readings
from photonjax.core.fit_model import COMPONENTS, Model, Rung, climb, fit, simulate
from photonjax.core.fit_statistics import Estimate, error_statistics
from photonjax.core.limits import allowed
from photonjax.core.pytree import brief

_REPLICAS = 12


@dataclasses.dataclass(frozen=True)
class Check:
    """A statistic of the readings' errors beside what the fitted model gives.

    Attributes:
      measured: of the readings. model: mean and standard deviation of as many simulated ones.
    """

    measured: float
    model: Estimate

    @property
    def z(self) -> float:
        """By how many standard deviations the model misses it."""
        return (self.measured - self.model.value) / max(self.model.error, 1e-300)


@dataclasses.dataclass(frozen=True)
class Fit:
    """What explains a machine's readings; ``print`` shows it. Made by :func:`fit_core`.

    Attributes:
      components: what was kept, of ``photonjax.core.fit_model.COMPONENTS``.
      fields: of the twin, by dotted name, with standard errors.
      other: numbers that no field of a core carries: ``gain`` (mean); in products of full scale ``noise``,
        ``cycle_offsets`` (standard deviation within a column) and ``weight_error_in_results``;
        ``weight_error`` (over the weights' root mean square);
        ``column_noise_spread`` (standard deviation over columns, relative), ``bend``, ``tail`` (of
        :mod:`photonjax.core.fit_likelihood`).
      gain, offset, noise: of each column with standard errors: ``[2, N]``, ``[2, cycle, N]`` (unit of the
        readings), ``[2, N]`` (products of full scale, before the gain).
      ladder: every model tried, with its likelihood on symbols held out.
      checks: statistics of the errors (``photonjax.core.fit_statistics.MEANINGS``), measured and modelled.
      columns: numbers of the columns fitted. excluded: what was left out. notes: what the twin does not
        carry.
    """

    components: tuple[str, ...]
    fields: Mapping[str, Estimate]
    other: Mapping[str, Estimate]
    gain: np.ndarray
    offset: np.ndarray
    noise: np.ndarray
    ladder: Sequence[Rung]
    checks: Mapping[str, Check]
    columns: np.ndarray
    excluded: Excluded
    notes: tuple[str, ...]
    unit: float
    _model: Model = dataclasses.field(repr=False)

    def simulate(self, seed: int = 0) -> np.ndarray:
        """Readings of the fitted columns and symbols as the model draws them: ``[T, N]``, NaN at gaps."""
        return self.unit * simulate(
            self._model.values, self._model.data, np.random.default_rng(seed), self._model.tails
        )

    def __str__(self) -> str:
        lines = [str(self.excluded), "", "held-out log-likelihood (nats a reading)"]
        for rung in self.ladder:
            verdict = "" if rung is self.ladder[0] else ("  kept" if rung.kept else "  left out")
            lines.append(
                f"  {rung.added:14s}{rung.parameters:7,}{rung.nats:10.4f}  {rung.gain.value:+.4f} +- "
                f"{rung.gain.error:.4f}{verdict}"
            )
        lines += ["", "fields of the twin (95 % interval)"]
        lines += [f"  {name:26s}{estimate}" for name, estimate in self.fields.items()]
        lines += ["", "besides"]
        lines += [f"  {name:26s}{estimate}" for name, estimate in self.other.items()]
        lines += ["", f"{'errors':28s}{'measured':>12s}{'model':>12s}{'z':>8s}"]
        lines += [
            f"  {name:26s}{c.measured:12.4g}{c.model.value:12.4g}{c.z:8.1f}"
            for name, c in self.checks.items()
        ]
        return "\n".join([*lines, *([""] if self.notes else []), *self.notes])


def fit_core(
    core: OpticalCore,
    expected: Any,
    observed: Any,
    *,
    unit: float = 1.0,
    cycle: int = 1,
    fixed_weight: bool = False,
    input_rms: float | None = None,
    components: Sequence[str] | None = None,
    held_out: float = 0.25,
    seed: int = 0,
) -> tuple[OpticalCore, Fit]:
    """The core with the fields that explain measurements of a machine, and how well they do.

    Models from independent noise alone to gains, noise common to a symbol and heavy tails are fitted by
    maximum likelihood (L-BFGS on exact gradients, float64); a component is kept where it raises the
    likelihood of symbols that were held out by more than chance. Standard errors are of the information that
    the symbols hold.

    Args:
      core: the machine's geometry and converter (``rows``, ``cols``, ``adc.bits``, ``adc.range``), without
        noise of its own. What is not found is set to None.
      expected: ``[T, N]`` the exact results of T symbols in N columns of one array. NaN: a gap.
      observed: ``[T, N]`` the readings, in the same unit. NaN: a gap.
      unit: what one product of full scale reads.
      cycle: offsets repeat after this many symbols (machines that take turns among converters).
      fixed_weight: all symbols passed one programmed matrix, so that its errors are a fixed linear map of the
        expected row. What lies outside the span of N expected results counts as noise.
      input_rms: root mean square of the inputs, in full scales; ``array.noise`` follows from it and ``rows``.
      components: to try, in order (default: all that apply).
      held_out: fraction of the symbols that models are compared on.
      seed: chooses these symbols.

    Returns:
      The twin, and :class:`Fit`.

    Raises:
      TypeError: no core, or no arrays of real numbers.
      ValueError: shapes that differ, more than half gaps, infinity, columns where nothing was expected to
        change, another unit or order, too few symbols, or a core with noise of its own. Columns whose
        readings never change are left out, and counted in ``Fit.excluded`` with the gaps.

    Example:
      >>> import numpy as np, photonjax as pj
      >>> rng = np.random.default_rng(0)
      >>> expected = rng.normal(size=(400, 6))
      >>> observed = expected * rng.normal(1, 0.05, 6) + 0.1 * rng.normal(size=(400, 6))
      >>> core = pj.OpticalCore(rows=32, cols=6, adc={"bits": 12})
      >>> twin, fit = pj.fit_core(core, expected, observed, components=["gains"])
      >>> bool(abs(fit.other["noise"].value - 0.1) < 0.01), bool(twin.adc.enob < 8)
      (True, True)
    """
    readings, columns, excluded = check_readings(
        core, expected, observed, unit=unit, cycle=cycle, fixed_weight=fixed_weight
    )
    chosen = _wanted(components, cycle, fixed_weight)
    symbols = len(readings.expected)
    if not 0.05 <= held_out <= 0.5:
        raise ValueError(
            f"fit_core: held_out = {held_out!r} is not {allowed('a number', 0.05, 0.5)}"
        )
    if input_rms is not None and not 0 < input_rms <= 1:
        wanted = allowed("a number", above=0, high=1, optional=True)
        raise ValueError(f"fit_core: input_rms = {input_rms!r} is not {wanted}")
    held = np.zeros(symbols, bool)
    picked = np.random.default_rng(seed).permutation(symbols)
    held[picked[: round(held_out * symbols)]] = True
    kept, ladder = climb(readings, chosen, held)
    every = np.ones(symbols)
    model = fit(readings, kept, every)
    errors = model.errors()
    gain, offset, noise = of_columns(model, errors)
    fields, other, notes = fields_of(core, model, errors, (gain, offset, noise), input_rms)
    found = Fit(
        kept,
        fields,
        other,
        gain,
        offset * unit,
        noise,
        ladder,
        {},
        columns,
        excluded,
        notes,
        unit,
        model,
    )
    found = dataclasses.replace(found, checks=_checks(found, readings, unit, fixed_weight))
    return twin_of(core, fields), found


def _wanted(components: Sequence[str] | None, cycle: int, fixed_weight: bool) -> tuple[str, ...]:
    """The components to try, in the order in which they are."""
    apply = {"cycle": cycle > 1, "fixed_weight": fixed_weight}
    able = [name for name in COMPONENTS if apply.get(name, True)]
    if components is None:
        return tuple(able)
    for name in components:
        if name not in able:
            reason = f" (it needs {name})" if name in COMPONENTS else ""
            raise ValueError(
                f"fit_core: components holds {brief(name)}{reason}; there are {', '.join(able)}"
            )
    return tuple(name for name in able if name in components)


def _checks(
    found: Fit, readings: lik.Readings, unit: float, fixed_weight: bool
) -> dict[str, Check]:
    """Statistics of the errors, of the readings and of simulated ones."""
    of = functools.partial(
        error_statistics, unit * readings.expected, cycle=readings.cycle, fixed_weight=fixed_weight
    )
    measured = of(unit * readings.observed)
    replicas = [of(found.simulate(seed)) for seed in range(_REPLICAS)]
    checks = {}
    for name, value in measured.items():
        drawn = np.array([replica[name] for replica in replicas])
        checks[name] = Check(value, Estimate(float(drawn.mean()), float(drawn.std(ddof=1))))
    return checks
