"""Rotary positions: the angle by which each pair of a head's components is turned.

Source: Su et al., arXiv 2104.09864; for the scalings see scaling.py.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from photonjax.models.config import Scaling

__all__ = ["rotary_angles", "rotary_frequencies", "rotate"]


def rotary_angles(
    length: int, head_dim: int, theta: float, scaling: Scaling | None = None
) -> tuple[jax.Array, jax.Array]:
    """Cosines and sines [L, head_dim / 2] of position · theta^(-2i/head_dim), float32; times the
    scaling's magnitude.

    >>> cos, sin = rotary_angles(3, 4, 100.0)
    >>> cos.shape, round(float(sin[2, 1]), 4)  # 2 · 100^(-1/2) radians
    ((3, 2), 0.1987)
    """
    frequency = rotary_frequencies(head_dim, theta, scaling, length)
    angle = jnp.arange(length, dtype=jnp.float32)[:, None] * frequency
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    if scaling is None or scaling.magnitude == 1:
        return cos, sin
    return scaling.magnitude * cos, scaling.magnitude * sin


def rotary_frequencies(
    head_dim: int, theta: float, scaling: Scaling | None = None, length: int = 1
) -> jax.Array:
    """Radians per token [head_dim / 2] of each pair, float32, in a sequence of this length.

    >>> from photonjax.models.scaling import RopeScaling
    >>> rotary_frequencies(4, 100.0, RopeScaling(factor=2.0)).tolist()
    [0.5, 0.05000000074505806]
    """
    frequency = theta ** -(jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim)
    return frequency if scaling is None else scaling.frequencies(frequency, theta, length)


def rotate(x_BLHD: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """Turns the pairs (i, i + R/2) of each head's first R components by its token's angles [L, R/2];
    float32 in and out."""
    half = cos.shape[-1]
    x, y, rest = jnp.split(x_BLHD, [half, 2 * half], axis=-1)
    cos, sin = cos[:, None], sin[:, None]
    return jnp.concatenate([x * cos - y * sin, y * cos + x * sin, rest], axis=-1)
