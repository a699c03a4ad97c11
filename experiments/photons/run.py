"""How many detected photons a multiply needs before a language model notices, and who needs them.

    python -m experiments.photons                       # the default model, text and rungs
    python -m experiments.photons windows=8 run=long    # overrides of configs/photons.yaml
    python -m experiments.photons --help

Every rung puts some products on cores with shot noise and nothing else, and the rest stays digital. For
each, the light is sought at which perplexity has risen by a given percentage; there the photons really
detected and the SNR of every site are measured. Sub-arrays, kinds of site and control products then say
how the need moves with fan-in (theory:
:mod:`photonjax.evaluation.fan_in`). Writes ``results/photons/<run>/``: metrics.json,
points.csv, thresholds.csv, sites.csv, fan_in.csv, report.txt, photons.png, config and versions. An
interrupted run goes on from its points when started again with the same ``run=NAME``.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import photonjax as pj
from experiments.harness import Progress, RunDirectory, note, track, user_errors
from experiments.harness.inputs import check_fit, load_model, load_text
from experiments.photons import exponents
from experiments.photons import plots as photon_plots
from experiments.photons import report as photon_report
from experiments.photons.config import DIGITAL, Photons
from experiments.photons.controls import controls
from experiments.photons.points import Points
from photonjax.core import Measurement
from photonjax.evaluation import measure
from photonjax.evaluation.light_curve import LightCurve, noise_vanishes, scale_light
from photonjax.evaluation.thresholds import highest_rise, solve_threshold


def photons(config: Photons) -> None:
    """The whole experiment."""
    with RunDirectory("photons", config) as run:
        note(f"results: {run.path}")
        study(config, config.cores(), run)


def study(config: Photons, cores: Mapping[str, pj.OpticalCore], run: RunDirectory) -> None:
    """Load, solve every rung, do the controls, and write what came of it."""
    model, tokenizer = load_model(config.model)
    text = load_text(config, tokenizer)
    note(f"text: {text.description}")
    check_fit(config, model, text)
    points = Points(run)
    settings = dict(noise_seeds=config.noise_seeds, seed=config.seed)
    digital = LightCurve(model, text.windows, known=points.of(DIGITAL), **settings)
    found: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("thresholds", "sites", "fixed_light", "curves")
    }
    noise_free = {DIGITAL: digital.perplexity()}
    for name, core in track(cores.items(), "light", "rungs"):
        fields = config.ladder[name]
        with user_errors(ValueError, prefix=f"ladder.{name}: "):
            lit = [
                light_up(config, model, on, fields, text.windows) for on in on_dies(core, config)
            ]
        corrected = noise_vanishes(core)
        curve = LightCurve(
            lit, text.windows, corrected=corrected, known=points.of(name), **settings
        )
        noise_free[name] = curve.perplexity()
        climb(config, name, core, curve, text.windows, found)
    with Progress("controls: products cut to their first K rows"):
        rows = controls(config, model, text.calibration[0])
    about = f"model: {config.model.label}\ntext: {text.description}"
    write(run, config, found, noise_free, rows, about)


def on_dies(core: pj.OpticalCore, config: Photons) -> list[pj.OpticalCore]:
    """The core on as many dies as asked for: its own, and those with the numbers that follow."""
    if config.dies == 1:
        return [core]
    return [core.replace(chip_seed=jnp.uint32(core.chip_seed + i)) for i in range(config.dies)]


def light_up(
    config: Photons,
    model: nnx.Module,
    core: pj.OpticalCore,
    fields: Mapping[str, Any],
    windows: np.ndarray,
) -> nnx.Module:
    """The model with a rung's products on light, of one photon a multiply or an SNR of one."""
    rule = pj.Rule(fields.get("only", "*"), core)
    optical, _ = pj.convert(model, [rule])
    if fields.get("equal_snr"):
        # Shot noise alone decides the spread: without rounding, which has an error of its own.
        bare = core.replace(input={"bits": None}, array={"bits": None})
        unrounded, _ = pj.convert(model, [dataclasses.replace(rule, core=bare)])
        pj.program_weights(unrounded)
        start = config.solver.start
        sites = measured(unrounded, start, windows, config)
        needed = {path: start * float(m.error / m.signal) for path, m in sites.items()}
        for path, dot in pj.nnx.optical_dots(optical):
            light = dot.hardware["photons"]
            # What was never multiplied with (an embedding that is only looked up) needs no light.
            each = [needed.get(p, 1.0) for p in dot.layer_paths(path)]
            light[...] = jnp.asarray(each).reshape(light[...].shape)
    pj.program_weights(optical)
    return optical


def measured(
    model: nnx.Module, light: float, windows: np.ndarray, config: Photons
) -> dict[str, Measurement]:
    """Every site's :class:`Measurement` at this light."""
    lit = nnx.clone(model)
    scale_light(lit, light)
    return measure(lit, windows[: config.measure_windows], jax.random.key(config.seed))


def climb(
    config: Photons,
    name: str,
    core: pj.OpticalCore,
    curve: LightCurve,
    windows: np.ndarray,
    found: dict[str, list[dict[str, Any]]],
) -> None:
    """Solve one rung for every target and measure its sites there, on the first die; rows go to ``found``."""
    fields = config.ladder[name]
    dark = measured(curve.model, math.inf, windows, config)
    pooled = functools.reduce(Measurement.pool, dark.values())
    about: dict[str, Any] = {
        "rung": name,
        "family": photon_report.family(fields),
        "encoding": core.encoding.kind,
        "shot_noise": photon_report.shot_noise(core),
        "equal_snr": bool(fields.get("equal_snr")),
        "terms_per_output": float(pooled.multiplies / pooled.outputs),
        "terms_per_sample": float(pooled.multiplies / pooled.samples),
    }
    if about["family"] == "sub-array":
        first = [r for r in found["thresholds"] if r["family"] == "sub-array" and r["light"]][:1]
        found["fixed_light"] += fixed_light(curve, about, first)
    seen = {light: curve.rise(light) for light in curve.lights}
    rows = []
    for percent in config.targets_percent:
        target = math.log1p(percent / 100)
        light = solve_threshold(
            curve.rise,
            target,
            config.solver.start,
            tolerance=config.solver.tolerance,
            most=config.solver.most,
            seen=seen,
        )
        row = about | {"target_percent": percent, "light": light}
        if light is None:
            note(f"{name}: +{percent:g} % {why_not(seen, target, config.solver.most)}")
            rows.append(row | dict.fromkeys(photon_report.MEASURED))
            continue
        sites = site_rows(name, percent, measured(curve.model, light, windows, config), dark)
        found["sites"] += sites
        errors = curve.errors(target)
        more = summarize(
            sites, light, fields, *errors, windows=len(windows), oscillator=oscillator_of(core)
        )
        signal = more["photons_per_multiply"] - more["oscillator_per_multiply"]
        low, high = (
            None if x is None else more["oscillator_per_multiply"] + signal * x
            for x in curve.interval(target)
        )
        rows.append(row | more | {"interval_low": low, "interval_high": high})
    found["thresholds"] += rows
    solved = [r for r in rows if r["light"]]
    if not solved:
        return
    constant = solved[0]["oscillator_per_multiply"]
    scale = (solved[0]["photons_per_multiply"] - constant) / solved[0]["light"]
    for light in sorted(curve.lights):
        change = 100 * math.expm1(min(curve.rise(light), 100.0))
        point = {"light": light, "photons_per_multiply": constant + light * scale}
        found["curves"].append(about | point | {"perplexity_change_percent": change})


def why_not(seen: Mapping[float, float], target: float, most: int) -> str:
    """Why there is no threshold."""
    top = highest_rise(seen, target)
    if top is None:
        return f"was not found in {most} points"
    light, rise = top
    return (
        f"is not reached: the rise is {100 * math.expm1(rise):.2g} % at most, at a light of {light:.3g}, and "
        "falls with less; ask for less, or take more noise_seeds and windows"
    )


def fixed_light(
    curve: LightCurve, about: Mapping[str, Any], first: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What light that suffices the first size of sub-array does at this size.

    Once with the same photons per multiply, once with the same per full-scale sample of a detector.
    """
    found = []
    for row in first:
        fewer = row["terms_per_sample"] / about["terms_per_sample"]
        for what, light in (("multiply", row["light"]), ("sample", row["light"] * fewer)):
            change = 100 * math.expm1(min(curve.rise(light), 100.0))
            same = {"same_photons_per": what, "as_rung": row["rung"], "light": light}
            at = {"target_percent": row["target_percent"], "perplexity_change_percent": change}
            found.append(dict(about) | same | at)
    return found


def site_rows(
    rung: str, percent: float, lit: Mapping[str, Measurement], dark: Mapping[str, Measurement]
) -> list[dict[str, Any]]:
    """What each site got; its shot noise is what the error has more than without noise."""
    rows = []
    for path, m in lit.items():
        rounding = dark[path].error / dark[path].signal
        noise = max(float(m.error / m.signal - rounding), 1e-30)
        rows.append(
            {
                "rung": rung,
                "target_percent": percent,
                "site": path,
                "terms": float(m.multiplies / m.outputs),
                "photons_per_multiply": float(m.photons_per_multiply),
                "photons_per_output": float(m.electrons / m.outputs),
                "electrons": float(m.electrons),
                "multiplies": float(m.multiplies),
                "outputs": float(m.outputs),
                "samples": float(m.samples),
                "snr_db": float(m.snr_db),
                "shot_snr_db": -10 * math.log10(noise),
            }
        )
    return rows


def oscillator_of(core: pj.OpticalCore) -> float:
    """Photons of the local oscillator in each detector sample; 0 without one."""
    return float(core.encoding.oscillator_electrons(core) or 0.0)


def summarize(
    sites: Iterable[Mapping[str, Any]],
    light,
    fields,
    noise,
    text,
    *,
    windows: int,
    oscillator: float = 0.0,
) -> dict[str, Any]:
    """One threshold in numbers: light, its uncertainty, photons and SNR.

    A local oscillator's photons are among those of each multiply, and the same whatever the light. The
    uncertainty is that of noise and text together, and not known where one of them is not: some draw, or
    the text without one window, does not reach the loss. One window says nothing of the text.
    """
    rows = list(sites)
    total = {k: sum(r[k] for r in rows) for k in ("electrons", "multiplies", "outputs", "samples")}
    snr = [r["shot_snr_db"] for r in rows]
    known = noise is not None and (text is not None or windows == 1)
    error = math.hypot(noise, text or 0.0) if known else None
    n = total["electrons"] / total["multiplies"]
    constant = oscillator * total["samples"] / total["multiplies"]
    return {
        "photons_full_scale": None if fields.get("equal_snr") else light,
        "photons_per_multiply": n,
        "oscillator_per_multiply": constant,
        "plus_minus": None if error is None else (n - constant) * error,
        "noise_error_percent": None if noise is None else 100 * noise,
        "text_error_percent": None if text is None else 100 * text,
        "photons_per_output": total["electrons"] / total["outputs"],
        "photons_per_sample": total["electrons"] / total["samples"],
        "shot_snr_db": float(np.mean(snr)),
        "shot_snr_db_low": min(snr),
        "shot_snr_db_high": max(snr),
        "snr_db": float(np.mean([r["snr_db"] for r in rows])),
    }


def write(
    run: RunDirectory,
    config: Photons,
    found: dict[str, list[dict[str, Any]]],
    noise_free: dict[str, float],
    controls: list[dict[str, Any]],
    about: str,
) -> None:
    """All results; metrics.json last, since it marks the run as finished."""
    results: dict[str, Any] = found | {
        "noise_free_perplexity": noise_free,
        "controls": controls,
        "control_snr_db": config.controls.snr_db,
        "seed": config.seed,
        "about": about,
    }
    results["slopes"] = exponents.slopes(results)
    report = photon_report.readable(results)
    run.write_csv("thresholds.csv", found["thresholds"])
    if found["sites"]:
        run.write_csv("sites.csv", found["sites"])
    run.write_csv("fan_in.csv", exponents.fan_in_rows(results))
    run.write_plot("photons.png", photon_plots.draw(results))
    run.write("report.txt", report + "\n")
    run.write_json("metrics.json", results)
    print(f"\n{report}\n\nwritten to {run.path}")
