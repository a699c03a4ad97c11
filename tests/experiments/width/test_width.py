"""The whole study, small: every file, every number in its place, and the same after an interruption."""

from __future__ import annotations

import csv
import json
import math
import pathlib

import jax
import numpy as np
import pytest
from flax import nnx

pytestmark = pytest.mark.slow  # trains decoders

FILES = {"alignment.csv", "exponents.csv", "metrics.json", "models.csv", "parts.json", "report.txt"}
FILES |= {"sites.csv", "thresholds.csv", "tokenizer.json", "width.png"}


def law(encoding, width, seed, percent):
    """A signal's and an oscillator's photons per multiply, and the SNR."""
    signal = (9.0 + seed) * width**-0.5 / percent
    return signal, 1e4 / width if encoding == "quadrature" else 0.0, 300.0 / percent


@pytest.fixture
def quick(modules, monkeypatch):
    """Trainings that only scale the weights, and light by :func:`law`."""
    run = modules.run

    def trained(config, model, scaling, tokens, *, rate, steps, seed, begun=None):
        model.head.kernel[...] = (rate + seed) * model.head.kernel[...]
        if begun is not None:
            modules.train.write_state(begun, steps, [np.zeros(1)])
        return model

    def found(config, model, core, windows, seed):
        encoding, rows = core.encoding.kind, []
        for percent in config.targets_percent:
            signal, oscillator, snr = law(encoding, model.config.hidden_size, seed, percent)
            rows.append(
                dict(target_percent=percent, light=signal, equal_over_shared=1.1)
                | dict(photons_per_multiply=signal + oscillator, oscillator_per_multiply=oscillator)
                | dict(signal_per_multiply=signal, interval_low=None, interval_high=None)
                | dict(snr=snr, snr_db=10 * math.log10(snr), sites=[{"site": "head", "terms": 8}])
            )
        return rows

    monkeypatch.setattr(run, "train", trained)
    monkeypatch.setattr(run, "needs", found)


def test_a_study_that_was_interrupted_ends_as_if_it_had_not_been(modules, config, resumes, quick):
    resumes(modules.run, modules.run.width, lambda name: config(f"run={name}"))
    settings = config("run=whole")
    folder = pathlib.Path(settings.results_dir) / "width" / "whole"
    found = json.loads((folder / "metrics.json").read_text())
    names = {file.name for file in folder.iterdir()}
    assert names >= FILES and sum(n.startswith("network-relu-mup") for n in names) == 4
    assert not any("begun" in name for name in names)

    # µP: one learning rate, that of the smallest width
    assert len({r["rate"] for r in found["rates"]}) == 1
    assert {r["tuned_at"] for r in found["rates"]} == {8}
    for m in found["models"]:
        assert m["tokens"] == 60 * 8 * 16 == pytest.approx(m["passes"] * found["training_tokens"])
        assert m["perplexity"] == math.exp(m["loss"])

    # 2 widths x 2 seeds x 2 encodings x 2 operands x 2 targets
    assert len(found["thresholds"]) == 32
    with open(folder / "exponents.csv", newline="") as lines:
        exponents = list(csv.DictReader(lines))
    for r in exponents:
        expected = {"signal_per_multiply": -0.5, "snr": 0.0}.get(r["quantity"])
        if r["quantity"] == "photons_per_multiply":
            expected = -0.5 if r["encoding"] == "differential" else -0.999
        assert float(r["exponent"]) == pytest.approx(expected, abs=2e-3)
        assert r["seeds"] == "2" and float(r["low"]) <= float(r["exponent"]) <= float(r["high"])
    assert len(exponents) == 2 * 2 * 2 * 3
    sites = {r["site"] for r in found["alignment"]}
    assert sites == {"q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj", "head"}
    assert all(1e-4 < r["alignment"] < 2 for r in found["alignment"])
    report = (folder / "report.txt").read_text()
    assert "What remains unknown" in report and "over seeds alone" in report and "passes" in report


def test_a_training_goes_on_from_its_file(modules, config, tmp_path, monkeypatch):
    settings, train = config(), modules.train
    tokens = np.arange(4000) * 7 % 280
    options = dict(rate=0.01, steps=60, seed=0)

    def trained(**more):
        model = train.new_decoder(settings, "relu", "mup", 8, 0)
        return nnx.state(train.train(settings, model, "mup", tokens, **options, **more))

    whole, begun = trained(), tmp_path / "begun.npz"
    write = train.write_state

    def ended(path, done, state):
        write(path, done, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "write_state", ended)
    with pytest.raises(KeyboardInterrupt):
        trained(begun=begun)
    monkeypatch.setattr(train, "write_state", write)
    assert int(np.load(begun)["done"]) == 20
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(trained(begun=begun)), strict=True):
        np.testing.assert_array_equal(a, b)

    # killed after a training has ended and before its result is kept: no step is done again
    run = modules.run
    member, rates = (
        run.Member("relu", "mup", 8, 0),
        [dict(mlp="relu", scaling="mup", width=8, rate=0.01)],
    )
    windows = tokens[: 4 * 16].reshape(4, 16)
    text = modules.text.Text(tokens, windows, windows[:2], windows[0], "made up")
    row = run.train_member(settings, member, rates, text, tmp_path)
    monkeypatch.setattr(train, "_advance", None)
    assert run.train_member(settings, member, rates, text, tmp_path) == row


def test_shared_light_is_less_and_what_sites_cost_is_what_the_loss_rises(
    modules, config, monkeypatch
):
    """Two kinds of product on light, in quadrature with its oscillator."""
    settings, light = config("uncorrected_noise_seeds=16"), modules.light
    tokens = np.arange(4000) * 7 % 280
    model = modules.train.new_decoder(settings, "relu", "mup", 8, 0)
    modules.train.train(settings, model, "mup", tokens, rate=0.03, steps=60, seed=0)
    windows = np.stack([tokens[i : i + 16] for i in range(100, 1000, 111)])
    own = ("down_proj", "head")
    products = [p for p in modules.operands.products_of(model, windows[0]) if p[0] in own]
    dressed = modules.operands.dress(
        model, products, modules.operands.turns("plain", products, 0.5)
    )
    core = settings.cores()["quadrature"]

    curve, made = light.LightCurve, []
    monkeypatch.setattr(
        light, "LightCurve", lambda *a, **o: made.append(curve(*a, **o)) or made[-1]
    )
    low, high = light.needs(settings, dressed, core, windows, 0)
    assert (made[0].corrected, made[0].noise_seeds) == (False, 16)
    assert low["light"] > high["light"] and low["snr"] > high["snr"]
    assert low["oscillator_per_multiply"] > 0 and low["equal_over_shared"] >= 1
    assert low["photons_per_multiply"] == pytest.approx(
        low["signal_per_multiply"] + low["oscillator_per_multiply"]
    )

    fading = light.on_light(dressed, light.fading_noise(core))
    cost = light.site_costs(fading, high["light"], windows, 0)
    assert {light.kind_of(path) for path in cost} == set(own)
    predictions = windows.shape[0] * (windows.shape[1] - 1)
    rise = curve(fading, windows, noise_seeds=16).rise(high["light"])
    assert sum(cost.values()) / predictions == pytest.approx(rise, rel=0.3)
