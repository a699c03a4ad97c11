"""A model's products sent through light as other numbers: plain, smoothed, rotated.

Every product ``x w`` is ``(x T) (inv(T) w)`` for any invertible ``T``, worked out digitally before light is
modulated. What shot noise costs depends on ``T``:

* ``plain``: the identity.
* ``smoothed``: diagonal, ``t_k = max|w_k|**(1 - alpha) / max|x_k|**alpha``: weights take a part of the spread
  of the inputs' channels (SmoothQuant, Xiao et al., arXiv 2211.10438, equation 4). ``|x_k||w_k|`` stays as it
  is, and with it the light of ``differential``, but for which outputs get it; ``homodyne``'s
  ``sum x**2 sum w**2`` does not.
* ``hadamard``: orthogonal, rows of random sign (QuaRot, Ashkboos et al., arXiv 2404.00456): every channel
  becomes a mixture of all. ``homodyne``'s sums of squares stay as they are; ``sum |x||w|`` grows where few
  channels had held most of it. Of a size ``2**a q``, q odd: Sylvester's matrix of ``2**a``, times (Kronecker)
  the orthonormal cosine transform of q.

The alignment of a product, ``E[p**2] / E[S]**2`` over a token's outputs with ``S = sum_k |x_k w_k|``, says
how much of the light of ``differential`` is signal: photons per multiply are about ``SNR / (K * alignment)``
(:mod:`photonjax.evaluation.fan_in`). It is a constant over K where terms are uncorrelated. Of several tokens
the geometric mean of each one's own: a few are far larger than the others, and would decide a sum.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.evaluation.fan_in import capture
from photonjax.models import Decoder

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
SITES = (*ATTENTION, "gate_proj", "up_proj", "down_proj", "head")

Products = Sequence[tuple[str, int, np.ndarray, np.ndarray]]
"""Site, layer, inputs ``[T, K]`` and weights ``[K, N]`` of every product."""


class Turn(nnx.Variable):
    """What inputs are multiplied with before a product ``[K, K]``; not a parameter."""


class Turned(nnx.Module):
    """A layer whose inputs are multiplied with a matrix first; its weights must have been made for that."""

    def __init__(self, layer: Any):
        *stack, terms, _ = layer.kernel[...].shape
        self.layer = layer
        self.turn = Turn(jnp.broadcast_to(jnp.eye(terms), (*stack, terms, terms)))

    def __call__(self, x: jax.Array, *further: Any) -> jax.Array:
        """x ``[..., K]``."""
        turned = jnp.matmul(x, self.turn[...], precision=jax.lax.Precision.HIGHEST)
        return self.layer(turned, *further)


def products_of(model: Decoder, tokens: np.ndarray) -> Products:
    """Every product of a decoder with weights, on one window ``[T]``."""
    return capture(model, tokens, model.config.num_layers, SITES)


def turns(
    operands: str, products: Products, smoothing: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each product's ``T`` and its inverse."""
    return [_turn(operands, x, w, smoothing) for _, _, x, w in products]


def _turn(operands: str, x: np.ndarray, w: np.ndarray, smoothing: float) -> tuple[Any, Any]:
    terms = x.shape[1]
    if operands == "hadamard":
        turn = hadamard(terms)
        return turn, turn.T
    factor = np.ones(terms)
    if operands == "smoothed":
        of_x, of_w = (np.maximum(np.abs(v).max(a), 1e-5) for v, a in ((x, 0), (w, 1)))
        factor = of_w ** (1 - smoothing) / of_x**smoothing
    return np.diag(factor), np.diag(1 / factor)


@functools.cache
def hadamard(size: int) -> np.ndarray:
    """An orthogonal matrix that mixes every channel with every other, rows of random sign.

    >>> turn = hadamard(12)
    >>> bool(np.allclose(turn @ turn.T, np.eye(12))), bool(np.abs(turn).max() < 0.5)
    (True, True)
    """
    from scipy.fft import dct
    from scipy.linalg import hadamard as sylvester

    power = size & -size
    mixed = np.kron(sylvester(power) / power**0.5, dct(np.eye(size // power), norm="ortho", axis=0))
    return np.random.default_rng(0).choice([-1.0, 1.0], (size, 1)) * mixed


def alignment(
    products: Products, turned: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[dict[str, Any]]:
    """``site``, ``layer``, ``terms`` K and ``alignment`` (geometric mean over tokens) of every product."""
    rows = []
    for (site, layer, x, w), (turn, inverse) in zip(products, turned, strict=True):
        a, b = (x @ turn).astype(np.float32), (inverse @ w).astype(np.float32)
        signal, light = np.square(a @ b).mean(1), (np.abs(a) @ np.abs(b)).mean(1)
        seen = signal > 0  # a token whose inputs are all zero (ReLU) sends no light
        mean = np.exp(np.log(signal[seen] / np.square(light[seen])).mean()) if seen.any() else 0.0
        aligned = {"terms": x.shape[1], "alignment": float(mean)}
        rows.append({"site": site, "layer": layer} | aligned)
    return rows


def dress(
    model: Decoder, products: Products, turned: Sequence[tuple[np.ndarray, np.ndarray]]
) -> Decoder:
    """A copy whose products see ``x T`` and ``inv(T) w``; what it computes is the same."""
    model = nnx.clone(model)
    made: Mapping[str, Any] = {}
    for (site, _, _, w), (turn, inverse) in zip(products, turned, strict=True):  # layer by layer
        each = made.setdefault(site, ([], []))  # type: ignore[attr-defined]
        each[0].append(turn)
        each[1].append(inverse @ w)
    owners = [m for _, m in nnx.iter_modules(model) if any(hasattr(m, site) for site in made)]
    for owner in owners:
        for site in made:
            if hasattr(owner, site):
                layer = Turned(getattr(owner, site))
                matrices, kernels = (np.stack(part).astype(np.float32) for part in made[site])
                stack = layer.turn[...].ndim - 2
                layer.turn[...] = jnp.asarray(matrices if stack else matrices[0])
                layer.layer.kernel[...] = jnp.asarray(kernels if stack else kernels[0])
                setattr(owner, site, layer)
    return model
