"""Digits by counted photons: the light that was asked for, and what it does to recognition.

The digits here are ten random patterns with noise on them, the networks three layers of the published sizes.
"""

from __future__ import annotations

import csv
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.digits.config import Digits as Settings
from tests.experiments.digits.small import RECIPE, TRAINING, patterns

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python

IDX = {"train": 512, "t10k": 256}


def counted_in_numpy(network, x, incident, rng):
    """The published simulation in plain numpy: outputs, and detected photons per multiply of each layer."""
    photons = []
    for i, (weights, biases) in enumerate(network):
        weights, x = np.asarray(weights, np.float64), np.maximum(x, 0) if i else x
        low, span = weights.min(), np.ptp(weights)
        open_fraction = np.round(31 * (weights - low) / span) / 31
        top = np.where(x.max(1, keepdims=True) > 0, x.max(1, keepdims=True), 1)
        light = (
            incident * x.shape[1] * (x / top) / np.maximum((x / top).sum(1, keepdims=True), 1e-30)
        )
        counts = rng.poisson(light @ open_fraction)
        photons.append(counts.mean() / x.shape[1])
        per_photon = top * span * (x / top).sum(1, keepdims=True) / (incident * x.shape[1])
        x = per_photon * counts + low * x.sum(1, keepdims=True) + np.asarray(biases)
    return x, np.array(photons)


@pytest.mark.parametrize("incident", [0.1, 2.0])
def test_the_light_is_what_was_asked_for(modules, core, network, incident):
    """Sent, by its definition; detected, by the core's measurement against numpy's counts and the weights."""
    optics, test = modules.optics, patterns(512, seed=2)
    x = test.images / 255
    sent = [float(optics.photons_at_full_scale(jnp.asarray(row), incident)) for row in x[:20]]
    mean_sent = np.array(sent) * (x[:20] / x[:20].max(1, keepdims=True)).mean(1)
    np.testing.assert_allclose(mean_sent, incident, rtol=1e-5)

    _, electrons, multiplies = optics.show(core, network, *test, incident, jax.random.key(0))
    seen = np.asarray(electrons / multiplies)
    _, counted = counted_in_numpy(network, x, incident, np.random.default_rng(0))
    # five standard deviations of the first layer's counts; later layers see other noise, too
    np.testing.assert_allclose(
        seen[0], counted[0], rtol=5 / np.sqrt(incident * 0.5 * 512 * 100 * 784)
    )
    np.testing.assert_allclose(seen[1:], counted[1:], rtol=0.03)
    assert np.asarray(multiplies).tolist() == [
        512 * k * n for k, n in ((784, 100), (100, 100), (100, 10))
    ]
    # without regard to which input meets which weight: the mean transmission, the published way of counting
    weights = np.asarray(network[0].weights)
    transmission = ((weights - weights.min()) / np.ptp(weights)).mean()
    assert seen[0] == pytest.approx(incident * transmission, rel=0.1)


def test_one_layer_counts_as_poisson_does(modules, core, network):
    """Mean and variance of each output over many shows against those of a count; and a dark image."""
    optics, incident, shows = modules.optics, 0.5, 4000
    image = patterns(1, seed=3).images[0] / np.float32(255)
    both = jnp.stack([jnp.asarray(image), jnp.zeros(784)])
    one_layer = jax.vmap(lambda x, key: optics.scores(core, network[:1], x, incident, key))
    keys = jax.random.split(jax.random.key(1), (shows, 2))
    lit, dark = np.moveaxis(np.asarray(jax.jit(jax.vmap(one_layer, (None, 0)))(both, keys)), 1, 0)

    weights, biases = (np.asarray(values, np.float64) for values in network[0])
    low, span, top = weights.min(), np.ptp(weights), image.max()
    open_fraction = np.round(31 * (weights - low) / span) / 31
    signal = (image / top) @ open_fraction
    full_scale = incident * 784 / (image / top).sum()
    mean = top * span * signal + low * image.sum() + biases
    variance = (top * span) ** 2 * signal / full_scale
    error = (lit.mean(0) - mean) / np.sqrt(variance / shows)
    assert np.abs(error).max() < 4.5 and 0.7 < error.std() < 1.3
    # standard deviation of a variance over 4,000 draws: sqrt(2/4000) = 0.022, a little more for counts
    ratio = lit.var(0) / variance
    assert np.abs(ratio - 1).max() < 0.12 and abs(ratio.mean() - 1) < 0.01
    np.testing.assert_allclose(dark, np.broadcast_to(biases, dark.shape), rtol=1e-6)


def test_recognition_collapses_and_recovers(modules, core, network):
    optics, test = modules.optics, patterns(512, seed=4)
    quiet = int(optics.recognised_without_photon_noise(core, network, *test)) / 512
    assert quiet > 0.97

    def share(incident):
        return int(optics.show(core, network, *test, incident, jax.random.key(5)).recognised) / 512

    assert share(0.05) < 0.35
    assert abs(share(100.0) - quiet) < 0.02
    # the same in numpy; 512 images: standard deviation of a difference below 0.032
    guesses, _ = counted_in_numpy(network, test.images / 255, 0.6, np.random.default_rng(1))
    assert share(0.6) == pytest.approx(np.mean(guesses.argmax(1) == test.labels), abs=0.1)


def test_training_quantizes(modules, core, network):
    """Parameters stay within [-1, 1]; the network is made for 32 levels, so that they cost it nothing."""
    for layer in network:
        assert float(jnp.abs(layer.weights).max()) <= 1 and float(jnp.abs(layer.biases).max()) <= 1
    images, labels = test = patterns(512, seed=8)
    x = images / 255
    for i, (weights, biases) in enumerate(network):
        x = (np.maximum(x, 0) if i else x) @ np.asarray(weights) + np.asarray(biases)
    fine = np.mean(x.argmax(1) == labels)
    coarse = int(modules.optics.recognised_without_photon_noise(core, network, *test)) / 512
    assert coarse > 0.97 and abs(coarse - fine) < 0.02


def test_distorted_copies(modules):
    """A blob off the centre moves by a pixel or so, to other places in other copies, and keeps its size."""
    rows, cols = np.mgrid[:28, :28]
    blob = np.exp(-((rows - 9) ** 2 + (cols - 15) ** 2) / 8)
    images = np.tile(np.uint8(255 * blob).reshape(1, -1), (64, 1))
    copies = modules.networks.distorted_copies(images, 100, jax.random.key(0))
    assert copies.shape == (128, 784) and copies.dtype == np.uint8 and (copies.max(1) == 255).all()
    mass = copies.reshape(-1, 784) / copies.sum(1, keepdims=True)
    centres = np.stack([mass @ rows.ravel(), mass @ cols.ravel()], 1) - (9, 15)
    assert np.abs(centres).max() < 2 and (centres.std(0) > 0.4).all()
    assert np.abs(centres.mean(0)).max() < 0.3
    inked = (copies > 128).sum(1) / (images[0] > 128).sum()
    assert (inked > 0.8).all() and (inked < 1.6).all()


@pytest.fixture
def run(modules, in_process, tmp_path, monkeypatch):
    """Run experiments.digits on the patterns, as MNIST's files, in this process."""
    for seed, (part, count) in enumerate(IDX.items()):
        images, labels = patterns(count, seed)
        for kind, values in (("images-idx3", images.reshape(-1, 28, 28)), ("labels-idx1", labels)):
            values = values.astype(np.uint8)
            header = bytes((0, 0, 8, values.ndim)) + np.asarray(values.shape, ">u4").tobytes()
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(header + values.tobytes())
    base = [f"digits={tmp_path}", f"results_dir={tmp_path}", "noise_seeds=1"]
    base += [f"training.{key}={value}" for key, value in RECIPE.items()]
    monkeypatch.setattr(modules.run, "PUBLISHED", {0.1: 12.82, 10.0: 98.31})

    def call(*overrides):
        done = in_process("digits", Settings, modules.run.digits, base, *overrides)
        return done.out, done.error if done.status else ""

    call.base = base
    return call


def test_a_run_and_its_lines(run, modules, tmp_path):
    """Trains, writes, keeps the weights, and gives the same numbers as lines of another table."""
    rows = modules.run.digits_rows
    with pytest.raises(modules.harness.UserError, match="no trained .*network-.*run python"):
        rows(*run.base, quick=True)
    out, error = run("run=r")
    assert not error
    directory = tmp_path / "digits" / "r"
    kept = list((tmp_path / "digits").glob("network-*.npz"))
    assert len(kept) == 1 and (directory / "accuracy.png").stat().st_size > 1000
    found = json.loads((directory / "metrics.json").read_text())
    with (directory / "levels.csv").open() as file:
        levels = list(csv.DictReader(file))
    assert [float(level["incident"]) for level in levels] == [0.1, 10.0]
    for level in found["levels"]:
        assert level["points"] == pytest.approx(level["percent"] - level["published"])
        assert (level["verdict"] == "reproduced") == (abs(level["points"]) <= 1.5)
        assert 0.3 < level["detected"] / level["incident"] < 0.7
    assert found["noiseless_percent"] > 95
    assert "some 512 digits each" in out and "256 digits" in out

    lines = rows(*run.base, quick=True)
    assert [line["ours"] for line in lines] == [level["percent"] for level in found["levels"]]
    for line in lines:
        assert line["deviation"] == pytest.approx(line["ours"] / line["published"] - 1)
        assert set(line) == {
            "name", "published", "ours", "unit", "deviation", "verdict", "source", "note"
        }  # fmt: skip
    again = rows(*run.base, f"weights={kept[0]}", quick=True)
    assert [line["ours"] for line in again] == [line["ours"] for line in lines]


def test_an_interrupted_run_goes_on(run, modules, resumes, tmp_path):
    def config(name):
        return modules.harness.load_config("digits", Settings, [*run.base, f"run={name}"])

    assert resumes(modules.run, modules.run.digits, config) == ["0.1 photons"]


def test_an_interrupted_training_goes_on(modules, core, network, tmp_path, monkeypatch):
    networks, begun = modules.networks, tmp_path / "begun.npz"
    train = lambda: networks.train(core, patterns(512, seed=1), TRAINING, 0, begun)
    epoch, done = networks._epoch, []

    def interrupted(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return epoch(*arguments)

    monkeypatch.setattr(networks, "_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train()
    monkeypatch.setattr(networks, "_epoch", lambda *a: (done.append(1), epoch(*a))[1])
    chex.assert_trees_all_equal(train(), network)
    assert len(done) == RECIPE["epochs"]
    begun.write_bytes(b"something else")
    with pytest.raises(modules.harness.UserError, match="is no training that was begun"):
        train()


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["noise_seeds=0"], ["noise_seeds: 0", "of 1 ..."]),
        (["training.folds=1"], ["training.folds: 1", "of 2 ..."]),
        (["training.momentum=2"], ["training.momentum: 2"]),
        (["core.encoding=offset"], ["core:", "differential"]),
        (
            ["core.photons=null", "core.encoding.photon_statistics=gaussian"],
            ["photons: is null"],
        ),
        (["training.digits=3"], ["training.digits: 3", "of 10 ..."]),
        (["weights=nowhere.pt"], ["nowhere.pt does not exist"]),
        (["digits=nowhere"], ["digits: nowhere is not a directory"]),
        (["digits=3"], ["digits: 3 is not a directory"]),
        (["photons=3"], ["'photons'"]),
    ],
)
def test_user_errors(run, overrides, parts):
    _, error = run(*overrides)
    assert error.startswith("error: ") and "\n" not in error
    for part in parts:
        assert part in error, error


def test_parts_are_disjoint_and_balanced(modules):
    digits = patterns(997, seed=9)
    parts = modules.run.parts_of(digits, 5)
    assert sum(len(part.labels) for part in parts) == 997
    together = np.concatenate([part.images for part in parts])
    assert len(np.unique(together, axis=0)) == len(np.unique(digits.images, axis=0)) == 997
    counts = np.array([np.bincount(part.labels, minlength=10) for part in parts])
    assert np.ptp(counts, axis=0).max() <= 1
