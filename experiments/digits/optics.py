"""Digits through light: a network whose every product is counted photon by photon.

What the published simulation (mcmahon-lab/ONN-QAT-SQL) does, and what of this twin's core it is. Each
layer multiplies non-negative inputs x (pixels, or what a ReLU left) by signed weights W:

* Light knows no sign: W is shifted and scaled as a whole to transmissions ``b = (W - min W) / (max W -
  min W)``, of 32 levels from 0 to 1, and each input vector to intensities ``a = x / max x``. ``y =
  max x (max W - min W) sum a b + min W sum x``: the last term, which needs no weights, is added
  digitally, as is the bias.
* A detector counts ``N ~ Poisson(m sum_k a_k b_kn)`` photons, m of which one multiply at full scale
  contributes; ``N / m`` estimates ``sum a b``. That is the core's ``differential`` encoding with
  ``photon_statistics="poisson"``: where neither operand is negative, the second rail is dark and the
  pair of detectors is one. ``array.bits = 6`` gives levels of 1/31 of full scale on either side of
  zero, hence 32 from 0 to 1. Activations are not quantized here (``input.bits``, ``adc.bits`` are none): the
  published accuracies were computed so, though the network was trained with four bits.
* The budget is a number of *incident* photons per multiply, the same for every input vector and layer:
  ``mean_k m a_k = n``, hence ``m = n K / sum_k a_k``, which differs from one vector to the next. The core's
  ``photons`` is that m; inputs are mapped over one by one (:func:`jax.vmap`), each with its own.
* *Detected* photons per multiply, ``mean_k m a_k b_kn``, are what the modulators let through of them: n times
  the mean transmission. The authors put 0.48, 0.42 and 0.39 for their three layers, 0.472 by number of
  multiplies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import photonjax as pj
from photonjax.core import Measurement, measured_dot_general


class Layer(NamedTuple):
    """Weights ``[K, N]`` and biases ``[N]``."""

    weights: jax.Array
    biases: jax.Array


Network = tuple[Layer, ...]


def photons_at_full_scale(x: jax.Array, incident: jax.Array | float) -> jax.Array:
    """Photons m of a multiply at full scale that make ``incident`` on average over the input ``[K]``.

    A dark input has no full scale; it gets one photon, and sends none of it.

    Example:
        >>> float(photons_at_full_scale(jnp.array([0.0, 0.5, 1.0, 0.5]), 3.0))
        6.0
    """
    brightest, total = jnp.max(x), jnp.sum(x)
    return jnp.where(total > 0, incident * x.size * brightest / jnp.where(total > 0, total, 1), 1.0)


def product(
    core: pj.OpticalCore,
    layer: Layer,
    x: jax.Array,
    key: jax.Array | None = None,
    dot_general: Callable[..., jax.Array] = pj.optical_dot_general,
) -> jax.Array:
    """``x @ weights + biases`` of non-negative inputs ``[..., K]``, the product on light."""
    darkest = jax.lax.stop_gradient(jnp.min(layer.weights))
    last_by_first = (((x.ndim - 1,), (0,)), ((), ()))
    y = dot_general(x, layer.weights - darkest, last_by_first, core=core, key=key)
    return y + darkest * jnp.sum(x, -1, keepdims=True) + layer.biases


def scores(
    core: pj.OpticalCore,
    network: Network,
    pixels: jax.Array,
    incident: jax.Array | float,
    key: jax.Array,
    dot_general: Callable[..., jax.Array] = pj.optical_dot_general,
) -> jax.Array:
    """The ten outputs for one image ``[784]`` of pixels 0 to 1, photons counted."""
    x = pixels
    for i, layer in enumerate(network):
        x = jax.nn.relu(x) if i else x
        lit = core.replace(photons=photons_at_full_scale(x, incident))
        x = product(lit, layer, x, jax.random.fold_in(key, i), dot_general)
    return x


# What of a core is about photons, and what it is in a machine that counts none.
LIGHT: dict[str, Any] = {
    "photons": None,
    "encoding.photon_statistics": "gaussian",
    "receiver.noise_a_per_rthz": None,
    "receiver.dark_current_a": None,
    "receiver.saturation_electrons": None,
}


def noiseless_scores(core: pj.OpticalCore, network: Network, pixels: jax.Array) -> jax.Array:
    """The ten outputs ``[n, 10]`` for images ``[n, 784]``: weights quantized, nothing counted."""
    quiet = core.replace(**LIGHT)
    x = pixels
    for i, layer in enumerate(network):
        x = product(quiet, layer, jax.nn.relu(x) if i else x)
    return x


class Shown(NamedTuple):
    """What came of showing images: how many were recognised, and of each layer ``[layers]`` the photons
    that its detectors counted on average (:class:`~photonjax.core.Measurement`) and the multiplies."""

    recognised: jax.Array
    electrons: jax.Array
    multiplies: jax.Array


@jax.jit
def show(
    core: pj.OpticalCore,
    network: Network,
    images: jax.Array,
    labels: jax.Array,
    incident: jax.Array | float,
    key: jax.Array,
) -> Shown:
    """Show images ``[n, 784]`` (uint8) in so much light; those with a label below 0 do not count."""

    def one(image, label, key):
        seen: list[Measurement] = []

        def meter(*operands, **options):
            y, measurement = measured_dot_general(*operands, **options)
            seen.append(measurement)
            return y

        y = scores(core, network, image / 255, incident, key, meter)
        light = jnp.array([[m.electrons, m.multiplies] for m in seen]) * (label >= 0)
        return Shown(jnp.argmax(y) == label, light[:, 0], light[:, 1])

    each = jax.vmap(one)(images, labels, jax.random.split(key, len(images)))
    return jax.tree.map(lambda values: values.sum(0), each)


@jax.jit
def recognised_without_photon_noise(
    core: pj.OpticalCore, network: Network, images: jax.Array, labels: jax.Array
) -> jax.Array:
    """How many images are recognised where nothing is counted."""
    return jnp.sum(jnp.argmax(noiseless_scores(core, network, images / 255), -1) == labels)
