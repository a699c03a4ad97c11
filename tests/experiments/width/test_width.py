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


def test_a_study_that_was_interrupted_ends_as_if_it_had_not_been(
    modules, config, resumes, monkeypatch
):
    curve, made = modules.light.LightCurve, set()

    def noted(*args, **options):
        made.add((options["corrected"], options["noise_seeds"]))
        return curve(*args, **options)

    monkeypatch.setattr(modules.light, "LightCurve", noted)
    resumes(modules.run, modules.run.width, lambda name: config(f"run={name}"))
    settings = config("run=whole")
    folder = pathlib.Path(settings.results_dir) / "width" / "whole"
    found = json.loads((folder / "metrics.json").read_text())
    names = {file.name for file in folder.iterdir()}
    assert names >= FILES and sum(n.startswith("network-relu-mup") for n in names) == 4
    assert not any("begun" in name for name in names)
    assert made == {(True, 2), (False, 3)}  # differential, and quadrature with its oscillator

    # µP: one learning rate, that of the smallest width; what was learnt beats knowing nothing
    assert len({r["rate"] for r in found["rates"]}) == 1
    assert {r["tuned_at"] for r in found["rates"]} == {8}
    assert all(m["perplexity"] < 100 for m in found["models"])
    tokens = found["training_tokens"]
    assert all(m["tokens"] == 60 * 8 * 16 == m["passes"] * tokens for m in found["models"])

    # 2 widths x 2 seeds x 2 encodings x 2 operands x 2 targets
    rows = found["thresholds"]
    assert len(rows) == 32
    solved = [r for r in rows if r["photons_per_multiply"] is not None]
    assert len(solved) > 24
    for r in solved:
        assert r["photons_per_multiply"] == pytest.approx(
            r["signal_per_multiply"] + r["oscillator_per_multiply"]
        )
        assert (r["oscillator_per_multiply"] > 0) == (r["encoding"] == "quadrature")
        assert r["equal_over_shared"] >= 1 - 1e-9  # Cauchy and Schwarz
    key = ("width", "seed", "encoding", "operands")
    of = {(r["target_percent"], *(r[k] for k in key)): r for r in solved}
    for (percent, *rest), r in of.items():
        if percent == 1 and (other := of.get((5, *rest))):
            assert r["light"] > other["light"] and r["snr"] > other["snr"]

    # an oscillator's photons are shared by K multiplies
    ours = [r for r in solved if r["encoding"] == "quadrature"]
    at = {r["width"]: r["oscillator_per_multiply"] for r in ours}
    assert at[8] / at[16] == pytest.approx(2, rel=0.3)

    with open(folder / "exponents.csv", newline="") as lines:
        exponents = list(csv.DictReader(lines))
    assert {r["quantity"] for r in exponents} == {
        "photons_per_multiply",
        "signal_per_multiply",
        "snr",
    }
    whole = [r for r in exponents if r["seeds"] == "2"]  # one seed has no interval
    assert whole and all(float(r["low"]) <= float(r["exponent"]) <= float(r["high"]) for r in whole)
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


def test_shared_light_is_less_and_what_sites_cost_is_what_the_loss_rises(modules, config):
    """On a decoder that has learnt to continue an arithmetic sequence."""
    settings, train, light = config("noise_seeds=4"), modules.train, modules.light
    tokens = np.arange(4000) * 7 % 280
    model = train.new_decoder(settings, "relu", "mup", 16, 0)
    train.train(settings, model, "mup", tokens, rate=0.03, steps=60, seed=0)
    windows = np.stack([tokens[i : i + 16] for i in (100, 611)])
    products = modules.operands.products_of(model, windows[0])
    turned = modules.operands.turns("plain", products, 0.5)
    core = settings.cores()["differential"]

    dressed = modules.operands.dress(model, products, turned)
    photons = {}
    for by in ("equal", "kind"):
        settings.solver.shares = by
        (row, _) = light.needs(settings, dressed, core, windows, 0)
        photons[by] = row["photons_per_multiply"]
        saving = row["equal_over_shared"]
    assert photons["kind"] < 1.05 * photons["equal"]
    assert photons["equal"] / photons["kind"] == pytest.approx(saving, rel=0.3)

    lit = light.on_light(dressed, core)
    cost = light.site_costs(lit, row["light"], windows, 0)
    curve = light.LightCurve(lit, windows, noise_seeds=4)
    predicted = sum(cost.values()) / (windows.shape[0] * (windows.shape[1] - 1))
    assert predicted == pytest.approx(curve.rise(row["light"]), rel=0.5)
    assert math.isfinite(predicted)
