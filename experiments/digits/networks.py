"""Networks for the digits: trained here with quantization in the loop, or read from a file.

The recipe is the published one (main_mnist_mlp_QAT.py and the record in the published checkpoint): plain
SGD with momentum on the cross-entropy, weights held in [-1, 1] and quantized to 32 levels from their
smallest to their largest, and every layer's outputs rounded at random to 16 levels between running
extremes, gradients passing both as if they were not there; none of it in the first epochs. Images are
turned, shifted, scaled and slightly blurred. Differences: as many *updates*, on fewer digits; distorted
copies are made beforehand, a fixed number of them, and interpolated linearly. The authors trained many
networks with random settings and chose one for its resilience to few photons; here nothing is chosen.
"""

from __future__ import annotations

import collections
import functools
import itertools
import os
import pathlib
import pickle
import zipfile
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import photonjax as pj
from experiments.digits.config import Training
from experiments.digits.optics import LIGHT, Layer, Network, product
from experiments.harness import Progress, UserError, track
from experiments.harness.checkpoint import read_state, write_arrays, write_state
from photonjax.data.digits import Digits

SIZES = (784, 100, 100, 10)
_BLUR = ((0.05, 0.1, 0.05), (0.1, 1.0, 0.1), (0.05, 0.1, 0.05))
_RANGE_MEMORY = 0.999  # of the running extremes, per update


def train(
    core: pj.OpticalCore,
    digits: Digits,
    recipe: Training,
    seed: int,
    begun: pathlib.Path | None = None,
) -> Network:
    """A network trained on these digits, its products quantized as the core quantizes them.

    ``begun``: a file that holds the state after every epoch, from which an interrupted training goes on.
    """
    key = jax.random.key(seed)
    copies = jnp.asarray(
        distorted_copies(digits.images, recipe.distorted, jax.random.fold_in(key, 0))
    )
    labels = jnp.tile(jnp.asarray(digits.labels), len(copies) // len(digits.labels))
    quiet = core.replace(**LIGHT)
    plain = quiet.replace(array={"bits": None})
    network = initial(jax.random.fold_in(key, 1))
    ranges = jnp.full((len(network), 2), jnp.nan)
    state = (network, _optimizer(recipe).init(network), ranges)
    first, state = (0, state) if begun is None else read_state(begun, state)
    with Progress("train", recipe.epochs, "epochs") as progress:
        progress.advance(first, already=True)
        for epoch in range(first, recipe.epochs):
            rate = recipe.learning_rate * recipe.decay ** (epoch // recipe.decay_epochs)
            digital = epoch < recipe.warm_up
            own = jax.random.fold_in(jax.random.fold_in(key, 2), epoch)
            state = _epoch(
                recipe, not digital, plain if digital else quiet, state, copies, labels, rate, own
            )
            if begun is not None:
                write_state(begun, epoch + 1, state)
            progress.advance()
    return state[0]


def initial(key: jax.Array) -> Network:
    """Weights and biases uniform within ``1/sqrt(K)``."""
    layers = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(SIZES)):
        draw = jax.random.uniform(
            jax.random.fold_in(key, i), (inputs + 1, outputs), minval=-1.0, maxval=1.0
        )
        layers.append(Layer(draw[1:] * inputs**-0.5, draw[0] * inputs**-0.5))
    return tuple(layers)


def _optimizer(recipe: Training) -> optax.GradientTransformation:
    return optax.trace(decay=recipe.momentum)  # the learning rate is applied to what it gives


@functools.partial(jax.jit, static_argnums=(0, 1))
def _epoch(recipe, quantized, core, state, copies, labels, rate, key):
    """The state after ``recipe.updates`` batches drawn at random."""

    def update(state, key):
        network, momentum, ranges = state
        draw, rounding = jax.random.split(key)
        batch = jax.random.randint(draw, (recipe.batch,), 0, len(copies))

        def loss(network):
            y, seen = _training_scores(
                recipe, quantized, core, network, ranges, copies[batch], rounding
            )
            return optax.softmax_cross_entropy_with_integer_labels(y, labels[batch]).mean(), seen

        slope, ranges = jax.grad(loss, has_aux=True)(network)
        step, momentum = _optimizer(recipe).update(slope, momentum)
        network = jax.tree.map(lambda p, s: p - rate * s, network, step)
        return (_held(network, quantized), momentum, ranges), None

    return jax.lax.scan(update, state, jax.random.split(key, recipe.updates))[0]


def _held(network: Network, quantized: bool) -> Network:
    """Parameters within [-1, 1]; weights only once they are quantized."""
    return tuple(
        Layer(jnp.clip(w, -1, 1) if quantized else w, jnp.clip(b, -1, 1)) for w, b in network
    )


def _training_scores(recipe, quantized, core, network, ranges, images, key):
    """Outputs ``[n, 10]`` as training sees them, and the running extremes of each layer's outputs."""
    x, seen = images / 255, []
    for i, layer in enumerate(network):
        y = product(core, layer, jax.nn.relu(x) if i else x)
        if quantized:
            now = jax.lax.stop_gradient(jnp.stack([y.min(), y.max()]))
            low, high = jnp.where(
                jnp.isnan(ranges[i]), now, _RANGE_MEMORY * ranges[i] + (1 - _RANGE_MEMORY) * now
            )
            seen.append(jnp.stack([low, high]))
            step = (high - low) / (recipe.activation_levels - 1)
            dither = jax.random.uniform(
                jax.random.fold_in(key, i), y.shape, minval=-0.5, maxval=0.5
            )
            levels = jnp.round((jnp.clip(y, low, high) - low) / step + dither)
            y = y + jax.lax.stop_gradient(low + step * levels - y)
        x = y
    return x, jnp.stack(seen) if quantized else ranges


def distorted_copies(images: np.ndarray, at_least: int, key: jax.Array) -> np.ndarray:
    """Distorted copies of images ``[n, 784]``, uint8, all images in turn: ``[copies * n, 784]``."""
    rounds, chunk = max(1, -(-at_least // len(images))), 1000
    made = np.empty((rounds * len(images), images.shape[1]), np.uint8)
    for start in track(range(0, len(made), chunk), "distort digits", "batches"):
        chosen = np.arange(start, start + chunk) % len(images)
        some = distort(jnp.asarray(images[chosen]), jax.random.fold_in(key, start))
        made[start : start + chunk] = np.asarray(some)[: len(made) - start]
    return made


@jax.jit
def distort(images: jax.Array, key: jax.Array) -> jax.Array:
    """Images turned by up to 5 degrees, shifted by up to 4 %, scaled by up to 4 %, blurred; uint8."""
    rows, cols = jnp.mgrid[:28, :28] - 13.5
    blur = jnp.array(_BLUR)

    def one(image, key):
        angle, scale, down, right = jax.random.uniform(key, (4,), minval=-1.0, maxval=1.0)
        angle, scale = jnp.deg2rad(5 * angle), 1 + 0.04 * scale
        y, x = rows - jnp.round(1.12 * down), cols - jnp.round(1.12 * right)
        turned = jnp.stack(
            [jnp.cos(angle) * y - jnp.sin(angle) * x, jnp.sin(angle) * y + jnp.cos(angle) * x]
        )
        moved = jax.scipy.ndimage.map_coordinates(
            image.reshape(28, 28).astype(jnp.float32), list(turned / scale + 13.5), order=1
        )
        soft = jax.scipy.signal.convolve2d(moved, blur, mode="same")
        return jnp.round(255 * soft / jnp.maximum(soft.max(), 1e-6)).astype(jnp.uint8).reshape(-1)

    return jax.vmap(one)(images, jax.random.split(key, len(images)))


def save(path: pathlib.Path, networks: Sequence[Network]) -> None:
    """Write networks to one .npz file, whole or not at all."""
    arrays: Any = {
        f"{n}.{i}.{name}": np.asarray(values)
        for n, network in enumerate(networks)
        for i, layer in enumerate(network)
        for name, values in layer._asdict().items()
    }
    write_arrays(path, **arrays)


def load(path: pathlib.Path) -> list[Network]:
    """Networks from a file that :func:`save` wrote, or the one in the published checkpoint.

    Raises:
      UserError: the file is missing or holds something else.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                count = len(arrays) // (2 * len(SIZES[1:]))
                found = [
                    [(arrays[f"{n}.{i}.weights"], arrays[f"{n}.{i}.biases"]) for i in range(3)]
                    for n in range(count)
                ]
        else:
            state = read_checkpoint(path)["model_state_dict"]
            found = [[(state[f"fcs.{i}.weight"].T, state[f"fcs.{i}.bias"]) for i in range(3)]]
    except FileNotFoundError:
        raise UserError(f"weights: {path} does not exist") from None
    except Exception as error:  # whatever reading a file of another kind raises
        raise UserError(f"weights: {path} holds no network of ours ({error!r})") from None
    networks = [tuple(Layer(jnp.asarray(w), jnp.asarray(b)) for w, b in layers) for layers in found]
    shapes = {layer.weights.shape for network in networks for layer in network}
    if not networks or shapes != set(itertools.pairwise(SIZES)):
        raise UserError(f"weights: {path} holds no network of {'-'.join(map(str, SIZES))} units")
    return networks


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """What a PyTorch checkpoint holds, tensors as arrays, without PyTorch and without running its code.

    The file is a zip archive: ``data.pkl`` describes objects, and each tensor's values lie in a file
    of their own, row by row.
    """
    kinds = {"FloatStorage": np.float32, "LongStorage": np.int64}

    def tensor(
        values: np.ndarray, start: int, shape: tuple[int, ...], strides: Any, *_: Any
    ) -> Any:
        whole = np.asarray(values[start : start + int(np.prod(shape))]).reshape(shape)
        if tuple(n * whole.itemsize for n in strides) != whole.strides:
            raise pickle.UnpicklingError("a tensor is not stored row by row")
        return whole

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if name == "OrderedDict":
                return collections.OrderedDict
            if name == "_rebuild_tensor_v2":
                return tensor
            if name in kinds:
                return kinds[name]
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a network")

        def persistent_load(self, pid: Any) -> np.ndarray:
            _, kind, key, _, _ = pid
            return np.frombuffer(archive.read(f"{root}/data/{key}"), kind)

    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/")[0]
        with archive.open(f"{root}/data.pkl") as file:
            return Reader(file).load()
