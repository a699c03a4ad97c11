"""A fitted model as fields of a core, with their standard errors, and what no field carries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from photonjax.core import fit_likelihood as lik
from photonjax.core.core import OpticalCore
from photonjax.core.fit_model import Model
from photonjax.core.fit_statistics import Estimate


def of_columns(model: Model, errors: lik.Values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gain, offset and noise of each column, with standard errors; noise for the degrees of freedom used."""
    count = model.data["there"].sum(axis=0)
    cycle = model.data["groups"].shape[1]
    used = (0 if "gains" not in model.components else 1 + cycle) + (
        0 if model.leak is None else len(model.leak) - 1
    )
    size = np.exp(model.values["log_noise"]) * np.sqrt(count / (count - used))
    return (
        np.stack([model.values["gain"], errors["gain"]]),
        np.stack([model.values["offset"], errors["offset"]]),
        np.stack([size, size * errors["log_noise"]]),
    )


def fields_of(
    core: OpticalCore,
    model: Model,
    errors: lik.Values,
    columns: tuple[np.ndarray, np.ndarray, np.ndarray],
    input_rms: float | None,
) -> tuple[dict[str, Estimate], dict[str, Estimate], tuple[str, ...]]:
    """Fields of the twin, other numbers, and what the twin does not carry."""
    gain, offset, noise = columns
    values, count = model.values, gain.shape[1]
    full = float(core.adc.full_scale(core.rows))
    mean = float(gain[0].mean())
    power = float((model.data["e"] ** 2).sum() / model.data["there"].sum())
    shared = "column_noise" not in model.components
    sigma = float(np.sqrt((noise[0] ** 2).mean()))
    own = np.sqrt((noise[0] ** 2 * noise[1] ** 2).sum()) / sigma / count
    if shared:  # one number, estimated once
        own = noise[1].mean()
    fields: dict[str, Estimate] = {}
    other = {
        "gain": Estimate(mean, float(np.sqrt((gain[1] ** 2).sum()) / count)),
        "noise": Estimate(sigma, float(own)),
    }
    notes = []
    leaked = float(max(model.leak_variance.mean(), 0.0))
    if "gains" in model.components:
        chance = leaked / (core.rows * power)
        fields["receiver.gain_error"] = _spread(gain[0] / mean, gain[1] / mean, chance)
        level, own_error = offset[0].mean(axis=0), np.sqrt((offset[1] ** 2).mean(axis=0))
        scale = mean * full
        fields["receiver.offset_error"] = _spread(
            level / scale, own_error / np.sqrt(len(offset[0])) / scale
        )
    if "cycle" in model.components:
        within = offset[0] - offset[0].mean(axis=0)
        lift = (offset[1] ** 2).mean()
        variance = (within**2).sum() / (within.size - count) - lift
        other["cycle_offsets"] = _root(
            variance / mean**2, lift / mean**2 * np.sqrt(2 / within.size)
        )
        notes.append("no field: offsets that follow the cycle (its controller can subtract them)")
    if model.leak is not None:
        variances = model.leak_variance
        error = float(variances.std(ddof=1) / np.sqrt(count))
        weights = _root(leaked, error)
        other["weight_error_in_results"] = weights
        rms = float(np.sqrt(power))  # results and their errors scale alike with the inputs
        other["weight_error"] = Estimate(weights.value / rms, weights.error / rms)
        if input_rms is None:
            notes.append("array.noise is not set: it needs input_rms")
        else:
            per = input_rms * np.sqrt(core.rows)
            fields["array.noise"] = Estimate(weights.value / per, weights.error / per)
    for component, name, field in (
        ("common", "common", "receiver.common_noise"),
        ("relative", "relative", "receiver.relative_noise"),
    ):
        if component in model.components:
            fields[field] = Estimate(abs(float(values[name])), float(errors[name]))
    bits = float(np.log2(2 * core.adc.reach(full) / (sigma * np.sqrt(12))))
    if core.adc.bits is not None and bits < core.adc.bits:
        fields["adc.enob"] = Estimate(bits, float(own / (sigma * np.log(2))))
    else:
        notes.append(f"adc.enob: the noise is no more than the steps of adc.bits = {core.adc.bits}")
    if not shared:
        other["column_noise_spread"] = _spread(noise[0] / sigma, noise[1] / sigma)
        notes.append("no field: noise that differs from column to column (adc.enob has their mean)")
    if "bend" in model.components:
        other["bend"] = Estimate(float(values["bend"]), float(errors["bend"]))
        notes.append("no field: a curve of the detected sum (bend e**3 / rms(e)**2)")
    if model.tails:
        tail = float(lik.tail_of_real(values["tail"]))
        slope = tail * (1 - tail / lik.MOST_TAIL)
        other["tail"] = Estimate(tail, slope * float(errors["tail"]))
        notes.append(
            f"no field: Student's t of {1 / tail:.3g} degrees of freedom in place of a Gaussian"
        )
    return fields, other, tuple(notes)


def _spread(values: np.ndarray, errors: np.ndarray, less: float = 0.0) -> Estimate:
    """Standard deviation of values that are known with errors, and its own error (a sample of normals)."""
    whole = float(values.var(ddof=1))
    return _root(whole - float((errors**2).mean()) - less, whole * np.sqrt(2 / (len(values) - 1)))


def _root(variance: float, error: float) -> Estimate:
    """Of a variance and its standard error; 0 with the largest that fits where it comes out negative."""
    if variance <= 0:
        return Estimate(0.0, float(np.sqrt(error)))
    return Estimate(float(np.sqrt(variance)), float(error / (2 * np.sqrt(variance))))


def twin_of(core: OpticalCore, fields: Mapping[str, Estimate]) -> OpticalCore:
    """The core with the fields found, and without those that were not."""
    fitted = (
        *("receiver.gain_error", "receiver.offset_error", "receiver.common_noise"),
        *("receiver.relative_noise", "adc.enob", "array.noise"),
    )
    values = {name: fields[name].value if name in fields else None for name in fitted}
    return core.replace(**{name: value or None for name, value in values.items()})
