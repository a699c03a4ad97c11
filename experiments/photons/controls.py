"""Control products: photons per multiply against K where nothing but K changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from experiments.photons.config import Photons
from photonjax.evaluation.fan_in import model_products, photons_needed, random_products


def controls(config: Photons, model: nnx.Module, window: np.ndarray) -> list[dict[str, Any]]:
    """Photons per multiply needed at ``snr_db`` for each K: random operands, and the model's own."""
    settings = config.controls
    return random_controls(
        settings.terms,
        tokens=settings.tokens,
        columns=settings.columns,
        repeats=settings.orders,
        snr_db=settings.snr_db,
        seed=config.seed,
        encodings=settings.encodings,
    ) + photons_needed(
        model_products(model, window[: settings.tokens], settings.layers, settings.orders),
        settings.terms,
        settings.snr_db,
        jax.random.fold_in(jax.random.key(config.seed), 2),
    )


def random_controls(
    terms: Sequence[int],
    *,
    tokens: int,
    columns: int,
    repeats: int,
    snr_db: float,
    seed: int,
    encodings: Sequence[str] = ("differential",),
) -> list[dict[str, Any]]:
    """The two laws: Gaussian operands of either sign, and their magnitudes, in each encoding."""
    key = jax.random.fold_in(jax.random.key(seed), 1)
    size = dict(tokens=tokens, columns=columns, repeats=repeats)
    products = random_products(max(terms), **size, key=key, encodings=encodings)
    return photons_needed(products, terms, snr_db, key)
